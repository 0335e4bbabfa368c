//! What stands on a terminal, and what in a pipe: colours, and lines as wide as there is room.

use std::fs::File;
use std::io::Read as _;
use std::process::Command;

use nix::pty::{Winsize, openpty};

use crate::streams::RUN;
use crate::support::ended::Ended;
use crate::support::isobench::ISOBENCH;
use crate::support::place::Place;
use crate::support::results::some_results;

/// What says whether a program uses colours.
const VARIABLES: [&str; 5] = ["TERM", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"];

/// `isobench` with an environment in which only these variables speak of colours.
fn isobench(place: &Place, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = place.command(ISOBENCH, arguments);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.envs(environment.iter().copied());
    command
}

/// What a command prints on a terminal of so many columns, which must succeed.
#[track_caller]
fn on_terminal(mut command: Command, columns: u16) -> String {
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let terminal = openpty(&size, None).unwrap();
    let mut child = command.stdout(terminal.slave).spawn().unwrap();
    // The terminal's other end is closed once nobody holds it any more.
    drop(command);
    let mut printed = Vec::new();
    let end = File::from(terminal.master).read_to_end(&mut printed);
    assert_eq!(end.unwrap_err().raw_os_error(), Some(libc::EIO));
    assert!(child.wait().unwrap().success());
    String::from_utf8(printed).unwrap().replace("\r\n", "\n")
}

/// Variables and options, and whether text is then styled.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], bool);

const TABLE: [&str; 4] = ["report", "some.json", "--format", "table"];
const ALWAYS: [&str; 2] = ["--color", "always"];
const NEVER: [&str; 2] = ["--color", "never"];

#[test]
fn a_terminal_has_colours_unless_the_environment_or_the_user_says_no() {
    let place = some_results();
    let xterm = ("TERM", "xterm");
    let cases: [Case; 9] = [
        (&[xterm], &[], true),
        (&[xterm, ("NO_COLOR", "")], &[], true),
        (&[xterm, ("NO_COLOR", "1")], &[], false),
        (&[xterm, ("CLICOLOR", "0")], &[], false),
        (&[("TERM", "dumb")], &[], false),
        (&[], &[], false),
        (&[xterm], &NEVER, false),
        (&[xterm, ("NO_COLOR", "1")], &ALWAYS, true),
        (&[("TERM", "dumb")], &ALWAYS, true),
    ];
    for (environment, options, expected) in cases {
        for command in [&TABLE[..], &["--help"]] {
            let arguments = [command, options].concat();
            let text = on_terminal(isobench(&place, &arguments, environment), 80);
            let is_styled = text.contains("\u{1b}[1m");
            assert_eq!(is_styled, expected, "{arguments:?} {environment:?}: {text}");
        }
    }
}

#[test]
fn a_pipe_has_colours_only_if_they_are_asked_for() {
    let place = some_results();
    let force = ("CLICOLOR_FORCE", "1");
    let cases: [Case; 6] = [
        (&[("TERM", "xterm")], &[], false),
        (&[force], &[], true),
        (&[force, ("NO_COLOR", "1")], &[], false),
        (&[force], &NEVER, false),
        (&[], &ALWAYS, true),
        (&[("NO_COLOR", "1")], &ALWAYS, true),
    ];
    for (environment, options, expected) in cases {
        for command in [&TABLE[..], &["--help"], &["--no-such-option"]] {
            let arguments = [options, command].concat();
            let ended = Ended::of(&mut isobench(&place, &arguments, environment));
            let text = ended.stdout + &ended.stderr;
            let is_styled = text.contains("\u{1b}[1m");
            assert_eq!(is_styled, expected, "{arguments:?} {environment:?}: {text}");
        }
    }
    let arguments = ["compare", "some.json", "some.json", "--color", "always"];
    let ended = Ended::of(&mut isobench(&place, &arguments, &[("NO_COLOR", "1")]));
    ended.has_code(0).prints("\u{1b}[38;5;");
}

#[test]
fn lines_fit_a_narrow_terminal_and_a_terminal_without_a_size_has_80_columns() {
    let place = some_results();
    for command in [
        &TABLE[..],
        &["compare", "some.json", "some.json"],
        &["doctor", "--target", "process"],
        &["image", "ls"],
    ] {
        for (columns, widest) in [(0, 80), (1, 20), (20, 20), (40, 40), (79, 79)] {
            let text = on_terminal(isobench(&place, command, &[]), columns);
            assert!(!text.is_empty(), "{command:?}");
            for line in text.lines() {
                let width = line.chars().count();
                assert!(width <= widest, "{command:?} at {columns}: {line}\n{text}");
            }
        }
    }
}

#[test]
fn a_run_ends_with_its_screen_on_any_terminal() {
    let place = Place::new();
    for columns in [0, 1, 20, 40] {
        let out = format!("out-{columns}");
        let arguments = [&RUN[..], &["--out", &out]].concat();
        let mut command = isobench(&place, &arguments, &[("TERM", "dumb")]);
        command.stderr(std::process::Stdio::null());
        let text = on_terminal(command, columns);
        assert!(
            text.lines().any(|line| line.starts_with("process ")),
            "{text}"
        );
        assert!(
            text.contains(&format!("report: {out}/report.html")),
            "{text}"
        );
    }
}
