//! Peers give a program what the container gives it, a peer that misbehaves costs only its own
//! rows, and nothing of a peer stays.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use isobench_reports::model::Status;
use isobench_testing::{Need, lacks};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::isobench::{Finished, ISOBENCH, Isobench, Running, WORKLOAD};
use crate::support::needs::can_run;
use crate::support::place::Place;
use crate::support::traces;

/// Peers that must give a program what isobench's container gives it. Whether youki does depends on
/// how it was built.
const ALIKE: [&str; 9] = [
    "container",
    "bwrap",
    "bwrap-0.11",
    "nsjail",
    "crun",
    "lxc",
    "runc",
    "firejail",
    "podman",
];

/// Begins each line of [`inside`], to tell it from the test framework's own lines.
const MARK: &str = "inside: ";

/// Tells what a program finds in a target. The other tests start this test program, which is
/// static, in their targets, with this test alone.
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
    let own = own.to_str().unwrap();
    let program = [own, "--exact", "peers::inside", "--ignored", "--nocapture"];
    let finished = Isobench::exec(target).program(&program).succeeds();
    let lines = finished.stdout.lines();
    let lines = lines.filter_map(|line| line.strip_prefix(MARK));
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

/// A directory for the `PATH`. It has programs of these names and contents.
pub fn programs(place: &Place, programs: &[(&str, &str)]) -> PathBuf {
    let directory = place.path("bin");
    fs::create_dir(&directory).unwrap();
    for (name, content) in programs {
        let path = directory.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    directory
}

/// A script in place of a peer. It answers `--version`, succeeds at `delete`, and else runs
/// `script`.
pub fn fake(script: &str) -> String {
    let good = "case \"$*\" in *--version*) echo fake 1.0; exit;; *delete*) exit;; esac";
    format!("#!/bin/sh\n{good}\n{script}\n")
}

pub fn path_with(directory: &Path) -> String {
    format!("{}:/usr/bin:/bin", directory.display())
}

/// The samples of a target that count.
fn good(finished: &Finished, target: &str) -> usize {
    let samples = finished.results().samples.iter();
    let of_target = samples.filter(|sample| sample.target == target);
    of_target
        .filter(|sample| sample.status == Status::Ok)
        .count()
}

#[test]
fn a_peer_that_misbehaves_costs_its_own_row_alone() {
    if !can_run("crun") || !can_run("bwrap") {
        return;
    }
    let place = Place::new();
    let bin = programs(
        &place,
        &[
            ("unshare", &fake("echo out of order >&2; exit 1")),
            ("bwrap", &fake("echo hello")),
            ("crun", &fake("exec cat /dev/zero")),
            ("runc", &fake("sleep 1000")),
        ],
    );
    let begun = Instant::now();
    let run = place.run().quick().experiments("startup");
    let finished = run
        .targets("process,unshare,bwrap,crun,runc")
        .options(&["--sample-limit", "3s"])
        .environment("PATH", path_with(&bin))
        .ends();
    finished.has_code(1);
    // Two samples hang for 3 s each, and no more are taken.
    assert!(begun.elapsed() < Duration::from_mins(1));
    finished.leaves_nothing();
    assert!(good(&finished, "process") >= 25 * 4);
    for (target, beginning) in [
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
        assert_eq!(good(&finished, target), 0, "{target}");
        let line = format!("isobench: {target}: all samples of startup failed: ");
        assert_eq!(finished.stderr.matches(&line).count(), 1, "{finished:?}");
        let samples = finished.results().samples.iter();
        let samples = samples.filter(|sample| sample.target == target);
        let mut reasons = samples.filter_map(|sample| sample.reason.as_deref());
        let is_told = reasons.any(|reason| reason.starts_with(beginning));
        assert!(is_told, "{target}: {beginning}");
    }
}

#[test]
fn a_target_that_fails_every_sample_of_an_experiment_has_one_line_and_exit_code_1() {
    if !can_run("bwrap") {
        return;
    }
    let place = Place::new();
    let bin = programs(&place, &[("bwrap", &fake("echo broken >&2; exit 9"))]);
    let run = place.run().quick().targets("process,bwrap");
    let run = run.experiments("startup,parallel");
    let finished = run.environment("PATH", path_with(&bin)).ends();
    finished.leaves_nothing().has_code(1);
    finished
        .says("isobench: bwrap: all samples of startup, parallel failed: ended with exit code 9");
    assert_eq!(
        finished.stderr.matches("isobench: ").count(),
        1,
        "{finished:?}"
    );
    finished.prints("report: out/report.html");
    assert!(good(&finished, "process") >= 25 * 4);
}

#[test]
fn a_peer_that_tells_no_version_is_a_row_with_that_reason() {
    let place = Place::new();
    let bin = programs(
        &place,
        &[
            ("crun", "#!/bin/sh\nsleep 1000\n"),
            ("runc", "#!/bin/sh\necho hello\n"),
            ("bwrap", "no program at all"),
        ],
    );
    let begun = Instant::now();
    let doctor = place.isobench(&["doctor", "--json"]);
    let finished = doctor.environment("PATH", path_with(&bin)).ends();
    assert!(begun.elapsed() < Duration::from_mins(1));
    let diagnosis: Value = serde_json::from_str(&finished.stdout).unwrap();
    let targets = diagnosis["targets"].as_array().unwrap();
    for (name, reason) in [
        ("crun", "took more than 5s"),
        ("runc", "prints no version"),
        ("bwrap", "can't be run"),
        ("youki", "youki is not installed"),
    ] {
        let target = targets.iter().find(|t| t["name"] == name).unwrap();
        let said = target["reason"].as_str().unwrap();
        assert!(said.contains(reason), "{name}: {said}");
        assert_ne!(target["fix"], "", "{name}");
    }
}

/// Ends a run by `signal` at several moments of its samples of `target`, and asserts that nothing
/// is left. After SIGKILL, another run clears up first.
fn ends_without_a_trace(target: &str, signal: Signal) {
    for moment in [3, 40] {
        let place = Place::new();
        let running = start_sampling(&place, target);
        let pid = running.child.id();
        std::thread::sleep(Duration::from_millis(300 + moment));
        running.send(signal);
        running.ends();
        if signal == Signal::SIGKILL {
            let next = place.run().quick().targets("process");
            next.experiments("startup").succeeds();
        }
        let when = format!("by {target} after {signal} at {moment} ms");
        traces::assert_none(pid, &place, &when);
    }
}

/// Starts a run and waits for its first sample. On a busy host a daemon may start too late, so the
/// run is started up to three times.
fn start_sampling(place: &Place, target: &str) -> Running {
    let mut said = String::new();
    for out in ["ended-1", "ended-2", "ended-3"] {
        let run = place.run_into(out).quick().targets(target);
        let mut running = run.options(&["--start-daemons"]).starts();
        match running.first_sample() {
            Ok(()) => return running,
            Err(reason) => said = reason,
        }
        running.ends();
    }
    panic!("no sample was announced: {said}");
}

#[test]
fn nothing_of_a_runtime_stays_when_a_run_ends_in_the_middle_of_a_sample() {
    for target in ["runc", "crun", "nsjail"] {
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

/// Whether a run can start a daemon of its own for `target`.
pub fn can_start(target: &str) -> bool {
    let programs: &[&str] = match target {
        "docker" => &["docker", "dockerd", "containerd", "runc"],
        _ => &["ctr", "containerd", "runc"],
    };
    if programs.iter().any(|program| lacks(Need::Program(program))) {
        return false;
    }
    // All else that they need is what runc needs.
    can_run("runc")
}

#[test]
fn a_daemon_that_does_not_run_is_a_row_that_says_how_to_have_one() {
    let run = Isobench::run().quick().experiments("startup");
    let finished = run
        .targets("process,docker,containerd")
        .environment("DOCKER_HOST", "unix:///no/such.sock")
        .environment("CONTAINERD_ADDRESS", "/no/such.sock")
        .succeeds();
    let targets = finished.results().targets.iter();
    for target in targets.filter(|target| target.name != "process") {
        let why = target.unavailable.as_ref().unwrap();
        if target.version.is_some() && can_start(&target.name) {
            assert!(why.reason.contains("isn't running"), "{}", why.reason);
            assert!(why.fix.contains("--start-daemons"), "{}", why.fix);
        }
    }
    assert!(good(&finished, "process") >= 25 * 4);
}

#[test]
fn a_daemon_that_fails_costs_its_own_row_alone() {
    if !can_start("docker") {
        return;
    }
    let place = Place::new();
    let daemon = fake("echo no disk >&2; exit 1");
    let bin = programs(&place, &[("dockerd", &daemon)]);
    let run = place.run().quick().experiments("startup");
    let finished = run
        .targets("process,docker")
        .options(&["--start-daemons"])
        .environment("PATH", path_with(&bin) + ":/usr/local/bin")
        .succeeds();
    finished.leaves_nothing();
    let mut targets = finished.results().targets.iter();
    let docker = targets.find(|target| target.name == "docker").unwrap();
    let why = docker.unavailable.as_ref().unwrap();
    assert_eq!(why.reason, "dockerd did not start: no disk");
    assert!(good(&finished, "process") >= 25 * 4);
}

#[test]
fn firejail_is_refused_where_it_would_not_isolate_or_not_see_the_run_s_files() {
    if !can_run("firejail") || lacks(Need::Program("unshare")) {
        return;
    }
    let place = Place::new();
    let exec = ["exec", "--target", "firejail", "--", WORKLOAD, "ready"];
    let apart = ["--fork", "--pid", "--mount-proc", ISOBENCH];
    place
        .isobench_at("/usr/bin/unshare", &[&apart[..], &exec].concat())
        .refuses("takes this PID namespace for a sandbox already");
    place
        .isobench(&exec)
        .environment("TMPDIR", "/var/tmp")
        .refuses("set TMPDIR to a directory elsewhere");
}

#[test]
fn podman_in_docker_s_place_is_not_taken_for_docker() {
    let needs = [Need::Program("podman"), Need::Program("docker")];
    if needs.into_iter().any(lacks) || lacks(Need::Root) {
        return;
    }
    let place = Place::new();
    let exec = ["exec", "--target", "docker", "--", WORKLOAD, "ready"];
    // As Debian's package podman-docker has it.
    let shim = "#!/bin/sh\necho 'Emulate Docker' >&2\nexec podman \"$@\"\n".to_owned();
    let path = path_with(&programs(&place, &[("docker", &shim)]));
    place
        .isobench(&exec)
        .environment("PATH", path)
        .refuses("the program `docker` is podman's; take the target podman");
    let socket = format!("unix://{}", place.path("socket").display());
    // podman leaves locks in /dev/shm and a directory in /run.
    let script = "for d in /dev/shm /run; do mount -t tmpfs x $d; done; exec podman \"$@\"";
    let apart = ["--mount", "/bin/sh", "-c", script, "podman"];
    let options = ["--root", "service", "--runroot", "state"];
    let service = ["system", "service", "--time=0", &socket];
    let arguments = [&apart[..], &options, &service].concat();
    let mut service = place.command("unshare", &arguments).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !place.path("socket").exists() {
        assert!(Instant::now() < deadline, "podman has no service");
        std::thread::sleep(Duration::from_millis(50));
    }
    let finished = place
        .isobench(&exec)
        .environment("DOCKER_HOST", socket)
        .ends();
    service.kill().unwrap();
    service.wait().unwrap();
    finished.is_refused_by("isobench", "the daemon that docker reaches is podman's");
}
