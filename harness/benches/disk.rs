//! Disk throughput, rate and flush latency of each target on the same file.
//! `cargo bench -- disk/seq-read-direct` measures one kind of access on all targets.

use std::time::Duration;

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use isobench::suite::bench_testbed::BenchTestbed;
use isobench_reports::model::Unit;
use isobench_reports::schema::disk;

/// A rate turned into the time per MiB or per operation.
fn time_of(unit: Unit, value: f64) -> Duration {
    const MIB: f64 = 1024.0 * 1024.0;
    Duration::from_secs_f64(match unit {
        Unit::Nanoseconds => value / 1e9,
        Unit::OperationsPerSecond => 1.0 / value,
        Unit::BytesPerSecond => MIB / value,
        other => panic!("{other:?} is no unit of disk figures"),
    })
}

fn disk(criterion: &mut Criterion) {
    let testbed = BenchTestbed::assemble(disk::NAME, env!("CARGO_BIN_EXE_isobench"))
        .expect("the testbed can be assembled");
    for (number, case) in testbed.cases().iter().enumerate() {
        let metric = case.metrics[0];
        let unit = testbed.unit(metric);
        let mut group = criterion.benchmark_group(format!("{}/{metric}", disk::NAME));
        group
            .sampling_mode(SamplingMode::Flat)
            .sample_size(10)
            .warm_up_time(Duration::from_millis(100))
            .measurement_time(Duration::from_millis(500));
        for target in testbed.targets(number) {
            group.bench_function(target.info.name, |bencher| {
                bencher.iter_custom(|times| {
                    (0..times)
                        .map(|_| time_of(unit, testbed.sample(number, metric, target)))
                        .sum()
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, disk);
criterion_main!(benches);
