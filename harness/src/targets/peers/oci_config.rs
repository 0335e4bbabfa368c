//! The `config.json` that gives a container of an OCI runtime what isobench's container has: the
//! same namespaces and ids, /proc and /dev, no capabilities, no new privileges, the same system
//! calls, and a cgroup in the instance's group.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use isobench_container::seccomp::policy::{ALLOWED, ArgumentRule, CONDITIONAL, UNKNOWN_CALLS};
use isobench_container::{FIRST_HOST_ID, ID_COUNT, User};
use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Arch, Linux, LinuxBuilder, LinuxCapabilities, LinuxCapabilitiesBuilder, LinuxIdMapping,
    LinuxIdMappingBuilder, LinuxMemoryBuilder, LinuxNamespace, LinuxNamespaceBuilder,
    LinuxNamespaceType, LinuxResourcesBuilder, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg,
    LinuxSeccompArgBuilder, LinuxSeccompBuilder, LinuxSeccompOperator, LinuxSyscall,
    LinuxSyscallBuilder, Mount, MountBuilder, Process, ProcessBuilder, RootBuilder, Spec,
    SpecBuilder, User as OciUser, UserBuilder as OciUserBuilder,
};
use syscalls::Sysno;

use super::instance::{binds, utf8};
use super::roots::InstanceRoot;
use crate::host::accounting::path_in_hierarchy;
use crate::targets::Launch;

const NAMESPACES: [LinuxNamespaceType; 7] = [
    LinuxNamespaceType::User,
    LinuxNamespaceType::Mount,
    LinuxNamespaceType::Uts,
    LinuxNamespaceType::Ipc,
    LinuxNamespaceType::Pid,
    LinuxNamespaceType::Cgroup,
    LinuxNamespaceType::Network,
];

/// The options of devpts, as of isobench's container.
const TERMINALS: [&str; 6] = [
    "nosuid",
    "noexec",
    "newinstance",
    "ptmxmode=0666",
    "mode=0620",
    "gid=5",
];

/// Whether the program's environment gets a `PATH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathVariable {
    /// The environment is the launch's, with or without a `PATH`.
    AsGiven,
    /// A `PATH` is added if the launch's environment has none.
    Added,
}

/// The configuration of one instance whose root is `root`.
pub fn config(launch: &Launch, root: &InstanceRoot, path: PathVariable) -> io::Result<Spec> {
    spec(launch, root, path).map_err(io::Error::other)
}

fn spec(launch: &Launch, root: &InstanceRoot, path: PathVariable) -> Result<Spec, OciSpecError> {
    let root_directory = RootBuilder::default()
        .path(&root.directory)
        .readonly(!root.is_writable);
    SpecBuilder::default()
        .version("1.0.2")
        .root(root_directory.build()?)
        .hostname("isobench")
        .process(process(launch, root, path)?)
        .mounts(mounts(launch, root)?)
        .linux(linux(launch)?)
        .build()
}

fn linux(launch: &Launch) -> Result<Linux, OciSpecError> {
    let mut linux = LinuxBuilder::default()
        .namespaces(namespaces()?)
        .uid_mappings([ids()?])
        .gid_mappings([ids()?])
        .seccomp(seccomp()?)
        .masked_paths(Vec::new())
        .readonly_paths(Vec::new());
    if let Some(cgroup) = launch.cgroups.first().and_then(|l| path_in_hierarchy(l)) {
        linux = linux.cgroups_path(cgroup);
    }
    let mut resources = LinuxResourcesBuilder::default();
    if let Some(memory) = launch.memory {
        let limit = i64::try_from(memory.as_u64()).unwrap_or(i64::MAX);
        resources = resources.memory(LinuxMemoryBuilder::default().limit(limit).build()?);
    }
    linux.resources(resources.build()?).build()
}

fn process(
    launch: &Launch,
    root: &InstanceRoot,
    path: PathVariable,
) -> Result<Process, OciSpecError> {
    let mut arguments = vec![utf8(root.program.as_os_str())?];
    for argument in &launch.arguments {
        arguments.push(utf8(argument)?);
    }
    let mut environment = Vec::new();
    for variable in &launch.environment {
        environment.push(utf8(variable)?);
    }
    if path == PathVariable::Added && !environment.iter().any(|text| text.starts_with("PATH=")) {
        environment.push("PATH=/".to_owned());
    }
    let mut process = ProcessBuilder::default()
        .terminal(false)
        .args(arguments)
        .env(environment)
        .cwd(&root.working_directory)
        .user(user(&root.user)?)
        .capabilities(no_capabilities()?)
        .no_new_privileges(true)
        .build()?;
    // The crate's default lowers the number of open files, as docker does.
    process.set_rlimits(None);
    Ok(process)
}

fn user(user: &User) -> Result<OciUser, OciSpecError> {
    OciUserBuilder::default()
        .uid(user.uid)
        .gid(user.gid)
        .additional_gids(user.groups.clone())
        .build()
}

fn no_capabilities() -> Result<LinuxCapabilities, OciSpecError> {
    LinuxCapabilitiesBuilder::default()
        .bounding(HashSet::new())
        .effective(HashSet::new())
        .inheritable(HashSet::new())
        .permitted(HashSet::new())
        .ambient(HashSet::new())
        .build()
}

fn namespaces() -> Result<Vec<LinuxNamespace>, OciSpecError> {
    let namespace = |kind| LinuxNamespaceBuilder::default().typ(kind).build();
    NAMESPACES.into_iter().map(namespace).collect()
}

