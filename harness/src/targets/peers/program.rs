//! A peer's program: where it is, and which version.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use isobench_reports::model::Unavailable;
use nix::unistd::geteuid;

use crate::host::facts::{HostReport, Need};
use crate::instance::bounded_command;
use crate::instance::command_line::CommandLine;
use crate::targets::Presence;

/// How long a peer may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a version that are kept.
const LONGEST_VERSION: usize = 40;

/// A program that a peer needs on the `PATH`.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The program's file name.
    pub name: &'static str,
    /// Where the program comes from.
    pub source: Source,
}

/// Where a program comes from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// Debian's package of that name, which `scripts/install-peers` installs too.
    Debian(&'static str),
    /// Another place; the sentence says how to get the program.
    Elsewhere(&'static str),
}

/// The command that installs the packages of all peers.
const INSTALL_PEERS: &str = "scripts/install-peers";

impl Program {
    /// The path to start the program by.
    pub fn path(&self) -> Result<PathBuf, Unavailable> {
        find_on_path(self.name)
            .ok_or_else(|| self.unavailable(format!("{} is not installed", self.name)))
    }

    /// What the host has of the program. Where the program is there, `lacking` says what else is
    /// missing. A program that hangs or names no version counts as missing.
    pub fn presence(&self, lacking: impl FnOnce(&Path) -> Option<Unavailable>) -> Presence {
        let asked = self.path().and_then(|path| {
            let version = ask_version(&path).map_err(|reason| self.unavailable(reason))?;
            Ok((path, version))
        });
        match asked {
            Ok((path, version)) => Presence {
                version: Some(version),
                unavailable: lacking(&path),
            },
            Err(unavailable) => Presence {
                version: None,
                unavailable: Some(unavailable),
            },
        }
    }

    fn unavailable(&self, reason: String) -> Unavailable {
        let (fix, command) = match self.source {
            Source::Debian(package) => (
                format!("install Debian's package `{package}`"),
                Some(INSTALL_PEERS.to_owned()),
            ),
            Source::Elsewhere(fix) => (fix.to_owned(), None),
        };
        Unavailable {
            reason,
            fix,
            command,
        }
    }
}

/// The version that the program at `path` tells.
fn ask_version(path: &Path) -> Result<String, String> {
    let mut command = CommandLine::new(path).args(["--version"]);
    command.environment = path_variable();
    let answer = bounded_command::run(&command, PATIENCE)
        .map_err(|error| format!("{} can't be run: {error}", path.display()))?;
    if !answer.succeeded() {
        let complaint = answer.last_error_line();
        return Err(format!(
            "`{} --version` failed or took more than {PATIENCE:?}: {complaint}",
            path.display()
        ));
    }
    version_in(&answer.stdout)
        .ok_or_else(|| format!("`{} --version` names no version", path.display()))
}

/// The version in what a program says about itself: the first word that begins with a digit.
fn version_in(text: &str) -> Option<String> {
    let first = text.trim().lines().next()?;
    let words = first.split(|c: char| c.is_whitespace() || "(),".contains(c));
    let version = words
        .map(|word| word.strip_prefix('v').unwrap_or(word))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(version.chars().take(LONGEST_VERSION).collect())
}

/// The path of `program` on the `PATH`, or where an administrator's programs are: an ordinary user's
/// `PATH` leaves those places out.
pub fn find_on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let usual = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// The one variable of the environment that runtimes need, to find their helpers.
pub fn path_variable() -> Vec<OsString> {
    vec![variable(
        "PATH",
        &std::env::var_os("PATH").unwrap_or_default(),
    )]
}

/// The environment of a daemon's client: what runtimes need, whose configuration is read, and where
/// the daemon listens.
pub fn client_environment() -> Vec<OsString> {
    let names = ["HOME", "DOCKER_HOST", "DOCKER_CONFIG", "CONTAINERD_ADDRESS"];
    let set = names
        .iter()
        .filter_map(|name| Some(variable(name, &std::env::var_os(name)?)));
    path_variable().into_iter().chain(set).collect()
}

fn variable(name: &str, value: &OsStr) -> OsString {
    let mut variable = OsString::from(name);
    variable.push("=");
    variable.push(value);
    variable
}

/// What is missing for a runtime that isobench runs as root alone, in a cgroup of the instance's.
pub fn needs_root(name: &str, host: &HostReport) -> Option<Unavailable> {
    if !geteuid().is_root() {
        return Some(Unavailable {
            reason: format!("isobench runs {name} as root alone"),
            fix: "run isobench as root".to_owned(),
            command: None,
        });
    }
    host.lacks(Need::UserNamespaces)
        .or_else(|| host.lacks(Need::MemoryCgroup))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (said, version) in [
            ("runc version 1.1.5+ds1\ncommit: 1.1.5", "1.1.5+ds1"),
            ("bubblewrap 0.8.0\n", "0.8.0"),
            ("unshare from util-linux 2.38.1", "2.38.1"),
            ("systemd 252 (252.39-1~deb12u2)", "252"),
            ("Docker version 28.2.2, build e6534b4", "28.2.2"),
            ("ctr v1.7.2", "1.7.2"),
            ("5.0.2\n", "5.0.2"),
        ] {
            assert_eq!(version_in(said).as_deref(), Some(version));
        }
        for nonsense in ["", "\n\n", "hello", "version: none"] {
            assert_eq!(version_in(nonsense), None, "{nonsense}");
        }
        assert_eq!(
            version_in(&"1".repeat(1000)).unwrap().len(),
            LONGEST_VERSION
        );
    }
}
