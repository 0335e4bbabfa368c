//! The calls on the process itself: its identity, its limits, its segments.

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::time::{ClockId, clock_gettime};

use super::descriptors::MAX_DESCRIPTORS;
use super::guest::{self, put};
use super::identity::{PARENT_ID, PROCESS_ID, RELEASE, VERSION};
use super::process_name::{NAME, padded};
use super::threads::MOST_THREADS;
use super::{CallEffect, CallResult, Failure, Personality, SystemCall};
use crate::bare::address_space::{Access, AddressSpace};
use crate::bare::layout::USER_HALF_END;
use crate::devices::host_io;

// Operations of `arch_prctl` (`asm/prctl.h`).
const ARCH_SET_GS: c_int = 0x1001;
const ARCH_SET_FS: c_int = 0x1002;
const ARCH_GET_FS: c_int = 0x1003;
const ARCH_GET_GS: c_int = 0x1004;
/// The bytes of each field of `struct utsname`.
const NAME_FIELD: usize = 65;

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallEffect> {
    let [first, second, ..] = call.arguments;
    let sets_segment = [ARCH_SET_FS, ARCH_SET_GS].contains(&call.int(0));
    if call.linux_number() == libc::SYS_arch_prctl && sets_segment {
        return Some(state.set_segment(call.int(0), second));
    }
    let own_id = u64::from(PROCESS_ID.unsigned_abs());
    let result: CallResult = match call.linux_number() {
        libc::SYS_arch_prctl => state.segment(memory, call.int(0), second),
        libc::SYS_getpid | libc::SYS_getpgrp | libc::SYS_getpgid | libc::SYS_getsid => Ok(own_id),
        libc::SYS_getppid => Ok(PARENT_ID),
        // The program is root, and in no group.
        libc::SYS_getuid
        | libc::SYS_geteuid
        | libc::SYS_getgid
        | libc::SYS_getegid
        | libc::SYS_getgroups => Ok(0),
        libc::SYS_umask => Ok(state.set_creation_mask(call.unsigned(0))),
        libc::SYS_wait4 => Err(Errno::ECHILD.into()),
        libc::SYS_uname => uname(memory, first),
        libc::SYS_sysinfo => state.system_information(memory, first),
        libc::SYS_prlimit64 => state.limits(memory, call),
        libc::SYS_getrlimit => state.limit(memory, first, second),
        libc::SYS_setrlimit => Err(Errno::EPERM.into()),
        libc::SYS_getrusage => usage(memory, second),
        libc::SYS_prctl => state.process_control(memory, call),
        libc::SYS_getrandom => random(memory, call),
        _ => return None,
    };
    Some(result.into())
}

impl Personality {
    fn set_segment(&mut self, operation: c_int, base: u64) -> CallEffect {
        // Linux refuses an address above the user half. One that isn't canonical would end the VM.
        if base >= USER_HALF_END {
            return CallEffect::from(Err(Failure::Errno(Errno::EPERM)));
        }
        if operation == ARCH_SET_FS {
            self.threads.current_mut().fs_base = base;
            CallEffect::SetFsBase(base)
        } else {
            self.threads.current_mut().gs_base = base;
            CallEffect::SetGsBase(base)
        }
    }

    fn segment(&self, memory: &mut AddressSpace, operation: c_int, to: u64) -> CallResult {
        let base = match operation {
            ARCH_GET_FS => self.threads.current().fs_base,
            ARCH_GET_GS => self.threads.current().gs_base,
            _ => return Err(Errno::EINVAL.into()),
        };
        guest::write(memory, to, &base.to_le_bytes())?;
        Ok(0)
    }

    /// Writes a `struct sysinfo` (`linux/sysinfo.h`), whose unit of memory is one byte.
    fn system_information(&self, memory: &mut AddressSpace, to: u64) -> CallResult {
        let uptime = clock_gettime(ClockId::CLOCK_BOOTTIME)?.tv_sec();
        let mut info = [0; 112];
        put(&mut info, 0, uptime.to_le_bytes());
        put(&mut info, 32, self.memory.as_u64().to_le_bytes());
        put(&mut info, 40, memory.free_bytes().to_le_bytes());
        put(&mut info, 80, 1_u16.to_le_bytes());
        put(&mut info, 104, 1_u32.to_le_bytes());
        guest::write(memory, to, &info)?;
        Ok(0)
    }

