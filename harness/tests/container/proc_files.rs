//! /proc and /sys show nothing that the OCI runtimes cover, and no setting of the host can be
//! written there.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use isobench_testing::{Need, lacks};
use nix::libc;

use super::support::ended::Ended;
use super::{Fixture, as_nobody, fixture, lines};

/// Takes `CAP_SETUID` from the program that `command` starts. Then user 0 of the container is the
/// host's.
fn without_ids(command: &mut Command) {
    const SETUID: libc::c_ulong = 7;
    let drop = || {
        // SAFETY: plain integers.
        match unsafe { libc::prctl(libc::PR_CAPBSET_DROP, SETUID, 0, 0, 0) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: one system call.
    unsafe { command.pre_exec(drop) };
}

/// Does `task` in a container of a root that may not map ids.
fn as_the_hosts_root(fixture: &Fixture, task: &str) -> Option<Vec<String>> {
    if lacks(Need::Root) {
        return None;
    }
    let mut command = fixture.command(&[], task);
    without_ids(&mut command);
    let ended = Ended::of(&mut command);
    ended.has_code(0);
    Some(lines(&ended))
}

#[test]
fn nothing_that_the_oci_runtimes_cover_can_be_read() {
    let Some(fixture) = fixture() else { return };
    for root in ["overlay", "binds"] {
        assert_eq!(fixture.report(&["--root", root], "tell"), [""; 0]);
    }
    let mut command = fixture.command(&[], "tell");
    if as_nobody(&mut command) {
        let ended = Ended::of(&mut command);
        assert_eq!(lines(&ended), [""; 0], "{ended:?}");
    }
}

#[test]
fn a_root_that_may_not_map_ids_gives_nothing_of_proc_away() {
    let Some(fixture) = fixture() else { return };
    let Some(told) = as_the_hosts_root(&fixture, "tell") else {
        return;
    };
    // User 0 of this container is the host's, whom the modes of these files let in.
    let of_root = ["/proc/vmallocinfo", "/proc/slabinfo"];
    let others = told.iter().filter(|path| !of_root.contains(&path.as_str()));
    assert_eq!(others.collect::<Vec<_>>(), [""; 0]);
    assert_eq!(as_the_hosts_root(&fixture, "writable").unwrap(), [""; 0]);
    for device in ["/dev/null", "/proc/keys"] {
        let changed = as_the_hosts_root(&fixture, &format!("chmod {device}"));
        assert_eq!(changed.unwrap(), ["false"], "{device}");
    }
}

#[test]
fn only_settings_of_its_own_namespaces_can_be_written() {
    // Settings of System V IPC, of message queues, of the PID namespace and of the network.
    const OWN: [&str; 9] = [
        "fs/mqueue/",
        "kernel/auto_msgmni",
        "kernel/msg",
        "kernel/ns_last_pid",
        "kernel/pid_max",
        "kernel/sem",
        "kernel/shm",
        "net/",
        "user/",
    ];
    let Some(fixture) = fixture() else { return };
    let setting = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap();
    let before = ["shmmni", "msgmax", "pid_max"].map(setting);
    let mut paths = fixture.report(&[], "writable");
    // A write there only asks that the writer be woken, and ends with the descriptor.
    paths.retain(|path| !path.starts_with("/proc/pressure/"));
    for path in paths {
        let name = path.strip_prefix("/proc/sys/").unwrap_or(&path);
        assert!(OWN.iter().any(|own| name.starts_with(own)), "{path}");
    }
    for name in ["shmmni", "msgmax", "pid_max"] {
        fixture.report(&[], &format!("set /proc/sys/kernel/{name} 400"));
    }
    assert_eq!(["shmmni", "msgmax", "pid_max"].map(setting), before);
}

#[test]
fn there_is_no_sys() {
    let Some(fixture) = fixture() else { return };
    assert!(!fixture.report(&[], "list /").contains(&"sys".to_owned()));
}
