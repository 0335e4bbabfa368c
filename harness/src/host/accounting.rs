//! A cgroup for each instance. The kernel accounts the instance's memory there, and no process of
//! the instance can outlive the group.
//!
//! The harness itself enters the group before it starts the launcher, and the launcher inherits the
//! membership. Writing to `cgroup.procs` can wait for an RCU grace period of many milliseconds, and
//! in this way the wait isn't timed. A launcher that sets limits makes a group of its own inside
//! and joins that group, as a phase of its start. The layout is the same in cgroups v1 and v2:
//!
//! ```text
//! PARENT/NAME/             one for each run; a later run removes that of a dead run
//!     NUMBER/              one for each instance: its figures cover all groups below
//!         launcher/        entered by the harness, inherited by the launcher
//!         limits/          made by the launcher, for the program
//!         NUMBER/limits/   the same, where several instances share the group
//! ```
//!
//! A run holds the lock of `NAME/` in each hierarchy ([`Claim`]). The group of a dead run is one
//! whose lock nobody holds: a process id would mean another process in another PID namespace.

mod peer_cgroups;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use isobench_container::cgroup::{
    self, Cgroup, CgroupError, Controller, Hierarchies, MemoryCharge, Unusable, Usage,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::clock::MonotonicTime;
use crate::host::session::{Claim, SessionName};

use peer_cgroups::PeerCgroups;
pub use peer_cgroups::{counterparts, hierarchies, path_below_first_process, path_in_hierarchy};

/// How long processes may outlive their launcher before they are killed.
const PROCESS_LIMIT: Duration = Duration::from_secs(2);
/// The time between two looks at a group that isn't empty yet: cgroup v1 has no event for an empty
/// group. All of isobench's own launchers reap their program, so their group is empty at the first
/// look.
const LOOK_INTERVAL: Duration = Duration::from_micros(100);
/// How long the memory controller's figures may contradict each other. The kernel brings them
/// together every two seconds at the latest.
const SETTLING_LIMIT: Duration = Duration::from_secs(5);
/// The time between two readings of the memory controller's figures.
const READING_INTERVAL: Duration = Duration::from_millis(20);
/// Bytes that the kernel charges in advance to a group for each CPU (`MEMCG_CHARGE_BATCH` pages).
const CHARGE_BATCH: u64 = 64 * 4096;
/// The number of batches that may be charged in advance for one instance on each CPU. The
/// launcher's group and the limits' group have one batch each for pages, and one each for kernel
/// objects.
const BATCHES: u64 = 4;

/// How many names a run tries for its group. Another run that clears up can take the group between
/// its making and its claim, but hardly twice.
const NAME_TRIES: u32 = 10;

/// cgroups can't be used, or an operation on a cgroup failed.
#[derive(Debug, thiserror::Error)]
pub enum AccountingError {
    /// No hierarchy accounts memory for this user.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// The kernel refuses an operation on a cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The memory controller's figures still contradict each other after the time limit.
    #[error("the kernel's memory statistics add up to {parts}, but its counter says {usage}")]
    Unsettled {
        /// The usage counter.
        usage: ByteSize,
        /// The sum of the statistics.
        parts: ByteSize,
    },
    /// Another process holds the locks of the run's groups.
    #[error("other runs of isobench take the run's cgroups away; run it again")]
    Contended,
    /// A teardown ended before it began.
    #[error("the teardown ended before it began, by the host's own clock")]
    Backwards,
    /// Processes of an instance still ran after its launcher had ended.
    #[error("{count} processes were still running after the command had ended; they were killed")]
    LeftBehind {
        /// The number of processes.
        count: usize,
    },
}

/// The cgroup of one run, in which the instances' groups are made. Dropping an `Accounting` kills
/// all processes in these groups and removes the groups.
#[derive(Debug)]
pub struct Accounting {
    session: cgroup::Group,
    // Dropped after `session`, when all processes of the run have been killed.
    _peer_cgroups: PeerCgroups,
    // Released last.
    _claims: Vec<Claim>,
    /// The cgroup that the harness was in when the run began.
    home: PathBuf,
    /// The number of instance groups so far.
    groups: Cell<u64>,
}

impl Accounting {
    /// Removes the groups of dead runs, and makes the group of this run.
    ///
    /// # Errors
    /// This host's cgroups can't be used by this user.
    pub fn open(name: &SessionName) -> Result<Self, AccountingError> {
        Self::open_in(&Hierarchies::detect()?, name)
    }

