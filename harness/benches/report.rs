//! How long the report of a long run takes, from its results file to the document: a thorough run's rounds, made from those of
//! the gallery's by letting each value vary.
#![expect(
    clippy::print_stdout,
    reason = "a benchmark's figures are for whoever watches it"
)]

use std::collections::HashMap;
use std::fs::File;
use std::hint::black_box;
use std::io::BufWriter;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use isobench::experiments;
use isobench::experiments::profile::Profile;
use isobench_reports::model::{Run, Sample, Status};
use isobench_reports::{ReportOptions, read_results, render_html};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

/// Most bytes of a document that is sent around.
const MOST: usize = 3_000_000;

fn report(criterion: &mut Criterion) {
    let gallery = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/gallery/host/results.json");
    let run = thorough(read_results(&gallery).expect("the gallery's results are read"));
    let directory = tempfile::tempdir().expect("a directory is made");
    let results = directory.path().join("results.json");
    let file = BufWriter::new(File::create(&results).expect("a file is made"));
    serde_json::to_writer(file, &run).expect("results are written");
    let (samples, targets) = (run.samples.len(), run.targets.len());
    let size = draw(&results).len();
    println!("{samples} samples of {targets} targets: a document of {size} bytes");
    assert!(size < MOST, "a report of more than {MOST} bytes");
    let mut group = criterion.benchmark_group("report");
    group.sample_size(10);
    group.bench_function("thorough", |bencher| {
        bencher.iter(|| draw(black_box(results.as_path())));
    });
    group.finish();
}

fn draw(results: &Path) -> String {
    let run = read_results(results).expect("the results are read");
    render_html(&[run], ReportOptions::default()).expect("a report is drawn")
}

/// The run with as many rounds of each experiment as the thorough profile takes: the good ones over and over, each time
/// a few per cent away.
fn thorough(mut run: Run) -> Run {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let rounds: HashMap<_, _> = experiments::all(Profile::Thorough)
        .iter()
        .map(|one| {
            let wanted = one.info().rounds.of(Profile::Thorough).measured;
            (
                one.info().name.to_string(),
                (rounds_of(&run, &one.info().name), wanted),
            )
        })
        .collect();
    let is_good = |sample: &&Sample| sample.status == Status::Ok;
    let mut by_start: Vec<Vec<Sample>> = Vec::new();
    for sample in run.samples.iter().filter(is_good) {
        match by_start.last_mut() {
            Some(start) if start[0].sequence == sample.sequence => start.push(sample.clone()),
            _ => by_start.push(vec![sample.clone()]),
        }
    }
    let mut sequence = run
        .samples
        .iter()
        .map(|one| one.sequence)
        .max()
        .unwrap_or(0);
    for start in by_start {
        let first = &start[0];
        let (own, wanted) = rounds[&first.experiment];
        for round in (first.round..wanted).step_by(own).skip(1) {
            sequence += 1;
            let factor = rng.random_range(0.9..1.1);
            let again = start.iter().map(|sample| Sample {
                round,
                sequence,
                value: sample.value.map(|value| value * factor),
                ..sample.clone()
            });
            run.samples.extend(again);
        }
    }
    run
}

/// How many rounds a run has of an experiment.
fn rounds_of(run: &Run, experiment: &str) -> usize {
    let of = run
        .samples
        .iter()
        .filter(|one| one.experiment == experiment);
    of.map(|sample| sample.round as usize + 1)
        .max()
        .unwrap_or(1)
}

criterion_group!(benches, report);
criterion_main!(benches);
