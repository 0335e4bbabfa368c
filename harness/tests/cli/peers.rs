//! Peers: what they give a program, that one which misbehaves costs only its own row, and that nothing of one stays.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use isobench_reports::model::{Run, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::old::{Place, can_run, cgroups_of, first_sample, text};

/// Peers that are to give a program what isobench's container gives it; whether youki does is up to its build.
const ALIKE: [&str; 6] = ["container", "bwrap", "crun", "lxc", "runc", "podman"];

/// Stands before what [`inside`] says, which the test framework's own output surrounds.
const MARK: &str = "inside: ";

/// Tells where it runs; the others run this very program, which is static, in their targets.
#[test]
#[ignore = "runs inside a peer"]
fn inside() {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    for field in ["CapEff", "CapBnd", "NoNewPrivs", "Seccomp"] {
        let lead = format!("{field}:");
        let line = status.lines().find(|line| line.starts_with(&lead)).unwrap();
        println!("{MARK}{}", line.replace('\t', " "));
    }
    let refused = |what: &str, outcome: nix::Result<()>| {
        println!("{MARK}{what} {}", outcome.unwrap_err());
    };
    refused(
        "unshare",
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS),
    );
    refused("sethostname", nix::unistd::sethostname("x"));
    let hostname = nix::unistd::gethostname().unwrap();
    println!("{MARK}{}", hostname.display());
    println!("{MARK}{}", fs::read_dir("/proc/self/ns").unwrap().count());
}

fn inside_of(target: &str) -> Vec<String> {
    let own = std::env::current_exe().unwrap();
    let arguments = ["--exact", "peers::inside", "--ignored", "--nocapture"];
    let mut command = vec!["exec", "--target", target, "--", own.to_str().unwrap()];
    command.extend(arguments);
    let output = Place::new().run(&command);
    assert!(
        output.status.success(),
        "{target}: {}",
        text(&output.stderr)
    );
    let said = text(&output.stdout);
    let lines = said.lines().filter_map(|line| line.strip_prefix(MARK));
    lines.map(str::to_owned).collect()
}

#[test]
fn peers_give_a_program_what_the_container_gives_it() {
    let expected = [
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
        "unshare EPERM: Operation not permitted",
        "sethostname EPERM: Operation not permitted",
        "isobench",
    ];
    for target in ALIKE {
        if can_run(target) {
            let said = inside_of(target);
            assert_eq!(said[..expected.len()], expected, "{target}");
        }
    }
}

