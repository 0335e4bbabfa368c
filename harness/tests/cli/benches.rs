//! What benches share with criterion, tried on what they may meet.

use std::time::Duration;

use crate::bytes::criterion;
use crate::support::place::Place;

#[test]
fn memory_that_is_alike_in_every_sample_is_benched_to_the_end_and_compared() {
    let place = Place::new();
    let directory = place.path("criterion");
    for value in [4096.0, 4096.0, 8192.0, 1e9] {
        let mut criterion = criterion().output_directory(&directory);
        let mut group = criterion.benchmark_group("memory");
        let group_of_moments = group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(1))
            .measurement_time(Duration::from_millis(1));
        group_of_moments.bench_function("alike", |bencher| {
            bencher.iter_custom(|times| value * times as f64);
        });
        group.finish();
    }
    let alike = directory.join("memory/alike");
    assert!(alike.join("change/estimates.json").exists());
}
