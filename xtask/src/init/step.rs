//! Runs one step as the machine's first process does: orphans are reaped, a time limit holds, what
//! is left is counted.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::traces::Traces;
use crate::plan::{Outcome, Step};

/// Time between two looks at the children.
const LOOK: Duration = Duration::from_millis(20);
/// The exit code of a step that was killed because its time was up, as `timeout(1)` has it.
const TIMED_OUT: i32 = 124;
/// How long a killed program may take to be gone: one that hangs in the kernel must not hold up the
/// rest of the plan.
const GRACE: Duration = Duration::from_secs(15);
/// What is taken down by the kernel may take a moment.
const SETTLE: Duration = Duration::from_secs(3);

/// Runs `step`; its output goes to a log in `out`, or to the console.
pub fn run(step: &Step, out: &Path) -> anyhow::Result<Outcome> {
    let before = Traces::look();
    let begun = Instant::now();
    let (program, arguments) = step.command.split_first().context("an empty command")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&step.directory)
        .env_clear()
        .envs(step.environment.iter().cloned())
        .process_group(0);
    if !step.echo {
        let log = super::log(out, &step.name)?;
        command.stdout(log.try_clone()?).stderr(log);
    }
    let child = command
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let code = wait_for(pid, begun + Duration::from_secs(step.limit));
    let seconds = begun.elapsed().as_secs_f64();
    let left_behind = settled(&before);
    // All but this process: the next step finds the machine as this one did.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    Ok(Outcome {
        name: step.name.clone(),
        code,
        seconds,
        left_behind,
    })
}

/// Waits for the child `pid` and reaps every orphan meanwhile.
fn wait_for(pid: Pid, deadline: Instant) -> i32 {
    let mut timed_out = false;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(who, code)) if who == pid => {
                return if timed_out { TIMED_OUT } else { code };
            }
            Ok(WaitStatus::Signaled(who, signal, _)) if who == pid => {
                return if timed_out {
                    TIMED_OUT
                } else {
                    128 + signal as i32
                };
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => thread::sleep(LOOK),
            Ok(_) => {}
            Err(_) => return TIMED_OUT,
        }
        if Instant::now() > deadline && !timed_out {
            timed_out = true;
            let _ = killpg(pid, Signal::SIGKILL);
        }
        if Instant::now() > deadline + GRACE {
            return TIMED_OUT;
        }
    }
}

/// What is there and was not before the step, once that no longer changes.
fn settled(before: &Traces) -> Vec<String> {
    let deadline = Instant::now() + SETTLE;
    loop {
        while let Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) =
            waitpid(None, Some(WaitPidFlag::WNOHANG))
        {}
        let left = Traces::look().since(before);
        if left.is_empty() || Instant::now() > deadline {
            return left;
        }
        thread::sleep(LOOK);
    }
}

/// One line for the user.
pub fn summary(outcome: &Outcome) -> String {
    let verdict = match outcome.code {
        0 => "passed".to_owned(),
        TIMED_OUT => "killed: it took longer than it may".to_owned(),
        code => format!("failed with code {code}"),
    };
    let left = if outcome.left_behind.is_empty() {
        String::new()
    } else {
        format!("; left behind: {}", outcome.left_behind.join(", "))
    };
    format!(
        "{} {verdict} after {:.0} s{left}",
        outcome.name, outcome.seconds
    )
}
