//! Memory charged to one idle instance of each target, beyond what its program touches; in bytes, not in time.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use isobench::suite::bench_testbed::BenchTestbed;
use isobench_reports::schema::memory;

/// Bytes as criterion's measured value.
struct Bytes;

impl Measurement for Bytes {
    type Intermediate = ();
    type Value = f64;

    // An instance's charge is read while it idles, never between two points in time: the benches use `iter_custom`.
    fn start(&self) {}

    fn end(&self, (): ()) -> f64 {
        0.0
    }

    fn add(&self, a: &f64, b: &f64) -> f64 {
        a + b
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        &BytesFormatter
    }
}

struct BytesFormatter;

impl ValueFormatter for BytesFormatter {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        let (divisor, unit) = if typical < 1024.0 * 1024.0 {
            (1024.0, "KiB")
        } else {
            (1024.0 * 1024.0, "MiB")
        };
        for value in values {
            *value /= divisor;
        }
        unit
    }

    fn scale_throughputs(&self, typical: f64, _: &Throughput, values: &mut [f64]) -> &'static str {
        self.scale_values(typical, values)
    }

    fn scale_for_machines(&self, _: &mut [f64]) -> &'static str {
        "B"
    }
}

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
    for target in testbed.targets(0) {
        group.bench_function(target.info.name, |bencher| {
            bencher
                .iter_custom(|times| (0..times).map(|_| testbed.sample(0, metric, target)).sum());
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(Bytes);
    targets = memory
}
criterion_main!(benches);
