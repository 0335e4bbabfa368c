//! The launcher's side of a start: the steps, in order.

#![expect(
    unsafe_code,
    reason = "makes the first process as a copy of this one, where little is allowed"
)]

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::PathBuf;

use super::cgroups::LaunchCgroups;
use super::channel::Channel;
use super::error::LaunchError;
use super::explain::explain;
use super::first_process;
use super::handshake::{ConversationEnd, Handshake, Order};
use super::observer::PhaseObserver;
use super::plan::LaunchPlan;
use super::running::{FirstProcess, Running};
use super::scratch::ScratchDirectory;
use crate::config::{Config, RootPolicy, Spec};
use crate::isolation::root::plan::RootKind;
use crate::isolation::step::{SetupFailure, SetupStep};
use crate::network;
use crate::sys::process::{self, Cloned};

/// A container that has not been started.
#[derive(Debug)]
pub struct Container {
    config: Config,
}

impl Container {
    /// A container made to `config`.
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// Starts the container and returns when its program runs. `observer` is told the end of each
    /// phase but the first.
    ///
    /// The container dies with the calling *thread* (prctl(2), `PR_SET_PDEATHSIG`).
    ///
    /// # Errors
    /// The container did not start, and nothing of it is left.
    pub fn launch(self, observer: &dyn PhaseObserver) -> Result<Running, LaunchError> {
        let config = &self.config;
        let policy = config.spec.root;
        let first_choice = match policy {
            RootPolicy::Auto | RootPolicy::Overlay => RootKind::Overlay,
            RootPolicy::Binds => RootKind::Binds,
        };
        let launched = match attempt(config, first_choice, observer) {
            Err(AttemptError::OverlayRefused(_)) if policy == RootPolicy::Auto => {
                attempt(config, RootKind::Binds, observer)
            }
            other => other,
        };
        launched.map_err(AttemptError::into_launch_error)
    }
}

/// Why one attempt failed. Only one reason leaves hope that another kind of root helps.
enum AttemptError {
    OverlayRefused(LaunchError),
    Other(LaunchError),
}

impl AttemptError {
    fn of(failure: SetupFailure, spec: &Spec) -> Self {
        let error = explain(failure, spec);
        if failure.step == SetupStep::Overlay {
            Self::OverlayRefused(error)
        } else {
            Self::Other(error)
        }
    }

    fn into_launch_error(self) -> LaunchError {
        match self {
            Self::OverlayRefused(error) | Self::Other(error) => error,
        }
    }
}

impl<E: Into<LaunchError>> From<E> for AttemptError {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

fn attempt(
    config: &Config,
    kind: RootKind,
    observer: &dyn PhaseObserver,
) -> Result<Running, AttemptError> {
    let scratch = scratch(config)?;
    let mut cgroups = LaunchCgroups::find(config)?;
    let base = scratch.as_ref().map(ScratchDirectory::path);
    let mut plan = LaunchPlan::new(config, kind, base, cgroups.joining())?;
    cgroups.prepare_birth(config, observer)?;
    let (channel, theirs) = Channel::open()?;
    let birthplace = cgroups.birthplace.as_ref();
    let first_process = make_first_process(&mut plan, birthplace, &channel, &theirs, observer)?;
    drop(theirs);

    config
        .ids
        .write(first_process.pid())
        .map_err(LaunchError::from)?;
    channel.order(Order::IdsMapped, &[], &[])?;
    // The first process assembles its root meanwhile.
    let entries = cgroups.entries(config)?;
    channel.order(Order::Proceed, &[], &entries)?;
    drop(entries);
    set_up_network(config, &first_process, &channel)?;
    await_start(&channel, &config.spec)?;
    Ok(Running {
        first_process,
        channel,
        cgroups: cgroups.made,
        scratch,
        root: kind,
        reports_usage: config.spec.usage,
    })
}

fn scratch(config: &Config) -> Result<Option<ScratchDirectory>, LaunchError> {
    let create = |path: &PathBuf| {
        let created = ScratchDirectory::create(path, config.ids.root());
        created.map_err(|source| LaunchError::Scratch {
            path: path.clone(),
            source,
        })
    };
    config.spec.scratch.as_ref().map(create).transpose()
}

/// Makes the container's first process. Only the launcher returns from here.
fn make_first_process(
    plan: &mut LaunchPlan<'_>,
    birthplace: Option<&File>,
    channel: &Channel,
    theirs: &OwnedFd,
    observer: &dyn PhaseObserver,
) -> Result<FirstProcess, LaunchError> {
    let cgroup = birthplace.map(File::as_fd);
    // SAFETY: the child closes two descriptors and runs `first_process`, which allocates nothing,
    // takes no lock, does not panic and never returns; the observer promises the same of itself.
    match unsafe { process::clone_into(plan.namespaces, cgroup) } {
        Ok(Cloned::Parent(pid)) => Ok(FirstProcess::new(pid)),
        Ok(Cloned::Child) => {
            // While a copy of the launcher's end is open, the launcher's death would not end the
            // conversation. The cgroup's directory is the host's: a path through /proc/self/fd
            // would lead there.
            let cgroup = cgroup.map(|directory| directory.as_raw_fd());
            for descriptor in [Some(channel.descriptor()), cgroup].into_iter().flatten() {
                let _ = nix::unistd::close(descriptor);
            }
            // SAFETY: this process is the child of a clone, and uses no descriptor but `theirs`.
            unsafe { first_process::run(plan, theirs.as_fd(), observer) }
        }
        Err(errno) => Err(LaunchError::Clone { errno }),
    }
}

/// Makes the network's part on the host, and has the first process make its own part.
fn set_up_network(
    config: &Config,
    first_process: &FirstProcess,
    channel: &Channel,
) -> Result<(), AttemptError> {
    let spec = &config.spec;
    if !spec.network.is_set_up() {
        return Ok(());
    }
    match network::connect(spec.network, first_process.pid()) {
        Ok(messages) => Ok(channel.order(Order::SetUpNetwork, &messages, &[])?),
        // A first process that has failed takes its namespace along. Then its failure is the cause.
        Err(error) => Err(match channel.failure_so_far() {
            Some(failure) => AttemptError::of(failure, spec),
            None => error.into(),
        }),
    }
}

fn await_start(channel: &Channel, spec: &Spec) -> Result<(), AttemptError> {
    match Handshake::Starting.accept(channel.next_message()?)? {
        Handshake::Running => Ok(()),
        Handshake::Over(ConversationEnd::SetupFailed(failure)) => {
            Err(AttemptError::of(failure, spec))
        }
        Handshake::Starting | Handshake::Over(_) => Err(LaunchError::Lost.into()),
    }
}
