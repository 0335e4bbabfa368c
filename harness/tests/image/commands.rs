//! The commands that these tests give to `isobench`. Each test has an image store of its own.

use std::fs;
use std::path::Path;

use isobench_testing::{Need, lacks};

use crate::support::ended::Ended;
use crate::support::needs::can_run;
use crate::support::place::Place;

impl Place {
    /// Runs `isobench`, which must succeed, and gives what it prints.
    #[track_caller]
    pub fn succeeds(&self, arguments: &[&str]) -> String {
        self.isobench(arguments).succeeds().ended.stdout
    }

    /// Runs `command` of an image in a container, and gives what it prints.
    #[track_caller]
    pub fn prints(&self, image: &str, command: &[&str]) -> String {
        let start = ["exec", "--target", "container", "--image", image, "--"];
        self.succeeds(&[&start[..], command].concat())
    }

    /// Expects that `isobench` refuses these arguments in one line that has `words`, and that the
    /// store stays as it is.
    #[track_caller]
    pub fn refuses(&self, arguments: &[&str], words: &str) {
        let before = self.stored();
        self.isobench(arguments).refuses(words);
        assert_eq!(self.stored(), before, "{words}");
    }

    /// The path of everything in the store, and of files the time of their last change.
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
        // A directory's time also changes by files that are there only for a moment.
        let is_file = metadata.is_file();
        let time = is_file.then(|| metadata.modified().unwrap());
        found.push(format!("{time:?} {}", entry.path().display()));
        if metadata.is_dir() {
            list(&entry.path(), found);
        }
    }
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether containers of images can run here: they need overlayfs in user namespaces.
pub fn can_run_images() -> bool {
    can_run("container") && !lacks(Need::Overlayfs)
}

/// Whether these programs are installed, and programs of images run here as root.
pub fn has_tools(programs: &[&'static str]) -> bool {
    let are_there = programs
        .iter()
        .all(|program| !lacks(Need::Program(program)));
    are_there && !lacks(Need::Root) && can_run_images()
}

/// Runs a tool, which must succeed, and gives what it prints.
pub fn run_tool(place: &Place, program: &str, arguments: &[&str]) -> String {
    let ended = Ended::of(&mut place.command(program, arguments));
    ended.has_code(0);
    ended.stdout
}
