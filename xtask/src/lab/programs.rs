//! What runs in the lab: the workspace's programs and tests, and a few of the host's programs that
//! those use.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::tree::Tree;
use super::{find, say};

/// Packages whose tests look at what the lab has and hosts lack.
const TESTED: [&str; 3] = ["isobench-container", "isobench-vmm", "isobench"];
/// The benches that want what the lab has; each is run by its name.
const BENCHES: [&str; 2] = ["machines", "knobs"];
/// Programs of the host that tests and targets use where they find them.
const HELPERS: [&str; 26] = [
    "sh",
    "busybox",
    "cat",
    "cp",
    "cpio",
    "diff",
    "dmesg",
    "env",
    "false",
    "find",
    "head",
    "ip",
    "kill",
    "ls",
    "mount",
    "prlimit",
    "rm",
    "setpriv",
    "sleep",
    "sort",
    "stat",
    "tar",
    "true",
    "unshare",
    "bwrap",
    "qemu-system-x86_64",
];
/// Where QEMU's firmware is on Debian: directories, and links into the second from the first.
const FIRMWARE: [&str; 2] = ["/usr/share/qemu", "/usr/share/seabios"];
/// The parts of it that a machine without a display and a network boot reads.
const FIRMWARE_FILES: [&str; 7] = [
    "bios-256k.bin",
    "bios-microvm.bin",
    "linuxboot_dma.bin",
    "linuxboot.bin",
    "pvh.bin",
    "qboot.rom",
    "kvmvapic.bin",
];

/// A test program.
#[derive(Debug, Clone)]
pub struct TestProgram {
    /// A name for the program's log.
    pub name: String,
    pub program: PathBuf,
    /// The directory in which cargo runs the program.
    pub directory: PathBuf,
}

/// All that was built.
#[derive(Debug)]
pub struct Built {
    pub tests: Vec<TestProgram>,
    /// The programs that the tests start: their paths are compiled into the tests.
    pub tested: BTreeMap<String, PathBuf>,
    /// The programs as users have them.
    pub programs: BTreeMap<String, PathBuf>,
    /// The guest kernel, where there is one.
    pub guest_kernel: Option<PathBuf>,
}

/// A line of cargo's.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds what `words` need: everything if there are none.
pub fn build(workspace: &Path, words: &[String]) -> anyhow::Result<Built> {
    say("building the programs");
    let release = cargo(
        workspace,
        &["build", "--release", "--package", "isobench", "--bins"],
    )?;
    let mut programs = binaries(&release);
    let asked = words.first();
    if let Some(bench) = asked.and_then(|word| BENCHES.iter().find(|bench| *bench == word)) {
        let arguments = [
            "bench",
            "--no-run",
            "--package",
            "isobench",
            "--bench",
            bench,
        ];
        programs.extend(benches(&cargo(workspace, &arguments)?));
    }
    let command = words
        .first()
        .is_some_and(|word| is_program(word, &programs));
    let mut built = Built {
        tests: Vec::new(),
        tested: BTreeMap::new(),
        guest_kernel: guest_kernel(&programs),
        programs,
    };
    if !command {
        say("building the tests");
        let mut arguments = vec!["test", "--no-run"];
        for package in TESTED {
            arguments.extend(["--package", package]);
        }
        let messages = cargo(workspace, &arguments)?;
        built.tested = binaries(&messages);
        built.tests = messages.iter().filter_map(test_program).collect();
    }
    Ok(built)
}

/// Whether the first word after `--` names a program to run; otherwise the word is a part of tests'
/// names.
pub fn is_program(word: &str, programs: &BTreeMap<String, PathBuf>) -> bool {
    programs.contains_key(word) || HELPERS.contains(&word) || word.contains('/')
}

fn cargo(workspace: &Path, arguments: &[&str]) -> anyhow::Result<Vec<Message>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--locked", "--message-format", "json-render-diagnostics"])
        .current_dir(workspace)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| Ok(serde_json::from_str(line)?))
        .collect()
}

/// Programs that aren't tests, by name.
fn binaries(messages: &[Message]) -> BTreeMap<String, PathBuf> {
    let of_message = |message: &Message| {
        let target = message.target.as_ref()?;
        let binary =
            target.kind.iter().any(|kind| kind == "bin") && !message.profile.as_ref()?.test;
        Some((
            target.name.clone(),
            message.executable.clone().filter(|_| binary)?,
        ))
    };
    messages.iter().filter_map(of_message).collect()
}

/// The benches, by name.
fn benches(messages: &[Message]) -> BTreeMap<String, PathBuf> {
    let of_message = |message: &Message| {
        let target = message.target.as_ref()?;
        let is_bench = target.kind.iter().any(|kind| kind == "bench");
        Some((
            target.name.clone(),
            message.executable.clone().filter(|_| is_bench)?,
        ))
    };
    messages.iter().filter_map(of_message).collect()
}

fn test_program(message: &Message) -> Option<TestProgram> {
    if message.reason != "compiler-artifact" || !message.profile.as_ref()?.test {
        return None;
    }
    let target = message.target.as_ref()?;
    let package = message.manifest_path.as_deref()?.parent()?;
    let kind = target.kind.first()?;
    // The programs' mains hold no tests of their own.
    if kind == "bin" || kind == "bench" {
        return None;
    }
    let package_name = package.file_name()?.to_string_lossy();
    let name = if kind == "lib" { "unit" } else { &target.name };
    Some(TestProgram {
        name: format!("{package_name}-{name}"),
        program: message.executable.clone()?,
        directory: package.to_owned(),
    })
}

/// The kernel that `isobench` boots its Linux guests with.
fn guest_kernel(programs: &BTreeMap<String, PathBuf>) -> Option<PathBuf> {
    let output = Command::new(programs.get("isobench")?)
        .args(["kernel", "path"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(text.trim()))
}

/// Copies everything that was built and what it needs into `tree`, each to the path that it has on
/// the host.
pub fn place(tree: &Tree, built: &Built) -> anyhow::Result<()> {
    let tests = built.tests.iter().map(|test| &test.program);
    for program in tests
        .chain(built.tested.values())
        .chain(built.programs.values())
    {
        tree.copy_stripped(program)?;
    }
    for test in &built.tests {
        tree.directory(&test.directory)?;
    }
    // Tests make their files where cargo says.
    for program in built.tested.values() {
        if let Some(target) = program.ancestors().nth(2) {
            tree.directory(&target.join("tmp"))?;
        }
    }
    for helper in HELPERS.iter().filter_map(|name| find(name)) {
        tree.copy_with_libraries(&helper)?;
    }
    for (directory, file) in FIRMWARE
        .iter()
        .flat_map(|d| FIRMWARE_FILES.iter().map(move |f| (d, f)))
    {
        let file = Path::new(directory).join(file);
        if file.exists() {
            tree.copy(&file)?;
        }
    }
    for kernel in guest_kernels(built) {
        tree.copy(&kernel)?;
    }
    Ok(())
}

/// The guest kernel in both formats, and the record of how the kernel was made.
fn guest_kernels(built: &Built) -> Vec<PathBuf> {
    let directory = built.guest_kernel.as_deref().and_then(Path::parent);
    let entries = directory.and_then(|directory| fs::read_dir(directory).ok());
    entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect()
}
