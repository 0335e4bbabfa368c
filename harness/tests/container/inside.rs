//! The test that runs inside. It is ignored, and the containers ask for it by its name.

pub mod calls;
pub mod proc_files;
pub mod ways_out;

use std::fs;
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use nix::libc;

/// The variable that names the task.
pub const TASK: &str = "ISOBENCH_TEST_TASK";
/// Begins each line of a report, to tell it from the test framework's own lines.
pub const MARK: &str = "inside: ";

/// The kinds of namespaces, as /proc names them.
pub const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

#[expect(
    clippy::print_stdout,
    reason = "the other tests read what this one prints"
)]
fn say(line: impl std::fmt::Display) {
    println!("{MARK}{line}");
}

#[test]
#[ignore = "runs inside a container"]
fn inside() {
    let task = std::env::var(TASK).expect("this test is run by the others, in a container");
    let (name, argument) = task.split_once(' ').unwrap_or((&task, ""));
    match name {
        "nothing" => {}
        "namespaces" => NAMESPACES.iter().for_each(|kind| say(namespace(kind))),
        "status" => read("/proc/thread-self/status").lines().for_each(say),
        "list" => list(Path::new(argument)).iter().for_each(say),
        "read" => say(read(argument).trim_end()),
        "link" => say(fs::read_link(argument).unwrap().display()),
        "write" => say(fs::write(argument, "written").is_ok()),
        "set" => set(argument),
        "chmod" => chmod(Path::new(argument)),
        "mounts" => mounts(),
        "calls" => calls::try_all(),
        "call-arguments" => calls::try_arguments(),
        "harmless-calls" => calls::try_harmless(),
        "32-bit" => calls::enter_by_the_32_bit_gate(),
        "pid-1" => ways_out::look_at_pid_1(),
        "links" => ways_out::follow_every_link(),
        "ipc" => ways_out::look_for_the_hosts_ipc(argument),
        "signal" => ways_out::signal(argument),
        "tell" => proc_files::tell(),
        "writable" => proc_files::open_all_for_writing(),
        "lines" => read(argument).lines().for_each(say),
        "devices" => devices(),
        "orphan" => orphan(),
        "environment" => std::env::vars().for_each(|(key, value)| say(format!("{key}={value}"))),
        "interfaces" => interfaces().iter().for_each(say),
        "loopback" => say(reaches_itself()),
        "reach" => reach(argument),
        "exit" => std::process::exit(argument.parse().unwrap()),
        "die" => die(argument.parse().unwrap()),
        "threads" => threads(),
        "eat" => eat(argument.parse().unwrap()),
        "burn" => burn(Duration::from_millis(argument.parse().unwrap())),
        "read-direct" => read_direct(Path::new(argument)),
        "wait" => wait(),
        other => panic!("no such task: {other}"),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap()
}

/// Writes a setting, if that is allowed. Another test looks at which settings are.
fn set(argument: &str) {
    let (path, value) = argument.split_once(' ').unwrap();
    say(fs::write(path, value).is_ok());
}

fn chmod(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    say(fs::set_permissions(path, fs::Permissions::from_mode(0o666)).is_ok());
}

/// The identity of one of this process's namespaces.
pub fn namespace(kind: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{kind}"))
        .unwrap()
        .display()
        .to_string()
}

fn list(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The mount points of this namespace, whether they can be reached or not.
fn mounts() {
    let text = read("/proc/self/mountinfo");
    let mut points: Vec<_> = text
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .collect();
    points.sort_unstable();
    points.into_iter().for_each(say);
}

/// The interfaces of this network namespace.
pub fn interfaces() -> Vec<String> {
    let text = read("/proc/net/dev");
    let mut names: Vec<_> = text
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()))
        .collect();
    names.sort_unstable();
    names
}

/// Reports whether a connection over the loopback interface succeeds.
fn reaches_itself() -> bool {
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| {
        let address = listener.local_addr()?;
        TcpStream::connect_timeout(&address, Duration::from_secs(2)).map(drop)
    });
    address.is_ok()
}

/// Connects to `address`, and reports the greeting, or why there was none.
fn reach(address: &str) {
    match TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(10)) {
        Ok(mut stream) => {
            let mut told = String::new();
            io::Read::read_to_string(&mut stream, &mut told).unwrap();
            say(told);
        }
        Err(error) => say(format!("error {}", error.raw_os_error().unwrap_or(0))),
    }
}

fn devices() {
    fs::write("/dev/null", "gone").unwrap();
    for name in ["zero", "urandom", "random"] {
        let mut bytes = [1_u8; 64];
        io::Read::read_exact(
            &mut fs::File::open(format!("/dev/{name}")).unwrap(),
            &mut bytes,
        )
        .unwrap();
        say(format!("{name} {}", bytes == [0; 64]));
    }
    say(fs::write("/dev/full", "x")
        .unwrap_err()
        .raw_os_error()
        .unwrap());
}

/// Leaves a grandchild to PID 1, and reports that it is there and that it is reaped.
fn orphan() {
    // SAFETY: the children only make system calls before they end.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: as above.
        unsafe {
            if libc::fork() == 0 {
                libc::usleep(50_000);
            }
            libc::_exit(0);
        }
    }
    // SAFETY: a null status is allowed.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    let others = || {
        list(Path::new("/proc"))
            .into_iter()
            .filter(|name| name.parse::<u32>().is_ok_and(|pid| pid > 2))
    };
    say(others().count());
    for _ in 0..100 {
        if others().count() == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    say(others().count());
}

fn die(signal: i32) {
    // SAFETY: it is meant to end us.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

/// Starts as many threads as the limit allows, and reports their number.
fn threads() {
    let started = (0..1000).take_while(|_| {
        let thread =
            std::thread::Builder::new().spawn(|| std::thread::sleep(Duration::from_mins(1)));
        thread.is_ok()
    });
    say(started.count());
    std::process::exit(0);
}

/// Touches as many mebibytes of memory, and reports the bytes.
fn eat(mebibytes: usize) {
    let eaten = vec![1_u8; mebibytes << 20];
    say(std::hint::black_box(eaten).len());
}

/// Uses `time` of a processor.
fn burn(time: Duration) {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    let used = || Duration::from(nix::time::clock_gettime(clock).unwrap());
    let until = used() + time;
    while used() < until {}
    say("burnt");
}

/// Reads a file past the page cache, so that the device is read.
fn read_direct(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt as _;
    const BLOCK: usize = 64 << 10;
    let mut options = fs::OpenOptions::new();
    let opened = options.read(true).custom_flags(libc::O_DIRECT).open(path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) => return say(format!("no O_DIRECT: {error}")),
    };
    // O_DIRECT wants the buffer aligned.
    let mut buffer = vec![0_u8; 2 * BLOCK];
    let start = buffer.as_ptr().align_offset(BLOCK);
    let aligned = &mut buffer[start..start + BLOCK];
    let mut total = 0;
    while let Ok(length @ 1..) = io::Read::read(&mut file, aligned) {
        total += length;
    }
    say(total);
}

/// Reports that it waits, and then sleeps for longer than any test runs.
fn wait() {
    say("waiting");
    std::thread::sleep(Duration::from_mins(1));
}
