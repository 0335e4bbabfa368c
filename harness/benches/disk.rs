//! Disk throughput, rate and flush latency of each target on the same file.
//! `cargo bench -- disk/seq-read-direct` measures one kind of access on all targets.

use std::time::Duration;

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use isobench::bench::BenchRig;
use isobench::experiment::DISK;

/// Time per MiB, per operation or per flush: whatever the metric's rate is turned into a time.
fn time_of(metric: &str, value: f64) -> Duration {
    const MIB: f64 = 1024.0 * 1024.0;
    Duration::from_secs_f64(match metric {
        flush if flush.starts_with("fsync") => value / 1e9,
        random if random.starts_with("rand") => 1.0 / value,
        _ => MIB / value,
    })
}

fn disk(criterion: &mut Criterion) {
    let rig =
        BenchRig::assemble(DISK, env!("CARGO_BIN_EXE_isobench")).expect("the rig can be assembled");
    for (case, metrics) in rig.cases().iter().enumerate() {
        let metric = metrics[0];
        let mut group = criterion.benchmark_group(format!("{DISK}/{metric}"));
        group
            .sampling_mode(SamplingMode::Flat)
            .sample_size(10)
            .warm_up_time(Duration::from_millis(100))
            .measurement_time(Duration::from_millis(500));
        for subject in &rig.rig.subjects {
            group.bench_function(subject.target.name(), |bencher| {
                bencher.iter_custom(|times| {
                    (0..times)
                        .map(|_| time_of(metric, rig.sample(case, metric, subject)))
                        .sum()
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, disk);
criterion_main!(benches);
