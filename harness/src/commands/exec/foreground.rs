//! A launcher in the place of `isobench exec` itself: on its streams, with its signals, in its
//! process group.
//!
//! The launcher stays in isobench's process group, which is the terminal's foreground group. So the
//! program can read from the terminal, and a key such as Ctrl-C signals the program, the launcher
//! and isobench at once. isobench passes on the signals of other processes alone, and stops and goes
//! on with the program.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::Context as _;
use isobench_container::{ForwardedSignals, Sender, send, stop_this_process};
use nix::sys::signal::Signal;

use crate::host::descriptors::CallersDescriptors;
use crate::host::interrupt::Interrupt;
use crate::instance::command_line::CommandLine;
use crate::instance::reap::{Change, next_change};
use crate::instance::spawn::{Descriptors, ProcessGroup, spawn};

/// Runs `command` to its end, and gives the exit code that a shell would give. Of the caller's
/// descriptors, `inherited`, those that the command doesn't preserve end here. The signals stay
/// blocked, so that none keeps this process from cleaning up.
///
/// # Errors
/// The command can't be started, or `interrupt` has come before.
pub fn run(
    command: &mut CommandLine,
    inherited: CallersDescriptors,
    interrupt: &Interrupt,
) -> anyhow::Result<u8> {
    let signals = ForwardedSignals::block()?;
    interrupt.check()?;
    command.signal_mask = Some(signals.mask_before());
    let streams = own_streams().context("cannot pass the streams on")?;
    let pid = spawn(command, streams, ProcessGroup::Inherited)?.pid;
    inherited.close();
    loop {
        let caught = signals.wait()?;
        if caught.is(Signal::SIGCHLD) {
            while let Some(change) = next_change(pid).context("cannot wait for the launcher")? {
                match change {
                    Change::Ended(code) => return Ok(code),
                    // A group that no shell looks after isn't stopped; its program runs on.
                    Change::Stopped(signal) => drop(stop_this_process(signal)),
                }
            }
        } else if caught.sender == Sender::Process {
            // A launcher that has just ended needs no signal.
            let _ = send(pid, caught.number);
        }
    }
}

/// Copies of this process's standard streams.
fn own_streams() -> io::Result<Descriptors> {
    let copy = |stream: BorrowedFd<'_>| -> io::Result<OwnedFd> { stream.try_clone_to_owned() };
    Ok(Descriptors {
        stdin: copy(io::stdin().as_fd())?,
        stdout: copy(io::stdout().as_fd())?,
        stderr: copy(io::stderr().as_fd())?,
        marks: None,
    })
}
