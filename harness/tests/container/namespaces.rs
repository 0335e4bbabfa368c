//! Each of the seven namespaces is the container's own, by its identity and by its effect.

use std::ffi::CString;
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use isobench_container::cgroup::Version;
use isobench_testing::{Need, lacks};
use nix::libc;

use super::limits::Limits;
use super::{fixture, inside};

#[test]
fn every_namespace_is_its_own() {
    let Some(fixture) = fixture() else { return };
    let theirs = fixture.report(&[], "namespaces");
    assert_eq!(theirs.len(), inside::NAMESPACES.len());
    for (kind, theirs) in inside::NAMESPACES.iter().zip(&theirs) {
        assert_ne!(*theirs, inside::namespace(kind));
    }
    let shared = fixture.report(&["--net", "host"], "namespaces");
    assert_eq!(shared[3], inside::namespace("net"));
}

#[test]
fn root_inside_is_not_root_outside() {
    let Some(fixture) = fixture() else { return };
    let map = fixture.report(&[], "read /proc/self/uid_map");
    let map: Vec<u32> = map[0]
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    assert_eq!(map[0], 0);
    assert_ne!(map[1], 0);
}

#[test]
fn the_host_name_is_the_containers() {
    let Some(fixture) = fixture() else { return };
    let name = "read /proc/sys/kernel/hostname";
    assert_eq!(fixture.report(&[], name), ["isobench"]);
    assert_eq!(fixture.report(&["--hostname", "rung-1"], name), ["rung-1"]);
}

/// Things of the host that namespaces hide. Every user may open them, so that nothing else hides
/// them.
struct HostIpc {
    key: libc::key_t,
    segment: libc::c_int,
    name: String,
    _socket: UnixListener,
    listener: TcpListener,
}

impl HostIpc {
    fn new() -> Self {
        let name = format!("isobench-test-{}", std::process::id());
        let key = libc::key_t::try_from(std::process::id()).unwrap() ^ 0x1505_0000;
        // SAFETY: plain integers.
        let segment = unsafe { libc::shmget(key, 4096, libc::IPC_CREAT | libc::IPC_EXCL | 0o666) };
        assert!(segment >= 0, "{}", io::Error::last_os_error());
        let queue = CString::new(format!("/{name}")).unwrap();
        let attributes = std::ptr::null::<libc::mq_attr>();
        // SAFETY: a null-terminated name; null attributes are the defaults.
        let opened = unsafe {
            libc::mq_open(
                queue.as_ptr(),
                libc::O_CREAT | libc::O_RDWR,
                0o666,
                attributes,
            )
        };
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let has_queues = Need::MessageQueues.is_met() == Some(true);
        assert_eq!(opened >= 0, has_queues, "{}", io::Error::last_os_error());
        Self {
            key,
            segment,
            name,
            _socket: UnixListener::bind_addr(&address).unwrap(),
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    fn task(&self) -> String {
        let port = self.listener.local_addr().unwrap().port();
        format!("ipc {} {} {port}", self.key, self.name)
    }
}

impl Drop for HostIpc {
    fn drop(&mut self) {
        let queue = CString::new(format!("/{}", self.name)).unwrap();
        // SAFETY: our own segment and queue; removing takes no buffer.
        unsafe {
            libc::shmctl(self.segment, libc::IPC_RMID, std::ptr::null_mut());
            libc::mq_unlink(queue.as_ptr());
        }
    }
}

#[test]
fn the_hosts_ipc_and_its_loopback_are_not_there() {
    let Some(fixture) = fixture() else { return };
    let host = HostIpc::new();
    let all = "user,mount,uts,pid,cgroup-namespace,overlay,proc-dev,pivot,capabilities,seccomp";
    // With the host's IPC and network, all are found, so it is the namespaces that hide them.
    let found = fixture.report(&["--mechanisms", all], &host.task());
    let hidden = fixture.report(&[], &host.task());
    let refused = libc::ECONNREFUSED;
    let unreachable = libc::ENETUNREACH;
    let expected = [
        ("shm", libc::ENOENT),
        ("mq", libc::ENOENT),
        ("abstract", refused),
        ("tcp", unreachable),
    ];
    for (index, (name, error)) in expected.into_iter().enumerate() {
        if name == "mq" && lacks(Need::MessageQueues) {
            continue;
        }
        assert_eq!(found[index], format!("{name} 0"));
        assert_eq!(hidden[index], format!("{name} {error}"));
    }
}

#[test]
fn no_network_device_of_the_hosts_is_there() {
    let Some(fixture) = fixture() else { return };
    let table = fixture.report(&[], "lines /proc/net/dev");
    let devices: Vec<_> = table
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .collect();
    assert_eq!(devices, ["lo"]);
}

#[test]
fn no_process_of_the_hosts_is_there() {
    let Some(fixture) = fixture() else { return };
    let mut names = fixture.report(&[], "list /proc");
    names.retain(|name| name.parse::<u32>().is_ok());
    assert_eq!(names, ["1", "2"]);
    let task = format!("signal {}", std::process::id());
    let missing = libc::ESRCH.to_string();
    assert_eq!(fixture.report(&[], &task), [missing]);
}

#[test]
fn its_cgroups_are_the_roots_that_it_sees() {
    let Some(fixture) = fixture() else { return };
    let Some(limits) = Limits::new("roots") else {
        return;
    };
    let groups = fixture.report(&limits.flags(&[]), "lines /proc/self/cgroup");
    assert_ne!(groups, [""; 0]);
    for group in &groups {
        assert!(group.ends_with(":/"), "{groups:?}");
    }
    let version = Version::of(limits.paths[0].parent().unwrap()).unwrap();
    if version == Version::V2 {
        assert!(groups.contains(&"0::/".to_owned()), "{groups:?}");
    }
    limits.are_gone();
}

#[test]
fn the_hosts_name_stays() {
    let Some(fixture) = fixture() else { return };
    let name = || nix::unistd::gethostname().unwrap();
    let before = name();
    fixture.report(&["--hostname", "elsewhere"], "nothing");
    assert_eq!(name(), before);
}
