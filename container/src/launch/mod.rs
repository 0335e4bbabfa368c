//! Starting a container: the launcher's side.

mod cgroups;
mod child;
mod explain;
pub mod handshake;
mod init;
pub mod phase;
pub mod plan;
pub mod running;
mod scratch;

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, Shutdown, SockFlag, SockType, sendmsg, shutdown,
    socketpair,
};

use crate::Phase;
use crate::cgroup::CgroupError;
use crate::config::{Config, ConfigError, RootPolicy, Spec};
use crate::isolation::id_map::{IdMap, MapError};
use crate::isolation::namespaces;
use crate::launch::cgroups::Limits;
use crate::launch::child::Plan;
use crate::launch::explain::explain;
use crate::launch::handshake::{
    Failure, Handshake, MESSAGE_BYTES, Message, Order, OutOfTurn, Outcome, Step,
};
use crate::launch::plan::RootKind;
use crate::launch::running::{InitProcess, Running};
use crate::launch::scratch::ScratchDirectory;
use crate::mechanism::Mechanism;
use crate::network::{self, Network, NetworkError};
use crate::sys::process::{self, Cloned};
use crate::sys::socket;

/// Why a container didn't start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum LaunchError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Protocol(#[from] OutOfTurn),
    #[error("cannot open {path:?}")]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot make a directory for the container in {path:?}")]
    Scratch { path: PathBuf, source: io::Error },
    #[error("cannot make the socket to the container's first process")]
    Socket { source: io::Error },
    #[error(
        "cannot make a process in new namespaces: {errno}{}",
        hint(*errno)
    )]
    Clone { errno: Errno },
    #[error("cannot map user ids into the container")]
    Map(#[from] MapError),
    #[error("the container's first process was killed while it was set up")]
    Lost,
    #[error("{what}: {errno}{advice}")]
    Step {
        what: String,
        errno: Errno,
        advice: &'static str,
    },
}

fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => {
            "; user namespaces are forbidden here (look at user.max_user_namespaces, \
             kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, or an outer container's seccomp profile)"
        }
        Errno::ENOSPC => "; raise user.max_user_namespaces and its neighbours in /proc/sys/user",
        Errno::ENOSYS => {
            "; clone3 is missing: Linux 5.12 or newer is needed, and no seccomp profile that hides it"
        }
        Errno::EINVAL => "; the kernel lacks a kind of namespace",
        _ => "",
    }
}

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

    /// Starts the container and returns when its program runs. `on_phase` is told the end of each phase but the
    /// first; it is called in the launcher, in the container's first process and in a child of that which shares its
    /// memory, so it must not allocate, lock or panic.
    ///
    /// The container dies with the calling *thread* (prctl(2), `PR_SET_PDEATHSIG`).
    ///
    /// # Errors
    /// What kept it from starting. Nothing of it is left then.
    pub fn launch(self, on_phase: &dyn Fn(Phase)) -> Result<Running, LaunchError> {
        let kind = match self.config.spec().root {
            RootPolicy::Auto | RootPolicy::Overlay => RootKind::Overlay,
            RootPolicy::Binds => RootKind::Binds,
        };
        match attempt(&self.config, kind, on_phase) {
            Err(AttemptError::OverlayRefused(_)) if self.config.spec().root == RootPolicy::Auto => {
                attempt(&self.config, RootKind::Binds, on_phase)
                    .map_err(AttemptError::into_launch_error)
            }
            other => other.map_err(AttemptError::into_launch_error),
        }
    }
}

/// Why one attempt failed: whether another kind of root may help.
enum AttemptError {
    OverlayRefused(LaunchError),
    Other(LaunchError),
}