    /// As [`Accounting::open`], in `hierarchies` that have been detected before.
    ///
    /// # Errors
    /// This host's cgroups can't be used by this user.
    pub fn open_in(hierarchies: &Hierarchies, name: &SessionName) -> Result<Self, AccountingError> {
        let memory = hierarchies.of(Controller::Memory)?;
        // A group that can't be removed is another user's or stuck in the kernel. This run doesn't
        // need its name, so the run goes on.
        let _ = cgroup::Group::sweep(hierarchies, claim_of_dead);
        peer_cgroups::sweep(&memory.parent);
        let (session, claims) = make_claimed(hierarchies, name)?;
        session.hand_on_controllers()?;
        Ok(Self {
            _peer_cgroups: PeerCgroups::of(session.memory()?.path()),
            _claims: claims,
            session,
            home: memory.home.clone(),
            groups: Cell::new(0),
        })
    }

    /// Makes a new group for one instance.
    ///
    /// # Errors
    /// The kernel refuses to make the group.
    pub fn new_group(&self) -> Result<InstanceGroup, AccountingError> {
        let number = self.groups.get();
        self.groups.set(number + 1);
        let instance = self.session.child(&number.to_string())?;
        instance.hand_on_controllers()?;
        Ok(InstanceGroup {
            members: Vec::new(),
            launcher: Cgroup::create(instance.memory()?.path().join("launcher"))?,
            instance,
            home: self.home.clone(),
            entered: Cell::new(false),
        })
    }
}

/// Makes the group of a run and takes the locks of its cgroups. The group is called `name`, or like
/// a later name of this process if another run takes the group for that of a dead run.
fn make_claimed(
    hierarchies: &Hierarchies,
    name: &SessionName,
) -> Result<(cgroup::Group, Vec<Claim>), AccountingError> {
    let mut name = name.clone();
    for _ in 0..NAME_TRIES {
        let group = cgroup::Group::create(hierarchies, &name.to_string())?;
        let claims = group.paths().map(|path| Claim::take(path).ok().flatten());
        if let Some(claims) = claims.collect() {
            return Ok((group, claims));
        }
        name = name.next();
    }
    Err(AccountingError::Contended)
}

/// The lock of a dead run's cgroup; `None` if `path` is none, or if the lock can't be looked at.
fn claim_of_dead(path: &Path) -> Option<Claim> {
    SessionName::parse(path.file_name()?.to_str()?)?;
    Claim::take(path).ok().flatten()
}

/// The cgroup of one instance, or of several instances that are measured together. Dropping the
/// group kills its processes and removes it.
#[derive(Debug)]
pub struct InstanceGroup {
    /// The groups of the single instances, if several instances are measured together.
    members: Vec<cgroup::Group>,
    launcher: Cgroup,
    instance: cgroup::Group,
    /// The cgroup that the harness was in when the run began.
    home: PathBuf,
    /// Whether the harness is in the group.
    entered: Cell<bool>,
}

impl InstanceGroup {
    /// The directories that a launcher makes for its limits, one in each hierarchy.
    pub fn limit_directories(&self) -> Vec<PathBuf> {
        self.instance.below("limits")
    }

