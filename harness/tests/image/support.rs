//! What these tests share: a place with a store of its own, and `isobench` in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub const ISOBENCH: &str = env!("CARGO_BIN_EXE_isobench");
pub const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

pub struct Place {
    directory: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::create_dir(directory.path().join("tmp")).unwrap();
        Self { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("TMPDIR", self.path("tmp"))
            .env("ISOBENCH_STORE", self.path("store"))
            // Under `cargo test` isobench would think that `cargo run` has just built it.
            .env_remove("CARGO")
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        command
    }

    pub fn isobench(&self, arguments: &[&str]) -> Output {
        self.command(ISOBENCH, arguments).output().unwrap()
    }

    /// What `isobench` prints, which has to succeed.
    pub fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.isobench(arguments);
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// What `command` of the image prints.
    pub fn prints(&self, image: &str, command: &[&str]) -> String {
        let start = ["exec", "--target", "container", "--image", image, "--"];
        self.succeeds(&[&start[..], command].concat())
    }

    /// Asserts that `isobench` refuses these arguments in one line that says `words`, and that the store stays as it is.
    pub fn refuses(&self, arguments: &[&str], words: &str) {
        let before = self.stored();
        let output = self.isobench(arguments);
        assert_refused(&output, words);
        assert_eq!(self.stored(), before, "{words}");
    }

    /// Everything in the store: path, kind and time of last change.
    pub fn stored(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.path("store"), &mut found);
        found.retain(|line| !line.ends_with("/lock"));
        found.sort();
        found
    }
}

fn list(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let metadata = entry.metadata().unwrap();
        // A directory's time tells what was made in it for a moment.
        let is_file = metadata.is_file();
        let time = is_file.then(|| metadata.modified().unwrap());
        found.push(format!("{time:?} {}", entry.path().display()));
        if metadata.is_dir() {
            list(&entry.path(), found);
        }
    }
}

pub fn assert_refused(output: &Output, words: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(
        stderr.starts_with("isobench: ") && stderr.contains(words),
        "{words}: {stderr}"
    );
    assert_eq!(text(&output.stdout), "");
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether containers of images can run here: they need overlayfs in user namespaces.
pub fn can_run() -> bool {
    let place = Place::new();
    let output = place.isobench(&["doctor", "--json"]);
    let diagnosis: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let targets = diagnosis["targets"].as_array().unwrap();
    let container = targets.iter().find(|t| t["name"] == "container").unwrap();
    if container["available"] != true {
        println!("skipped: container: {}", container["reason"]);
        return false;
    }
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let overlay = known.lines().any(|line| line.ends_with("overlay"));
    if !overlay {
        println!("skipped: the kernel has no overlayfs");
    }
    overlay
}
