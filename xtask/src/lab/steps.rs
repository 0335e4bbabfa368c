//! The plan of a lab: which programs run in it, with what, and for how long.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;

use super::programs::{Built, TestProgram, is_program};
use crate::plan::{OUT, Plan, Step};

/// Seconds that a test program may take.
const TEST_LIMIT: u64 = 300;
/// The test program whose guests are made by hand, and leave to the host hundreds of thousands of
/// times. Once in some million the emulator goes on with the host's own registers after that, as if
/// they were the guest's, which then faults for ever.
const OF_MANY_EXITS: &str = "vmm-unit";
/// Seconds that it may take: it's done in ten.
const MANY_EXITS_LIMIT: u64 = 120;
/// How often it's tried.
const MANY_EXITS_TRIES: u32 = 3;
/// Seconds that a run may take.
const RUN_LIMIT: u64 = 600;

/// The runs of a whole lab: the ladder without what starts many guests at once, which takes minutes
/// when emulated; then the VMMs beside each other, which boot a kernel for each sample.
const RUNS: [(&str, &[&str]); 2] = [
    (
        "quick",
        &[
            "--targets",
            "process,container,microvm-bare,microvm-linux",
            "--experiments",
            "startup,memory,disk,net",
            "--max-time",
            "30s",
        ],
    ),
    (
        "machines",
        &[
            "--targets",
            "process,microvm-linux,qemu-microvm,qemu-pc",
            "--experiments",
            "startup,disk",
            "--max-time",
            "30s",
        ],
    ),
];

/// The tests of a whole lab: programs, and parts of tests' names, or all of a program's. They are
/// those that look at the machine; what comes out the same on any is left to the host, which is
/// twenty times as fast.
const TESTS: [(&str, &[&str]); 7] = [
    ("harness-container", &[]),
    ("harness-vmm", &[]),
    ("harness-linux_guest", &[]),
    ("harness-image", &["guest::"]),
    (
        "vmm-unit",
        &[
            "guest_tests",
            "machine_tests",
            "hostile_tests",
            "kvm::",
            "confine::",
        ],
    ),
    (
        "container-unit",
        &["cgroup::", "network::", "seccomp::", "mechanism::"],
    ),
    (
        "harness-unit",
        &["accounting::", "host::", "probe::", "targets::"],
    ),
];

/// The plan for `words`: the runs and the tests of a whole lab if there are none. A command may
/// take as long as the machine.
pub fn plan(built: &Built, words: &[String], limit: Duration) -> anyhow::Result<Plan> {
    let mut steps: Vec<Step> = Vec::new();
    match words.first() {
        Some(first) if is_program(first, &built.programs) => {
            let mut command = words.to_vec();
            // A bench is not found by its name: cargo adds a hash to it.
            if let Some(path) = built.programs.get(first) {
                command[0] = path.to_string_lossy().into_owned();
            }
            let root = Path::new("/root");
            steps.push(step("command", command, root, built, limit.as_secs()));
        }
        Some(_) => steps.extend(built.tests.iter().map(|test| test_step(test, built, words))),
        None => {
            // The runs come first: a test that takes the machine down leaves them their results.
            for (name, arguments) in RUNS {
                steps.push(run_step(name, arguments, built)?);
            }
            for (name, filter) in TESTS {
                let mut tests = built.tests.iter();
                let Some(test) = tests.find(|test| test.name == name) else {
                    bail!("cargo built no tests that are called {name}")
                };
                let filter: Vec<String> = filter.iter().map(|&word| word.to_owned()).collect();
                steps.push(test_step(test, built, &filter));
            }
        }
    }
    Ok(Plan { steps })
}

/// A run of `isobench` whose results come out under the step's name.
fn run_step(name: &str, arguments: &[&str], built: &Built) -> anyhow::Result<Step> {
    let Some(isobench) = built.programs.get("isobench") else {
        bail!("cargo built no isobench")
    };
    let isobench = isobench.to_string_lossy();
    let out = format!("{OUT}/{name}");
    let mut command = vec![&*isobench, "run", "--profile", "quick", "--out", &out];
    command.extend(arguments);
    let command = command.into_iter().map(str::to_owned).collect();
    Ok(step(name, command, Path::new("/root"), built, RUN_LIMIT))
}

fn test_step(test: &TestProgram, built: &Built, filter: &[String]) -> Step {
    let mut command = vec![
        test.program.to_string_lossy().into_owned(),
        "--show-output".to_owned(),
    ];
    command.extend_from_slice(filter);
    let mut wanted = step(&test.name, command, &test.directory, built, TEST_LIMIT);
    if test.name == OF_MANY_EXITS {
        wanted.limit = MANY_EXITS_LIMIT;
        wanted.tries = MANY_EXITS_TRIES;
    }
    wanted
}

fn step(name: &str, command: Vec<String>, directory: &Path, built: &Built, limit: u64) -> Step {
    let programs = built
        .programs
        .get("isobench")
        .and_then(|program| program.parent());
    let programs = programs.unwrap_or(Path::new("/")).to_string_lossy();
    let mut environment = vec![
        (
            "PATH".to_owned(),
            format!("{programs}:/usr/sbin:/usr/bin:/sbin:/bin"),
        ),
        ("HOME".to_owned(), "/root".to_owned()),
        ("TMPDIR".to_owned(), "/var/tmp".to_owned()),
        ("RUST_BACKTRACE".to_owned(), "1".to_owned()),
        ("COLUMNS".to_owned(), "100".to_owned()),
    ];
    if let Some(kernel) = &built.guest_kernel {
        environment.push((
            "ISOBENCH_KERNEL".to_owned(),
            kernel.to_string_lossy().into_owned(),
        ));
    }
    Step {
        name: name.to_owned(),
        command,
        directory: directory.to_owned(),
        environment,
        limit,
        tries: 1,
        echo: name == "command",
    }
}