    /// Makes a group for each of several instances, and returns each instance's directories as
    /// [`InstanceGroup::limit_directories`] does. A runtime finds the same surroundings in such a
    /// group as in that of a single instance.
    ///
    /// # Errors
    /// The kernel refuses to make a group.
    pub fn member_limit_directories(
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

    /// Moves the harness into the group. All processes that the harness then starts are accounted
    /// here.
    ///
    /// # Errors
    /// The kernel refuses the move.
    pub fn enter(&self) -> Result<(), AccountingError> {
        self.launcher.join(Pid::this())?;
        self.entered.set(true);
        Ok(())
    }

    /// Moves the harness back to its own group, if the harness is in this group.
    ///
    /// # Errors
    /// The kernel refuses the move.
    pub fn leave(&self) -> Result<(), AccountingError> {
        if self.entered.get() {
            cgroup::join(&self.home, Pid::this())?;
            self.entered.set(false);
        }
        Ok(())
    }

    /// The memory that is charged to the group and to all groups below, once the kernel's figures
    /// agree with each other.
    ///
    /// The parts come from `memory.stat`. The kernel collects these figures for each CPU, and
    /// brings them together now and then: they were seen 11 MiB behind just after a burst of page
    /// faults. The usage counter runs ahead, by the batches that each cgroup has been charged in
    /// advance for each CPU. So a reading counts if the sum of the parts is near the counter and
    /// the next reading has the same sum.
    ///
    /// # Errors
    /// The figures can't be read, or don't agree within 5 seconds.
    pub fn memory(&self) -> Result<MemoryCharge, AccountingError> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let instances = self.members.len().max(1);
        let tolerance = BATCHES * CHARGE_BATCH * cpus as u64 * instances as u64;
        let deadline = Instant::now() + SETTLING_LIMIT;
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

    /// The memory that is charged to the group and to all groups below at this moment. The counter
    /// runs ahead: each cgroup is charged in advance for up to 64 pages on each CPU.
    ///
    /// # Errors
    /// The figure can't be read.
    pub fn memory_now(&self) -> Result<ByteSize, AccountingError> {
        Ok(self.instance.memory()?.memory_usage()?)
    }

    /// The most memory that was charged at one time, by the counter that
    /// [`InstanceGroup::memory_now`] reads; `None` on a kernel that doesn't count it (cgroup v2
    /// before Linux 5.19).
    pub fn memory_peak(&self) -> Option<ByteSize> {
        let memory = self.instance.memory().ok()?;
        Usage::of(std::slice::from_ref(memory)).memory_peak
    }

    /// Kills all processes of the group but the harness, until there are none.
    ///
    /// # Errors
    /// [`AccountingError::LeftBehind`] if processes are left after 2 seconds.
    pub fn kill_all(&self) -> Result<(), AccountingError> {
        let kill_each = |processes: &[Pid]| {
            for pid in processes.iter().filter(|pid| pid.as_raw() > 0) {
                // The call fails if the process has ended by itself.
                let _ = kill(*pid, Signal::SIGKILL);
            }
        };
        self.wait_until_empty(kill_each).map(drop)
    }

    /// Waits until the group is empty, and returns that time. Meanwhile, `look` gets the processes
    /// again and again.
    fn wait_until_empty(&self, look: impl Fn(&[Pid])) -> Result<MonotonicTime, AccountingError> {
        let deadline = Instant::now() + PROCESS_LIMIT;
        loop {
            let processes = self.processes()?;
            let now = MonotonicTime::now();
            if processes.is_empty() {
                return Ok(now);
            }
            if Instant::now() > deadline {
                let count = processes.len();
                return Err(AccountingError::LeftBehind { count });
            }
            look(&processes);
            sleep(LOOK_INTERVAL);
        }
    }

    /// Waits until the group is empty, and removes it. Returns the time from `ended` until the
    /// group was empty, plus the time of the removal. The harness's own move out of the group lies
    /// between the two and isn't counted.
    ///
    /// # Errors
    /// [`AccountingError::LeftBehind`] if processes had to be killed;
    /// [`AccountingError::Backwards`] if the clock went backwards.
    pub fn remove(self, ended: MonotonicTime) -> Result<Duration, AccountingError> {
        self.remove_after(ended, |_| ())
    }

    /// As [`InstanceGroup::remove`], with a `last_look` at the empty group, which isn't counted.
    ///
    /// # Errors
    /// As [`InstanceGroup::remove`].
    pub fn remove_after(
        self,
        ended: MonotonicTime,
        last_look: impl FnOnce(&Self),
    ) -> Result<Duration, AccountingError> {
        let empty = self.wait_until_empty(|_| ())?;
        last_look(&self);
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

    /// The processes in the group and in all groups below, without the harness.
    ///
    /// # Errors
    /// The group's files can't be read.
    pub fn processes(&self) -> Result<Vec<Pid>, AccountingError> {
        let own = Pid::this();
        let all = self.instance.processes()?.into_iter();
        Ok(all.filter(|pid| *pid != own).collect())
    }
}

impl Drop for InstanceGroup {
    fn drop(&mut self) {
        // A dropped cgroup kills its processes: the harness must be outside by then. The kernel
        // doesn't refuse the move back to the group that the harness came from. The drop is timed
        // as part of the teardown, so nothing else is done here.
        let _ = self.leave();
    }
}
