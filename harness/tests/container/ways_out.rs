//! A program can't reach the host by descriptors, links or PID 1, and can't get privileges.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use isobench_container::{Config, Container, NoObserver, Spec};
use isobench_testing::{Need, lacks, skip};
use nix::libc;

use super::inside::{self, ways_out};
use super::support::ended::Ended;
use super::{Fixture, LAUNCHER, as_nobody, fixture, lines, text};

/// A descriptor far above those that a launcher opens.
const LEAKED: libc::c_int = 77;

/// Has `command` inherit the host's root directory as descriptor [`LEAKED`].
fn leak_the_root(command: &mut Command) {
    let leak = || {
        // SAFETY: a null-terminated path, and plain integers.
        unsafe {
            let root = libc::open(c"/".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY);
            if root < 0 || libc::dup2(root, LEAKED) < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: it makes system calls only.
    unsafe { command.pre_exec(leak) };
}

#[test]
fn only_the_standard_descriptors_get_in() {
    let Some(fixture) = fixture() else { return };
    let mut command = fixture.command(&[], "list /proc/self/fd");
    leak_the_root(&mut command);
    // The fourth is the directory that is listed.
    assert_eq!(lines(&Ended::of(&mut command)), ["0", "1", "2", "3"]);
}

#[test]
fn an_inherited_directory_is_no_place_to_start_in() {
    let Some(fixture) = fixture() else { return };
    for path in [
        format!("/proc/self/fd/{LEAKED}"),
        format!("/dev/fd/{LEAKED}/tmp"),
    ] {
        let mut command = fixture.command(&["--workdir", &path], "list .");
        leak_the_root(&mut command);
        let ended = Ended::of(&mut command);
        ended.has_code(125).says("cannot start in");
    }
    let program = format!("/proc/self/fd/{LEAKED}/bin/sh");
    let mut command = fixture.launcher(&["--", &program]);
    leak_the_root(&mut command);
    Ended::of(&mut command).has_code(125);
}

#[test]
fn a_working_directory_that_leads_out_is_refused() {
    let Some(fixture) = fixture() else { return };
    // The library leaves this test's descriptors open until the container's program is executed.
    let root = File::open("/").unwrap();
    let spec = Spec {
        layers: vec![fixture.path("layer")],
        working_directory: Some(format!("/proc/self/fd/{}", root.as_raw_fd()).into()),
        program: "/program".into(),
        ..Spec::default()
    };
    let error = Container::new(Config::new(spec).unwrap())
        .launch(&NoObserver)
        .map(drop)
        .unwrap_err();
    assert!(
        error.to_string().contains("leads out of the container"),
        "{error}"
    );
}

#[test]
fn no_descriptor_of_the_launchers_is_a_place_to_start_in() {
    let Some(fixture) = fixture() else { return };
    let cgroup = super::limits::unified()
        .map(|directory| directory.join(format!("isobench-test-out-{}", std::process::id())));
    let mut flags = vec!["--bind", "/:/bound"];
    if let Some(cgroup) = &cgroup {
        flags.extend(["--cgroup", text(cgroup)]);
    }
    for number in 3..20 {
        let path = format!("/proc/self/fd/{number}");
        let flags = [&flags[..], &["--workdir", &path]].concat();
        let ended = fixture.ends(&flags, "nothing");
        assert_eq!(ended.code, Some(125), "descriptor {number}");
    }
}

#[test]
fn every_link_leads_to_the_containers_root() {
    let Some(fixture) = fixture() else { return };
    let mut targets = fixture.report(&[], "links");
    targets.sort();
    targets.dedup();
    // The directory of descriptors is open while it is listed.
    targets.retain(|target| !target.starts_with("/proc"));
    assert_eq!(targets, ["/"]);
}

#[test]
fn pid_1_is_out_of_reach() {
    let Some(fixture) = fixture() else { return };
    let check = |seen: Vec<String>| {
        assert_eq!(seen.len(), ways_out::OF_PID_1.len() + 2);
        for line in seen {
            let error: i32 = line.rsplit(' ').next().unwrap().parse().unwrap();
            assert!([libc::EACCES, libc::EPERM].contains(&error), "{line}");
        }
    };
    check(fixture.report(&[], "pid-1"));
    let mut command = fixture.command(&[], "pid-1");
    if as_nobody(&mut command) {
        check(lines(&Ended::of(&mut command)));
    }
}

#[test]
fn the_launcher_is_not_the_programs_to_change() {
    let Some(fixture) = fixture() else { return };
    // This script runs the launcher in the container, where a program could write to it
    // (CVE-2019-5736).
    let script = fixture.path("layer/script");
    fs::write(&script, "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let before = fs::read(LAUNCHER).unwrap();
    let ended = Ended::of(&mut fixture.launcher(&["--", "/script"]));
    assert_ne!(ended.code, Some(0), "{ended:?}");
    assert!(fs::read(LAUNCHER).unwrap() == before);
}

/// Gives the file `path` the capability `CAP_SYS_ADMIN`, as setcap(8) does. False if this user
/// can't, or the file system has none.
fn give_capability(path: &Path) -> bool {
    // struct vfs_cap_data, version 2, effective: permitted and inheritable, low and high.
    let words: [u32; 5] = [0x0200_0001, 1 << 21, 0, 0, 0];
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    let name = c"security.capability";
    // SAFETY: null-terminated strings, and a buffer with its size.
    let result = unsafe {
        libc::setxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    result == 0
}

#[test]
fn a_set_user_id_file_and_a_files_capabilities_give_nothing() {
    let Some(fixture) = fixture() else { return };
    // Only root can make such files.
    if lacks(Need::Root) {
        return;
    }
    let program = fixture.path("layer/set-user-id");
    fs::copy(fixture.path("layer/program"), &program).unwrap();
    // User 7 of the container.
    chown(&program, Some(100_007), Some(100_007)).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
    if !give_capability(&program) {
        let why = format!("{} can't have capabilities", program.display());
        skip(Need::FileCapabilities, why);
        return;
    }
    let mut command = fixture.launcher(&["--env", &format!("{}=status", inside::TASK)]);
    command.args([
        "--",
        "/set-user-id",
        "--exact",
        "inside::inside",
        "--ignored",
        "--nocapture",
    ]);
    let status = lines(&Ended::of(&mut command));
    for line in [
        "Uid:\t0\t0\t0\t0",
        "Gid:\t0\t0\t0\t0",
        "CapEff:\t0000000000000000",
    ] {
        assert!(
            status.iter().any(|found| found == line),
            "{line}: {status:?}"
        );
    }
}

#[test]
fn a_bind_on_a_link_is_nowhere_else() {
    let Some(fixture) = fixture() else { return };
    let (outside, shared) = (fixture.path("outside"), fixture.path("shared"));
    for directory in [&outside, &shared] {
        fs::create_dir(directory).unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::write(outside.join("file"), "the host's").unwrap();
    for (name, target) in [
        ("absolute", text(&outside)),
        ("upwards", "../../../../../../tmp"),
    ] {
        symlink(target, fixture.path("layer").join(name)).unwrap();
        let bind = format!("{}:/{name}", text(&shared));
        // The bind is refused or mounted inside. The host sees nothing of it.
        fixture.ends(&["--bind", &bind], "nothing");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(text(&fixture.path(""))), "{mounts}");
    assert_eq!(Fixture::names(&shared), [""; 0]);
}
