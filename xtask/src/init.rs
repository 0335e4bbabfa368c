//! The lab's first process: mounts what Linux programs expect, does the plan, switches the machine
//! off.
//!
//! It starts in an initramfs that holds it and the modules, and goes over to the disk: overlayfs
//! and `pivot_root` want a root of the usual kind.

mod step;
mod traces;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};

use crate::plan::{OUT, OUTCOMES, Outcome, PLAN, PREFIX, Plan, Step};

/// The directory of the initramfs that holds the modules, named in the order of loading.
pub const MODULES: &str = "/modules";
/// The disk of the machine.
const DISK: &str = "/dev/vda";
/// Where the disk is mounted before the disk becomes the root.
const NEW_ROOT: &str = "/root";

/// Does all, and switches the machine off whatever comes.
pub fn run() -> ExitCode {
    if let Err(error) = prepare().and_then(|()| do_plan()) {
        println!("{PREFIX}the machine could not do its plan: {error:#}");
    }
    nix::unistd::sync();
    // Without an ACPI daemon or a disk to unmount there is nothing more to end; QEMU exits on a
    // power-off.
    match reboot(RebootMode::RB_POWER_OFF) {
        Ok(never) => match never {},
        Err(_) => ExitCode::FAILURE,
    }
}

fn prepare() -> anyhow::Result<()> {
    mount_new("devtmpfs", "/dev", "devtmpfs")?;
    load_modules()?;
    wait_for(Path::new(DISK))?;
    fs::create_dir_all(NEW_ROOT)?;
    mount(
        Some(DISK),
        NEW_ROOT,
        Some("ext4"),
        MsFlags::MS_NOATIME,
        None::<&str>,
    )
    .context("cannot mount the disk")?;
    std::env::set_current_dir(NEW_ROOT)?;
    mount(
        Some("/dev"),
        "dev",
        None::<&str>,
        MsFlags::MS_MOVE,
        None::<&str>,
    )?;
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>)?;
    nix::unistd::chroot(".")?;
    std::env::set_current_dir("/")?;
    mount_new("proc", "/proc", "proc")?;
    mount_new("sysfs", "/sys", "sysfs")?;
    mount_new("cgroup2", "/sys/fs/cgroup", "cgroup2")?;
    fs::create_dir_all("/dev/shm")?;
    mount_new("tmpfs", "/dev/shm", "tmpfs")?;
    let up = Command::new("/usr/sbin/ip")
        .args(["link", "set", "lo", "up"])
        .status();
    if !up.is_ok_and(|status| status.success()) {
        bail!("cannot set the loopback interface up");
    }
    Ok(())
}

fn mount_new(source: &str, target: &str, kind: &str) -> anyhow::Result<()> {
    mount(
        Some(source),
        target,
        Some(kind),
        MsFlags::empty(),
        None::<&str>,
    )
    .with_context(|| format!("cannot mount {target}"))
}

fn load_modules() -> anyhow::Result<()> {
    let mut modules: Vec<_> = fs::read_dir(MODULES)?.collect::<Result<_, _>>()?;
    modules.sort_by_key(fs::DirEntry::file_name);
    for module in modules {
        let file = File::open(module.path())?;
        finit_module(&file, c"", ModuleInitFlags::empty())
            .with_context(|| format!("cannot load {}", module.path().display()))?;
    }
    Ok(())
}

/// A device appears some time after its driver.
fn wait_for(device: &Path) -> anyhow::Result<()> {
    for _ in 0..500 {
        if device.exists() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("there is no {} after ten seconds", device.display());
}

fn do_plan() -> anyhow::Result<()> {
    let plan: Plan = serde_json::from_slice(&fs::read(PLAN)?).context("cannot read the plan")?;
    let out = Path::new(OUT);
    let mut outcomes: Vec<Outcome> = Vec::new();
    let count = plan.steps.len();
    for (number, wanted) in plan.steps.iter().enumerate() {
        println!("{PREFIX}{} of {count}: {}", number + 1, wanted.name);
        let outcome = try_until_passed(wanted, out)?;
        println!("{PREFIX}{}", step::summary(&outcome));
        outcomes.push(outcome);
        fs::write(out.join(OUTCOMES), serde_json::to_vec_pretty(&outcomes)?)?;
        // A machine that is killed later has its logs so far on the disk.
        nix::unistd::sync();
    }
    Ok(())
}

/// Runs a step as often as the step may be tried. The log says why a step was tried again.
fn try_until_passed(wanted: &Step, out: &Path) -> anyhow::Result<Outcome> {
    let mut outcome = step::run(wanted, out)?;
    for _ in 1..wanted.tries {
        if outcome.succeeded() {
            break;
        }
        let why = step::summary(&outcome);
        writeln!(log(out, &wanted.name)?, "tried again: {why}")?;
        outcome = step::run(wanted, out)?;
    }
    Ok(outcome)
}

/// A file to write a step's output to.
fn log(out: &Path, step: &str) -> anyhow::Result<File> {
    let path = out.join(format!("{step}.log"));
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))
}
