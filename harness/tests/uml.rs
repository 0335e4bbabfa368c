//! The launcher with user-mode Linux, end to end, with each kernel that this host has: isobench's own
//! and Debian's.

#[expect(dead_code, reason = "the tests of isobench itself use the rest")]
mod support;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use isobench::targets::guest::kernel::{self, Architecture};
use isobench_testing::{Need, lacks, skip};
use support::ended::Ended;
use support::needs::can_run;
use tempfile::TempDir;

const LAUNCHER: &str = env!("CARGO_BIN_EXE_isobench-vmm");
const WORKLOAD: &str = env!("CARGO_BIN_EXE_isobench-workload");
/// Where Debian's package puts its kernel.
const DEBIAN: &str = "/usr/bin/linux.uml";

/// The kernels to boot. Empty, with the reason to skip, if none can boot.
fn kernels() -> Vec<PathBuf> {
    if !can_run("uml") {
        return Vec::new();
    }
    let own = kernel::locate(Architecture::Um).map(|kernel| kernel.image);
    let mut kernels: Vec<_> = own.into_iter().collect();
    if Path::new(DEBIAN).exists() && !kernels.iter().any(|kernel| kernel == Path::new(DEBIAN)) {
        kernels.push(DEBIAN.into());
    }
    kernels
}

/// The launcher's command line up to the program.
fn launcher(kernel: &Path, options: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command
        .args(["60", LAUNCHER, "run", "--guest", "uml", "--kernel"])
        .arg(kernel)
        .args(options)
        .arg("--")
        .stdin(Stdio::null());
    command
}

/// The static busybox, if it is installed.
fn busybox() -> Option<PathBuf> {
    let path = PathBuf::from("/bin/busybox");
    if path.exists() {
        return Some(path);
    }
    skip(Need::Program("busybox"), "it is not in /bin");
    None
}

/// A shell in a guest, for each kernel.
fn shells(options: &[&str], script: &str) -> Vec<Command> {
    let Some(busybox) = busybox() else {
        return Vec::new();
    };
    let commands = kernels().into_iter().map(|kernel| {
        let mut command = launcher(&kernel, options);
        command.arg(&busybox).args(["sh", "-c", script]);
        command
    });
    commands.collect()
}

#[test]
fn the_workload_says_ready() {
    for kernel in kernels() {
        let mut command = launcher(&kernel, &[]);
        let ended = Ended::of(command.args([WORKLOAD, "ready"]));
        assert_eq!(ended.stdout, "isobench/1 ready\n", "{}", ended.stderr);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    }
}

#[test]
fn every_exit_code_arrives() {
    for (script, code) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 134", 134),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill -SEGV $$", 139),
        ("kill -ABRT $$", 134),
    ] {
        for mut command in shells(&[], script) {
            assert_eq!(Ended::of(&mut command).code, Some(code), "{script}");
        }
    }
}

#[test]
fn output_and_errors_arrive_apart() {
    for mut command in shells(&[], "echo one; echo two >&2; echo three") {
        let ended = Ended::of(&mut command);
        assert_eq!(ended.stdout, "one\nthree\n");
        assert_eq!(ended.stderr, "two\n");
    }
}

#[test]
fn a_megabyte_comes_back_as_it_was_sent() {
    let sent: Vec<u8> = (0..1_200_003_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for mut command in shells(&[], "cat") {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let mut input = child.stdin.take().unwrap();
        let bytes = sent.clone();
        let writer = thread::spawn(move || input.write_all(&bytes));
        let mut received = Vec::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_end(&mut received)
            .unwrap();
        writer.join().unwrap().unwrap();
        assert!(child.wait().unwrap().success());
        assert!(
            received == sent,
            "{} of {} bytes",
            received.len(),
            sent.len()
        );
    }
}

#[test]
fn a_file_and_an_empty_input_are_read_to_their_ends() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    for (content, count) in [("", "0\n"), ("abc\n", "4\n")] {
        fs::write(&file, content).unwrap();
        for mut command in shells(&[], "wc -c") {
            let ended = Ended::of(command.stdin(File::open(&file).unwrap()));
            assert_eq!(ended.stdout.trim_start(), count);
        }
    }
}

#[test]
fn a_program_may_leave_its_input_unread() {
    for mut command in shells(&[], "head -c 3") {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let writer = thread::spawn(move || while input.write_all(&[b'y'; 4096]).is_ok() {});
        let mut received = String::new();
        child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut received)
            .unwrap();
        assert_eq!(received, "yyy");
        assert!(child.wait().unwrap().success());
        writer.join().unwrap();
    }
}

#[test]
fn a_program_whose_reader_has_gone_ends() {
    for mut command in shells(&[], "yes") {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "y\n");
        assert_eq!(child.wait().unwrap().code(), Some(141));
    }
}

