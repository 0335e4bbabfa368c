//! What the end-to-end tests share.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

pub const ISOBENCH: &str = env!("CARGO_BIN_EXE_isobench");

/// A place of its own for one test: everything that isobench leaves in it shows.
pub struct Place {
    pub directory: TempDir,
}

impl Place {
    pub fn new() -> Self {
        // Not in memory: the disk experiment refuses that, as it should.
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::create_dir(directory.path().join("tmp")).unwrap();
        Self { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `isobench` with its temporary files in this place.
    pub fn isobench(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(ISOBENCH);
        command
            .args(arguments)
            .env("TMPDIR", self.path("tmp"))
            // Under `cargo test` isobench would think that `cargo run` has just built it.
            .env_remove("CARGO")
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.isobench(arguments).output().unwrap()
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.isobench(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// What is left of sessions in the temporary directory.
    pub fn left_behind(&self) -> Vec<PathBuf> {
        entries(&self.path("tmp"))
    }
}

pub fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The cgroups of the session of process `pid`, in every hierarchy.
pub fn cgroups_of(pid: u32) -> Vec<PathBuf> {
    let prefix = format!("isobench-{pid}-");
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = pending.pop() {
        for path in entries(&directory) {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.starts_with(&prefix) {
                found.push(path);
            } else if path.is_dir() && !path.is_symlink() {
                pending.push(path);
            }
        }
    }
    found
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asserts that bad input was refused in one clear line that names `value`.
pub fn assert_refused(output: &Output, value: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with("isobench: ") && stderr.contains(value),
        "{stderr}"
    );
    assert!(output.stdout.is_empty());
}

/// Whether `target` can run here; if not, says so for the count of skipped tests.
pub fn can_run(target: &str) -> bool {
    // One look at the host serves all tests: it asks every peer for its version.
    static DIAGNOSIS: OnceLock<serde_json::Value> = OnceLock::new();
    let diagnosis = DIAGNOSIS.get_or_init(|| {
        let output = Place::new().run(&["doctor", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    });
    let targets = diagnosis["targets"].as_array().unwrap();
    let found = targets.iter().find(|t| t["name"] == target).unwrap();
    let available = found["available"] == true;
    if !available {
        println!("skipped: {target}: {}", found["reason"]);
    }
    available
}

/// Waits until the run has begun to take samples.
pub fn wait_for_first_sample(child: &mut Child) {
    if let Err(said) = first_sample(child) {
        panic!("no sample was announced: {said}");
    }
}

/// Waits until the run has begun to take samples, or returns what it said instead.
pub fn first_sample(child: &mut Child) -> Result<(), String> {
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    for line in stderr.lines().map_while(Result::ok) {
        if line.starts_with("sample ") {
            return Ok(());
        }
        said = said + &line + "\n";
    }
    Err(said)
}
