//! Bytes as what criterion measures.

use criterion::Criterion;
use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter};

/// Bytes as criterion's measured value.
pub struct Bytes;

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

/// Criterion, measuring bytes. It draws no plots: memory comes in pages, so all values of a target may
/// be alike in two runs, and criterion 0.8.2 then panics where it draws the change (`kde.rs`).
pub fn criterion() -> Criterion<Bytes> {
    Criterion::default().without_plots().with_measurement(Bytes)
}
