//! The container's first process, from `clone3` to its program's `execve`.
//!
//! It may be a copy of one thread of many, so it allocates nothing, takes no lock and prints nothing: all it needs lies
//! ready in its [`Plan`], and what goes wrong goes back to the launcher as a [`Failure`].

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::{set_dumpable, set_name, set_pdeathsig};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{AccessFlags, Pid, access, chdir, sethostname};

use crate::Phase;
use crate::isolation::capabilities;
use crate::isolation::root::{self, RootPlan};
use crate::isolation::seccomp;
use crate::launch::handshake::{Failure, Message, Order, Step};
use crate::launch::init;
use crate::mechanism::{Mechanism, Mechanisms};
use crate::network;
use crate::sys::process::{self, CloseRange, ExecList, Stack};
use crate::sys::{signal, socket};
use crate::user::User;

/// Exit code of a container that was never up, as docker and podman use it.
const FAILED: i32 = 125;

/// The first descriptor after standard input, output and error.
const FIRST_INHERITED: i32 = 3;

/// Everything that the first process needs, made before the clone.
pub struct Plan {
    /// Whether it becomes another user than the launcher's; otherwise it is root by the mapping alone.
    pub change_user: bool,
    /// What of a container it sets up.
    pub mechanisms: Mechanisms,
    /// Whether cgroups come with the launcher's last order.
    pub joins_cgroups: bool,
    /// Whether the launcher orders the network to be set up.
    pub sets_up_network: bool,
    /// Namespaces that it makes itself once it is in its cgroups: those are then the roots that it sees.
    pub late_namespaces: CloneFlags,
    /// The root file system.
    pub root: RootPlan,
    /// The host name.
    pub hostname: CString,
    /// Where the program starts.
    pub working_directory: CString,
    /// Who the program runs as; `None` for user 0.
    pub user: Option<User>,
    /// The program's path.
    pub program: CString,
    /// Its arguments, from its own name on.
    pub arguments: ExecList,
    /// Its environment.
    pub environment: ExecList,
    /// The stack on which it is started.
    pub stack: Stack,
}

/// A piece of the set-up that belongs to one mechanism.
type Action = fn(&mut Plan) -> Result<(), Failure>;

/// What assembles the root, up to [`Phase::Mounts`].
const MOUNTS: [(Mechanism, Action); 2] = [
    (Mechanism::Mount, make_mounts_private),
    (Mechanism::Overlay, |plan| root::assemble(&mut plan.root)),
];

/// What leaves the host behind, up to [`Phase::Pivot`].
const PIVOT: [(Mechanism, Action); 2] = [
    (Mechanism::Pivot, change_root),
    (Mechanism::Uts, set_host_name),
];

/// What gives up power, up to [`Phase::Seccomp`].
const POWER: [(Mechanism, Action); 4] = [
    // Takes a capability, so it comes first.
    (Mechanism::Capabilities, |_| {
        capabilities::bound().map_err(Failure::at(Step::Capabilities))
    }),
    (Mechanism::User, become_programs_user),
    (Mechanism::Capabilities, |_| {
        capabilities::drop_all().map_err(Failure::at(Step::Capabilities))
    }),
    (Mechanism::Seccomp, |_| {
        // Its error type tells the call, not the number; errno still holds it.
        seccomp::install().map_err(|_| Failure::at(Step::Seccomp)(Errno::last()))
    }),
];

/// Runs the first process: sets itself up, starts the program, and watches over it.
pub fn run(plan: &mut Plan, launcher: BorrowedFd<'_>, on_phase: &dyn Fn(Phase)) -> ! {
    match set_up(plan, launcher, on_phase) {
        Err(failure) => {
            socket::send(launcher, &Message::Failed(failure).encode());
            process::exit(FAILED)
        }
        Ok(never) => match never {},
    }
}

