//! Processes that a launcher leaves behind when it has ended.
//!
//! A launcher that is killed in the midst of its start can't clean up: bubblewrap, for one, ties its
//! second process to the first only after both run. `isobench exec` outlives its launcher, so it
//! adopts such processes and ends them.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::host::probe::pss::process_tree;

/// How long orphans have to end by themselves, as a container's monitor does.
const PATIENCE: Duration = Duration::from_secs(2);
/// The time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// The orphans of a launcher that this process will start.
#[derive(Debug)]
pub struct Orphans {
    are_adopted: bool,
}

impl Orphans {
    /// Has the launcher's orphans become children of this process (`PR_SET_CHILD_SUBREAPER(2const)`).
    /// A process that has children already, those of a shell that it has replaced, adopts none: it
    /// couldn't tell them apart.
    pub fn adopt() -> Self {
        let any = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let has_none = waitid(Id::All, any) == Err(Errno::ECHILD);
        Self {
            are_adopted: has_none && set_child_subreaper(true).is_ok(),
        }
    }

    /// Waits for the orphans, and kills those that don't end by themselves.
    pub fn end(self) {
        if !self.are_adopted {
            return;
        }
        let patient_until = Instant::now() + PATIENCE;
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Err(Errno::EINTR) => {}
                Err(_) => return,
                Ok(WaitStatus::StillAlive) => {
                    if Instant::now() > patient_until {
                        kill_descendants();
                    }
                    sleep(LOOK_INTERVAL);
                }
                Ok(_) => {}
            }
        }
    }
}

/// Kills all processes below this one.
fn kill_descendants() {
    let own = Pid::this();
    let tree = process_tree(own).unwrap_or_default();
    let pids = tree.iter().map(|process| Pid::from_raw(process.pid));
    for pid in pids.filter(|pid| *pid != own) {
        // The call fails if the process has ended by itself.
        let _ = kill(pid, Signal::SIGKILL);
    }
}
