//! The parsers of the kernel's files, with texts of real hosts and with any text; and a group's
//! life on this host.

use std::path::Path;

use bytesize::ByteSize;
use isobench_testing::{Need, or_skip};
use proptest::prelude::*;

use super::membership::{parse_memberships, parse_mounts};
use super::memory::statistic;
use super::*;

const V1_MEMBERSHIPS: &str =
    "8:pids:/\n4:memory:/work/x:y\n3:cpu,cpuacct:/\n1:name=systemd:/\n0::/u\n";
const MOUNTS: &str = "\
23 1 254:0 / / rw - ext4 /dev/vda rw
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
39 31 0:36 /a /sys/fs/cgroup/my\\040pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
";

#[test]
fn memberships_are_read() {
    let found = parse_memberships(V1_MEMBERSHIPS);
    assert_eq!(found.len(), 5);
    assert_eq!(found[1].controllers, ["memory"]);
    assert_eq!(found[1].path, Path::new("/work/x:y"));
    assert_eq!(found[2].controllers, ["cpu", "cpuacct"]);
    assert!(found[4].controllers.is_empty());
}

#[test]
fn cgroup_mounts_are_found() {
    let found = parse_mounts(MOUNTS);
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].version, Version::V1);
    assert_eq!(found[0].options, ["rw", "memory"]);
    assert_eq!(found[1].point, Path::new("/sys/fs/cgroup/my pids"));
    assert_eq!(
        found[1].directory(Path::new("/a/b")),
        Some(Path::new("/sys/fs/cgroup/my pids/b").into())
    );
    assert_eq!(found[2].version, Version::V2);
}

#[test]
fn a_statistic_is_looked_up_by_its_whole_name() {
    let text = "cache 1\ntotal_cache 2\nrss 3\n";
    assert_eq!(statistic(text, "cache"), Some(1));
    assert_eq!(statistic(text, "total_cache"), Some(2));
    assert_eq!(statistic(text, "total"), None);
}

#[test]
fn a_directory_outside_of_cgroup_file_systems_is_no_cgroup() {
    let directory = tempfile::tempdir().unwrap();
    let error = Cgroup::create(directory.path().join("x")).unwrap_err();
    assert!(matches!(error, CgroupError::NotACgroup { .. }), "{error}");
}

/// Makes a group. `None` if this host doesn't allow that.
fn group(name: &str) -> Option<Group> {
    let hierarchies = Hierarchies::detect().unwrap();
    for controller in [Controller::Memory, Controller::Pids] {
        or_skip(Need::Cgroup, hierarchies.of(controller))?;
    }
    Some(
        Group::create(
            &hierarchies,
            &format!("isobench-test-{name}-{}", std::process::id()),
        )
        .unwrap(),
    )
}

#[test]
fn a_group_charges_kills_and_goes_away() {
    let Some(group) = group("life") else { return };
    let mut sleeper = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .unwrap();
    let pid = nix::unistd::Pid::from_raw(sleeper.id().try_into().unwrap());
    let memory = group.memory().unwrap();
    memory.join(pid).unwrap();
    assert_eq!(memory.processes().unwrap(), [pid]);
    let charge = group.memory_charge().unwrap();
    assert!(charge.usage < ByteSize::gib(1), "{charge:?}");
    memory.kill_all().unwrap();
    sleeper.wait().unwrap();
    let path = memory.path().to_owned();
    group.remove().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_group_left_behind_is_swept_with_the_groups_below() {
    let Some(group) = group("sweep") else { return };
    let below: Vec<_> = group.below("limits");
    for path in &below {
        std::fs::create_dir(path).unwrap();
    }
    std::mem::forget(group);
    let prefix = format!("isobench-test-sweep-{}", std::process::id());
    let swept = Group::sweep(&Hierarchies::detect().unwrap(), |path| {
        let name = path.file_name()?.to_str()?;
        name.starts_with(&prefix).then_some(())
    })
    .unwrap();
    assert_eq!(swept, below.len());
    assert!(below.iter().all(|path| !path.exists()));
}

proptest! {
    #[test]
    fn any_text_is_parsed_without_panic(text: String) {
        let _ = parse_memberships(&text);
        let _ = parse_mounts(&text);
        let _ = statistic(&text, "anon");
    }

    #[test]
    fn any_mount_line_is_parsed_without_panic(root in "\\PC*", point in "\\PC*") {
        let line = format!("1 2 0:3 {root} {point} rw - cgroup2 cgroup2 rw");
        let _ = parse_mounts(&line);
    }
}