fn set_up(
    plan: &mut Plan,
    launcher: BorrowedFd<'_>,
    on_phase: &dyn Fn(Phase),
) -> Result<Infallible, Failure> {
    SigSet::all()
        .thread_set_mask()
        .map_err(Failure::at(Step::Handshake))?;
    on_phase(Phase::Clone);
    // While the launcher writes the id maps, and before there is a filter that each of these calls would go through.
    signal::reset_actions();
    process::close_from(FIRST_INHERITED, CloseRange::OnExec)
        .map_err(Failure::at(Step::Descriptors))?;
    await_order(launcher, Order::IdsMapped)?;
    become_container_root(plan.change_user)?;
    check_launcher(launcher)?;
    take(MOUNTS, plan)?;
    on_phase(Phase::Mounts);
    take(PIVOT, plan)?;
    enter_working_directory(plan).map_err(Failure::at(Step::WorkingDirectory))?;
    on_phase(Phase::Pivot);

    let cgroups = await_order(launcher, Order::Proceed)?;
    join(&cgroups)?;
    if !plan.late_namespaces.is_empty() {
        unshare(plan.late_namespaces).map_err(Failure::at(Step::CgroupNamespace))?;
    }
    if plan.joins_cgroups {
        on_phase(Phase::Cgroup);
    }

    if plan.sets_up_network {
        set_up_network(launcher)?;
        on_phase(Phase::Network);
    }

    take(POWER, plan)?;
    check_launcher(launcher)?;
    on_phase(Phase::Seccomp);
    let program = start(plan, on_phase)?;
    socket::send(launcher, &Message::Started.encode());
    let launcher = process::keep_only(launcher).map_err(Failure::at(Step::Descriptors))?;
    init::supervise(program, launcher)
}

/// Does what belongs to the plan's mechanisms.
fn take<const N: usize>(actions: [(Mechanism, Action); N], plan: &mut Plan) -> Result<(), Failure> {
    for (mechanism, action) in actions {
        if plan.mechanisms.contains(mechanism) {
            action(plan)?;
        }
    }
    Ok(())
}

/// Reads the launcher's next message; the descriptors with it. The launcher's death ends the conversation.
fn await_order(
    launcher: BorrowedFd<'_>,
    order: Order,
) -> Result<[Option<OwnedFd>; socket::MAX_DESCRIPTORS], Failure> {
    let mut byte = [0];
    let received = socket::receive(launcher, &mut byte).map_err(Failure::at(Step::Handshake))?;
    if byte[..received.length] == [order as u8] {
        Ok(received.descriptors)
    } else {
        Err(Failure::at(Step::Handshake)(Errno::EPIPE))
    }
}

/// Passes on to the kernel what the launcher sends for it.
fn set_up_network(launcher: BorrowedFd<'_>) -> Result<(), Failure> {
    let mut bytes = [0; 1 + network::MAX_MESSAGES];
    let received = socket::receive(launcher, &mut bytes).map_err(Failure::at(Step::Handshake))?;
    match bytes[..received.length].split_first() {
        Some((order, messages)) if *order == Order::SetUpNetwork as u8 => {
            if messages.is_empty() {
                return Ok(());
            }
            network::configure(messages).map_err(Failure::at(Step::Network))
        }
        _ => Err(Failure::at(Step::Handshake)(Errno::EPIPE)),
    }
}

/// Becomes root of the user namespace, and bound to die with the launcher: a change of user would undo that bond.
fn become_container_root(change_user: bool) -> Result<(), Failure> {
    if change_user {
        process::become_user(0, 0, &[]).map_err(Failure::at(Step::Identity))?;
    }
    set_pdeathsig(Signal::SIGKILL).map_err(Failure::at(Step::DieWithLauncher))?;
    // The program, of the same user, gets no look at PID 1's memory and descriptors.
    set_dumpable(false).map_err(Failure::at(Step::Identity))?;
    set_name(c"isobench-init").map_err(Failure::at(Step::Identity))
}

/// Becomes the user that the program is to run as: PID 1 too, because only the same user may signal the program. It undoes the
/// bond to the launcher, which is made anew.
fn become_programs_user(plan: &mut Plan) -> Result<(), Failure> {
    let Some(user) = &plan.user else {
        return Ok(());
    };
    process::become_user(user.uid, user.gid, &user.groups).map_err(Failure::at(Step::User))?;
    set_pdeathsig(Signal::SIGKILL).map_err(Failure::at(Step::DieWithLauncher))?;
    set_dumpable(false).map_err(Failure::at(Step::User))
}

