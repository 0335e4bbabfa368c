//! The network experiment and `isobench exec --net`, with real veth pairs.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};

use isobench_container::{HOST_ADDRESS, PacketHeader, Tap};
use isobench_testing::{Need, lacks, or_skip};

use crate::support::isobench::{Finished, Isobench, WORKLOAD};
use crate::support::needs::can_run;

/// Whether a container can have a link to the host, which takes `CAP_NET_ADMIN`.
fn can_make_links() -> bool {
    !lacks(Need::Root) && can_run("container")
}

/// Whether the host makes TAP devices.
fn has_tap() -> bool {
    or_skip(Need::TunDevice, Tap::open(PacketHeader::Virtio)).is_some()
}

fn run(targets: &str) -> Finished {
    let run = Isobench::run().quick().experiments("net");
    run.targets(targets).succeeds()
}

/// The metrics of which `target` has a figure above zero.
fn measured(finished: &Finished, target: &str) -> Vec<String> {
    let metrics = finished.results().experiments[0].metrics.iter();
    let names = metrics.map(|metric| metric.name.clone());
    let is_measured = |name: &String| {
        finished
            .values(target, name)
            .iter()
            .any(|value| *value > 0.0)
    };
    names.filter(is_measured).collect()
}

#[test]
fn a_bare_process_has_every_network_figure() {
    assert_eq!(
        measured(&run("process"), "process"),
        [
            "throughput-in",
            "throughput-out",
            "round-trip-p50",
            "round-trip-p99",
            "connections"
        ]
    );
}

#[test]
fn a_bare_guest_is_measured_over_its_link() {
    if lacks(Need::Root) || !can_run("microvm-bare") || !has_tap() {
        return;
    }
    let finished = run("microvm-bare");
    assert_eq!(measured(&finished, "microvm-bare").len(), 5);
}

#[test]
fn a_container_is_measured_over_its_link() {
    if !can_make_links() {
        return;
    }
    let finished = run("container");
    assert_eq!(measured(&finished, "container").len(), 5);
}

#[test]
fn exec_gives_a_program_the_network_that_is_asked_for() {
    let veth = |target| Isobench::exec(target).options(&["--net", "veth"]);
    let exec = veth("process").program(&[WORKLOAD, "ready"]);
    exec.refuses("process has no network veth; choose among host");
    if !can_make_links() {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = format!("{HOST_ADDRESS}:{port}");
    let echo = [
        WORKLOAD, "net", "--op", "echo", "--count", "1", "--peer", &peer,
    ];
    let running = veth("container").program(&echo).starts();
    let (mut line, _) = listener.accept().unwrap();
    line.write_all(&[7]).unwrap();
    let mut echo = [0];
    line.read_exact(&mut echo).unwrap();
    assert_eq!(echo, [7]);
    let said = running.ends().ended.stdout;
    assert_eq!(
        said,
        "isobench/1 begin\nisobench/1 end operations=1 bytes=1\n"
    );
}
