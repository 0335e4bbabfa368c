//! The calls on signals, which a program can only send to itself.

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::guest::{self, put};
use super::identity::PROCESS_ID;
use super::moment::End;
use super::signal_actions::{ACTION, Action, Disposition};
use super::signal_queue::{INFO, SignalInfo};
use super::signal_sets::CAN_BE_BLOCKED;
use super::threads::{AlternateStack, Condition, Interrupted, ThreadId, Wait};
use super::{CallResult, Failure, Personality, SystemCall, time};
use crate::bare::address_space::AddressSpace;

/// The least size of an alternate stack (`MINSIGSTKSZ`).
const LEAST_STACK: u64 = 2048;
/// `SS_AUTODISARM` (`linux/signal.h`).
const AUTO_DISARM: u32 = 1 << 31;

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let [first, second, ..] = call.arguments;
    let from_program =
        |signal: c_int, code: c_int| (signal != 0).then(|| SignalInfo::from_program(signal, code));
    Some(match call.linux_number() {
        libc::SYS_rt_sigaction => state.set_action(call, memory),
        libc::SYS_rt_sigprocmask => state.change_mask(call, memory),
        libc::SYS_rt_sigpending => guest::write(memory, first, &state.pending().to_le_bytes())
            .map(|()| 0)
            .map_err(Into::into),
        libc::SYS_sigaltstack => state.set_stack(memory, first, second),
        libc::SYS_kill => valid(call.int(1)).and_then(|signal| {
            state.send_to_process(call.int(0), from_program(signal, libc::SI_USER))
        }),
        libc::SYS_tkill => valid(call.int(1)).and_then(|signal| {
            state.send_to_thread(call.int(0), from_program(signal, libc::SI_TKILL))
        }),
        libc::SYS_tgkill | libc::SYS_rt_tgsigqueueinfo if call.int(0) != PROCESS_ID => {
            Err(Errno::ESRCH.into())
        }
        libc::SYS_tgkill => valid(call.int(2)).and_then(|signal| {
            state.send_to_thread(call.int(1), from_program(signal, libc::SI_TKILL))
        }),
        libc::SYS_rt_sigqueueinfo => read_info(memory, call.int(1), call.arguments[2])
            .and_then(|info| state.send_to_process(call.int(0), info)),
        libc::SYS_rt_tgsigqueueinfo => read_info(memory, call.int(2), call.arguments[3])
            .and_then(|info| state.send_to_thread(call.int(1), info)),
        libc::SYS_rt_sigsuspend => state.suspend(memory, first, second),
        libc::SYS_pause => Err(state.threads.wait(until_signal())),
        libc::SYS_rt_sigtimedwait => state.wait_for_signal(call, memory),
        _ => return None,
    })
}

/// A number that a signal can have, or 0.
fn valid(signal: c_int) -> Result<c_int, Failure> {
    if (0..=64).contains(&signal) {
        Ok(signal)
    } else {
        Err(Errno::EINVAL.into())
    }
}

/// Reads the `siginfo_t` that a program sends. The result is `None` for signal 0.
fn read_info(
    memory: &AddressSpace,
    signal: c_int,
    address: u64,
) -> Result<Option<SignalInfo>, Failure> {
    let signal = valid(signal)?;
    let bytes: [u8; INFO] = guest::read(memory, address)?;
    Ok((signal != 0).then(|| SignalInfo::from_bytes(signal, bytes)))
}

/// A wait that only a signal ends.
fn until_signal() -> Wait {
    Wait {
        condition: Condition::Nothing,
        end: None,
        interrupted: Interrupted::Fails,
        bytes_done: 0,
    }
}

impl Personality {
    fn set_action(&mut self, call: &SystemCall, memory: &mut AddressSpace) -> CallResult {
        let [_, new, old, size, ..] = call.arguments;
        let signal = call.int(0);
        let untouchable = signal == libc::SIGKILL || signal == libc::SIGSTOP;
        if size != 8 || !(1..=64).contains(&signal) || (untouchable && new != 0) {
            return Err(Errno::EINVAL.into());
        }
        let before = self.signals.actions.get(signal);
        if new != 0 {
            let bytes: [u8; ACTION] = guest::read(memory, new)?;
            self.signals.actions.set(signal, Action::from_bytes(&bytes));
            if self.signals.actions.disposition(signal) == Disposition::Ignored {
                self.forget_pending(signal);
            }
        }
        if old != 0 {
            guest::write(memory, old, &before.to_bytes())?;
        }
        Ok(0)
    }