    fn limits(&self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        let [_, resource, new, old, ..] = call.arguments;
        if ![0, PROCESS_ID].contains(&call.int(0)) {
            return Err(Errno::ESRCH.into());
        }
        // Limits can't be changed.
        if new != 0 {
            return Err(Errno::EPERM.into());
        }
        self.limit(memory, resource, old)
    }

    fn limit(&self, memory: &mut AddressSpace, resource: u64, to: u64) -> CallResult {
        const LIMITS: u32 = 16;
        let resource = super::low_half(resource);
        let limit = match resource {
            libc::RLIMIT_STACK => self.stack.as_u64(),
            libc::RLIMIT_NOFILE => MAX_DESCRIPTORS as u64,
            libc::RLIMIT_NPROC => MOST_THREADS as u64,
            libc::RLIMIT_CORE => 0,
            LIMITS.. => return Err(Errno::EINVAL.into()),
            _ => libc::RLIM_INFINITY,
        };
        if to != 0 {
            guest::write_pair(memory, to, limit.cast_signed(), limit.cast_signed())?;
        }
        Ok(0)
    }

    fn process_control(&mut self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        let address = call.arguments[1];
        match call.int(0) {
            libc::PR_SET_NAME => {
                self.threads.current_mut().name = padded(&name_at(memory, address)?);
                Ok(0)
            }
            libc::PR_GET_NAME => {
                guest::write(memory, address, &self.threads.current().name)?;
                Ok(0)
            }
            libc::PR_SET_PDEATHSIG | libc::PR_SET_DUMPABLE | libc::PR_SET_NO_NEW_PRIVS => Ok(0),
            libc::PR_GET_DUMPABLE => Ok(1),
            _ => Err(Errno::EINVAL.into()),
        }
    }
}

/// Reads a name up to its NUL, and at most 15 bytes.
fn name_at(memory: &AddressSpace, address: u64) -> Result<Vec<u8>, Errno> {
    let mut name = Vec::new();
    for offset in 0..NAME as u64 - 1 {
        match guest::read::<1>(memory, address.wrapping_add(offset))? {
            [0] => break,
            [byte] => name.push(byte),
        }
    }
    Ok(name)
}

/// Writes a `struct utsname`. The fields that C libraries look at are Linux's.
fn uname(memory: &mut AddressSpace, to: u64) -> CallResult {
    let fields: [&[u8]; 6] = [
        b"Linux",
        b"isobench",
        RELEASE.as_bytes(),
        VERSION.as_bytes(),
        b"x86_64",
        b"(none)",
    ];
    let mut names = [0; 6 * NAME_FIELD];
    for (index, field) in fields.into_iter().enumerate() {
        names[index * NAME_FIELD..][..field.len()].copy_from_slice(field);
    }
    guest::write(memory, to, &names)?;
    Ok(0)
}

/// Writes a `struct rusage`. Only the processor time is known, and all of it counts as user time.
fn usage(memory: &mut AddressSpace, to: u64) -> CallResult {
    let used = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?;
    let mut usage = [0; 144];
    put(&mut usage, 0, used.tv_sec().to_le_bytes());
    put(&mut usage, 8, (used.tv_nsec() / 1000).to_le_bytes());
    guest::write(memory, to, &usage)?;
    Ok(0)
}

fn random(memory: &AddressSpace, call: &SystemCall) -> CallResult {
    let [address, length, ..] = call.arguments;
    let flags = call.unsigned(2);
    if flags & !(libc::GRND_NONBLOCK | libc::GRND_RANDOM | libc::GRND_INSECURE) != 0 {
        return Err(Errno::EINVAL.into());
    }
    if length == 0 {
        return Ok(0);
    }
    let mut into = guest::slices(memory, &[(address, length)], Access::Write, u64::MAX)?;
    Ok(host_io::fill_random(&mut into, flags)? as u64)
}
