//! Memory charged to one idle instance of each target, beyond what its program touches; in bytes, not in time.
#![expect(
    clippy::print_stdout,
    reason = "a benchmark's figures are for whoever watches it"
)]

#[path = "memory/bytes.rs"]
mod bytes;

use std::cell::RefCell;
use std::time::Duration;

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use isobench::suite::bench_testbed::BenchTestbed;
use isobench::suite::goal::noise_note;
use isobench_reports::schema::memory;
use isobench_reports::statistics::Series;

use bytes::Bytes;

fn memory(criterion: &mut Criterion<Bytes>) {
    let testbed = BenchTestbed::assemble(memory::NAME, env!("CARGO_BIN_EXE_isobench"))
        .expect("the testbed can be assembled");
    let metric = if testbed.testbed.accounting.is_ok() {
        "charge"
    } else {
        "pss"
    };
    let mut group = criterion.benchmark_group(memory::NAME);
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    let mut measured: Vec<(&str, Vec<f64>)> = Vec::new();
    for target in testbed.targets(0) {
        let values = RefCell::new(Vec::new());
        group.bench_function(target.info.name, |bencher| {
            bencher.iter_custom(|times| {
                let taken = (0..times).map(|_| testbed.sample(0, metric, target));
                let taken: Vec<f64> = taken.collect();
                let sum = taken.iter().sum();
                values.borrow_mut().extend(taken);
                sum
            });
        });
        measured.push((target.info.name, values.into_inner()));
    }
    group.finish();
    print_doubts(&measured);
}

/// Names the targets whose memory can't be told from that of the first, the bare process.
fn print_doubts(measured: &[(&str, Vec<f64>)]) {
    let series = |values: &[f64]| Series::new((0..).zip(values.iter().copied()));
    let Some(((first, values), others)) = measured.split_first() else {
        return;
    };
    let base = series(values);
    for (name, values) in others {
        let interval = series(values).difference_interval(&base);
        if let Some(note) = interval.and_then(noise_note) {
            println!("memory/{name}: its difference from {first} {note}");
        }
    }
}

criterion_group! {
    name = benches;
    config = bytes::criterion();
    targets = memory
}
criterion_main!(benches);