#[test]
fn a_guest_that_powers_off_is_told() {
    for mut command in shells(&[], "poweroff -f") {
        let ended = Ended::of(&mut command);
        assert_eq!(ended.code, Some(125));
        assert!(
            ended.stderr.contains("without an exit code"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn a_guest_s_root_user_finds_no_file_of_the_host_s() {
    let script = "mkdir /host && mount -t hostfs -o /../../../.. none /host && ls /host";
    for mut command in shells(&[], script) {
        let ended = Ended::of(&mut command);
        let names: Vec<_> = ended.stdout.lines().collect();
        assert!(names.contains(&"mailbox"), "{names:?}: {}", ended.stderr);
        for name in ["etc", "home", "proc", "root", "sys", "tmp", "var"] {
            assert!(!names.contains(&name), "{names:?}");
        }
    }
    for mut command in shells(
        &[],
        "mkdir /host && mount -t hostfs none /host && touch /host/usr/lib/isobench-test",
    ) {
        assert_ne!(Ended::of(&mut command).code, Some(0));
        assert!(!Path::new("/usr/lib/isobench-test").exists());
    }
}

#[test]
fn files_of_the_shared_directory_are_the_host_s() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().to_str().unwrap();
    fs::write(directory.path().join("from-host"), "host\n").unwrap();
    for mut command in shells(
        &["--share", path],
        "cat /shared/from-host; echo guest >/shared/from-guest",
    ) {
        let ended = Ended::of(&mut command);
        assert_eq!(ended.stdout, "host\n", "{}", ended.stderr);
        let written = directory.path().join("from-guest");
        assert_eq!(fs::read_to_string(&written).unwrap(), "guest\n");
        fs::remove_file(written).unwrap();
    }
}

#[test]
fn a_disk_is_read_and_written_or_only_read() {
    let directory = TempDir::new().unwrap();
    let disk = directory.path().join("a disk=1,2");
    let path = disk.to_str().unwrap();
    let script =
        "head -c 5 /dev/ubda; printf WRITE | dd of=/dev/ubda conv=notrunc,fsync 2>/dev/null";
    for (option, after) in [("--disk", "WRITE"), ("--read-only-disk", "hello")] {
        for mut command in shells(&[option, path], script) {
            fs::write(&disk, [b"hello".to_vec(), vec![0; 65_531]].concat()).unwrap();
            let ended = Ended::of(&mut command);
            assert_eq!(ended.stdout, "hello", "{}", ended.stderr);
            let bytes = fs::read(&disk).unwrap();
            assert_eq!(&bytes[..5], after.as_bytes());
            assert_eq!(bytes.len(), 65_536);
        }
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_name() {
    let kernel = PathBuf::from("/bin/true");
    for (options, words) in [
        (&["--memory", "1MiB"][..], "1.0 MiB"),
        (
            &["--memory", "16MiB", "--file", &format!("/big={LAUNCHER}")],
            "use at least --memory",
        ),
        (&["--disk", "/nonexistent"], "opening disk /nonexistent"),
        (&["--share", "/nonexistent"], "/nonexistent"),
        (&["--vcpus", "2"], "--vcpus is for --guest"),
        (&["--trace"], "--trace is for --guest bare"),
    ] {
        let ended = Ended::of(launcher(&kernel, options).arg(WORKLOAD));
        assert_eq!(ended.code, Some(2), "{options:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
    let ended = Ended::of(launcher(Path::new("/nonexistent"), &[]).arg(WORKLOAD));
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("opening kernel /nonexistent"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_file_that_is_no_kernel_is_told() {
    if !can_run("uml") {
        return;
    }
    let ended = Ended::of(launcher(Path::new("/bin/true"), &[]).arg(WORKLOAD));
    assert_eq!(ended.code, Some(125));
    assert!(
        ended.stderr.contains("without an exit code"),
        "{}",
        ended.stderr
    );
    let ended = Ended::of(launcher(Path::new("/etc/passwd"), &[]).arg(WORKLOAD));
    assert!(
        ended.stderr.contains("executing the kernel"),
        "{}",
        ended.stderr
    );
}

/// The processes below `root`, whatever their namespaces.
fn descendants(root: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        for child in children
            .split_whitespace()
            .map(|child| child.parse().unwrap())
        {
            found.push(child);
            open.push(child);
        }
    }
    found
}

/// Waits until the program has written its first line.
fn wait_until_ready(child: &mut Child) {
    let mut line = String::new();
    let output = child.stdout.as_mut().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
}

#[test]
fn nothing_outlives_a_killed_launcher() {
    for mut command in shells(&[], "echo ready; sleep 1000 & sleep 1000") {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        wait_until_ready(&mut child);
        // `timeout` is the parent of the launcher.
        let processes = descendants(child.id());
        assert!(processes.len() >= 4, "{processes:?}");
        let launcher = i32::try_from(processes[0]).unwrap();
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(launcher),
            nix::sys::signal::Signal::SIGKILL,
        )
        .unwrap();
        child.wait().unwrap();
        let start = Instant::now();
        let alive = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
        };
        while processes.iter().any(alive) {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "processes are left"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn an_ordinary_user_has_a_guest_too() {
    if lacks(Need::Root) {
        return;
    }
    // Build directories may be closed to others: the programs go to a place that is open.
    let directory = TempDir::new().unwrap();
    let open = |path: &Path, mode| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open(directory.path(), 0o755);
    let place = |from: &Path, name: &str| {
        let to = directory.path().join(name);
        fs::copy(from, &to).unwrap();
        open(&to, 0o755);
        to
    };
    let launcher = place(Path::new(LAUNCHER), "isobench-vmm");
    let workload = place(Path::new(WORKLOAD), "isobench-workload");
    for kernel in kernels() {
        let kernel = place(&kernel, "kernel");
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .args(["timeout", "60"])
            .arg(&launcher)
            .args(["run", "--guest", "uml", "--kernel"])
            .arg(&kernel)
            .arg("--")
            .arg(&workload)
            .arg("ready")
            .stdin(Stdio::null());
        // Standard input comes by a file that belongs to the guest's user.
        let input = directory.path().join("input");
        fs::write(&input, "unread").unwrap();
        let ended = Ended::of(command.stdin(File::open(&input).unwrap()));
        assert_eq!(ended.stdout, "isobench/1 ready\n", "{}", ended.stderr);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    }
}
