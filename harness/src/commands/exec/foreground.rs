//! A launcher in the place of `isobench exec` itself: on its streams, with its signals, in its
//! process group.
//!
//! The launcher stays in isobench's process group, which is the terminal's foreground group. So the
//! program can read from the terminal, and a key such as Ctrl-C signals the program, the launcher
//! and isobench at once. isobench passes on the signals of other processes alone, and stops and goes
//! on with the program.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use anyhow::Context as _;
use isobench_container::{ForwardedSignals, Sender, send, stop_this_process};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::grace::{GRACE, Requests};
use crate::host::accounting::InstanceGroup;
use crate::host::descriptors::CallersDescriptors;
use crate::host::interrupt::Interrupt;
use crate::instance::bounded_command;
use crate::instance::command_line::CommandLine;
use crate::instance::leftovers::DELETION_LIMIT;
use crate::instance::reap::{Change, next_change};
use crate::instance::spawn::{Descriptors, ProcessGroup, spawn};
use crate::streams::tell;

/// Runs `command` to its end, and gives the exit code that a shell would give. Of the caller's
/// descriptors, `inherited`, those that the command doesn't preserve end here. The signals stay
/// blocked, so that none keeps this process from cleaning up. `group` is the instance's cgroup.
///
/// # Errors
/// The command can't be started, or `interrupt` has come before.
pub fn run(
    command: &mut CommandLine,
    group: Option<&InstanceGroup>,
    inherited: CallersDescriptors,
    interrupt: &Interrupt,
) -> anyhow::Result<u8> {
    let signals = ForwardedSignals::block()?;
    interrupt.check()?;
    command.signal_mask = Some(signals.mask_before());
    let streams = own_streams().context("cannot pass the streams on")?;
    let pid = spawn(command, streams, ProcessGroup::Inherited)?.pid;
    inherited.close();
    let mut requests = Requests::to(command, group);
    loop {
        let Some(caught) = signals.wait_until(requests.next())? else {
            if let Some(signal) = requests.unheard() {
                end(command, pid, signal);
            }
            continue;
        };
        requests.note(caught.number);
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

/// Ends the instance of `command` by the runtime's own means, which kill it. Its program hasn't heard
/// of `signal`.
fn end(command: &CommandLine, launcher: Pid, signal: Signal) {
    tell(format_args!(
        "isobench: {signal} had no effect: the program is process 1 of its PID namespace and doesn't \
         handle the signal; its instance is killed after {GRACE:?}"
    ));
    // A launcher without a command for that takes its program along when it is killed itself. An
    // instance that has just ended needs neither.
    match &command.leftovers.deletion {
        Some(deletion) => drop(bounded_command::run(deletion, DELETION_LIMIT)),
        None => drop(send(launcher, Signal::SIGKILL as c_int)),
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
