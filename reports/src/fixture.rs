//! A synthetic run for tests: three rungs, one that the host can't run, a floor, two peers, a failed sample.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::model::{
    Better, Experiment, Fact, Host, Metric, Part, Run, SCHEMA_VERSION, Sample, Status, TOTAL,
    Target, TargetKind, Unavailable, Unit,
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

const PHASES: &[(&str, &str)] = &[
    ("spawn", "posix_spawn and exec of the program"),
    ("start", "spawning the launcher until its main is entered"),
    ("clone", "one clone3 with seven namespaces"),
    ("mounts", "the layered root, /proc and /dev"),
    ("pivot", "pivot_root into the new root"),
    ("seccomp", "dropping capabilities and installing the filter"),
    ("exec", "exec of the workload"),
    ("open", "opening /dev/kvm"),
    ("create", "KVM_CREATE_VM"),
    ("memory", "guest memory and its region"),
    ("vcpu", "creating the vCPU and its registers"),
    ("load", "mapping the program into the guest"),
    ("first-exit", "the first KVM_RUN until its first exit"),
    (
        "workload",
        "the program's own start until its ready line arrives",
    ),
];

const COMPONENTS: &[(&str, &str)] = &[
    ("anon", "anonymous memory"),
    ("file", "page cache first touched by the instance"),
    ("kernel", "stacks, page tables, slabs"),
];

/// Makes the run; the same every time.
pub fn run() -> Run {
    let mut samples = Samples {
        rng: ChaCha8Rng::seed_from_u64(1),
        rows: Vec::new(),
        sequence: 0,
    };
    for round in 0..ROUNDS {
        samples.startup(round);
        samples.memory(round);
        samples.disk(round);
    }
    Run {
        schema: SCHEMA_VERSION,
        tool: "isobench".to_owned(),
        version: "0.1.0".to_owned(),
        started: "2026-11-24T02:16:07Z".to_owned(),
        duration_seconds: 141.3,
        partial: false,
        profile: "standard".to_owned(),
        seed: 42,
        host: host(),
        targets: targets(),
        experiments: experiments(),
        warnings: vec![
            "the load was 1.7 at the start, on 2 cores: figures may be noisy".to_owned(),
        ],
        samples: samples.rows,
    }
}

struct Samples {
    rng: ChaCha8Rng,
    rows: Vec<Sample>,
    sequence: u64,
}

impl Samples {
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

fn host() -> Host {
    let fact = |key: &str, label: &str, value: &str, concern: Option<&str>| Fact {
        key: key.to_owned(),
        label: label.to_owned(),
        value: value.to_owned(),
        concern: concern.map(str::to_owned),
    };
    Host {
        summary: "Intel Xeon at 2.60 GHz, 2 cores, 24 GiB, Linux 6.12, software KVM".to_owned(),
        facts: vec![
            fact("cpu-model", "CPU", "Intel(R) Xeon(R) CPU @ 2.60GHz", None),
            fact("kernel", "Kernel", "6.12.8-cloud-amd64", None),
            fact(
                "kvm-kind",
                "KVM",
                "software",
                Some(
                    "ring 0 of a guest is interpreted: costs of a guest kernel can't be seen here",
                ),
            ),
            fact(
                "load",
                "Load",
                "1.70 0.92 0.51",
                Some("other work competes for the 2 cores"),
            ),
        ],
    }
}

fn targets() -> Vec<Target> {
    let target = |name: &str, description: &str, kind, version: Option<&str>| Target {
        name: name.to_owned(),
        description: description.to_owned(),
        kind,
        version: version.map(str::to_owned),
        unavailable: None,
    };
    let mut linux = target(
        "microvm-linux",
        "adds a guest kernel and virtio devices",
        TargetKind::Rung(3),
        None,
    );
    linux.unavailable = Some(Unavailable {
        reason: "the host has software KVM, on which a guest kernel runs at 1.6 million instructions a second".to_owned(),
        fix: "use a host whose /dev/kvm is hardware virtualization".to_owned(),
    });
    vec![
        target(
            "process",
            "nothing: posix_spawn and exec",
            TargetKind::Rung(0),
            None,
        ),
        target(
            "container",
            "adds namespaces, a cgroup, a layered root file system, seccomp",
            TargetKind::Rung(1),
            None,
        ),
        target(
            "microvm-bare",
            "adds hardware virtualization without a guest OS",
            TargetKind::Rung(2),
            None,
        ),
        linux,
        target(
            "namespaces",
            "one clone3 with the container's namespaces, and exec",
            TargetKind::Floor,
            None,
        ),
        target(
            "bwrap",
            "bubblewrap with --unshare-all",
            TargetKind::Peer,
            Some("0.8.0"),
        ),
        target(
            "docker",
            "docker run with its daemon",
            TargetKind::Peer,
            Some("27.3.1"),
        ),
    ]
}

fn experiments() -> Vec<Experiment> {
    let experiment = |name: &str, method: &str, metrics| Experiment {
        name: name.to_owned(),
        method: method.to_owned(),
        metrics,
    };
    vec![
        experiment(
            "startup",
            "From just before the launcher is spawned until the workload's first line arrives, on the host's monotonic clock.",
            vec![
                metric(
                    "ready",
                    "spawn to ready",
                    Unit::Nanoseconds,
                    Better::Lower,
                    PHASES,
                ),
                metric(
                    "teardown",
                    "exit to clean",
                    Unit::Nanoseconds,
                    Better::Lower,
                    &[],
                ),
            ],
        ),
        experiment(
            "memory",
            "What one idle instance is charged for in its cgroup, minus the bytes that the workload touches.",
            vec![metric(
                "overhead",
                "overhead",
                Unit::Bytes,
                Better::Lower,
                COMPONENTS,
            )],
        ),
        experiment(
            "disk",
            "The same backing file for every target; throughput from the arrival of the begin and end lines on the host's clock.",
            disk_metrics(),
        ),
    ]
}

fn disk_metrics() -> Vec<Metric> {
    let higher = |name, title, unit| metric(name, title, unit, Better::Higher, &[]);
    let lower = |name, title| metric(name, title, Unit::Nanoseconds, Better::Lower, &[]);
    vec![
        higher(
            "seq-read-direct",
            "sequential read, O_DIRECT",
            Unit::BytesPerSecond,
        ),
        higher(
            "seq-write-direct",
            "sequential write, O_DIRECT",
            Unit::BytesPerSecond,
        ),
        higher(
            "rand-read-direct",
            "random 4 KiB read, O_DIRECT",
            Unit::OperationsPerSecond,
        ),
        lower("fsync-p50", "fsync, median"),
        lower("fsync-p99", "fsync, 99th percentile"),
    ]
}

fn metric(name: &str, title: &str, unit: Unit, better: Better, parts: &[(&str, &str)]) -> Metric {
    let part = |(name, explanation): &(&str, &str)| Part {
        name: (*name).to_owned(),
        explanation: (*explanation).to_owned(),
    };
    Metric {
        name: name.to_owned(),
        title: title.to_owned(),
        unit,
        better,
        parts: parts.iter().map(part).collect(),
    }
}
