//! The container's PID 1 once the program runs: it forwards signals, tells of stops, reaps orphans,
//! and ends with the program.
//!
//! The program itself is not PID 1, because the kernel treats PID 1 specially: signals without a
//! handler do not reach it, and orphans become its children. A program that expects neither would
//! ignore `SIGTERM` and collect zombies.
//!
//! All signals stay blocked and are waited for, so nothing here runs in a signal handler.

use std::os::fd::BorrowedFd;

use nix::sys::signal::SigSet;
use nix::unistd::Pid;

use super::handshake::Message;
use super::program_end::ProgramEnd;
use crate::sys::process;
use crate::sys::signal::{Sender, send, wait};
use crate::sys::socket;

/// Watches over `program` until the program ends, tells the launcher, and ends this process. The
/// function allocates nothing.
pub fn supervise(program: Pid, launcher: BorrowedFd<'_>) -> ! {
    let all = SigSet::all();
    let end = loop {
        if let Some(end) = reap(program, launcher) {
            break end;
        }
        // Signals of the kernel are not passed on: `reap` has looked after SIGCHLD, and a key typed
        // at the terminal signals the program too, which is in the same process group.
        if let Ok(Some(caught)) = wait(&all, None)
            && caught.sender == Sender::Process
        {
            // The call fails only if the program has just ended.
            let _ = send(program, caught.number);
        }
    };
    socket::send(launcher, &Message::ProgramEnded(end).encode());
    process::exit(end.exit_code().into())
}

/// Reaps all children that have ended, and gives the program's end if the program is among them.
/// The launcher is told of a stop of the program, so that the launcher can stop as well.
fn reap(program: Pid, launcher: BorrowedFd<'_>) -> Option<ProgramEnd> {
    let mut end = None;
    while let Some((pid, status)) = process::next_change() {
        if pid != program {
            continue;
        }
        let stop = status.stopping_signal();
        match stop.and_then(|signal| u8::try_from(signal).ok()) {
            Some(signal) => socket::send(launcher, &Message::ProgramStopped(signal).encode()),
            None => end = ProgramEnd::from_wait_status(status),
        }
    }
    end
}
