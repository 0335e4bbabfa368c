//! The container's PID 1 once the program runs: it forwards signals, reaps orphans, and ends with
//! the program.
//!
//! The program itself is not PID 1, because the kernel treats PID 1 specially: signals without a
//! handler do not reach it, and orphans become its children. A program that expects neither would
//! ignore `SIGTERM` and collect zombies.
//!
//! All signals stay blocked and are waited for, so nothing here runs in a signal handler.

use std::os::fd::BorrowedFd;

use nix::sys::signal::{SigSet, kill};
use nix::unistd::Pid;

use super::handshake::Message;
use super::program_end::ProgramEnd;
use crate::sys::process;
use crate::sys::signal::{Sender, wait};
use crate::sys::socket;

/// Watches over `program` until the program ends, tells the launcher, and ends this process. The
/// function allocates nothing.
pub fn supervise(program: Pid, launcher: BorrowedFd<'_>) -> ! {
    let all = SigSet::all();
    let end = loop {
        if let Some(end) = reap(program) {
            break end;
        }
        // Signals of the kernel are not passed on: `reap` has looked after SIGCHLD, and a key typed
        // at the terminal signals the program too, which is in the same process group.
        if let Ok((signal, Sender::Process)) = wait(&all) {
            // The call fails only if the program has just ended.
            let _ = kill(program, signal);
        }
    };
    socket::send(launcher, &Message::ProgramEnded(end).encode());
    process::exit(end.exit_code().into())
}

/// Reaps all children that have ended, and gives the program's end if the program is among them.
fn reap(program: Pid) -> Option<ProgramEnd> {
    let mut end = None;
    while let Some((pid, status)) = process::reap_any() {
        if pid == program {
            end = ProgramEnd::from_wait_status(status);
        }
    }
    end
}
