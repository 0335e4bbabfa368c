//! The container's first process, from `clone3` to the start of its program.
//!
//! The process may be a copy of one thread of many. So the process allocates nothing, takes no lock
//! and prints nothing: everything that it needs is in its [`LaunchPlan`], and what goes wrong goes
//! back to the launcher as a [`SetupFailure`].

#![expect(unsafe_code, reason = "closes descriptors that others may own")]

use std::convert::Infallible;
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::{set_dumpable, set_name, set_pdeathsig};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{chdir, sethostname};

use super::handshake::{Message, Order};
use super::observer::PhaseObserver;
use super::phase::Phase;
use super::plan::{Joining, LaunchPlan};
use super::{init, program};
use crate::isolation::root::{assemble, cgroups, switch};
use crate::isolation::step::{SetupFailure, SetupStep};
use crate::isolation::{capabilities, seccomp};
use crate::mechanism::Mechanism;
use crate::network;
use crate::sys::process::{self, CloseRange, Identity};
use crate::sys::{mount, signal, socket};

/// The exit code of a container that was never up. docker and podman use the same.
const FAILED: i32 = 125;

/// A piece of the set-up that belongs to one mechanism.
type Action = fn(&mut LaunchPlan<'_>) -> Result<(), SetupFailure>;

/// What assembles the root, up to the end of [`Phase::Mounts`].
const ASSEMBLE_ROOT: [(Mechanism, Action); 2] = [
    (Mechanism::Mount, make_mounts_private),
    (Mechanism::Overlay, |plan| {
        assemble::assemble(&mut plan.root)
    }),
];

/// What leaves the host behind, up to the end of [`Phase::Pivot`].
const LEAVE_HOST: [(Mechanism, Action); 2] = [
    (Mechanism::Pivot, change_root),
    (Mechanism::Uts, set_host_name),
];

/// What gives up power, up to the end of [`Phase::Seccomp`].
const GIVE_UP_POWER: [(Mechanism, Action); 4] = [
    // To empty the bounding set takes a capability, so that comes first.
    (Mechanism::Capabilities, |_| {
        capabilities::empty_bounding_set().map_err(SetupFailure::at(SetupStep::Capabilities))
    }),
    (Mechanism::User, become_programs_user),
    (Mechanism::Capabilities, |_| {
        capabilities::drop_all().map_err(SetupFailure::at(SetupStep::Capabilities))
    }),
    (Mechanism::Seccomp, |_| {
        // seccompiler's error names the call and not the number, which errno still holds.
        seccomp::install().map_err(|_| SetupFailure::at(SetupStep::Seccomp)(Errno::last()))
    }),
];

/// Runs the first process: sets it up, starts the program, and watches over the program.
///
/// # Safety
/// The calling process is the child of a clone. It must not use any descriptor from 3 on but
/// `launcher`, nor anything that the caller's stack still owns: this function never returns.
pub unsafe fn run(
    plan: &mut LaunchPlan<'_>,
    launcher: BorrowedFd<'_>,
    observer: &dyn PhaseObserver,
) -> ! {
    // SAFETY: the caller promises what `set_up` asks for.
    match unsafe { set_up(plan, launcher, observer) } {
        Err(failure) => {
            socket::send(launcher, &Message::SetupFailed(failure).encode());
            process::exit(FAILED)
        }
        Ok(never) => match never {},
    }
}

/// Does the work of [`run`], up to the first failure.
///
/// # Safety
/// As of [`run`].
unsafe fn set_up(
    plan: &mut LaunchPlan<'_>,
    launcher: BorrowedFd<'_>,
    observer: &dyn PhaseObserver,
) -> Result<Infallible, SetupFailure> {
    SigSet::all()
        .thread_set_mask()
        .map_err(SetupFailure::at(SetupStep::Handshake))?;
    observer.phase_ended(Phase::Clone);
    // The program must not find ignored what Rust's runtime ignores, and this process has to hear of
    // its children.
    for signal in [Signal::SIGPIPE, Signal::SIGCHLD] {
        signal::reset_action(signal).map_err(SetupFailure::at(SetupStep::Handshake))?;
    }
    // SAFETY: no descriptor is closed before this process executes a program.
    unsafe { process::close_from(plan.first_closed, CloseRange::OnExec) }
        .map_err(SetupFailure::at(SetupStep::Descriptors))?;
    await_order(launcher, Order::IdsMapped)?;
    become_container_root(plan)?;
    check_launcher(launcher)?;
    take(ASSEMBLE_ROOT, plan)?;
    observer.phase_ended(Phase::Mounts);
    take(LEAVE_HOST, plan)?;
    enter_working_directory(plan).map_err(SetupFailure::at(SetupStep::WorkingDirectory))?;
    observer.phase_ended(Phase::Pivot);

    join_cgroups(plan, launcher)?;
    if plan.joining == Joining::Later {
        observer.phase_ended(Phase::Cgroup);
    }

    if plan.sets_up_network {
        set_up_network(launcher)?;
        observer.phase_ended(Phase::Network);
    }

    take(GIVE_UP_POWER, plan)?;
    check_launcher(launcher)?;
    observer.phase_ended(Phase::Seccomp);
    let program = program::start(plan, observer)?;
    socket::send(launcher, &Message::ProgramStarted.encode());
    // SAFETY: from here on this process uses no descriptor but this one.
    let launcher = unsafe { process::keep_only(launcher) }
        .map_err(SetupFailure::at(SetupStep::Descriptors))?;
    init::supervise(program, launcher)
}

/// Takes the actions that belong to the plan's mechanisms.
fn take<const N: usize>(
    actions: [(Mechanism, Action); N],
    plan: &mut LaunchPlan<'_>,
) -> Result<(), SetupFailure> {
    for (mechanism, action) in actions {
        if plan.mechanisms.contains(mechanism) {
            action(plan)?;
        }
    }
    Ok(())
}

/// Waits for the launcher's next message, which must be `order`, and gives the descriptors that
/// come with it. The launcher's death ends the wait.
fn await_order(
    launcher: BorrowedFd<'_>,
    order: Order,
) -> Result<socket::Descriptors, SetupFailure> {
    let mut byte = [0];
    let received =
        socket::receive(launcher, &mut byte).map_err(SetupFailure::at(SetupStep::Handshake))?;
    if byte[..received.length] == [order as u8] {
        Ok(received.descriptors)
    } else {
        Err(SetupFailure::at(SetupStep::Handshake)(Errno::EPIPE))
    }
}

/// Waits for the launcher's messages about the network, and passes them on to the kernel.
fn set_up_network(launcher: BorrowedFd<'_>) -> Result<(), SetupFailure> {
    let mut bytes = [0; 1 + network::MAX_MESSAGES];
    let received =
        socket::receive(launcher, &mut bytes).map_err(SetupFailure::at(SetupStep::Handshake))?;
    match bytes[..received.length].split_first() {
        Some((order, messages)) if *order == Order::SetUpNetwork as u8 => {
            if messages.is_empty() {
                return Ok(());
            }
            network::configure(messages).map_err(SetupFailure::at(SetupStep::Network))
        }
        _ => Err(SetupFailure::at(SetupStep::Handshake)(Errno::EPIPE)),
    }
}

/// Becomes root of the user namespace, and asks to die with the launcher. The order matters: a
/// change of user would undo the request.
fn become_container_root(plan: &LaunchPlan<'_>) -> Result<(), SetupFailure> {
    if plan.changes_user {
        process::become_user(&Identity::ROOT).map_err(SetupFailure::at(SetupStep::Identity))?;
    }
    set_pdeathsig(Signal::SIGKILL).map_err(SetupFailure::at(SetupStep::DieWithLauncher))?;
    // The program may be of the same user, and still must not look at PID 1's memory and
    // descriptors.
    set_dumpable(false).map_err(SetupFailure::at(SetupStep::Identity))?;
    set_name(c"isobench-init").map_err(SetupFailure::at(SetupStep::Identity))
}

/// Becomes the user that the program is to run as. PID 1 has to become this user too, because only
/// the same user may signal the program. The change undoes the request to die with the launcher,
/// which is made again.
fn become_programs_user(plan: &mut LaunchPlan<'_>) -> Result<(), SetupFailure> {
    let Some(user) = &plan.user else {
        return Ok(());
    };
    process::become_user(user).map_err(SetupFailure::at(SetupStep::User))?;
    set_pdeathsig(Signal::SIGKILL).map_err(SetupFailure::at(SetupStep::DieWithLauncher))?;
    set_dumpable(false).map_err(SetupFailure::at(SetupStep::User))
}

/// Makes sure that the launcher was alive when this process asked to die with it: the orders that
/// came may be older than that.
///
/// A dying process closes its sockets before its children are told of its death.
fn check_launcher(launcher: BorrowedFd<'_>) -> Result<(), SetupFailure> {
    let mut polled = [PollFd::new(launcher, PollFlags::empty())];
    poll(&mut polled, PollTimeout::ZERO).map_err(SetupFailure::at(SetupStep::Handshake))?;
    match polled[0].revents() {
        Some(events) if events.contains(PollFlags::POLLHUP) => {
            Err(SetupFailure::at(SetupStep::Handshake)(Errno::EPIPE))
        }
        _ => Ok(()),
    }
}

/// Waits for the launcher's word, joins the cgroups that come with it, and makes the cgroup
/// namespace whose roots these cgroups are, and which the container is shown.
fn join_cgroups(plan: &LaunchPlan<'_>, launcher: BorrowedFd<'_>) -> Result<(), SetupFailure> {
    let cgroups = await_order(launcher, Order::Proceed)?;
    join(&cgroups)?;
    if plan.late_cgroup_namespace {
        unshare(CloneFlags::CLONE_NEWCGROUP)
            .map_err(SetupFailure::at(SetupStep::CgroupNamespace))?;
    }
    cgroups::mount_all(&plan.root.cgroups).map_err(SetupFailure::at(SetupStep::ShowCgroups))
}

/// Joins cgroups of v1 by writing "0", which stands for this process, to their `tasks` files.
///
/// For a single thread that writes "0" for itself, the kernel does not take the lock against forks
/// of the whole machine. Through `cgroup.procs` the kernel does, and after an idle moment that
/// costs 6 to 18 ms.
fn join(cgroups: &socket::Descriptors) -> Result<(), SetupFailure> {
    for (index, cgroup) in cgroups.iter().flatten().enumerate() {
        nix::unistd::write(cgroup.as_fd(), b"0")
            .map_err(SetupFailure::at_item(SetupStep::JoinCgroup, index))?;
    }
    Ok(())
}

fn make_mounts_private(_: &mut LaunchPlan<'_>) -> Result<(), SetupFailure> {
    mount::make_all_private().map_err(SetupFailure::at(SetupStep::PrivateMounts))
}

fn change_root(plan: &mut LaunchPlan<'_>) -> Result<(), SetupFailure> {
    switch::change_root().map_err(SetupFailure::at(SetupStep::PivotRoot))?;
    switch::mount_binds(&mut plan.root.binds)
}

/// Goes to the directory where the program starts. The directory must be in the container, although
/// an open descriptor could lead a path out of it.
fn enter_working_directory(plan: &LaunchPlan<'_>) -> nix::Result<()> {
    let directory = plan.working_directory;
    chdir(directory)?;
    // If the container has no root of its own, `is_inside_root` holds everywhere.
    if directory == c"/" || process::is_inside_root()? {
        Ok(())
    } else {
        Err(Errno::EXDEV)
    }
}

fn set_host_name(plan: &mut LaunchPlan<'_>) -> Result<(), SetupFailure> {
    let name = OsStr::from_bytes(plan.hostname.to_bytes());
    sethostname(name).map_err(SetupFailure::at(SetupStep::Hostname))
}
