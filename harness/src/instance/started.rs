//! A started command, from its spawn until it has been reaped and what it left behind is removed.

use std::io;

use nix::sys::signal::{Signal, kill, killpg};

use crate::host::clock::MonotonicTime;
use crate::instance::command_line::{CommandLine, CommandResult, Leftovers};
use crate::instance::endings::Endings;
use crate::instance::reap::{CpuTime, Ending, Faults, Reaped, reap};
use crate::instance::spawn::Child;

/// How and when a command ended.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// How the command ended.
    pub ending: Ending,
    /// When the kernel told the harness of the end.
    pub at: MonotonicTime,
    /// The processor time of the command and of those descendants that were waited for.
    pub cpu_time: CpuTime,
    /// The page faults of the command and of the same descendants.
    pub faults: Faults,
}

/// A started command. Dropping the value kills and reaps the command's processes, and removes what
/// the command left behind.
#[derive(Debug)]
pub(super) struct StartedCommand {
    /// The command's first process.
    pub child: Child,
    leftovers: Leftovers,
    endings: Endings,
    end: Option<End>,
}

impl StartedCommand {
    /// The command whose first process is `child`.
    pub fn new(child: Child, command: &CommandLine) -> Self {
        Self {
            child,
            leftovers: command.leftovers.clone(),
            endings: command.endings,
            end: None,
        }
    }

    /// `ending` in words: some runtimes tell two endings alike.
    pub fn describe(&self, ending: Ending) -> String {
        self.endings.describe(ending)
    }

    /// How and when the command ended; `None` before [`StartedCommand::reap`].
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Reaps the first process, which has ended at the time `at`.
    pub fn reap(&mut self, at: MonotonicTime) -> io::Result<End> {
        // Other processes of the group are killed first: once the child is reaped, its number may
        // be given to another group.
        let _ = killpg(self.child.pid, Signal::SIGKILL);
        let Reaped {
            ending,
            cpu_time,
            faults,
        } = reap(self.child.pid)?;
        let end = End {
            ending,
            at,
            cpu_time,
            faults,
        };
        self.end = Some(end);
        Ok(end)
    }
}

impl Drop for StartedCommand {
    fn drop(&mut self) {
        if self.end.is_none() {
            // The group is empty until the child has made it, so the child is killed by its own id
            // as well.
            let _ = killpg(self.child.pid, Signal::SIGKILL);
            let _ = kill(self.child.pid, Signal::SIGKILL);
            let _ = reap(self.child.pid);
        }
        let result = match self.end.map(|end| end.ending) {
            Some(Ending::Code(0)) => CommandResult::Success,
            _ => CommandResult::Failure,
        };
        self.leftovers.remove_after(result);
    }
}
