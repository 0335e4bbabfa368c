//! The emulated machine: its initramfs, its command line, and a watch over it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use cpio::newc::{self, ModeFileType};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::disk::Image;
use super::distribution::System;
use super::emulator::Emulator;
use crate::init::MODULES;
use crate::plan::PREFIX;

/// All that can be emulated, but for fast string instructions, of which an emulator does a byte at
/// a time, and a fifth level of page tables, which most hosts don't use and every miss of the TLB
/// walks.
const PROCESSOR: &str = "max,+svm,+npt,-erms,-fsrm,-la57";
/// What Debian's kernel is told.
///
/// Pages are cleared as they are freed and not as they are taken. To overwrite code that has run,
/// as that of a guest's kernel has, takes the emulator thirty times as long as other memory; so
/// that falls to the guest whose code it was, not to the next.
const COMMAND_LINE: &str = "console=ttyS0 quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on tsc=reliable \
     init_on_alloc=0 init_on_free=1";
/// Memory of the machine; the host gives each page when the machine touches the page.
const MEMORY: &str = "3G";
/// Time between two looks at signals and the clock.
const LOOK: Duration = Duration::from_millis(100);

/// An archive of `init` and the modules, numbered in the order of loading.
pub fn initramfs(init: &Path, system: &System) -> anyhow::Result<File> {
    let mut files = vec![
        ("dev".to_owned(), 0o755, ModeFileType::Directory, Vec::new()),
        (
            MODULES.trim_start_matches('/').to_owned(),
            0o755,
            ModeFileType::Directory,
            Vec::new(),
        ),
        (
            "init".to_owned(),
            0o755,
            ModeFileType::Regular,
            fs::read(init)?,
        ),
    ];
    for (number, module) in system.modules.iter().enumerate() {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        let path = format!("{}/{number:03}-{name}", MODULES.trim_start_matches('/'));
        files.push((path, 0o644, ModeFileType::Regular, fs::read(module)?));
    }
    let entries = files
        .into_iter()
        .enumerate()
        .map(|(number, (name, mode, kind, content))| {
            let number = u32::try_from(number + 1).unwrap_or(u32::MAX);
            let entry = newc::Builder::new(&name)
                .ino(number)
                .nlink(1)
                .mode(mode)
                .set_mode_file_type(kind);
            (entry, std::io::Cursor::new(content))
        });
    let file = super::disk::nameless()?;
    cpio::write_cpio(entries, &file).context("cannot write the initramfs")?;
    Ok(file)
}

/// Runs the machine to its end.
pub fn run(
    emulator: &Emulator,
    kernel: &Path,
    initramfs: &File,
    image: &Image,
    log: &Path,
    limit: Duration,
) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut log = File::create(log)?;
    let mut screen = Screen { plan_begun: false };
    let mut qemu = Killed(
        command(emulator, kernel, initramfs, image)
            .spawn()
            .context("cannot start QEMU")?,
    );
    let console = qemu.0.stdout.take().context("QEMU has no output")?;
    let lines = lines_of(console);
    let deadline = Instant::now() + limit;
    loop {
        match lines.recv_timeout(LOOK) {
            Ok(line) => {
                log.write_all(&line)?;
                screen.show(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stop.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        if Instant::now() > deadline {
            bail!(
                "killed after {} minutes (--minutes gives it more)",
                limit.as_secs() / 60
            );
        }
    }
    let status = qemu.0.wait()?;
    if !status.success() {
        bail!("QEMU failed: {status}");
    }
    Ok(())
}

/// A child that doesn't outlive its owner.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(emulator: &Emulator, kernel: &Path, initramfs: &File, image: &Image) -> Command {
    // setpriv has the kernel kill QEMU when this program dies, however that comes.
    let mut command = Command::new("setpriv");
    let firmware = emulator.firmware.iter();
    let firmware = firmware.flat_map(|directory| ["-L".as_ref(), directory.as_os_str()]);
    command
        .args(["--pdeathsig", "KILL"])
        .arg(&emulator.program)
        .args(firmware)
        .args(["-M", "q35", "-accel", "tcg,thread=multi,tb-size=512"])
        .args(["-cpu", PROCESSOR])
        .args(["-smp", "2", "-m", MEMORY])
        .args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-serial",
            "stdio",
        ])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(super::disk::path_of(initramfs))
        .args(["-append", COMMAND_LINE])
        .arg("-drive")
        .arg(format!(
            "file={},format=raw,if=none,id=disk,cache=unsafe",
            image.path().display()
        ))
        .args(["-device", "virtio-blk-pci,drive=disk"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// Reads the console in a thread of its own, so that signals and the clock are looked at also while
/// it's silent.
fn lines_of(console: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut console = BufReader::new(console);
        loop {
            let mut line = Vec::new();
            let read = console.read_until(b'\n', &mut line);
            if !read.is_ok_and(|count| count > 0) {
                break;
            }
            // The terminal driver of the machine ends lines with both.
            if line.ends_with(b"\r\n") {
                line.truncate(line.len() - 2);
                line.push(b'\n');
            }
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// What the firmware and the kernel say is in the log; what the first process and its steps say is
/// for the user.
struct Screen {
    plan_begun: bool,
}

impl Screen {
    fn show(&mut self, line: &[u8]) {
        if line.starts_with(PREFIX.as_bytes()) {
            self.plan_begun = true;
            let _ = std::io::stderr().write_all(line);
        } else if self.plan_begun {
            let _ = std::io::stdout().write_all(line);
        }
    }
}
