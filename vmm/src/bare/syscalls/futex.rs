//! The futex calls: threads wait on a number in their memory (futex(2)).
//!
//! All threads share one address space, so an address names a futex, private or not. Whoever changes
//! a number and then wakes its waiters makes a call for that, and calls are served one after the
//! other. So reading a number and going to wait is one step: a change that the read misses is
//! followed by a wake-up that finds the waiter.

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::time::ClockId;

use super::moment::End;
use super::threads::{Condition, Interrupted, Wait};
use super::{CallResult, Personality, SystemCall, time};
use crate::bare::address_space::AddressSpace;

/// The bits of a plain wait or wake-up (`FUTEX_BITSET_MATCH_ANY`).
pub(super) const ALL_BITS: u32 = u32::MAX;

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    (call.linux_number() == libc::SYS_futex).then(|| state.futex(memory, call))
}

impl Personality {
    fn futex(&mut self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        let [address, _, _, _, second, _] = call.arguments;
        if !address.is_multiple_of(4) {
            return Err(Errno::EINVAL.into());
        }
        let most = count(call.unsigned(2));
        match call.int(1) & libc::FUTEX_CMD_MASK {
            libc::FUTEX_WAIT => self.futex_wait(memory, call, ALL_BITS),
            libc::FUTEX_WAIT_BITSET => match call.unsigned(5) {
                0 => Err(Errno::EINVAL.into()),
                bits => self.futex_wait(memory, call, bits),
            },
            libc::FUTEX_WAKE => Ok(self.threads.wake_futex(address, ALL_BITS, most) as u64),
            libc::FUTEX_WAKE_BITSET => match call.unsigned(5) {
                0 => Err(Errno::EINVAL.into()),
                bits => Ok(self.threads.wake_futex(address, bits, most) as u64),
            },
            libc::FUTEX_REQUEUE => Ok(self.requeue(call)),
            libc::FUTEX_CMP_REQUEUE => {
                if number(memory, address)? != call.unsigned(5) {
                    return Err(Errno::EAGAIN.into());
                }
                let moved_to = second;
                number(memory, moved_to)?;
                Ok(self.requeue(call))
            }
            libc::FUTEX_WAKE_OP => self.futex_wake_op(memory, call),
            _ => Err(Errno::ENOSYS.into()),
        }
    }

    fn futex_wait(&mut self, memory: &AddressSpace, call: &SystemCall, bits: u32) -> CallResult {
        let [address, _, _, timeout, ..] = call.arguments;
        let end = match timeout {
            0 => None,
            timeout => futex_end(memory, call.int(1), timeout)?,
        };
        // A call that is made again after a signal compares again, as on Linux.
        if number(memory, address)? != call.unsigned(2) {
            return Err(Errno::EAGAIN.into());
        }
        let interrupted = if timeout == 0 {
            Interrupted::MayRestart
        } else {
            Interrupted::Fails
        };
        Err(self.threads.wait(Wait {
            condition: Condition::Futex { address, bits },
            end,
            interrupted,
            bytes_done: 0,
        }))
    }

    /// Wakes some waiters, and makes others wait for another futex.
    fn requeue(&mut self, call: &SystemCall) -> u64 {
        let [from, _, _, _, to, _] = call.arguments;
        let woken = self
            .threads
            .wake_futex(from, ALL_BITS, count(call.unsigned(2)));
        let most = count(call.unsigned(3));
        let moved = self.threads.move_futex_waiters(from, to, most);
        (woken + moved) as u64
    }

    /// Changes a number, and wakes the waiters of one futex, and of another if the old number says
    /// so.
    fn futex_wake_op(&mut self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        let [first, _, _, _, second, _] = call.arguments;
        if !second.is_multiple_of(4) {
            return Err(Errno::EINVAL.into());
        }
        let operation = WakeOperation::decode(call.unsigned(5)).ok_or(Errno::ENOSYS)?;
        let old = memory
            .change_u32(second, |old| Some(operation.changed(old)))
            .map_err(|_| Errno::EFAULT)?;
        let mut woken = self
            .threads
            .wake_futex(first, ALL_BITS, count(call.unsigned(2)));
        if operation.holds(old) {
            woken += self
                .threads
                .wake_futex(second, ALL_BITS, count(call.unsigned(3)));
        }
        Ok(woken as u64)
    }
}

/// A futex's number.
fn number(memory: &AddressSpace, address: u64) -> Result<u32, Errno> {
    memory.load_u32(address).map_err(|_| Errno::EFAULT)
}

/// The number of threads that a call wakes or moves. Linux takes an `int`, and a negative one as
/// "one".
fn count(register: u32) -> usize {
    usize::try_from(register.cast_signed()).unwrap_or(1)
}

/// When a wait ends. `FUTEX_WAIT` takes a duration, and `FUTEX_WAIT_BITSET` a moment.
fn futex_end(memory: &AddressSpace, operation: c_int, timeout: u64) -> Result<Option<End>, Errno> {
    let time = time::read_time(memory, timeout)?;
    if operation & libc::FUTEX_CMD_MASK == libc::FUTEX_WAIT {
        return End::after(time);
    }
    let clock = if operation & libc::FUTEX_CLOCK_REALTIME == 0 {
        ClockId::CLOCK_MONOTONIC
    } else {
        ClockId::CLOCK_REALTIME
    };
    Ok(Some(End { clock, at: time }))
}

/// The operation of `FUTEX_WAKE_OP`: a change of a number, and a comparison of the old number.
#[derive(Debug, Clone, Copy)]
struct WakeOperation {
    change: u32,
    operand: u32,
    comparison: u32,
    with: i32,
}

impl WakeOperation {
    /// From the call's sixth argument (`FUTEX_OP` in `linux/futex.h`).
    fn decode(encoded: u32) -> Option<Self> {
        const SHIFTED: u32 = 8;
        let change = encoded >> 28;
        let operand = sign_extended(encoded >> 12 & 0xfff);
        let operand = if change & SHIFTED == 0 {
            operand.cast_unsigned()
        } else {
            1 << (operand.cast_unsigned() & 31)
        };
        let decoded = Self {
            change: change & !SHIFTED,
            operand,
            comparison: encoded >> 24 & 0xf,
            with: sign_extended(encoded & 0xfff),
        };
        (decoded.change <= 4 && decoded.comparison <= 5).then_some(decoded)
    }

    const fn changed(self, old: u32) -> u32 {
        match self.change {
            0 => self.operand,
            1 => old.wrapping_add(self.operand),
            2 => old | self.operand,
            3 => old & !self.operand,
            _ => old ^ self.operand,
        }
    }

    const fn holds(self, old: u32) -> bool {
        let old = old.cast_signed();
        match self.comparison {
            0 => old == self.with,
            1 => old != self.with,
            2 => old < self.with,
            3 => old <= self.with,
            4 => old > self.with,
            _ => old >= self.with,
        }
    }
}

/// A number of twelve bits with a sign.
const fn sign_extended(bits: u32) -> i32 {
    (bits << 20).cast_signed() >> 20
}
