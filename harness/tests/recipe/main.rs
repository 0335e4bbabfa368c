//! `CONTRIBUTING.md` says that a peer is one file and one line. This test is a contributor: the
//! file is `fake_peer.rs`, the line stands below.

mod fake_peer;

use std::path::Path;

use bytesize::ByteSize;
use isobench::experiments::{self, profile::Profile};
use isobench::host::facts::HostReport;
use isobench::host::interrupt::Interrupt;
use isobench::host::programs::Programs;
use isobench::suite::progress::Progress;
use isobench::suite::runner::Runner;
use isobench::suite::stop::StopOptions;
use isobench::suite::testbed::{Candidate, Testbed};
use isobench::targets::Target;
use isobench_reports::model::{Sample, Status, TOTAL};
use isobench_reports::schema::{memory, startup};

/// The samples of a quick run of start-up and memory with nothing but the new peer.
fn measured() -> Vec<Sample> {
    let isobench = Path::new(env!("CARGO_BIN_EXE_isobench"));
    let programs = Programs::in_directory(isobench.parent().unwrap()).unwrap();
    let host = HostReport::inspect(&programs);
    let targets: Vec<Box<dyn Target>> = vec![Box::new(fake_peer::Env::new())];
    let candidates = Candidate::inspect(targets, &host);
    let testbed = Testbed::assemble(&candidates, &programs, ByteSize(0)).unwrap();
    let mut experiments = experiments::all(Profile::Quick);
    experiments.retain(|one| [startup::NAME, memory::NAME].contains(&&*one.info().name));
    let runner = Runner {
        experiments: &experiments,
        targets: &testbed.targets,
        unavailable: &testbed.unavailable,
        profile: Profile::Quick,
        seed: 1,
        stop_options: StopOptions::default(),
    };
    let interrupt = Interrupt::never().unwrap();
    let context = testbed.context(&interrupt);
    runner
        .run(&context, Progress::silent(), &mut |_| {})
        .samples
}

#[test]
fn a_peer_of_one_file_and_one_line_is_measured() {
    let samples = measured();
    let good = |metric: &str| {
        let of_metric = |sample: &&Sample| {
            (sample.metric.as_str(), sample.part.as_str(), sample.status)
                == (metric, TOTAL, Status::Ok)
        };
        samples.iter().filter(of_metric).count()
    };
    assert!(samples.iter().all(|sample| sample.target == "env"));
    assert_eq!(good(startup::READY.name), 25);
    assert_eq!(good(startup::READY_ORDINARY.name), 25);
    assert_eq!(good(memory::PSS.name), 5);
}
