//! The disk: fio on the very file that the experiment `disk` works on, with as many bytes in blocks as large.
//!
//! A disk interrupts one processor, and who runs there hears of it sooner: the median flush was seen to differ by a third
//! between two. So both keep to one.

use std::process::Command;

use anyhow::Context as _;
use isobench_reports::model::Unit;
use isobench_reports::schema::disk;

use crate::own::Own;
use crate::rows::{self, Row};

/// A kind of access: isobench's name of its figure, and fio's options for the same.
struct Access {
    metric: &'static str,
    figure: &'static str,
    unit: Unit,
    options: &'static [&'static str],
    /// Where the figure is in what fio says of its job.
    result: &'static str,
}

/// The amounts are those of isobench's standard profile (`harness/src/experiments/disk.rs`).
const ACCESSES: [Access; 5] = [
    Access {
        metric: "seq-read-direct",
        figure: "sequential read, O_DIRECT",
        unit: Unit::BytesPerSecond,
        options: &["--rw=read", "--bs=1m", "--size=128m", "--direct=1"],
        result: "/read/bw_bytes",
    },
    Access {
        metric: "seq-write-direct",
        figure: "sequential write, O_DIRECT",
        unit: Unit::BytesPerSecond,
        options: &["--rw=write", "--bs=1m", "--size=128m", "--direct=1"],
        result: "/write/bw_bytes",
    },
    Access {
        metric: "rand-read-direct",
        figure: "random read, O_DIRECT",
        unit: Unit::OperationsPerSecond,
        options: &["--rw=randread", "--bs=4k", "--size=8000k", "--direct=1"],
        result: "/read/iops",
    },
    Access {
        metric: "rand-write-direct",
        figure: "random write, O_DIRECT",
        unit: Unit::OperationsPerSecond,
        options: &["--rw=randwrite", "--bs=4k", "--size=8000k", "--direct=1"],
        result: "/write/iops",
    },
    Access {
        metric: "fsync-p50",
        figure: "flush of 4 KiB, median",
        unit: Unit::Nanoseconds,
        options: &["--rw=write", "--bs=4k", "--size=2000k", "--fdatasync=1"],
        result: "/sync/lat_ns/percentile/50.000000",
    },
];

pub fn rows(own: &Own) -> impl Iterator<Item = Row<'_>> {
    ACCESSES.iter().map(move |access| Row {
        figure: access.figure,
        tool: "fio".to_owned(),
        program: "fio".into(),
        package: "fio",
        allowance: 0.10,
        unit: access.unit,
        keeps_processor: true,
        ours: Box::new(|| own.sample(disk::NAME, &[access.metric])),
        theirs: Box::new(|| figure(own, access)),
    })
}

fn figure(own: &Own, access: &Access) -> anyhow::Result<Vec<f64>> {
    let mut command = Command::new("fio");
    command.args([
        "--name=agreement",
        "--ioengine=psync",
        "--output-format=json",
    ]);
    // Blocks may come twice, and the page cache is left as it is, as isobench has it. The file is never laid out anew.
    command.args(["--norandommap", "--invalidate=0", "--allow_file_create=0"]);
    command.arg(format!("--filename={}", own.disk().display()));
    command.args(access.options);
    let output = rows::output_of(command)?;
    let said: serde_json::Value = serde_json::from_str(&output)?;
    let value = said["jobs"][0].pointer(access.result);
    let value = value.and_then(serde_json::Value::as_f64);
    Ok(vec![value.with_context(|| {
        format!("fio's JSON has no {}", access.result)
    })?])
}
