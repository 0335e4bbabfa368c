//! The start of the program, as a child of the container's first process.

#![expect(
    unsafe_code,
    reason = "runs code in a child that shares this process's memory"
)]

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{AccessFlags, Pid, access};

use super::observer::PhaseObserver;
use super::phase::Phase;
use super::plan::LaunchPlan;
use crate::config::ProgramSignals;
use crate::isolation::step::{SetupFailure, SetupStep};
use crate::mechanism::{Mechanism, Mechanisms};
use crate::sys::{process, signal};

/// The exit code of a child that could not execute the program. Nobody sees the code: the failure
/// comes back in a variable.
const FAILED: i32 = 125;

/// Starts the program. The child borrows this process's memory until its `execve`, so that a
/// failure can come back in a variable.
pub fn start(plan: &mut LaunchPlan<'_>, observer: &dyn PhaseObserver) -> Result<Pid, SetupFailure> {
    let (mechanisms, first_process) = (plan.mechanisms, Pid::this());
    let LaunchPlan {
        program,
        arguments,
        environment,
        signals,
        stack,
        ..
    } = plan;
    let mut failed = None;
    let child = || {
        let result = die_with(first_process, mechanisms)
            .and_then(|()| start_signals(signals))
            .and_then(|()| {
                observer.phase_ended(Phase::Exec);
                process::execute(program, arguments, environment)
            });
        failed = result.err();
        process::exit(FAILED)
    };
    // SAFETY: the closure makes system calls and stores one number. It allocates nothing, takes no
    // lock and does not panic; the observer promises the same of itself, and to fit on the stack.
    let pid = unsafe { stack.run(child) }.map_err(SetupFailure::at(SetupStep::Spawn))?;
    match failed {
        None => Ok(pid),
        // The kernel says the same of a program that does not exist and of one whose interpreter
        // does not.
        Some(Errno::ENOENT) if access(*program, AccessFlags::F_OK).is_ok() => {
            Err(SetupFailure::at(SetupStep::Interpreter)(Errno::ENOENT))
        }
        Some(errno) => Err(SetupFailure::at(SetupStep::Execute)(errno)),
    }
}

/// Gives the program its signals. What the launcher ignores is ignored already.
fn start_signals(signals: &ProgramSignals) -> nix::Result<()> {
    if signals.ignores_sigpipe {
        signal::ignore(Signal::SIGPIPE)?;
    }
    if signals.ignores_sigchld {
        signal::ignore(Signal::SIGCHLD)?;
    }
    signals.blocked.thread_set_mask()
}

/// Makes sure that the program dies with the first process. In a PID namespace the kernel sees to
/// that. Without one the program's process has to ask for it, and to check that the first process
/// has not died before.
fn die_with(first_process: Pid, mechanisms: Mechanisms) -> nix::Result<()> {
    if mechanisms.contains(Mechanism::Pid) {
        return Ok(());
    }
    set_pdeathsig(Signal::SIGKILL)?;
    if Pid::parent() == first_process {
        Ok(())
    } else {
        Err(Errno::ESRCH)
    }
}
