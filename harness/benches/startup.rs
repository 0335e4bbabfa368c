//! Start-up of each target until its workload is ready; also the floors and the installed peers.
//! `cargo bench -- startup/container` measures one.

use std::time::Duration;

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use isobench::suite::bench_testbed::BenchTestbed;
use isobench_reports::schema::startup;

fn startup(criterion: &mut Criterion) {
    let testbed = BenchTestbed::assemble(startup::NAME, env!("CARGO_BIN_EXE_isobench"))
        .expect("the testbed can be assembled");
    let mut group = criterion.benchmark_group(startup::NAME);
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(50)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    for target in testbed.targets(0) {
        group.bench_function(target.info.name, |bencher| {
            bencher.iter_custom(|times| {
                let nanoseconds: f64 = (0..times).map(|_| testbed.sample(0, "ready", target)).sum();
                Duration::from_secs_f64(nanoseconds / 1e9)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, startup);
criterion_main!(benches);
