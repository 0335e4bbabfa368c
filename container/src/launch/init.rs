//! The container's PID 1, once the program runs: it forwards signals, reaps orphans, and ends with the program.
//!
//! PID 1 is ours and not the program because the kernel treats PID 1 specially: signals without a handler don't reach
//! it, and orphans become its children. A program that expects neither would ignore `SIGTERM` and collect zombies.
//! All signals stay blocked and are waited for, so nothing here runs in a handler.

use std::os::fd::BorrowedFd;

use nix::sys::signal::{SigSet, kill};
use nix::unistd::Pid;

use crate::launch::handshake::{Message, ProgramEnd};
use crate::sys::process;
use crate::sys::signal::{Origin, wait};
use crate::sys::socket;

/// Watches over `program` until it ends, tells the launcher, and ends. Allocates nothing.
pub fn supervise(program: Pid, launcher: BorrowedFd<'_>) -> ! {
    let all = SigSet::all();
    let end = loop {
        if let Some(end) = reap(program) {
            break end;
        }
        // Of the kernel's own signals SIGCHLD is looked into above, and a terminal's key went to the program too:
        // it is of the same process group.
        if let Ok((signal, Origin::Process)) = wait(&all) {
            // It fails only if the program has just ended.
            let _ = kill(program, signal);
        }
    };
    socket::send(launcher, &Message::Ended(end).encode());
    process::exit(end.exit_code().into())
}

/// Reaps all children that have ended; the program's end, if it is among them.
fn reap(program: Pid) -> Option<ProgramEnd> {
    let mut end = None;
    while let Some((pid, status)) = process::reap_any() {
        if pid == program {
            end = ProgramEnd::from_wait_status(status);
        }
    }
    end
}