fn ids() -> Result<LinuxIdMapping, OciSpecError> {
    LinuxIdMappingBuilder::default()
        .container_id(0_u32)
        .host_id(FIRST_HOST_ID)
        .size(ID_COUNT)
        .build()
}

/// The mounts of /proc and /dev, and the binds of the launch. Every runtime itself adds the devices
/// of /dev. A program of an image may look for /dev/shm and
/// for terminals, which isobench's container has.
fn mounts(launch: &Launch, root: &InstanceRoot) -> Result<Vec<Mount>, OciSpecError> {
    let mount = |destination: &str, kind: &str, source: PathBuf, options: &[&str]| {
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        MountBuilder::default()
            .destination(destination)
            .typ(kind)
            .source(source)
            .options(options)
            .build()
    };
    let hardened = ["nosuid", "nodev", "noexec"];
    let mut mounts = vec![
        mount("/proc", "proc", "proc".into(), &hardened)?,
        mount("/dev", "tmpfs", "tmpfs".into(), &["nosuid", "mode=755"])?,
    ];
    if root.mounted.is_some() {
        let options = ["nosuid", "nodev", "noexec", "mode=1777"];
        mounts.push(mount("/dev/shm", "tmpfs", "shm".into(), &options)?);
        mounts.push(mount("/dev/pts", "devpts", "devpts".into(), &TERMINALS)?);
    }
    for (source, place) in binds(launch) {
        mounts.push(mount(place, "bind", source.to_owned(), &["bind", "rw"])?);
    }
    Ok(mounts)
}

/// Writes the container's seccomp policy to `path`, in the form that engines read.
pub fn save_policy(path: &Path) -> io::Result<()> {
    let policy = seccomp().map_err(io::Error::other)?;
    fs::write(path, serde_json::to_vec(&policy)?)
}

/// The container's seccomp policy, which libseccomp compiles.
fn seccomp() -> Result<LinuxSeccomp, OciSpecError> {
    LinuxSeccompBuilder::default()
        .default_action(LinuxSeccompAction::ScmpActErrno)
        .default_errno_ret(libc::EPERM.unsigned_abs())
        .architectures([Arch::ScmpArchX86_64])
        .syscalls(rules()?)
        .build()
}

/// The policy's rules. A call that no rule allows fails with `EPERM`. A rule has at most one
/// condition.
pub fn rules() -> Result<Vec<LinuxSyscall>, OciSpecError> {
    let mut rules = vec![
        rule(names(ALLOWED), None)?,
        LinuxSyscallBuilder::default()
            .names(names(UNKNOWN_CALLS))
            .action(LinuxSeccompAction::ScmpActErrno)
            .errno_ret(libc::ENOSYS.unsigned_abs())
            .build()?,
    ];
    for (call, argument_rule) in CONDITIONAL {
        for condition in conditions(*argument_rule) {
            rules.push(rule(names(&[*call]), Some(condition?))?);
        }
    }
    Ok(rules)
}

/// A rule that allows the calls `names`, under `condition` if there is one.
fn rule(
    names: Vec<String>,
    condition: Option<LinuxSeccompArg>,
) -> Result<LinuxSyscall, OciSpecError> {
    let rule = LinuxSyscallBuilder::default()
        .names(names)
        .action(LinuxSeccompAction::ScmpActAllow);
    match condition {
        Some(condition) => rule.args([condition]),
        None => rule,
    }
    .build()
}

fn names(calls: &[libc::c_long]) -> Vec<String> {
    let number = |call: &libc::c_long| usize::try_from(*call).ok();
    let known = calls.iter().filter_map(number).filter_map(Sysno::new);
    known.map(|call| call.name().to_owned()).collect()
}

/// The conditions for a call. The call runs if one of them holds. A rule of libseccomp has at most
/// one condition on an argument. So the condition "neither of two values" becomes several: below
/// both values, above both, or equal to a value between the two.
fn conditions(rule: ArgumentRule) -> Vec<Result<LinuxSeccompArg, OciSpecError>> {
    use LinuxSeccompOperator::{ScmpCmpEq, ScmpCmpGt, ScmpCmpLt, ScmpCmpMaskedEq, ScmpCmpNe};
    let condition = |argument: u32, operator, value: u32| {
        LinuxSeccompArgBuilder::default()
            .index(argument as usize)
            .op(operator)
            .value(value)
    };
    match rule {
        ArgumentRule::IfClear { argument, mask } => {
            let clear = condition(argument, ScmpCmpMaskedEq, mask).value_two(0_u64);
            vec![clear.build()]
        }
        ArgumentRule::IfClearOr {
            argument,
            mask,
            value,
        } => {
            let clear = condition(argument, ScmpCmpMaskedEq, mask).value_two(0_u64);
            vec![clear.build(), condition(argument, ScmpCmpEq, value).build()]
        }
        ArgumentRule::Unless { argument, values } if values[0] == values[1] => {
            vec![condition(argument, ScmpCmpNe, values[0]).build()]
        }
        ArgumentRule::Unless { argument, values } => {
            let (low, high) = (values[0].min(values[1]), values[0].max(values[1]));
            let outside = [
                condition(argument, ScmpCmpLt, low),
                condition(argument, ScmpCmpGt, high),
            ];
            let between = (low + 1..high).map(|value| condition(argument, ScmpCmpEq, value));
            let all = outside.into_iter().chain(between);
            all.map(LinuxSeccompArgBuilder::build).collect()
        }
    }
}
