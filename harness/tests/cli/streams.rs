//! Standard streams that can't be written to: full, closed, or with a reader that has gone away.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use isobench_testing::{Need, lacks};

use isobench_reports::FORMATS;

use crate::support::ended::Ended;
use crate::support::isobench::{ISOBENCH, WORKLOAD};
use crate::support::place::Place;
use crate::support::results::{results, some_results};
use crate::support::traces::entries;

/// A run of a moment.
pub const RUN: [&str; 7] = [
    "run",
    "--profile",
    "quick",
    "--targets",
    "process",
    "--experiments",
    "startup",
];

/// Every command that prints something, in every format.
fn commands() -> Vec<Vec<&'static str>> {
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["--version"],
        vec!["--help"],
        vec!["-h"],
        vec!["run", "--help"],
        vec!["image", "import", "--help"],
        vec!["doctor", "--target", "process"],
        vec!["doctor", "--target", "process", "--json"],
        vec!["report", "some.json"],
        vec!["compare", "some.json", "some.json"],
        vec!["schema"],
        vec!["image", "ls"],
        vec!["image", "ls", "--json"],
        [
            &["time", "--runs", "1", "--targets", "process", "--"],
            &[WORKLOAD, "ready"][..],
        ]
        .concat(),
        RUN.to_vec(),
    ];
    let names = || FORMATS.iter().map(|format| format.name);
    for format in std::iter::once("table").chain(names()) {
        commands.push(vec!["report", "some.json", "--format", format]);
    }
    for format in names().filter(|name| *name != "openmetrics") {
        commands.push(vec![
            "compare",
            "some.json",
            "some.json",
            "--format",
            format,
        ]);
    }
    commands.push([&RUN[..], &["--format", "csv"]].concat());
    commands
}

/// The place's `isobench`, started by a shell that redirects its streams.
fn redirected(place: &Place, redirections: &str, arguments: &[&str]) -> Command {
    let script = format!("exec \"$0\" \"$@\" {redirections}");
    let shell = ["-c", &script, ISOBENCH];
    place.command("sh", &[&shell[..], arguments].concat())
}

/// A file that is always full.
fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

#[test]
fn a_full_standard_output_is_one_message_and_exit_code_1_for_every_command() {
    const MESSAGE: &str =
        "isobench: cannot write to standard output: No space left on device (os error 28)";
    let place = some_results();
    for arguments in commands() {
        let ended = Ended::of(place.command(ISOBENCH, &arguments).stdout(full()));
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
        let faults = ended
            .stderr
            .lines()
            .filter(|line| line.starts_with("isobench: "));
        assert_eq!(
            faults.collect::<Vec<_>>(),
            [MESSAGE],
            "{arguments:?}: {ended:?}"
        );
        assert!(
            !ended.stderr.contains("panicked"),
            "{arguments:?}: {ended:?}"
        );
        let _ = fs::remove_file(place.path("report.html"));
    }
}

#[test]
fn a_reader_that_has_gone_away_is_no_failure() {
    let place = some_results();
    for arguments in commands() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = Ended::of(place.command(ISOBENCH, &arguments).stdout(writer));
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        assert!(
            !ended.stderr.contains("isobench: "),
            "{arguments:?}: {ended:?}"
        );
        let _ = fs::remove_file(place.path("report.html"));
    }
}

