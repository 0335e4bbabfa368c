//! `isobench exec`: a program's streams and exit code pass through, in every target.

mod descriptors;
mod endings;
mod limits;
mod memory;
mod names;
mod signals;
mod stops;
mod terminal;
mod terminals;

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use isobench_testing::{Need, compile_c, skip};

use crate::support::ended::Ended;
use crate::support::isobench::{ISOBENCH, Isobench, WORKLOAD};
use crate::support::needs::can_run;
use crate::support::place::Place;

const RUNGS: [&str; 3] = ["process", "container", "microvm-bare"];

#[test]
fn the_ready_line_and_the_exit_code_pass_through() {
    for target in RUNGS {
        if !can_run(target) {
            continue;
        }
        let ready = Isobench::exec(target)
            .program(&[WORKLOAD, "ready"])
            .succeeds();
        assert_eq!(ready.stdout, "isobench/1 ready\n", "{target}");
        ready.leaves_nothing();
        let nonsense = Isobench::exec(target)
            .program(&[WORKLOAD, "nonsense"])
            .ends();
        nonsense.leaves_nothing().has_code(2).says("nonsense");
    }
}

#[test]
fn standard_input_reaches_the_program() {
    for target in RUNGS {
        if !can_run(target) {
            continue;
        }
        let exec = Isobench::exec(target).program(&[WORKLOAD, "idle", "--touch", "1MiB"]);
        let mut running = exec.starts_with_input();
        let mut stdin = running.child.stdin.take().unwrap();
        stdin.write_all(b"some text").unwrap();
        let end = running.child.try_wait().unwrap();
        assert_eq!(end, None, "{target} ended before its standard input");
        drop(stdin);
        let finished = running.ends();
        finished.leaves_nothing().has_code(0);
        assert_eq!(finished.stdout, "isobench/1 ready\n", "{target}");
    }
}

#[test]
fn a_disk_is_found_where_the_target_has_it() {
    for (target, path) in [
        ("process", "disk"),
        ("container", "/disk"),
        ("microvm-bare", "/dev/vda"),
    ] {
        if !can_run(target) {
            continue;
        }
        let place = Place::new();
        place.write("disk", vec![7_u8; 1 << 20]);
        let exec = place.isobench(&["exec", "--target", target, "--disk", "disk"]);
        let reader = [WORKLOAD, "disk", "--op", "seq-read", "--path", path];
        let size = ["--block", "64KiB", "--bytes", "1MiB"];
        let finished = exec.program(&reader).options(&size).succeeds();
        finished.prints("end operations=16 bytes=1048576");
    }
}

/// Targets that take a disk, with the disk's path inside.
const DISKS: [(&str, &str); 12] = [
    ("container", "/disk"),
    ("microvm-bare", "/dev/vda"),
    ("bwrap", "/disk"),
    ("bwrap-0.11", "/disk"),
    ("nsjail", "/disk"),
    ("crun", "/disk"),
    ("lxc", "/disk"),
    ("podman", "/disk"),
    ("runc", "/disk"),
    ("runsc", "/disk"),
    ("systemd-nspawn", "/disk"),
    ("firejail", "/srv/disk"),
];

#[test]
fn a_disk_may_have_any_name() {
    let place = Place::new();
    for (target, path) in DISKS.into_iter().filter(|(target, _)| can_run(target)) {
        let name = match target {
            // Firejail refuses the others by itself, and names them.
            "firejail" => "2026-01-01T10:00 a",
            _ => r#"a:b,c d\e"f'ü"#,
        };
        place.write(name, [7; 512]);
        let exec = place.isobench(&["exec", "--target", target, "--disk", name]);
        let exec = exec.program(&[WORKLOAD, "disk", "--op", "seq-read", "--path", path]);
        let finished = exec
            .options(&["--block", "512B", "--bytes", "512B"])
            .succeeds();
        finished.leaves_nothing().prints("bytes=512");
    }
}

#[test]
fn sizes_are_those_of_docker_and_are_rounded() {
    const SOURCE: &str = r#"
        #include <stdio.h>
        #include <sys/sysinfo.h>
        int main(void) {
            struct sysinfo found;
            sysinfo(&found);
            printf("%lu\n", found.totalram * found.mem_unit);
        }"#;
    let place = Place::new();
    if !compile_c(&place.path("program"), SOURCE, &["-static"]) || !can_run("microvm-bare") {
        return;
    }
    for (size, bytes) in [
        ("64M", "67108864\n"),
        ("64m", "67108864\n"),
        ("64MB", "64000000\n"),
        ("60000001", "59998208\n"),
    ] {
        let exec = ["exec", "--target", "microvm-bare", "--memory", size];
        let ended = place.isobench(&exec).program(&["./program"]).succeeds();
        assert_eq!(ended.stdout, bytes, "{size}");
    }
    let exec = ["exec", "--target", "container", "--memory", "64X"];
    let refused = place.isobench(&exec).program(&["./program"]).ends();
    refused.has_code(2).says("such as 64M");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut doctor = place.command(ISOBENCH, &["doctor"]);
    doctor.stdout(writer).stderr(Stdio::piped());
    let child = doctor.spawn().unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    ended.has_code(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn limits_are_held_where_they_can_be_and_refused_where_not() {
    let burn = [WORKLOAD, "cpu", "--iterations", "1000"];
    let exec = |target, options: &[&str]| Isobench::exec(target).options(options).program(&burn);
    exec("process", &["--cpus", "1"]).refuses("process has no --cpus");
    exec("process", &["--usage"]).refuses("process has no --usage");
    if !can_run("container") {
        return;
    }
    let limited = exec("container", &["--cpus", "0.5", "--pids", "10", "--usage"]).ends();
    limited.leaves_nothing();
    if limited.stderr.contains("needs a cgroup") {
        skip(Need::Cgroup, &limited.stderr);
        return;
    }
    limited.has_code(0).says("of CPU time");
    let refused = exec("container", &["--io-read-bps", "/proc:1MiB"]).ends();
    refused
        .leaves_nothing()
        .has_code(2)
        .says("on no single block device");
}

#[test]
fn a_crate_whose_tests_start_isobench_is_not_built() {
    for build_script in [false, true] {
        let place = Place::new();
        let manifest = "[package]\nname = \"other\"\nversion = \"0.1.0\"\n[workspace]\n";
        place.write("Cargo.toml", manifest);
        fs::create_dir(place.path("src")).unwrap();
        place.write("src/main.rs", "this is no Rust");
        if build_script {
            place.write(
                "build.rs",
                "fn main() { std::fs::write(\"was-run\", \"\").unwrap(); }",
            );
        }
        let beside = |command: Isobench| {
            command
                .environment("CARGO", env!("CARGO"))
                .environment("CARGO_MANIFEST_DIR", place.directory())
        };
        let exec = place.isobench(&["exec", "--target", "process"]);
        let finished = beside(exec.program(&[WORKLOAD, "ready"])).succeeds();
        assert_eq!(finished.stdout, "isobench/1 ready\n");
        beside(place.isobench(&["doctor"])).succeeds();
        for made in ["target", "Cargo.lock", "was-run"] {
            assert!(!place.path(made).exists(), "{made}");
        }
    }
}

#[test]
fn under_cargo_run_the_launchers_are_built_first() {
    Isobench::exec("process")
        .program(&[WORKLOAD, "ready"])
        .environment("CARGO", "/bin/false")
        .environment("CARGO_MANIFEST_DIR", env!("CARGO_MANIFEST_DIR"))
        .ends()
        .says("cannot build the launchers");
}
