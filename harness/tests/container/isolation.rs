//! What a program in a container can see and do.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use isobench_testing::{Need, lacks, skip};

use super::support::ended::Ended;
use super::{Fixture, as_nobody, fixture, inside, lines, text};

fn field<'a>(status: &'a [String], name: &str) -> &'a str {
    let line = status
        .iter()
        .find_map(|line| line.strip_prefix(name))
        .unwrap();
    line.trim_start_matches(':').trim()
}

#[test]
fn no_privilege_is_left() {
    let Some(fixture) = fixture() else { return };
    let status = fixture.report(&[], "status");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
    assert_eq!(field(&status, "NoNewPrivs"), "1");
    assert_eq!(field(&status, "Seccomp"), "2");
    assert_eq!(field(&status, "Uid"), "0\t0\t0\t0");
    assert_eq!(field(&status, "SigBlk"), "0000000000000000");
}

#[test]
fn the_host_is_out_of_sight() {
    let Some(fixture) = fixture() else { return };
    for root in ["overlay", "binds"] {
        let flags = ["--root", root];
        assert_eq!(
            fixture.report(&flags, "list /"),
            ["dev", "proc", "program"],
            "{root}"
        );
        for way_out in ["/..", "/dev/../..", "/proc/self/root"] {
            let seen = fixture.report(&flags, &format!("list {way_out}"));
            assert_eq!(seen, ["dev", "proc", "program"], "{root}: {way_out}");
        }
    }
}

#[test]
fn no_mount_of_the_hosts_is_left() {
    let Some(fixture) = fixture() else { return };
    let mounts = fixture.report(&[], "mounts");
    let expected = [
        "/",
        "/dev/full",
        "/dev/null",
        "/dev/random",
        "/dev/tty",
        "/dev/urandom",
        "/dev/zero",
        "/proc",
    ];
    // Which files of /proc are covered depends on the host.
    let others = mounts.iter().filter(|point| !point.starts_with("/proc/"));
    assert_eq!(others.collect::<Vec<_>>(), expected);
}

#[test]
fn dev_has_what_programs_expect_and_no_more() {
    let Some(fixture) = fixture() else { return };
    let names = [
        "fd", "full", "null", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom",
        "zero",
    ];
    assert_eq!(fixture.report(&[], "list /dev"), names);
    let expected = ["zero true", "urandom false", "random false", "28"];
    assert_eq!(fixture.report(&[], "devices"), expected);
}

