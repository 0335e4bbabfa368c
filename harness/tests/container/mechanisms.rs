//! A container with one mechanism has that mechanism, what it needs, and no other.

use std::fs;
use std::io::Read as _;
use std::process::Command;

use isobench::host::probe::pss::process_tree;
use isobench_container::{Mechanism, Mechanisms, Privilege};
use isobench_testing::{Need, lacks};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::launcher::{send, started};
use super::limits::Limits;
use super::support::ended::Ended;
use super::{Fixture, LAUNCHER, as_nobody, fixture, inside, text};

/// The launcher with `mechanisms`. In the container, [`inside`] does `task`.
fn command(fixture: &Fixture, mechanisms: Mechanisms, task: &str, cgroups: &[&str]) -> Command {
    let mut command = Command::new(fixture.path("launcher"));
    command.args(["--mechanisms", &mechanisms.to_string()]);
    let layer = fixture.path("layer");
    if mechanisms.contains(Mechanism::Overlay) {
        command.args(["--layer", text(&layer)]);
    }
    let program = if mechanisms.contains(Mechanism::Pivot) {
        "/program".into()
    } else {
        layer.join("program")
    };
    command
        .args(cgroups)
        .args(["--env", &format!("{}={task}", inside::TASK), "--"])
        .arg(program)
        .args(["--exact", "inside::inside", "--ignored", "--nocapture"]);
    command
}

fn read(pid: i32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap()
}

/// Starts a program with `mechanisms`, finds out from outside which ones it has, and kills its
/// launcher. The program dies with the launcher.
fn look(fixture: &Fixture, mechanisms: Mechanisms, cgroups: &[&str]) -> Mechanisms {
    let mut command = command(fixture, mechanisms, "wait", cgroups);
    let (mut child, mut reader) = started(&mut command);
    let launcher = Pid::from_raw(child.id().try_into().unwrap());
    let program = process_tree(launcher).unwrap().last().unwrap().pid;
    let found = Mechanism::ALL
        .iter()
        .copied()
        .filter(|mechanism| has(program, *mechanism));
    let found = Mechanisms::of(&found.collect::<Vec<_>>());
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    // The program holds the other end of this pipe, which ends when the program has died.
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    found
}

/// Whether the process `pid` has `mechanism`, by the host's /proc.
fn has(pid: i32, mechanism: Mechanism) -> bool {
    let differs = |kind: &str| {
        let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/{kind}")).unwrap();
        of(&pid.to_string()) != of("self")
    };
    let mounts = |kind: &str, ending: &str| {
        let info = read(pid, "mountinfo");
        info.lines().any(|line| {
            let point = line.split(' ').nth(4).unwrap_or_default();
            line.contains(&format!(" - {kind} ")) && point.ends_with(ending)
        })
    };
    let status = |line: &str| read(pid, "status").lines().any(|found| found == line);
    match mechanism {
        Mechanism::User => differs("user"),
        Mechanism::Mount => differs("mnt"),
        Mechanism::Uts => differs("uts"),
        Mechanism::Ipc => differs("ipc"),
        Mechanism::Pid => differs("pid"),
        Mechanism::CgroupNamespace => differs("cgroup"),
        Mechanism::Net => differs("net"),
        Mechanism::Cgroup => read(pid, "cgroup").contains("isobench-test-mechanisms"),
        Mechanism::Overlay => {
            fs::exists(format!("/proc/{pid}/root/program")).unwrap() || mounts("overlay", "/proc/r")
        }
        Mechanism::ProcDev => {
            mounts("proc", "/proc/r/proc")
                || fs::exists(format!("/proc/{pid}/root/program")).unwrap()
                    && mounts("proc", "/proc")
        }
        Mechanism::Pivot => fs::exists(format!("/proc/{pid}/root/program")).unwrap(),
        Mechanism::Capabilities => status("CapBnd:\t0000000000000000"),
        Mechanism::Seccomp => status("Seccomp:\t2"),
    }
}

#[test]
fn each_mechanism_is_there_with_what_it_needs_and_nothing_else() {
    let Some(fixture) = fixture() else { return };
    // Only root may look at the program.
    if lacks(Need::Root) {
        return;
    }
    let Some(limits) = Limits::new("mechanisms") else {
        return;
    };
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let alone = Mechanism::ALL
        .iter()
        .map(|mechanism| Mechanisms::of(&[*mechanism]).complete(Privilege::Root));
    for wanted in alone.chain([Mechanisms::NONE, Mechanisms::ALL]) {
        let flags = limits.flags(&[]);
        let joins = wanted.contains(Mechanism::Cgroup);
        let seen = look(&fixture, wanted, if joins { &flags } else { &[] });
        assert_eq!(seen, wanted, "{seen} instead of {wanted}");
        limits.remove_left();
    }
    let after = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(hostname, after, "the host was renamed");
    limits.are_gone();
}

#[test]
fn a_set_that_cannot_be_is_told_what_it_lacks() {
    let Some(fixture) = fixture() else { return };
    let layer = fixture.path("layer");
    let layer = ["--layer", text(&layer)];
    for (mechanisms, arguments, words) in [
        ("user,overlay", &layer[..], "overlay needs mount too"),
        ("none", &layer, "a layer needs the mechanism overlay"),
        (
            "none",
            &["--bind", "/:/x"],
            "a bind needs the mechanism pivot",
        ),
        (
            "none",
            &["--hostname", "x"],
            "a host name needs the mechanism uts",
        ),
        ("nothing", &[], "there is no mechanism \"nothing\""),
    ] {
        let mut command = Command::new(LAUNCHER);
        command.args(["--mechanisms", mechanisms]).args(arguments);
        let ended = Ended::of(command.args(["--", "/program"]));
        ended.is_refused_by("isobench-container", words);
    }
}

#[test]
fn an_ordinary_user_needs_a_user_namespace_for_the_rest() {
    let Some(fixture) = fixture() else { return };
    for &mechanism in Mechanism::ALL {
        let wanted = Mechanisms::of(&[mechanism]).complete(Privilege::Ordinary);
        let mut command = command(&fixture, wanted, "nothing", &[]);
        if !as_nobody(&mut command) {
            return;
        }
        let ended = Ended::of(&mut command);
        assert_eq!(ended.code, Some(0), "{wanted}: {ended:?}");
    }
    let mut command = command(&fixture, Mechanisms::of(&[Mechanism::Net]), "nothing", &[]);
    as_nobody(&mut command);
    let ended = Ended::of(&mut command);
    ended.has_code(2).says("net needs user too");
}