impl AttemptError {
    fn of(failure: Failure, spec: &Spec) -> Self {
        let error = explain(failure, spec);
        if failure.step == Step::Overlay {
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
    on_phase: &dyn Fn(Phase),
) -> Result<Running, AttemptError> {
    let spec = config.spec();
    let ids = IdMap::choose(spec.mechanisms.contains(Mechanism::User));
    let scratch = scratch(spec, ids)?;
    let mut plan = plan::make(
        config,
        kind,
        ids,
        scratch.as_ref().map(ScratchDirectory::path),
    )?;
    let mut limits = Limits::before_clone(spec, on_phase)?;
    plan.joins_cgroups = limits.joined_by_child;
    let (ours, theirs) = socket_pair()?;
    let init = clone(&mut plan, &limits, spec, &ours, &theirs, on_phase)?;
    drop(theirs);

    ids.write(init.pid()).map_err(LaunchError::from)?;
    order(&ours, Order::IdsMapped, &[], &[])?;
    // The child assembles its root meanwhile.
    let entries = limits.after_clone(spec)?;
    order(&ours, Order::Proceed, &[], &entries)?;
    drop(entries);
    set_up_network(spec, &init, &ours)?;
    await_start(&ours, spec)?;
    let running = Running::new(init, ours, limits.cgroups, scratch, kind);
    Ok(running.reporting_usage(spec.usage))
}

fn scratch(spec: &Spec, ids: IdMap) -> Result<Option<ScratchDirectory>, LaunchError> {
    let create = |path: &PathBuf| {
        ScratchDirectory::create(path, ids.root()).map_err(|source| LaunchError::Scratch {
            path: path.clone(),
            source,
        })
    };
    spec.scratch.as_ref().map(create).transpose()
}

fn socket_pair() -> Result<(OwnedFd, OwnedFd), LaunchError> {
    let (family, kind) = (AddressFamily::Unix, SockType::SeqPacket);
    socketpair(family, kind, None, SockFlag::SOCK_CLOEXEC).map_err(|errno| LaunchError::Socket {
        source: errno.into(),
    })
}

/// Makes the container's first process; only the launcher returns.
fn clone(
    plan: &mut Plan,
    limits: &Limits,
    spec: &Spec,
    ours: &OwnedFd,
    theirs: &OwnedFd,
    on_phase: &dyn Fn(Phase),
) -> Result<InitProcess, LaunchError> {
    let mut mechanisms = spec.mechanisms;
    if spec.network == Network::Host {
        mechanisms = mechanisms.without(Mechanism::Net);
    }
    if !plan.late_namespaces.is_empty() {
        mechanisms = mechanisms.without(Mechanism::CgroupNamespace);
    }
    let flags = namespaces::flags(mechanisms);
    let cgroup = limits.birthplace.as_ref().map(File::as_fd);
    match process::clone_into(flags, cgroup) {
        Ok(Cloned::Parent(pid)) => Ok(InitProcess::new(pid)),
        Ok(Cloned::Child) => {
            // The launcher's end has to go, or its death would not end the conversation. And the cgroup's directory,
            // which is the host's: a path through /proc/self/fd would lead there.
            for descriptor in [Some(ours.as_fd()), cgroup].into_iter().flatten() {
                let _ = nix::unistd::close(descriptor.as_raw_fd());
            }
            child::run(plan, theirs.as_fd(), on_phase)
        }
        Err(errno) => Err(LaunchError::Clone { errno }),
    }
}

/// Makes the network's part on the host and has the first process make its own.
fn set_up_network(spec: &Spec, init: &InitProcess, socket: &OwnedFd) -> Result<(), AttemptError> {
    if !spec.network.is_set_up() {
        return Ok(());
    }
    match network::connect(spec.network, init.pid()) {
        Ok(messages) => Ok(order(socket, Order::SetUpNetwork, &messages, &[])?),
        // A first process that has failed took its namespace along: its failure is the cause.
        Err(error) => Err(failure_so_far(socket, spec).unwrap_or_else(|| error.into())),
    }
}

/// Sends an order and what belongs to it. If the first process has gone, what it said before tells more than our
/// broken pipe.
fn order(
    socket: &OwnedFd,
    order: Order,
    content: &[u8],
    files: &[File],
) -> Result<(), LaunchError> {
    let descriptors: Vec<RawFd> = files.iter().map(std::os::fd::AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let control = if descriptors.is_empty() {
        &[]
    } else {
        &rights[..]
    };
    let byte = [order as u8];
    let sent = sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(&byte), IoSlice::new(content)],
        control,
        MsgFlags::MSG_NOSIGNAL,
        None,
    );
    match sent {
        Ok(_) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
        Err(errno) => Err(LaunchError::Socket {
            source: errno.into(),
        }),
    }
}

fn await_start(socket: &OwnedFd, spec: &Spec) -> Result<(), AttemptError> {
    match Handshake::Starting.accept(next_message(socket.as_fd())?)? {
        Handshake::Running => Ok(()),
        Handshake::Over(Outcome::Failed(failure)) => Err(AttemptError::of(failure, spec)),
        Handshake::Starting | Handshake::Over(_) => Err(AttemptError::Other(LaunchError::Lost)),
    }
}

/// Why the first process has failed by itself, if it has.
fn failure_so_far(socket: &OwnedFd, spec: &Spec) -> Option<AttemptError> {
    // One that waits for an order ends too.
    shutdown(socket.as_raw_fd(), Shutdown::Write).ok()?;
    match next_message(socket.as_fd()) {
        Ok(Some(Message::Failed(failure))) if failure.step != Step::Handshake => {
            Some(AttemptError::of(failure, spec))
        }
        _ => None,
    }
}

/// The next message; `None` when the first process is gone, or when what it sent is no message at all.
pub fn next_message(socket: BorrowedFd<'_>) -> Result<Option<Message>, LaunchError> {
    let mut bytes = [0; MESSAGE_BYTES];
    let mut receive = || socket::receive(socket, &mut bytes);
    // Gone with an order of ours unread: the kernel says so once, before what it sent last.
    let received = match receive() {
        Err(Errno::ECONNRESET) => receive(),
        other => other,
    };
    match received {
        Ok(received) => Ok(Message::decode(&bytes[..received.length])),
        Err(errno) => Err(LaunchError::Socket {
            source: errno.into(),
        }),
    }
}