#[test]
fn an_ordinary_user_gets_everywhere_whatever_the_callers_umask() {
    // Only root can start a container with another user than 0.
    if lacks(Need::Root) {
        return;
    }
    let Some(fixture) = fixture() else { return };
    let task = "write /dev/shm/segment";
    let launcher = fixture.command(&["--user", "1000:1000"], task);
    let mut command = Command::new("sh");
    command.args(["-c", r#"umask 077 && exec "$0" "$@""#]);
    command
        .arg(launcher.get_program())
        .args(launcher.get_args());
    let ended = Ended::of(command.stdin(Stdio::null()));
    ended.has_code(0);
    assert_eq!(lines(&ended), ["true"]);
}

#[test]
fn the_environment_is_what_was_given() {
    let Some(fixture) = fixture() else { return };
    let mut variables = fixture.report(&["--env", "A=b c"], "environment");
    variables.retain(|line| !line.starts_with(inside::TASK));
    assert_eq!(variables, ["A=b c"]);
}

#[test]
fn the_program_starts_where_it_should() {
    let Some(fixture) = fixture() else { return };
    assert_eq!(
        fixture.report(&["--workdir", "/dev"], "link /proc/self/cwd"),
        ["/dev"]
    );
}

#[test]
fn what_is_written_goes_to_the_scratch_and_away() {
    let Some(fixture) = fixture() else { return };
    let scratch = fixture.path("scratch");
    for flags in [
        vec![],
        vec!["--scratch", text(&scratch)],
        vec!["--root", "binds"],
    ] {
        assert_eq!(fixture.report(&flags, "write /new"), ["true"], "{flags:?}");
    }
    assert!(!fixture.path("layer/new").exists());
    assert_eq!(fs::read_dir(scratch).unwrap().count(), 0);
}

#[test]
fn layers_cover_each_other_in_order() {
    let Some(fixture) = fixture() else { return };
    let upper = fixture.path("upper");
    fs::create_dir(&upper).unwrap();
    fs::set_permissions(&upper, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(fixture.path("layer/which"), "lower").unwrap();
    fs::write(upper.join("which"), "upper").unwrap();
    for root in ["overlay", "binds"] {
        let flags = ["--root", root, "--layer", text(&upper)];
        assert_eq!(fixture.report(&flags, "read /which"), ["upper"], "{root}");
    }
}

#[test]
fn binds_are_seen_and_read_only_ones_kept() {
    let Some(fixture) = fixture() else { return };
    let shared = fixture.path("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(shared.join("file"), "content").unwrap();
    let bind = format!("{}:/deep/down", text(&shared));
    assert_eq!(
        fixture.report(&["--bind", &bind], "read /deep/down/file"),
        ["content"]
    );
    assert_eq!(
        fixture.report(&["--bind", &bind], "write /deep/down/new"),
        ["true"]
    );
    assert!(shared.join("new").exists());
    let read_only = format!("{bind}:ro");
    assert_eq!(
        fixture.report(&["--bind", &read_only], "write /deep/down/other"),
        ["false"]
    );
    let file = format!("{}:/the/file", text(&shared.join("file")));
    assert_eq!(
        fixture.report(&["--bind", &file], "read /the/file"),
        ["content"]
    );
}

#[test]
fn a_layers_links_lead_nowhere_else() {
    let Some(fixture) = fixture() else { return };
    let outside = fixture.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o777)).unwrap();
    symlink(&outside, fixture.path("layer/link")).unwrap();
    // The links stand where /proc and /dev belong, too.
    symlink(&outside, fixture.path("layer/proc")).unwrap();
    symlink(&outside, fixture.path("layer/dev")).unwrap();
    let bind = format!("{}:/link/made", text(&fixture.path("scratch")));
    // The link's target isn't in the container, so there is no place for the bind.
    fixture.ends(&["--bind", &bind], "nothing").has_code(125);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(fixture.report(&[], "link /proc/self/exe"), ["/program"]);
}

#[test]
fn layers_behind_closed_doors_are_reached_by_root() {
    if lacks(Need::Root) {
        return;
    }
    let Some(fixture) = fixture() else { return };
    let closed = fixture.path("closed");
    fs::create_dir_all(closed.join("upper")).unwrap();
    fs::write(closed.join("upper/file"), "found").unwrap();
    fs::set_permissions(closed.join("upper"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let upper = closed.join("upper");
    assert_eq!(
        fixture.report(&["--layer", text(&upper)], "read /file"),
        ["found"]
    );
}

#[test]
fn orphans_are_reaped() {
    let Some(fixture) = fixture() else { return };
    assert_eq!(fixture.report(&[], "orphan"), ["1", "0"]);
}

#[test]
fn an_ordinary_user_gets_a_container_too() {
    let fixture = Fixture::new();
    let scratch = fixture.path("scratch");
    for flags in [
        vec![],
        vec!["--root", "binds"],
        vec!["--scratch", text(&scratch)],
    ] {
        let mut command = fixture.command(&flags, "status");
        if !as_nobody(&mut command) {
            return;
        }
        let ended = Ended::of(&mut command);
        if ended.stderr.contains("user namespaces are forbidden") {
            skip(Need::UserNamespaces, ended.stderr);
            return;
        }
        ended.has_code(0);
        let status = lines(&ended);
        assert_eq!(field(&status, "Uid"), "0\t0\t0\t0");
        assert_eq!(field(&status, "CapBnd"), "0000000000000000");
        assert_eq!(field(&status, "Seccomp"), "2");
    }
    assert_eq!(fs::read_dir(scratch).unwrap().count(), 0);
}

#[test]
fn relative_paths_are_the_callers_for_an_ordinary_user_too() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("more")).unwrap();
    fs::write(fixture.path("more/file"), "here").unwrap();
    let flags = ["--layer", "more", "--bind", "more/file:/bound:ro"];
    for name in ["/file", "/bound"] {
        let mut command = fixture.command(&flags, &format!("read {name}"));
        command.current_dir(fixture.path(""));
        if !as_nobody(&mut command) {
            return;
        }
        let ended = Ended::of(&mut command);
        if ended.stderr.contains("user namespaces are forbidden") {
            skip(Need::UserNamespaces, ended.stderr);
            return;
        }
        assert_eq!(lines(&ended), ["here"], "{ended:?}");
    }
}
