//! The calls on which thread comes first, and on the order in which processors see memory.
//!
//! Every thread has the same share of the processors, whatever the program asks for. So these
//! calls are checked and change nothing.

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::guest;
use super::{CallResult, SystemCall};
use crate::bare::address_space::AddressSpace;

/// The policies that a program may ask for.
const POLICIES: [c_int; 5] = [
    libc::SCHED_OTHER,
    libc::SCHED_FIFO,
    libc::SCHED_RR,
    libc::SCHED_BATCH,
    libc::SCHED_IDLE,
];
/// What `getpriority` gives for a nice value of 0: 20 less the value.
const NICE_0: u64 = 20;

// Commands of `membarrier` (`linux/membarrier.h`), as bits.
const GLOBAL: c_int = 1;
const GLOBAL_EXPEDITED: c_int = 1 << 1;
const REGISTER_GLOBAL_EXPEDITED: c_int = 1 << 2;
const PRIVATE_EXPEDITED: c_int = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: c_int = 1 << 4;
const BARRIERS: [c_int; 5] = [
    GLOBAL,
    GLOBAL_EXPEDITED,
    REGISTER_GLOBAL_EXPEDITED,
    PRIVATE_EXPEDITED,
    REGISTER_PRIVATE_EXPEDITED,
];

pub(super) fn serve(call: &SystemCall, memory: &mut AddressSpace) -> Option<CallResult> {
    let second = call.arguments[1];
    Some(match call.linux_number() {
        libc::SYS_sched_getscheduler | libc::SYS_setpriority => Ok(0),
        libc::SYS_sched_setscheduler => policy(call.int(1) & !libc::SCHED_RESET_ON_FORK).map(|_| 0),
        libc::SYS_sched_setparam => guest::read_u32(memory, second)
            .map(|_| 0)
            .map_err(Into::into),
        libc::SYS_sched_getparam => guest::write(memory, second, &[0; 4])
            .map(|()| 0)
            .map_err(Into::into),
        libc::SYS_sched_get_priority_max => priority(call.int(0), 99),
        libc::SYS_sched_get_priority_min => priority(call.int(0), 1),
        libc::SYS_getpriority => Ok(NICE_0),
        libc::SYS_membarrier => barrier(call, memory),
        _ => return None,
    })
}

fn policy(policy: c_int) -> Result<c_int, super::Failure> {
    if POLICIES.contains(&policy) {
        Ok(policy)
    } else {
        Err(Errno::EINVAL.into())
    }
}

/// A bound of the priorities of a policy: only the two real-time policies have any.
fn priority(of: c_int, bound: u64) -> CallResult {
    let is_real_time = [libc::SCHED_FIFO, libc::SCHED_RR].contains(&policy(of)?);
    Ok(if is_real_time { bound } else { 0 })
}

fn barrier(call: &SystemCall, memory: &AddressSpace) -> CallResult {
    match call.int(0) {
        _ if call.unsigned(1) != 0 => Err(Errno::EINVAL.into()),
        0 => Ok(BARRIERS
            .iter()
            .fold(0, |all, &one| all | u64::from(one.unsigned_abs()))),
        // Whoever leaves the guest and comes back has passed a barrier. The only processor needs
        // none: it sees its own writes in their order.
        command if BARRIERS.contains(&command) => {
            memory.stop_others();
            Ok(0)
        }
        _ => Err(Errno::EINVAL.into()),
    }
}
