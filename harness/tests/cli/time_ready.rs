//! `isobench time --ready`: when a timed command is ready.

use std::net::{Ipv4Addr, TcpListener};

use isobench_container::{PacketHeader, Tap};
use isobench_testing::{Need, lacks, or_skip};

use crate::support::isobench::WORKLOAD;
use crate::support::needs::can_run;
use crate::time::{busybox, time};

/// A port of the host that nothing listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn a_program_that_goes_on_is_stopped_at_its_line() {
    let Some(busybox) = busybox() else { return };
    for (condition, script) in [
        ("line", "echo up; read x; sleep 100"),
        (
            "line=^up [0-9]+$",
            "echo down; echo up 1 >&2; trap '' TERM; sleep 100",
        ),
    ] {
        let options = ["--targets", "process,container", "--runs", "2", "--stop"];
        let options = [&options[..], &["--ready", condition]].concat();
        let finished = time(&options, &[&busybox, "sh", "-c", script]).succeeds();
        finished.leaves_nothing();
        let found = finished.has_rows("time", "ready", &["process", "container"]);
        assert!(
            found.results().experiments[0]
                .metrics
                .iter()
                .all(|m| m.name != "end")
        );
    }
}

#[test]
fn a_port_is_found_in_the_instance_s_own_network() {
    let Some(busybox) = busybox() else { return };
    if lacks(Need::Root) {
        return;
    }
    let port = free_port().to_string();
    let server = [&busybox, "httpd", "-f", "-p", &port];
    let condition = format!("tcp={port}");
    let options = [
        "--targets",
        "process,container,bwrap,crun,lxc",
        "--runs",
        "2",
        "--ready",
    ];
    let finished = time(&[&options[..], &[&condition]].concat(), &server).succeeds();
    finished.leaves_nothing();
    let targets = ["process", "container", "bwrap", "crun", "lxc"];
    let run = finished.has_rows("time", "ready", &targets).results();
    assert_eq!(run.experiments[0].metrics[0].resolution, Some(1e6));
    let condition = format!("http={port}/busybox");
    let options = [
        "--targets",
        "container,unshare",
        "--runs",
        "2",
        "--ready",
        &condition,
    ];
    let finished = time(&options, &server).succeeds();
    finished.has_rows("time", "ready", &["container"]);
    if can_run("unshare") {
        finished.says("unshare has no time: ");
    }
}

#[test]
fn a_port_of_a_guest_without_an_os_is_reached_by_the_link_to_it() {
    let Some(busybox) = busybox() else { return };
    if lacks(Need::Root) || !can_run("microvm-bare") {
        return;
    }
    if or_skip(Need::TunDevice, Tap::open(PacketHeader::Virtio)).is_none() {
        return;
    }
    let server = [&busybox, "nc", "-l", "-p", "8000"];
    let options = ["--targets", "microvm-bare", "--runs", "3", "--ready"];
    let finished = time(&[&options[..], &["tcp=8000"]].concat(), &server).succeeds();
    finished.leaves_nothing();
    let run = finished
        .has_rows("time", "ready", &["microvm-bare"])
        .results();
    let network = run.samples.iter().find(|row| row.part == "network");
    assert!(network.is_some(), "the network has no phase of its own");
    for network in ["none", "loopback"] {
        let options = [&options[..], &["tcp=8000", "--net", network]].concat();
        let refused = time(&options, &server).ends();
        let ended = refused.ended.has_code(2);
        ended.says(&format!("leave --net {network} out"));
    }
}

#[test]
fn a_port_that_is_taken_is_refused() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let condition = format!("tcp={port}");
    let options = ["--targets", "process", "--ready", &condition];
    time(&options, &[WORKLOAD, "ready"]).refuses(&format!("port {port}"));
}