/// Makes sure that the launcher was alive when we asked to die with it: its orders may be older than that.
///
/// A dying process closes its sockets before its children are told.
fn check_launcher(launcher: BorrowedFd<'_>) -> Result<(), Failure> {
    let mut polled = [PollFd::new(launcher, PollFlags::empty())];
    poll(&mut polled, PollTimeout::ZERO).map_err(Failure::at(Step::Handshake))?;
    match polled[0].revents() {
        Some(events) if events.contains(PollFlags::POLLHUP) => {
            Err(Failure::at(Step::Handshake)(Errno::EPIPE))
        }
        _ => Ok(()),
    }
}

/// Joins cgroups v1 by writing "0", this process, to their `tasks` files.
///
/// For the writer itself, as a single thread, the kernel takes no lock against forks of the whole machine. Through
/// `cgroup.procs` it does, and after an idle moment that costs 6 to 18 ms.
fn join(cgroups: &[Option<OwnedFd>]) -> Result<(), Failure> {
    for (index, cgroup) in cgroups.iter().flatten().enumerate() {
        nix::unistd::write(cgroup.as_fd(), b"0")
            .map_err(Failure::at_item(Step::JoinCgroup, index))?;
    }
    Ok(())
}

fn make_mounts_private(_: &mut Plan) -> Result<(), Failure> {
    mount(
        None::<&str>,
        c"/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .map_err(Failure::at(Step::PrivateMounts))
}

fn change_root(plan: &mut Plan) -> Result<(), Failure> {
    root::change_root().map_err(Failure::at(Step::PivotRoot))?;
    root::mount_binds(&mut plan.root.binds)
}

/// Goes to where the program starts; not out of the container, whatever descriptors there are for the path to go through.
fn enter_working_directory(plan: &Plan) -> nix::Result<()> {
    let directory = plan.working_directory.as_c_str();
    chdir(directory)?;
    // Without a root of its own, everything is inside.
    if directory == c"/" || process::is_inside_root()? {
        Ok(())
    } else {
        Err(Errno::EXDEV)
    }
}

fn set_host_name(plan: &mut Plan) -> Result<(), Failure> {
    use std::os::unix::ffi::OsStrExt as _;
    let name = std::ffi::OsStr::from_bytes(plan.hostname.as_bytes());
    sethostname(name).map_err(Failure::at(Step::Hostname))
}

/// Starts the program as a child of PID 1. Its memory is ours until `execve`, so its error comes back in a variable.
fn start(plan: &mut Plan, on_phase: &dyn Fn(Phase)) -> Result<Pid, Failure> {
    let (mechanisms, first) = (plan.mechanisms, Pid::this());
    let Plan {
        program,
        arguments,
        environment,
        stack,
        ..
    } = plan;
    let mut failed = None;
    let pid = stack
        .run(|| {
            let bond = bind_to_first_process(mechanisms, first);
            let result = bond.and_then(|()| signal::unblock_all()).and_then(|()| {
                on_phase(Phase::Exec);
                process::execute(program, arguments, environment)
            });
            failed = result.err();
            process::exit(FAILED)
        })
        .map_err(Failure::at(Step::Spawn))?;
    match failed {
        None => Ok(pid),
        Some(errno) => {
            // A file that is there and yet "not found" lacks its interpreter.
            let found = access(program.as_c_str(), AccessFlags::F_OK).is_ok();
            Err(Failure::at_item(Step::Execute, usize::from(found))(errno))
        }
    }
}

/// In a PID namespace the program dies with PID 1; without one it has to ask for that, and to see that it isn't too late.
fn bind_to_first_process(mechanisms: Mechanisms, first: Pid) -> nix::Result<()> {
    if mechanisms.contains(Mechanism::Pid) {
        return Ok(());
    }
    set_pdeathsig(Signal::SIGKILL)?;
    if Pid::parent() == first {
        Ok(())
    } else {
        Err(Errno::ESRCH)
    }
}
