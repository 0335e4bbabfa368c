//! `cargo xtask lab`: a machine that has what this host may lack, hardware KVM and pure cgroup v2,
//! emulated by QEMU.
//!
//! 1. The kernel is Debian's, with its modules ([`distribution`]); it's kept in a cache.
//! 2. Programs and tests are built as ever, and copied with all that they need into a directory
//!    ([`programs`], [`tree`]).
//! 3. That becomes an ext4 file system without anybody's being root, and is deleted before the
//!    machine starts, so that nothing can be left of it ([`disk`]).
//! 4. QEMU ([`emulator`]) boots the kernel with this program as `/init` ([`machine`]), which does
//!    the plan ([`steps`]).
//! 5. What it left in `/lab/out` is read out of the file system into `target/lab`.

mod disk;
mod distribution;
mod emulator;
mod machine;
mod programs;
mod skips;
mod steps;
mod tree;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::plan::{OUTCOMES, Outcome, PLAN};
use skips::Skips;

/// Where everything goes, from the root of the workspace.
const OUTPUT: &str = "target/lab";
/// A lab takes some five minutes; one that takes this long hangs.
const DEFAULT_LIMIT: Duration = Duration::from_mins(20);

/// The user asked for something that can't be done as asked.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// What is asked of the lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Time after which the machine is killed.
    limit: Duration,
    /// A program, or a part of tests' names; everything if empty.
    words: Vec<String>,
}

impl Options {
    /// Reads what stands behind `cargo xtask lab`.
    pub fn parse(words: &[&str]) -> anyhow::Result<Self> {
        let mut options = Self {
            limit: DEFAULT_LIMIT,
            words: Vec::new(),
        };
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            match *word {
                "--" => {
                    options.words = rest.map(|word| (*word).to_owned()).collect();
                    return Ok(options);
                }
                "--minutes" => {
                    let minutes = rest.next().and_then(|number| number.parse::<u64>().ok());
                    let minutes = minutes.filter(|minutes| (1..=600).contains(minutes));
                    let minutes = minutes
                        .ok_or_else(|| BadInput("--minutes takes a number from 1 to 600".into()))?;
                    options.limit = Duration::from_secs(minutes * 60);
                }
                other => {
                    return Err(BadInput(format!(
                        "unknown option `{other}`; filters and programs stand behind `--`: cargo xtask lab -- {other}"
                    ))
                    .into());
                }
            }
        }
        Ok(options)
    }
}

/// Does what `options` ask; the exit code is that of the program in the lab, or 1 if a step failed.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    check_tools()?;
    let started = Instant::now();
    let workspace = workspace()?;
    let output = claim(&workspace)?;
    let cache = cache()?;
    let system = distribution::prepare(&cache)?;
    let emulator = emulator::prepare(&cache)?;
    let built = programs::build(&workspace, &options.words)?;
    if options.words.is_empty() && built.guest_kernel.is_none() {
        let what = "the whole lab boots Linux guests, and there is no kernel for them; first: cargo run --release -- kernel build";
        return Err(BadInput(what.into()).into());
    }
    let plan = steps::plan(&built, &options.words, options.limit)?;

    say("copying programs and what they need");
    let stage = output.directory.join("stage");
    let tree = tree::Tree::create(&stage)?;
    programs::place(&tree, &built)?;
    tree.write(PLAN, &serde_json::to_vec_pretty(&plan)?)?;
    let init = tree.copy_stripped(&std::env::current_exe()?)?;
    let initramfs = machine::initramfs(&init, &system)?;
    let image = disk::make(&output.directory, &tree)?;
    fs::remove_dir_all(&stage).context("cannot remove the copies")?;

    say("booting");
    let log = output.directory.join("console.log");
    let ended = machine::run(
        &emulator,
        &system.kernel,
        &initramfs,
        &image,
        &log,
        options.limit,
    );
    disk::bring_out(&image, &output.directory)?;
    ended?;
    let outcomes = read_outcomes(&output.directory)?;
    say(&format!(
        "{} of {} steps passed in {:.0} s; logs and results are in {OUTPUT}",
        outcomes
            .iter()
            .filter(|outcome| outcome.succeeded())
            .count(),
        plan.steps.len(),
        started.elapsed().as_secs_f64()
    ));
    if outcomes.len() < plan.steps.len() {
        bail!(
            "the machine ended before its plan did; see {}",
            log.display()
        );
    }
    print_failures(&outcomes, &output.directory);
    let skips = Skips::find(&outcomes, &output.directory);
    say_skips(&skips);
    if !skips.wrong.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    Ok(exit_code(&outcomes))
}

fn say_skips(skips: &Skips) {
    for skip in &skips.believed {
        say(&format!("a test skipped itself: {skip}"));
    }
    for why in &skips.again {
        say(&format!("a test tried again: {why}"));
    }
    for skip in &skips.wrong {
        say(&format!(
            "a failure: a test skipped itself for want of what the lab has: {skip}"
        ));
    }
}