#[test]
fn a_full_or_closed_standard_error_changes_no_exit_code() {
    let place = some_results();
    let missing = ["report", "missing.json"];
    let unknown = ["--no-such-option"];
    let exec = ["exec", "--target", "process", "--", WORKLOAD, "ready"];
    let no_program = ["exec", "--target", "process", "--", "/missing"];
    let figures = [&RUN[..], &["--format", "csv"]].concat();
    let cases: [(&[&str], i32); 6] = [
        (&missing, 2),
        (&unknown, 2),
        (&exec, 0),
        (&no_program, 2),
        (&RUN, 0),
        (&figures, 0),
    ];
    for (arguments, code) in cases {
        for redirections in ["2>/dev/full", "2>&-"] {
            let ended = Ended::of(&mut redirected(&place, redirections, arguments));
            assert_eq!(
                ended.code,
                Some(code),
                "{redirections} {arguments:?}: {ended:?}"
            );
        }
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = Ended::of(place.command(ISOBENCH, &missing).stderr(writer));
    ended.has_code(2);
}

#[test]
fn a_launcher_s_exit_code_is_the_same_whether_or_not_it_can_speak() {
    let place = Place::new();
    for launcher in [
        env!("CARGO_BIN_EXE_isobench-container"),
        env!("CARGO_BIN_EXE_isobench-vmm"),
        env!("CARGO_BIN_EXE_isobench-floor"),
        env!("CARGO_BIN_EXE_isobench-tracer"),
        WORKLOAD,
    ] {
        let ended = Ended::of(
            place
                .command(launcher, &["--no-such-option"])
                .stderr(full()),
        );
        assert_eq!(ended.code, Some(2), "{launcher}: {ended:?}");
    }
    for word in ["--help", "probe"] {
        let vmm = env!("CARGO_BIN_EXE_isobench-vmm");
        let ended = Ended::of(place.command(vmm, &[word]).stdout(full()));
        assert!(matches!(ended.code, Some(1 | 125)), "{word}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{word}: {ended:?}");
    }
}

#[test]
fn no_file_of_a_run_takes_the_place_of_a_closed_stream() {
    let place = some_results();
    let run = [&RUN[..], &["--out", "out"]].concat();
    let ended = Ended::of(&mut redirected(&place, "<&- >&- 2>&-", &run));
    ended.has_code(0);
    assert!(!results(&place, "out").samples.is_empty());
    assert!(
        place
            .read("out/results.csv")
            .starts_with("target,experiment,")
    );
    let report = ["report", "some.json", "--out", "drawn.html"];
    let ended = Ended::of(&mut redirected(&place, "<&- >&- 2>&-", &report));
    ended.has_code(0);
    let drawn = place.read("drawn.html");
    assert!(drawn.to_lowercase().starts_with("<!doctype html>"));
    assert!(drawn.trim_end().ends_with("</html>"));
}

/// Runs `isobench` beside a file system of a few pages, `tiny`, and lists what is left in it.
fn with_a_tiny_disk(place: &Place, size: &str, arguments: &[&str]) -> Ended {
    let script = format!(
        "mkdir -p tiny && mount -t tmpfs -o size={size} tmpfs tiny || exit 99
        \"$0\" \"$@\"; code=$?; find tiny -mindepth 1 | sed 's/^/left: /'; exit $code"
    );
    let unshare = [
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        &script,
        ISOBENCH,
    ];
    Ended::of(&mut place.command("unshare", &[&unshare[..], arguments].concat()))
}

#[test]
fn a_full_disk_is_one_message_and_leaves_no_part_of_a_file() {
    if lacks(Need::Root) || lacks(Need::Program("unshare")) {
        return;
    }
    let place = some_results();
    let run = [&RUN[..], &["--out", "tiny/out"]].concat();
    for arguments in [
        &["report", "some.json", "--out", "tiny/report.html"][..],
        &run,
    ] {
        let ended = with_a_tiny_disk(&place, "4k", arguments);
        ended.has_code(1).says("No space left on device");
        let faults = ended
            .stderr
            .lines()
            .filter(|line| line.starts_with("isobench: "));
        assert_eq!(faults.count(), 1, "{ended:?}");
        assert!(!ended.stdout.contains("left: "), "{arguments:?}: {ended:?}");
    }
    assert_eq!(
        entries(&place.path("tmp")),
        [""; 0].map(std::path::PathBuf::from)
    );
}

#[test]
fn what_a_program_writes_to_a_full_stream_is_its_own_matter() {
    let place = Place::new();
    let exec = ["exec", "--target", "process", "--", WORKLOAD, "ready"];
    let mut command = place.command(ISOBENCH, &exec);
    let ended = Ended::of(command.stdout(full()).stdin(Stdio::null()));
    ended.has_code(1).says("isobench-workload: ");
}
