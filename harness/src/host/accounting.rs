//! A cgroup for each instance, so that its memory is accounted and nothing of it can stay behind.
//!
//! The harness enters an instance's group itself, outside the timed path, and the launcher inherits it: writing to
//! `cgroup.procs` can wait for an RCU grace period of many milliseconds. What a launcher limits is a group of its own
//! inside, which it makes and joins as a phase of its start. Layout, the same in cgroups v1 and v2:
//!
//! ```text
//! PARENT/isobench-PID-STARTTIME/   one a run; a later run removes a dead one's
//!     NUMBER/                      an instance: accounting is read here, for all that is below
//!         launcher/                entered by the harness, inherited by the launcher
//!         limits/                  made by the launcher, for the program
//!         NUMBER/limits/           the same, where several instances share the group
//! ```

mod strays;

use std::cell::Cell;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use isobench_container::cgroup::{
    self, Cgroup, CgroupError, Controller, Hierarchies, MemoryCharge, Unusable,
};
use nix::unistd::Pid;

use crate::host::clock::MonotonicTime;
use crate::host::session::SessionName;

use strays::Strays;
pub use strays::{elsewhere, hierarchies, path_in_hierarchy};

/// How long processes may outlive their launcher before they are killed.
const PATIENCE_FOR_PROCESSES: Duration = Duration::from_secs(2);
/// Time between two looks: v1 has no event for an empty group. Launchers that reap their program, all of isobench's
/// own, leave it empty at the first look.
const LOOK_INTERVAL: Duration = Duration::from_micros(100);
/// How long the memory controller's figures may contradict each other: the kernel brings them together every two
/// seconds at the latest.
const PATIENCE_FOR_FIGURES: Duration = Duration::from_secs(5);
/// Time between two readings of them.
const READING_INTERVAL: Duration = Duration::from_millis(20);
/// Pages that the kernel charges ahead of need for each CPU (`MEMCG_CHARGE_BATCH`), in bytes.
const CHARGE_BATCH: u64 = 64 * 4096;
/// Batches that may be out on each CPU for one instance: one for the pages and one for the objects of the launcher's group and of the
/// limits' group.
const BATCHES: u64 = 4;

/// cgroups can't be used, or one could not be.
#[derive(Debug, thiserror::Error)]
pub enum AccountingError {
    /// No hierarchy accounts memory for this user.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// A cgroup refused.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The memory controller's figures stay apart.
    #[error("the kernel's memory statistics add up to {parts}, its counter says {usage}")]
    Unsettled {
        /// The usage counter.
        usage: ByteSize,
        /// The sum of the parts.
        parts: ByteSize,
    },
    /// A teardown ended before it began.
    #[error("the teardown ended before it began, by the host's own clock")]
    Backwards,
    /// Processes of an instance stayed after its launcher had ended.
    #[error("{count} processes were still running after the command had ended; they were killed")]
    LeftBehind {
        /// How many.
        count: usize,
    },
}

/// Where the groups of one run are made. Dropping it removes them with all that is in them.
#[derive(Debug)]
pub struct Accounting {
    session: cgroup::Group,
    // Dropped after the session's own group, whose end is that of its processes.
    _strays: Strays,
    home: PathBuf,
    name: SessionName,
    groups: Cell<u64>,
}

impl Accounting {
    /// Removes what dead runs left, and makes the group of this run.
    ///
    /// # Errors
    /// This host's cgroups can't be used by this user.
    pub fn open(name: &SessionName) -> Result<Self, AccountingError> {
        Self::open_in(&Hierarchies::detect()?, name)
    }

    /// As [`Accounting::open`], in `hierarchies` that have been looked for.
    ///
    /// # Errors
    /// This host's cgroups can't be used by this user.
    pub fn open_in(hierarchies: &Hierarchies, name: &SessionName) -> Result<Self, AccountingError> {
        // What can't be removed is another user's or hangs in the kernel, and nothing that this run needs.
        let memory = hierarchies.of(Controller::Memory)?;
        let _ = cgroup::Group::sweep(hierarchies, is_dead);
        strays::sweep(&memory.parent, is_dead);
        let session = cgroup::Group::create(hierarchies, &name.to_string())?;
        session.hand_on_controllers()?;
        Ok(Self {
            _strays: Strays::of(session.memory()?.path()),
            session,
            home: memory.home.clone(),
            name: name.clone(),
            groups: Cell::new(0),
        })
    }

    /// The name of the run that it is of.
    pub fn name(&self) -> &SessionName {
        &self.name
    }

    /// A fresh group for one instance.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn group(&self) -> Result<Group, AccountingError> {
        let number = self.groups.get();
        self.groups.set(number + 1);
        let instance = self.session.child(&number.to_string())?;
        instance.hand_on_controllers()?;
        Ok(Group {
            members: Vec::new(),
            launcher: Cgroup::create(instance.memory()?.path().join("launcher"))?,
            instance,
            home: self.home.clone(),
            entered: Cell::new(false),
        })
    }
}

