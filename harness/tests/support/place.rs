//! A directory of a test's own, in which the test's commands run and leave their files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;

use tempfile::TempDir;

/// A directory of a test's own. Clones name the same directory, which is removed with the last
/// clone.
#[derive(Debug, Clone)]
pub struct Place {
    directory: Rc<TempDir>,
}

impl Place {
    pub fn new() -> Self {
        // /tmp may be in memory, which the disk experiment refuses.
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::create_dir(directory.path().join("tmp")).unwrap();
        Self {
            directory: Rc::new(directory),
        }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The path of a file in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    /// The text of a file in the directory.
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(name));
        text.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes a file into the directory.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// A command that runs in the directory and keeps its temporary files and images there.
    pub fn command(&self, program: impl AsRef<Path>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .args(arguments)
            .env("TMPDIR", self.path("tmp"))
            .env("ISOBENCH_STORE", self.path("store"))
            // Under `cargo test`, isobench would think that `cargo run` has just built it.
            .env_remove("CARGO")
            .current_dir(self.directory())
            .stdin(Stdio::null());
        command
    }
}
