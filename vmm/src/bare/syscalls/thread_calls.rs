//! The calls on threads: their start, their numbers, their end.

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::futex::ALL_BITS;
use super::guest;
use super::processes::RefusedProcess;
use super::threads::ThreadId;
use super::{CallEffect, CallResult, Failure, Personality, SystemCall};
use crate::bare::address_space::AddressSpace;
use crate::bare::layout::USER_HALF_END;

/// The flags that make a new task a thread of the same program. Without them the call would be a
/// fork.
const THREAD: u64 = flags(libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD);
/// The bytes of `struct clone_args` up to the field `tls` (`CLONE_ARGS_SIZE_VER0`).
const LEAST_ARGUMENTS: u64 = 64;
/// The most bytes of `struct clone_args` (a page).
const MOST_ARGUMENTS: u64 = 4096;
// The bits of a lock in a robust list (`linux/futex.h`).
const OWNER: u32 = 0x3fff_ffff;
const OWNER_DIED: u32 = 0x4000_0000;
const WAITERS: u32 = 0x8000_0000;
/// The most locks of a robust list (`ROBUST_LIST_LIMIT`).
const MOST_LOCKS: usize = 2048;

const fn flags(flags: c_int) -> u64 {
    flags.cast_unsigned() as u64
}

/// A thread that a call has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewThread {
    /// The thread's number, which the call gives to its caller.
    pub id: ThreadId,
    /// The thread's stack pointer. 0 means the caller's.
    pub stack: u64,
}

/// What a call asks of a new thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Request {
    flags: u64,
    stack: u64,
    /// Where the thread's number is written for its parent.
    parent_id_at: u64,
    /// Where the thread's number is written for the thread, or erased at the thread's end.
    child_id_at: u64,
    fs_base: u64,
}

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallEffect> {
    let [first, second, third, fourth, fifth, _] = call.arguments;
    let result: CallResult = match call.linux_number() {
        libc::SYS_clone => {
            let request = Request {
                flags: first,
                stack: second,
                parent_id_at: third,
                child_id_at: fourth,
                fs_base: fifth,
            };
            return Some(state.start_thread(memory, request));
        }
        libc::SYS_clone3 => {
            return Some(match read_request(memory, first, second) {
                Ok(request) => state.start_thread(memory, request),
                Err(errno) => CallEffect::from(Err(errno.into())),
            });
        }
        libc::SYS_exit => return Some(state.end_thread(memory, call.int(0))),
        libc::SYS_exit_group => return Some(CallEffect::Exit(low_byte(call.int(0)))),
        libc::SYS_gettid => Ok(state.thread_id()),
        libc::SYS_set_tid_address => {
            state.threads.current_mut().clear_at_end = first;
            Ok(state.thread_id())
        }
        libc::SYS_set_robust_list if second != 24 => Err(Errno::EINVAL.into()),
        libc::SYS_set_robust_list => {
            state.threads.current_mut().robust_list = first;
            Ok(0)
        }
        libc::SYS_sched_yield => {
            state.threads.yield_now();
            Ok(0)
        }
        _ => return None,
    };
    Some(result.into())
}

const fn low_byte(code: c_int) -> u8 {
    let [low, ..] = code.to_le_bytes();
    low
}

/// Reads the `struct clone_args` of `clone3`.
fn read_request(memory: &AddressSpace, at: u64, size: u64) -> Result<Request, Errno> {
    if size < LEAST_ARGUMENTS {
        return Err(Errno::EINVAL);
    }
    if size > MOST_ARGUMENTS {
        return Err(Errno::E2BIG);
    }
    let word = |index: u64| guest::read_u64(memory, at.wrapping_add(8 * index));
    let (stack, stack_size) = (word(5)?, word(6)?);
    if (stack == 0) != (stack_size == 0) {
        return Err(Errno::EINVAL);
    }
    Ok(Request {
        flags: word(0)?,
        stack: stack.checked_add(stack_size).ok_or(Errno::EINVAL)?,
        parent_id_at: word(3)?,
        child_id_at: word(2)?,
        fs_base: word(7)?,
    })
}

impl Personality {
    fn thread_id(&self) -> u64 {
        self.threads.current_id().number()
    }

