//! The network experiment and `isobench exec --net`, with real veth pairs.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};

use isobench_reports::model::{Run, Status};

use crate::old::{Place, WORKLOAD, assert_refused, can_run, text};

fn can_make_links() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("skipped: not root, and a veth pair takes CAP_NET_ADMIN");
    }
    root && can_run("container")
}

fn run(place: &Place, targets: &str) -> Run {
    let output = place.run(&[
        "run",
        "--profile",
        "quick",
        "--experiments",
        "net",
        "--targets",
        targets,
        "--out",
        "out",
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json = std::fs::read(place.path("out/results.json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// The metrics of which `target` has a good figure.
fn measured(run: &Run, target: &str) -> Vec<String> {
    let good = |metric: &str| {
        let mut samples = run.samples.iter();
        samples.any(|sample| {
            sample.target == target
                && sample.metric == metric
                && sample.status == Status::Ok
                && sample.value.is_some_and(|value| value > 0.0)
        })
    };
    let metrics = run.experiments[0].metrics.iter();
    let names = metrics.map(|metric| metric.name.clone());
    names.filter(|name| good(name)).collect()
}

#[test]
fn a_bare_process_has_every_network_figure_and_a_bare_guest_takes_no_part() {
    let run = run(&Place::new(), "process,microvm-bare");
    assert_eq!(
        measured(&run, "process"),
        [
            "throughput-in",
            "throughput-out",
            "round-trip-p50",
            "round-trip-p99",
            "connections"
        ]
    );
    let others = run.samples.iter().filter(|s| s.target != "process");
    assert_eq!(others.count(), 0);
}

#[test]
fn a_container_is_measured_over_its_link() {
    if !can_make_links() {
        return;
    }
    let run = run(&Place::new(), "container");
    assert_eq!(measured(&run, "container").len(), 5);
}

#[test]
fn exec_gives_a_program_the_network_that_is_asked_for() {
    let place = Place::new();
    let refused = place.run(&[
        "exec", "--target", "process", "--net", "veth", "--", WORKLOAD, "ready",
    ]);
    assert_refused(&refused, "process has no network veth; choose among host");
    if !can_make_links() {
        return;
    }
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let peer = format!(
        "{}:{}",
        isobench_container::HOST_ADDRESS,
        listener.local_addr().unwrap().port()
    );
    let child = place.start(&[
        "exec",
        "--target",
        "container",
        "--net",
        "veth",
        "--",
        WORKLOAD,
        "net",
        "--op",
        "echo",
        "--count",
        "1",
        "--peer",
        &peer,
    ]);
    let (mut line, _) = listener.accept().unwrap();
    line.write_all(&[7]).unwrap();
    let mut echo = [0];
    line.read_exact(&mut echo).unwrap();
    assert_eq!(echo, [7]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        text(&output.stdout),
        "isobench/1 begin\nisobench/1 end operations=1 bytes=1\n"
    );
}