    fn change_mask(&mut self, call: &SystemCall, memory: &mut AddressSpace) -> CallResult {
        let [_, new, old, size, ..] = call.arguments;
        if size != 8 {
            return Err(Errno::EINVAL.into());
        }
        let before = self.threads.current().blocked;
        let mut blocked = before;
        if new != 0 {
            let set = guest::read_u64(memory, new)?;
            blocked = match call.int(0) {
                libc::SIG_BLOCK => before | set,
                libc::SIG_UNBLOCK => before & !set,
                libc::SIG_SETMASK => set,
                _ => return Err(Errno::EINVAL.into()),
            };
        }
        if old != 0 {
            guest::write(memory, old, &before.to_le_bytes())?;
        }
        self.set_blocked(blocked)
    }

    fn set_stack(&mut self, memory: &mut AddressSpace, new: u64, old: u64) -> CallResult {
        let before = self.threads.current().stack;
        if new != 0 {
            let stack = stack_from_bytes(&guest::read(memory, new)?)?;
            self.threads.current_mut().stack = stack;
        }
        if old != 0 {
            guest::write(memory, old, &stack_bytes(before, 0))?;
        }
        Ok(0)
    }

    /// Waits with another mask for a signal.
    fn suspend(&mut self, memory: &AddressSpace, mask: u64, size: u64) -> CallResult {
        if size != 8 {
            return Err(Errno::EINVAL.into());
        }
        let mask = guest::read_u64(memory, mask)?;
        self.block_for_call(mask)?;
        Err(self.threads.wait(until_signal()))
    }

    /// Takes a signal of a set, or waits for one.
    fn wait_for_signal(&mut self, call: &SystemCall, memory: &mut AddressSpace) -> CallResult {
        let [set, info_to, timeout, size, ..] = call.arguments;
        if size != 8 {
            return Err(Errno::EINVAL.into());
        }
        let wanted = guest::read_u64(memory, set)? & CAN_BE_BLOCKED;
        let timeout = time::read_timeout(memory, timeout)?;
        if let Some(info) = self.take_pending(wanted) {
            if info_to != 0 {
                guest::write(memory, info_to, info.bytes())?;
            }
            return Ok(u64::from(info.signal().unsigned_abs()));
        }
        if self.threads.is_wait_over() || timeout.is_some_and(|time| time.is_zero()) {
            return Err(Errno::EAGAIN.into());
        }
        let end = End::of_timeout(timeout)?;
        Err(self.threads.wait(Wait {
            condition: Condition::Signals(wanted),
            end,
            interrupted: Interrupted::Fails,
            bytes_done: 0,
        }))
    }

    /// Sends a signal to the process, or asks with `None` whether there is the process.
    fn send_to_process(&mut self, process: c_int, info: Option<SignalInfo>) -> CallResult {
        // 0 and the negated number name the process group.
        if ![PROCESS_ID, 0, -PROCESS_ID].contains(&process) {
            return Err(Errno::ESRCH.into());
        }
        match info {
            Some(info) => self.send(None, info),
            None => Ok(0),
        }
    }

    fn send_to_thread(&mut self, thread: c_int, info: Option<SignalInfo>) -> CallResult {
        let thread = ThreadId(thread);
        if self.threads.get_mut(thread).is_none() {
            return Err(Errno::ESRCH.into());
        }
        match info {
            Some(info) => self.send(Some(thread), info),
            None => Ok(0),
        }
    }
}

/// Reads the kernel's `stack_t`. The result is `None` if it disables the alternate stack.
pub(crate) fn stack_from_bytes(bytes: &[u8; STACK]) -> Result<Option<AlternateStack>, Errno> {
    let flags = super::low_half(guest::word(bytes, 8));
    let (start, size) = (guest::word(bytes, 0), guest::word(bytes, 16));
    match flags & !AUTO_DISARM {
        mode if mode == libc::SS_DISABLE.cast_unsigned() => Ok(None),
        mode if mode != 0 && mode != libc::SS_ONSTACK.cast_unsigned() => Err(Errno::EINVAL),
        _ if size < LEAST_STACK => Err(Errno::ENOMEM),
        _ => Ok(Some(AlternateStack {
            start,
            flags: flags & AUTO_DISARM,
            size,
        })),
    }
}

/// The bytes of the kernel's `stack_t`.
pub(crate) const STACK: usize = 24;

/// The kernel's `stack_t`, for a thread whose stack pointer is `stack_pointer`.
pub(crate) fn stack_bytes(stack: Option<AlternateStack>, stack_pointer: u64) -> [u8; STACK] {
    let mut bytes = [0; STACK];
    let Some(stack) = stack else {
        put(&mut bytes, 8, libc::SS_DISABLE.to_le_bytes());
        return bytes;
    };
    let in_use = if stack.holds(stack_pointer) {
        libc::SS_ONSTACK.cast_unsigned()
    } else {
        0
    };
    put(&mut bytes, 0, stack.start.to_le_bytes());
    put(&mut bytes, 8, (stack.flags | in_use).to_le_bytes());
    put(&mut bytes, 16, stack.size.to_le_bytes());
    bytes
}