    fn start_thread(&mut self, memory: &mut AddressSpace, request: Request) -> CallEffect {
        match self.add_thread(memory, request) {
            Ok(new) => CallEffect::NewThread(new),
            Err(errno) => CallEffect::from(Err(Failure::Errno(errno))),
        }
    }

    fn add_thread(
        &mut self,
        memory: &mut AddressSpace,
        request: Request,
    ) -> Result<NewThread, Errno> {
        let asks = |flag: c_int| request.flags & flags(flag) != 0;
        if request.flags & THREAD != THREAD || asks(libc::CLONE_VFORK) {
            // A second process, which would need an address space of its own.
            return Err(self.refuse_process(RefusedProcess::Fork));
        }
        let fs_base = if asks(libc::CLONE_SETTLS) {
            request.fs_base
        } else {
            self.threads.current().fs_base
        };
        if fs_base >= USER_HALF_END {
            return Err(Errno::EPERM);
        }
        let gs_base = self.threads.current().gs_base;
        let thread = self.threads.add()?;
        let id = thread.id;
        thread.fs_base = fs_base;
        thread.gs_base = gs_base;
        if asks(libc::CLONE_CHILD_CLEARTID) {
            thread.clear_at_end = request.child_id_at;
        }
        for (flag, address) in [
            (libc::CLONE_PARENT_SETTID, request.parent_id_at),
            (libc::CLONE_CHILD_SETTID, request.child_id_at),
        ] {
            if asks(flag) {
                // Linux, too, starts the thread if the number can't be written.
                let _ = guest::write(memory, address, &id.0.to_le_bytes());
            }
        }
        Ok(NewThread {
            id,
            stack: request.stack,
        })
    }

    /// Ends the current thread, and the program with its last one.
    fn end_thread(&mut self, memory: &mut AddressSpace, code: c_int) -> CallEffect {
        let thread = self.threads.current();
        let (id, clear_at_end, locks) = (thread.id, thread.clear_at_end, thread.robust_list);
        if id == ThreadId::FIRST {
            self.first_thread_code = low_byte(code);
        }
        if locks != 0 {
            // A list that can't be read ends there, as on Linux.
            let _ = self.free_locks(memory, locks, id);
        }
        if clear_at_end != 0 && guest::write(memory, clear_at_end, &[0; 4]).is_ok() {
            self.threads.wake_futex(clear_at_end, ALL_BITS, 1);
        }
        if self.threads.end_current() {
            CallEffect::EndThread
        } else {
            CallEffect::Exit(self.first_thread_code)
        }
    }

    /// Marks the locks that a thread held at its end as free, and wakes a thread that waits for each
    /// (Linux: `exit_robust_list`). `head` is the address of a `struct robust_list_head`.
    fn free_locks(
        &mut self,
        memory: &mut AddressSpace,
        head: u64,
        owner: ThreadId,
    ) -> Result<(), Errno> {
        let mut entry = guest::read_u64(memory, head)?;
        let offset = guest::read_u64(memory, head.wrapping_add(8))?;
        let pending = guest::read_u64(memory, head.wrapping_add(16))?;
        for _ in 0..MOST_LOCKS {
            if entry == head {
                break;
            }
            let next = guest::read_u64(memory, entry & !1)?;
            if entry != pending {
                self.free_lock(memory, (entry & !1).wrapping_add(offset), owner)?;
            }
            entry = next;
        }
        if pending != 0 {
            self.free_lock(memory, (pending & !1).wrapping_add(offset), owner)?;
        }
        Ok(())
    }

    fn free_lock(
        &mut self,
        memory: &mut AddressSpace,
        at: u64,
        owner: ThreadId,
    ) -> Result<(), Errno> {
        let is_held = |lock: u32| lock & OWNER == owner.0.cast_unsigned();
        let lock = memory
            .change_u32(at, |lock| {
                is_held(lock).then_some(lock & WAITERS | OWNER_DIED)
            })
            .map_err(|_| Errno::EFAULT)?;
        if is_held(lock) && lock & WAITERS != 0 {
            self.threads.wake_futex(at, ALL_BITS, 1);
        }
        Ok(())
    }
}