fn is_dead(name: &str) -> bool {
    SessionName::parse(name).is_some_and(|session| !session.is_alive())
}

/// The group of one instance; dropping it kills what is in it and removes it.
#[derive(Debug)]
pub struct Group {
    /// Of several instances, the directories of each.
    members: Vec<cgroup::Group>,
    launcher: Cgroup,
    instance: cgroup::Group,
    home: PathBuf,
    /// Whether this process is in it.
    entered: Cell<bool>,
}

impl Group {
    /// The directories that a launcher makes for its limits, one in each hierarchy.
    pub fn limit_directories(&self) -> Vec<PathBuf> {
        self.instance.below("limits")
    }

    /// As [`Group::limit_directories`], for each of several instances in this group: in a directory of its own, where a
    /// runtime may do as it does in that of a single one.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn limit_directories_of(
        &mut self,
        instances: u32,
    ) -> Result<Vec<Vec<PathBuf>>, AccountingError> {
        for number in 0..instances {
            let member = self.instance.child(&number.to_string())?;
            member.hand_on_controllers()?;
            self.members.push(member);
        }
        let members = self.members.iter();
        Ok(members.map(|member| member.below("limits")).collect())
    }

    /// Moves this process in: what it starts from now on is accounted here.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn enter(&self) -> Result<(), AccountingError> {
        self.launcher.join(Pid::this())?;
        self.entered.set(true);
        Ok(())
    }

    /// Moves this process back to where it was, if it is in.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn leave(&self) -> Result<(), AccountingError> {
        if self.entered.get() {
            cgroup::join(&self.home, Pid::this())?;
            self.entered.set(false);
        }
        Ok(())
    }

    /// What is charged to the group and all below it, once the kernel agrees with itself.
    ///
    /// The parts come from `memory.stat`, whose figures the kernel collects for each CPU and brings together now and
    /// then: they were seen 11 MiB behind just after a burst of page faults. The usage counter is ahead by what each
    /// cgroup below has been charged in advance, some batches for each CPU. So a reading counts once it is near the
    /// counter and the next reading is the same.
    ///
    /// # Errors
    /// The figures can't be read, or never settle.
    pub fn memory(&self) -> Result<MemoryCharge, AccountingError> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let instances = self.members.len().max(1);
        let tolerance = BATCHES * CHARGE_BATCH * cpus as u64 * instances as u64;
        let deadline = Instant::now() + PATIENCE_FOR_FIGURES;
        let mut before = None;
        loop {
            let charge = self.instance.memory_charge()?;
            let (usage, parts) = (charge.usage, charge.sum());
            let near = usage.as_u64().abs_diff(parts.as_u64()) <= tolerance;
            if near && before == Some(parts) {
                return Ok(charge);
            }
            if Instant::now() > deadline {
                return Err(AccountingError::Unsettled { usage, parts });
            }
            before = Some(parts);
            sleep(READING_INTERVAL);
        }
    }

    /// Waits until the group is empty, and removes it. The time from `ended` until it was empty, plus the removal;
    /// this process's own way out, which isn't the instance's, is not in it.
    ///
    /// # Errors
    /// [`AccountingError::LeftBehind`] if something had to be killed; [`AccountingError::Backwards`] if the
    /// clock went backwards.
    pub fn remove(self, ended: MonotonicTime) -> Result<Duration, AccountingError> {
        let deadline = Instant::now() + PATIENCE_FOR_PROCESSES;
        let empty = loop {
            let count = self.processes()?.len();
            let now = MonotonicTime::now();
            if count == 0 {
                break now;
            }
            if Instant::now() > deadline {
                return Err(AccountingError::LeftBehind { count });
            }
            sleep(LOOK_INTERVAL);
        };
        self.leave()?;
        let from = MonotonicTime::now();
        drop(self);
        let removal = MonotonicTime::now().since(from);
        let emptying = empty.since(ended);
        emptying
            .zip(removal)
            .map(|(emptying, removal)| emptying + removal)
            .ok_or(AccountingError::Backwards)
    }

    /// The instance's processes, wherever in its group.
    ///
    /// # Errors
    /// The group's files can't be read.
    pub fn processes(&self) -> Result<Vec<Pid>, AccountingError> {
        let own = Pid::this();
        let all = self.instance.processes()?.into_iter();
        Ok(all.filter(|pid| *pid != own).collect())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The cgroups kill what they hold when they are dropped: this process must be out by then. A teardown that is
        // timed ends here, so nothing is looked up. The way home, from where we came in, isn't refused.
        let _ = self.leave();
    }
}
