//! Each network lets the program reach what it should, and no link outlives its container.

use std::collections::HashSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use isobench_container::{Config, Container, HOST_ADDRESS, Network, NoObserver, Spec};
use isobench_testing::{Need, lacks};
use nix::sys::signal::Signal;

use super::launcher::{send, started};
use super::support::ended::Ended;
use super::{Fixture, as_nobody, fixture, inside, lines};

/// A fixture. `None` if veth pairs can't be made here, which takes `CAP_NET_ADMIN`.
fn root_fixture() -> Option<Fixture> {
    if lacks(Need::Root) {
        return None;
    }
    fixture()
}

/// Listens on every address of the host, and gives the port.
fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Accepts one connection, sends a greeting, and gives the address of the other end.
fn greet(listener: &TcpListener) -> SocketAddr {
    let (mut stream, peer) = listener.accept().unwrap();
    stream.write_all(b"hello").unwrap();
    peer
}

/// Whether the host has a link of the name that the launcher `pid` tries first.
fn has_link(pid: u32) -> bool {
    let name = format!("isobench-{:04x}", pid & 0xffff);
    Path::new("/sys/class/net").join(name).exists()
}

/// Waits until the link is gone. The kernel removes it some moments after the last process has
/// ended.
fn assert_link_goes(pid: u32, when: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while has_link(pid) {
        assert!(
            Instant::now() < deadline,
            "the link of {pid} is left, {when}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn each_network_has_its_interfaces() {
    let Some(fixture) = fixture() else { return };
    let interfaces = |network| fixture.report(&["--net", network], "interfaces");
    assert_eq!(fixture.report(&[], "interfaces"), ["lo"]);
    assert_eq!(interfaces("none"), ["lo"]);
    assert_eq!(interfaces("loopback"), ["lo"]);
    let host = interfaces("host");
    let mut expected = inside::interfaces();
    // Other tests make and remove links meanwhile.
    expected.retain(|name| !name.starts_with("isobench-"));
    for name in expected {
        assert!(host.contains(&name), "{name}: {host:?}");
    }
}

#[test]
fn a_loopback_is_up_or_down_as_asked() {
    let Some(fixture) = fixture() else { return };
    let reached = |network| fixture.report(&["--net", network], "loopback");
    assert_eq!(reached("none"), ["false"]);
    assert_eq!(reached("loopback"), ["true"]);
}

#[test]
fn an_ordinary_user_gets_a_loopback_and_is_told_why_no_link() {
    let Some(fixture) = fixture() else { return };
    let mut command = fixture.command(&["--net", "loopback"], "loopback");
    if !as_nobody(&mut command) {
        return;
    }
    assert_eq!(lines(&Ended::of(&mut command)), ["true"]);
    let mut command = fixture.command(&["--net", "veth"], "nothing");
    as_nobody(&mut command);
    let ended = Ended::of(&mut command);
    ended.has_code(125);
    assert_eq!(
        ended.stderr,
        "isobench-container: cannot make a veth pair: EPERM: Operation not permitted; \
         it takes CAP_NET_ADMIN: run as root, or use --net loopback\n"
    );
}

#[test]
fn a_link_leads_to_the_host_and_nowhere_else() {
    let Some(fixture) = root_fixture() else {
        return;
    };
    let (listener, port) = listen();
    let task = format!("reach {HOST_ADDRESS}:{port}");
    let mut command = fixture.command(&["--net", "veth"], &task);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let peer = greet(&listener).ip();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(lines(&ended), ["hello"]);
    let IpAddr::V4(peer) = peer else {
        panic!("{peer} is no address of a link")
    };
    assert_eq!(peer.octets()[..2], [198, 19]);
    assert_link_goes(pid, "after a good end");

    let inside = |task: &str| fixture.report(&["--net", "veth"], task);
    assert_eq!(inside("interfaces"), ["eth0", "lo"]);
    for line in inside("read /proc/net/if_inet6") {
        assert!(!line.contains("eth0"), "{line}");
    }
    assert_eq!(inside("loopback"), ["true"]);
    // ENETUNREACH: there is no route.
    assert_eq!(inside("reach 192.0.2.1:9"), ["error 101"]);
}

#[test]
fn nothing_is_left_of_a_failed_start() {
    let Some(fixture) = root_fixture() else {
        return;
    };
    let mut command = fixture.launcher(&["--net", "veth"]);
    let child = command
        .args(["--", "/missing"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let ended = Ended::from(child.wait_with_output().unwrap());
    ended.says("cannot run /missing");
    assert_link_goes(pid, "after a failed start");
}

#[test]
fn a_first_process_that_fails_is_quoted_rather_than_its_missing_namespace() {
    let Some(fixture) = root_fixture() else {
        return;
    };
    // The first process fails, since a bind can't be made in /proc, before or while the pair is
    // made.
    let flags = ["--net", "veth", "--bind", "/etc:/proc/1/no/such"];
    for _ in 0..10 {
        let ended = fixture.ends(&flags, "nothing");
        let words = "/proc/1/no/such in the container";
        ended.says_one_line().says(words);
    }
}

#[test]
fn nothing_is_left_of_a_launcher_killed_at_any_moment() {
    let Some(fixture) = root_fixture() else {
        return;
    };
    for moment in 0..60_u64 {
        let mut command = fixture.command(&["--net", "veth"], "wait");
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(moment * 200));
        send(&child, Signal::SIGKILL);
        child.wait().unwrap();
        assert_link_goes(child.id(), &format!("killed after {} us", moment * 200));
    }
    let (mut child, _reader) = started(&mut fixture.command(&["--net", "veth"], "wait"));
    assert!(has_link(child.id()));
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    assert_link_goes(child.id(), "killed while it ran");
}

/// One process launches all containers, so that each tries the same name of a link first.
#[test]
fn launchers_that_want_the_same_link_get_different_ones() {
    let Some(fixture) = root_fixture() else {
        return;
    };
    let (listener, port) = listen();
    let task = format!("{}=reach {HOST_ADDRESS}:{port}", inside::TASK);
    let launch = || {
        let spec = Spec {
            layers: vec![fixture.path("layer")],
            network: Network::Veth,
            program: "/program".into(),
            environment: vec![task.clone().into()],
            arguments: ["--exact", "inside::inside", "--ignored"]
                .map(Into::into)
                .to_vec(),
            ..Spec::default()
        };
        Container::new(Config::new(spec).unwrap())
            .launch(&NoObserver)
            .unwrap()
    };
    let running: Vec<_> = (0..5).map(|_| launch()).collect();
    // All containers are connected at once, so no two have the same address.
    let connections: Vec<_> = running.iter().map(|_| listener.accept().unwrap()).collect();
    let peers: HashSet<IpAddr> = connections.iter().map(|(_, peer)| peer.ip()).collect();
    assert_eq!(peers.len(), running.len());
    for (mut connection, _) in connections {
        connection.write_all(b"hello").unwrap();
        connection.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = String::new();
        connection.read_to_string(&mut rest).unwrap();
    }
    for container in running {
        assert_eq!(container.wait().unwrap().end().exit_code(), 0);
    }
    let own = std::process::id();
    for step in 0..5 {
        assert_link_goes(own + step, "after a container of the library");
    }
    assert!(fs::exists("/sys/class/net/lo").unwrap());
}
