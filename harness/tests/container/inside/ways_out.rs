//! Looks for ways out of a container: to its PID 1, which is the launcher's program, and to the
//! host.

use std::ffi::CString;
use std::fs;
use std::io::{self, Read as _};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::say;

fn number(result: io::Result<()>) -> i32 {
    result.map_or_else(|error| error.raw_os_error().unwrap_or(-1), |()| 0)
}

/// The files of PID 1 that must not be readable: it is the launcher's program, and ran as the
/// host's user.
pub const OF_PID_1: [&str; 8] = [
    "root", "cwd", "exe", "fd", "mem", "environ", "maps", "ns/mnt",
];

/// Reports the error number of a look at each of PID 1's secrets.
pub fn look_at_pid_1() {
    for name in OF_PID_1 {
        let path = Path::new("/proc/1").join(name);
        let seen = match name {
            "fd" => fs::read_dir(&path).map(drop),
            "mem" | "environ" | "maps" => {
                fs::File::open(&path).and_then(|mut file| file.read(&mut [0]).map(drop))
            }
            _ => fs::read_link(&path).map(drop),
        };
        say(format!("{name} {}", number(seen)));
    }
    let mut options = fs::OpenOptions::new();
    let opened = options
        .write(true)
        .custom_flags(libc::O_CLOEXEC)
        .open("/proc/1/exe");
    say(format!("write exe {}", number(opened.map(drop))));
    // SAFETY: it changes nothing of ours; refused, it changes nothing at all.
    let traced = unsafe { libc::ptrace(libc::PTRACE_ATTACH, 1, 0, 0) };
    let error = (traced < 0).then(io::Error::last_os_error);
    say(format!("ptrace {}", number(error.map_or(Ok(()), Err))));
}

/// Reports the targets of all links of processes and descriptors that can be followed.
pub fn follow_every_link() {
    let mut links = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        if process
            .file_name()
            .to_str()
            .is_none_or(|name| name.parse::<u32>().is_err())
        {
            continue;
        }
        links.extend(["root", "cwd"].map(|name| process.path().join(name)));
        let descriptors = fs::read_dir(process.path().join("fd"));
        links.extend(
            descriptors
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path()),
        );
    }
    let directories = links.into_iter().filter(|link| link.is_dir());
    let targets = directories.filter_map(|link| fs::read_link(link).ok());
    targets.for_each(|target: PathBuf| say(target.display()));
}

/// Looks for a host's System V memory, message queue, abstract socket and TCP port, and reports the
/// error number of each.
pub fn look_for_the_hosts_ipc(argument: &str) {
    let words: Vec<_> = argument.split(' ').collect();
    let [key, name, port] = words[..] else {
        panic!("KEY NAME PORT: {argument}")
    };
    // SAFETY: it looks up a segment and makes none.
    let segment = unsafe { libc::shmget(key.parse().unwrap(), 0, 0) };
    let error = (segment < 0).then(io::Error::last_os_error);
    say(format!("shm {}", number(error.map_or(Ok(()), Err))));
    let queue = CString::new(format!("/{name}")).unwrap();
    // SAFETY: a null-terminated name; it makes no queue.
    let opened = unsafe { libc::mq_open(queue.as_ptr(), libc::O_RDONLY) };
    let error = (opened < 0).then(io::Error::last_os_error);
    say(format!("mq {}", number(error.map_or(Ok(()), Err))));
    let address = SocketAddr::from_abstract_name(name).unwrap();
    say(format!(
        "abstract {}",
        number(UnixStream::connect_addr(&address).map(drop))
    ));
    let port: u16 = port.parse().unwrap();
    say(format!(
        "tcp {}",
        number(TcpStream::connect(("127.0.0.1", port)).map(drop))
    ));
}

/// Reports the error number of a signal to a process on the host.
pub fn signal(pid: &str) {
    let sent = kill(Pid::from_raw(pid.parse().unwrap()), None).map_err(io::Error::from);
    say(number(sent));
}