/// A directory for the `PATH` with programs that pass for peers: asked for a version they have one, asked to delete a
/// container they do; else they do what is written here.
fn fakes(place: &Place, fakes: &[(&str, &str)]) -> PathBuf {
    let directory = place.path("bin");
    fs::create_dir(&directory).unwrap();
    for (name, script) in fakes {
        let path = directory.join(name);
        let good = "case \"$*\" in *--version*) echo fake 1.0; exit;; *delete*) exit;; esac";
        fs::write(&path, format!("#!/bin/sh\n{good}\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    directory
}

fn path_with(directory: &std::path::Path) -> String {
    format!("{}:/usr/bin:/bin", directory.display())
}

fn good(run: &Run, target: &str) -> usize {
    let of_target = run.samples.iter().filter(|s| s.target == target);
    of_target.filter(|s| s.status == Status::Ok).count()
}

#[test]
fn a_peer_that_misbehaves_costs_its_own_row_alone() {
    if !can_run("crun") || !can_run("bwrap") {
        return;
    }
    let place = Place::new();
    let bin = fakes(
        &place,
        &[
            ("unshare", "echo out of order >&2; exit 1"),
            ("bwrap", "echo hello"),
            ("crun", "exec cat /dev/zero"),
            ("runc", "sleep 1000"),
        ],
    );
    let begun = Instant::now();
    let targets = "process,unshare,bwrap,crun,runc";
    let output = place
        .isobench(&["run", "--profile", "quick", "--experiments", "startup"])
        .args(["--targets", targets, "--out", "out"])
        .args(["--sample-limit", "3s"])
        .env("PATH", path_with(&bin))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    // Two samples of 3 s hang, and no more are taken.
    assert!(begun.elapsed() < Duration::from_mins(1));
    let json = fs::read(place.path("out/results.json")).unwrap();
    let run: Run = serde_json::from_slice(&json).unwrap();
    assert!(good(&run, "process") >= 25 * 4);
    for (target, reason) in [
        (
            "unshare",
            "ended with exit code 1 before its ready line: out of order",
        ),
        ("bwrap", "its standard output isn't the workload's protocol"),
        ("crun", "flooded its standard output"),
        ("runc", "no ready line within 3s"),
        (
            "runc",
            "not taken: 2 samples of runc in a row had used up their time",
        ),
    ] {
        assert_eq!(good(&run, target), 0, "{target}");
        let mut reasons = run.samples.iter().filter(|s| s.target == target);
        assert!(
            reasons.any(|s| s.reason.as_deref().is_some_and(|r| r.starts_with(reason))),
            "{target}: {reason}"
        );
    }
    assert_eq!(place.left_behind(), Vec::<PathBuf>::new());
}

#[test]
fn a_peer_that_tells_no_version_is_a_row_with_that_reason() {
    let place = Place::new();
    let bin = place.path("bin");
    fs::create_dir(&bin).unwrap();
    for (name, script) in [
        ("crun", "#!/bin/sh\nsleep 1000\n"),
        ("runc", "#!/bin/sh\necho hello\n"),
        ("bwrap", "no program at all"),
    ] {
        fs::write(bin.join(name), script).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let begun = Instant::now();
    let output = place
        .isobench(&["doctor", "--json"])
        .env("PATH", path_with(&bin))
        .output()
        .unwrap();
    assert!(begun.elapsed() < Duration::from_mins(1));
    let diagnosis: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let targets = diagnosis["targets"].as_array().unwrap();
    for (name, reason) in [
        ("crun", "took more than 5s"),
        ("runc", "names no version"),
        ("bwrap", "can't be run"),
        ("youki", "youki is not installed"),
    ] {
        let target = targets.iter().find(|t| t["name"] == name).unwrap();
        let said = target["reason"].as_str().unwrap();
        assert!(said.contains(reason), "{name}: {said}");
        assert!(!target["fix"].as_str().unwrap().is_empty());
    }
}

/// Processes that are in a cgroup of the session of `pid`, or whose command line names its scratch directory, as a
/// daemon's does.
fn processes_of(pid: u32) -> Vec<PathBuf> {
    let session = format!("/isobench-{pid}-");
    let names_it = |path: PathBuf| fs::read(path).is_ok_and(|t| text(&t).contains(&session));
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let directories = entries.map(|entry| entry.path());
    directories
        .filter(|path| names_it(path.join("cgroup")) || names_it(path.join("cmdline")))
        .collect()
}

fn mounts_in(place: &Place) -> Vec<String> {
    let place = place.directory.path().display().to_string();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let lines = mounts.lines().filter(|line| line.contains(&place));
    lines.map(str::to_owned).collect()
}

/// Ends a run by `signal` at several moments of its samples of `target`, and looks for what is left of them; after
/// SIGKILL, once another run has begun.
fn ends_without_a_trace(target: &str, signal: Signal) {
    for moment in [3, 40] {
        let place = Place::new();
        let arguments = [
            "run",
            "--profile",
            "quick",
            "--start-daemons",
            "--targets",
            target,
        ];
        let mut child = start_sampling(&place, &arguments);
        let pid = child.id();
        std::thread::sleep(Duration::from_millis(300 + moment));
        kill(Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
        child.wait().unwrap();
        if signal == Signal::SIGKILL {
            let next = ["run", "--profile", "quick", "--experiments", "startup"];
            let output = place.run(&[&next[..], &["--targets", "process"]].concat());
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        let what = format!("{target}, {signal} after {moment} ms");
        assert_eq!(processes_of(pid), Vec::<PathBuf>::new(), "{what}");
        assert_eq!(cgroups_of(pid), Vec::<PathBuf>::new(), "{what}");
        assert_eq!(mounts_in(&place), Vec::<String>::new(), "{what}");
        assert_eq!(place.left_behind(), Vec::<PathBuf>::new(), "{what}");
    }
}

/// Starts a run that takes samples. A daemon that a busy host didn't let start in time is tried again.
fn start_sampling(place: &Place, arguments: &[&str]) -> Child {
    let mut said = String::new();
    for out in ["ended-1", "ended-2", "ended-3"] {
        let mut child = place.start(&[arguments, &["--out", out]].concat());
        match first_sample(&mut child) {
            Ok(()) => return child,
            Err(reason) => said = reason,
        }
        child.wait().unwrap();
    }
    panic!("no sample was announced: {said}");
}

#[test]
fn nothing_of_a_runtime_stays_when_a_run_ends_in_the_middle_of_a_sample() {
    for target in ["runc", "crun"] {
        if can_run(target) {
            ends_without_a_trace(target, Signal::SIGINT);
            ends_without_a_trace(target, Signal::SIGKILL);
        }
    }
}

#[test]
fn nothing_of_a_daemon_stays_when_a_run_ends_in_the_middle_of_a_sample() {
    for target in ["docker", "containerd"] {
        if can_start(target) {
            ends_without_a_trace(target, Signal::SIGINT);
            ends_without_a_trace(target, Signal::SIGKILL);
        }
    }
}

/// Whether a daemon of a run's own can be started for `target`: what is missing is said as a skip.
fn can_start(target: &str) -> bool {
    let programs: &[&str] = match target {
        "docker" => &["docker", "dockerd", "containerd", "runc"],
        _ => &["ctr", "containerd", "runc"],
    };
    let is_there = |program: &&&str| {
        let directories = ["/usr/local/bin", "/usr/sbin", "/usr/bin"].iter();
        let mut paths = directories.map(|directory| std::path::Path::new(directory).join(program));
        paths.any(|path| path.exists())
    };
    if let Some(program) = programs.iter().find(|program| !is_there(program)) {
        println!("skipped: {program} is not installed");
        return false;
    }
    // What else they need, runc needs as well.
    can_run("runc")
}

#[test]
fn a_daemon_that_does_not_run_is_a_row_that_says_how_to_have_one() {
    let place = Place::new();
    let output = place
        .isobench(&["run", "--targets", "process,docker,containerd"])
        .args([
            "--profile",
            "quick",
            "--experiments",
            "startup",
            "--out",
            "out",
        ])
        .env("DOCKER_HOST", "unix:///no/such.sock")
        .env("CONTAINERD_ADDRESS", "/no/such.sock")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json = fs::read(place.path("out/results.json")).unwrap();
    let run: Run = serde_json::from_slice(&json).unwrap();
    for target in run.targets.iter().filter(|t| t.name != "process") {
        let why = target.unavailable.as_ref().unwrap();
        if target.version.is_some() && can_start(&target.name) {
            assert!(why.reason.contains("isn't running"), "{}", why.reason);
            assert!(why.fix.contains("--start-daemons"), "{}", why.fix);
        }
    }
    assert!(good(&run, "process") >= 25 * 4);
}

#[test]
fn a_daemon_that_fails_costs_its_own_row_alone() {
    if !can_start("docker") {
        return;
    }
    let place = Place::new();
    let bin = fakes(&place, &[("dockerd", "echo no disk >&2; exit 1")]);
    let output = place
        .isobench(&["run", "--targets", "process,docker", "--start-daemons"])
        .args([
            "--profile",
            "quick",
            "--experiments",
            "startup",
            "--out",
            "out",
        ])
        .env("PATH", path_with(&bin) + ":/usr/local/bin")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json = fs::read(place.path("out/results.json")).unwrap();
    let run: Run = serde_json::from_slice(&json).unwrap();
    let docker = run.targets.iter().find(|t| t.name == "docker").unwrap();
    let why = docker.unavailable.as_ref().unwrap();
    assert_eq!(why.reason, "dockerd did not start: no disk");
    assert!(good(&run, "process") >= 25 * 4);
    assert_eq!(place.left_behind(), Vec::<PathBuf>::new());
}