/// Prints a line to standard error: standard output is for a program in the lab.
fn say(text: &str) {
    eprintln!("lab: {text}");
}

/// The code of the first step that failed; what was left behind is a failure too.
fn exit_code(outcomes: &[Outcome]) -> ExitCode {
    let failed = outcomes.iter().find(|outcome| !outcome.succeeded());
    let code = failed.map_or(0, |outcome| outcome.code.max(1));
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn print_failures(outcomes: &[Outcome], directory: &Path) {
    for outcome in outcomes.iter().filter(|outcome| outcome.code != 0) {
        let path = directory.join(format!("{}.log", outcome.name));
        let Ok(log) = fs::read_to_string(&path) else {
            continue;
        };
        let lines: Vec<_> = log.lines().collect();
        say(&format!("the end of {}:", path.display()));
        for line in &lines[lines.len().saturating_sub(30)..] {
            eprintln!("    {line}");
        }
    }
}

fn read_outcomes(directory: &Path) -> anyhow::Result<Vec<Outcome>> {
    match fs::read(directory.join(OUTCOMES)) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(_) => Ok(Vec::new()),
    }
}

/// The output directory, and the lock that keeps a second lab out.
struct Claimed {
    directory: PathBuf,
    _lock: Flock<File>,
}

/// Takes the output directory and removes what is in the directory.
fn claim(workspace: &Path) -> anyhow::Result<Claimed> {
    let directory = workspace.join(OUTPUT);
    let lock_path = directory.with_extension("lock");
    fs::create_dir_all(workspace.join("target"))?;
    let lock =
        Flock::lock(File::create(&lock_path)?, FlockArg::LockExclusiveNonblock).map_err(|_| {
            BadInput(format!(
                "another lab is writing to {}; wait for it",
                directory.display()
            ))
        })?;
    if directory.exists() {
        fs::remove_dir_all(&directory)
            .with_context(|| format!("cannot empty {}", directory.display()))?;
    }
    fs::create_dir_all(&directory)?;
    Ok(Claimed {
        directory,
        _lock: lock,
    })
}

/// The root of the workspace that this program was built from.
fn workspace() -> anyhow::Result<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .ok_or_else(|| BadInput("run it by cargo: cargo xtask lab".into()))?;
    Ok(Path::new(&package).join("..").canonicalize()?)
}

fn cache() -> anyhow::Result<PathBuf> {
    let base = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if Path::new(&cache).is_absolute() => PathBuf::from(cache),
        (_, Some(home)) => Path::new(&home).join(".cache"),
        _ => return Err(BadInput("neither XDG_CACHE_HOME nor HOME is set".into()).into()),
    };
    let directory = base.join("isobench/lab");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(directory)
}

/// The host's programs that the lab needs, and Debian's packages that have them.
const TOOLS: [(&str, &str); 8] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mkfs.ext4", "e2fsprogs"),
    ("debugfs", "e2fsprogs"),
    ("strip", "binutils"),
    ("ip", "iproute2"),
    ("setpriv", "util-linux"),
    ("dpkg-deb", "dpkg"),
    ("apt-get", "apt"),
];

fn check_tools() -> anyhow::Result<()> {
    let missing: Vec<_> = TOOLS
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    let programs: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    Err(BadInput(format!(
        "{} not found; install with: apt-get install --no-install-recommends {}",
        programs.join(", "),
        packages.join(" ")
    ))
    .into())
}

/// Finds a program of the host.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    directories
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// The file of a package whose name begins so.
fn only_file(directory: &Path, start: &str) -> anyhow::Result<PathBuf> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    entries
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|entry| entry.path())
        .with_context(|| {
            format!(
                "there is no {start}* in {}; delete that directory",
                directory.display()
            )
        })
}

/// Runs a program of the host to its end, and gives the program's output; an error has the output
/// too.
fn run_tool(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("{name} failed: {}", words.trim().replace('\n', "; "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_dashes_is_taken_as_it_is() {
        let options = Options::parse(&["--minutes", "3", "--", "isobench", "--minutes"]).unwrap();
        assert_eq!(options.limit, Duration::from_mins(3));
        assert_eq!(options.words, ["isobench", "--minutes"]);
        assert!(Options::parse(&[]).unwrap().words.is_empty());
    }

    #[test]
    fn bad_options_are_named() {
        for (words, named) in [
            (&["vmm"][..], "-- vmm"),
            (&["--minutes", "x"], "--minutes"),
            (&["--minutes"], "--minutes"),
        ] {
            let error = Options::parse(words).unwrap_err();
            assert!(
                error.is::<BadInput>() && error.to_string().contains(named),
                "{error}"
            );
        }
    }

    #[test]
    fn what_was_left_behind_fails_the_lab() {
        let mut outcome = Outcome {
            name: "step".into(),
            code: 0,
            seconds: 1.0,
            left_behind: Vec::new(),
        };
        assert!(outcome.succeeded());
        outcome.left_behind.push("mount /x".into());
        assert_eq!(exit_code(&[outcome]), ExitCode::from(1));
    }
}
