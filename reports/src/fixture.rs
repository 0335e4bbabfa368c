//! A synthetic run for tests: three rungs, one that the host can't run, a floor, two peers, a failed sample.

mod declared;
mod image;
mod isolation;
mod latencies;
mod prices;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

pub use self::image::add_image;
pub use self::isolation::add_isolation;
pub use self::latencies::add_latencies;
pub use self::prices::{PRICES, add_crowds, add_density, price_of, with_prices};
use crate::export::json::undeclared::fill_in;
use crate::model::{
    Conduct, EMULATED, EMULATION, Fact, Run, SCHEMA_VERSION, Sample, Status, TOTAL, Unit,
};

/// Rounds of every experiment.
pub const ROUNDS: u32 = 20;

/// Good samples of a figure in which nothing fails: the first round is a warm-up.
pub const GOOD: usize = 19;

const STARTUP: &[(&str, &[(&str, f64)])] = &[
    ("process", &[("spawn", 0.28e6), ("workload", 0.32e6)]),
    (
        "container",
        &[
            ("start", 0.31e6),
            ("clone", 0.92e6),
            ("mounts", 0.48e6),
            ("pivot", 0.07e6),
            ("seccomp", 0.05e6),
            ("exec", 0.2e6),
            ("workload", 0.35e6),
        ],
    ),
    (
        "microvm-bare",
        &[
            ("start", 0.3e6),
            ("open", 0.02e6),
            ("create", 0.31e6),
            ("memory", 0.06e6),
            ("vcpu", 0.24e6),
            ("load", 0.41e6),
            ("first-exit", 0.36e6),
            ("workload", 0.43e6),
        ],
    ),
    (
        "namespaces",
        &[("start", 0.3e6), ("clone", 0.9e6), ("workload", 0.33e6)],
    ),
    ("bwrap", &[]),
    ("docker", &[]),
];

const MEMORY: &[(&str, &[(&str, f64)])] = &[
    (
        "process",
        &[
            ("anon", 110_000.0),
            ("file", 40_000.0),
            ("kernel", 98_000.0),
        ],
    ),
    (
        "container",
        &[
            ("anon", 150_000.0),
            ("file", 60_000.0),
            ("kernel", 420_000.0),
        ],
    ),
    (
        "microvm-bare",
        &[
            ("anon", 420_000.0),
            ("file", 410_000.0),
            ("kernel", 980_000.0),
        ],
    ),
    (
        "bwrap",
        &[
            ("anon", 260_000.0),
            ("file", 120_000.0),
            ("kernel", 640_000.0),
        ],
    ),
];

const DISK: &[(&str, Unit, [f64; 4])] = &[
    (
        "seq-read-direct",
        Unit::BytesPerSecond,
        [1.92e9, 1.91e9, 1.80e9, 1.88e9],
    ),
    (
        "seq-write-direct",
        Unit::BytesPerSecond,
        [0.91e9, 0.90e9, 0.84e9, 0.93e9],
    ),
    (
        "rand-read-direct",
        Unit::OperationsPerSecond,
        [48_200.0, 47_900.0, 31_500.0, 48_000.0],
    ),
    (
        "fsync-p50",
        Unit::Nanoseconds,
        [0.41e6, 0.42e6, 0.47e6, 0.41e6],
    ),
    ("fsync-p99", Unit::Nanoseconds, [1.9e6, 2.0e6, 2.2e6, 1.9e6]),
];

/// The fact that a host with an emulated processor has.
pub fn emulation() -> Fact {
    Fact {
        key: EMULATION.to_owned(),
        label: "Processor is emulated".to_owned(),
        value: EMULATED.to_owned(),
        concern: None,
    }
}

/// Makes the run; the same every time.
pub fn run() -> Run {
    let mut samples = Samples::seeded(1);
    for round in 0..ROUNDS {
        samples.startup(round);
        samples.memory(round);
        samples.disk(round);
    }
    let mut run = Run {
        schema: SCHEMA_VERSION,
        tool: "isobench".to_owned(),
        version: "0.1.0".to_owned(),
        started: "2026-11-24T02:16:07Z".to_owned(),
        duration_seconds: 141.3,
        partial: false,
        profile: "standard".to_owned(),
        seed: 42,
        host: declared::host(),
        targets: declared::targets(),
        experiments: declared::experiments(),
        conduct: Conduct::default(),
        warnings: vec![
            "the load was 1.7 at the start, on 2 cores: figures may be noisy".to_owned(),
        ],
        samples: samples.rows,
    };
    fill_in(&mut run);
    run
}

struct Samples {
    rng: ChaCha8Rng,
    rows: Vec<Sample>,
    sequence: u64,
}

impl Samples {
    fn seeded(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            rows: Vec::new(),
            sequence: 0,
        }
    }

    fn noisy(&mut self, value: f64) -> f64 {
        let tail = if self.rng.random_range(0..12) == 0 {
            self.rng.random_range(0.1..0.9)
        } else {
            0.0
        };
        (value * (self.rng.random_range(0.95..1.08) + tail)).round()
    }

    fn push(&mut self, names: [&str; 4], unit: Unit, round: u32, value: f64) {
        let [target, experiment, metric, part] = names.map(str::to_owned);
        let status = if round == 0 {
            Status::Warmup
        } else {
            Status::Ok
        };
        let reason = (round == 0).then(|| "taken to warm up".to_owned());
        let sequence = self.sequence;
        self.rows.push(Sample {
            target,
            experiment,
            metric,
            part,
            unit,
            round,
            sequence,
            value: Some(value),
            status,
            reason,
            latencies: None,
        });
    }

    fn whole(
        &mut self,
        names: [&str; 3],
        unit: Unit,
        round: u32,
        parts: &[(&str, f64)],
        whole: f64,
    ) {
        let [target, experiment, metric] = names;
        let values: Vec<f64> = parts.iter().map(|(_, value)| self.noisy(*value)).collect();
        let total = if parts.is_empty() {
            self.noisy(whole)
        } else {
            values.iter().sum()
        };
        self.push([target, experiment, metric, TOTAL], unit, round, total);
        for ((part, _), value) in parts.iter().zip(values) {
            self.push([target, experiment, metric, part], unit, round, value);
        }
        self.sequence += 1;
    }

    fn startup(&mut self, round: u32) {
        for (target, phases) in STARTUP {
            let whole = if *target == "docker" { 310e6 } else { 3.7e6 };
            self.whole(
                [target, "startup", "ready"],
                Unit::Nanoseconds,
                round,
                phases,
                whole,
            );
            let exit = if *target == "docker" { 40e6 } else { 0.4e6 };
            self.whole(
                [target, "startup", "teardown"],
                Unit::Nanoseconds,
                round,
                &[],
                exit,
            );
            if *target == "container" && round == 5 {
                for row in self
                    .rows
                    .iter_mut()
                    .rev()
                    .take(9)
                    .filter(|row| row.metric == "ready")
                {
                    row.status = Status::Failed;
                    row.value = None;
                    row.reason = Some("timed out after 5 s".to_owned());
                }
            }
        }
    }

    fn memory(&mut self, round: u32) {
        for (target, parts) in MEMORY {
            self.whole(
                [target, "memory", "overhead"],
                Unit::Bytes,
                round,
                parts,
                0.0,
            );
        }
    }

    fn disk(&mut self, round: u32) {
        for (metric, unit, values) in DISK {
            for (target, value) in ["process", "container", "microvm-bare", "bwrap"]
                .iter()
                .zip(values)
            {
                self.whole([target, "disk", metric], *unit, round, &[], *value);
            }
        }
    }
}
