//! A peer's program: its path and its version.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use isobench_reports::model::Unavailable;
use nix::unistd::geteuid;

use crate::host::facts::{HostReport, Need};
use crate::host::mounts::MountNamespace;
use crate::instance::bounded_command::{self, CommandOutput};
use crate::instance::command_line::CommandLine;
use crate::targets::Availability;

/// How long a program may take to print its version.
const VERSION_LIMIT: Duration = Duration::from_secs(5);
/// Characters of a version that are kept.
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
    /// The package of Debian with this name. `scripts/install-peers` installs the package as well.
    Debian(&'static str),
    /// A package that Debian lacks. The text tells the user which. `scripts/install-peers` installs it.
    Script(&'static str),
    /// Another place. The text tells the user how to get the program.
    Elsewhere(&'static str),
}

/// The command that installs the packages of all peers.
const INSTALL_PEERS: &str = "scripts/install-peers";

impl Program {
    /// The program's path.
    pub fn path(&self) -> Result<PathBuf, Unavailable> {
        find_on_path(self.name)
            .ok_or_else(|| self.unavailable(format!("{} is not installed", self.name)))
    }

    /// Whether the host has the program and all else that the target needs. If the program is
    /// installed, `other_obstacle` tells what else is missing. A program that hangs or prints no
    /// version counts as missing.
    pub fn availability(
        &self,
        other_obstacle: impl FnOnce(&Path) -> Option<Unavailable>,
    ) -> Availability {
        let found = self.path().and_then(|path| {
            let version = ask_version(&path, None).map_err(|reason| self.unavailable(reason))?;
            Ok((path, version))
        });
        match found {
            Ok((path, version)) => Availability {
                version: Some(version),
                unavailable: other_obstacle(&path),
            },
            Err(unavailable) => Availability::built_in(Some(unavailable)),
        }
    }

    /// As [`Program::availability`], for a program that leaves files and mounts behind when it prints
    /// its version. The program is asked inside a mount namespace that `make_mounts` makes, and only
    /// if `obstacle` is `None`.
    pub fn availability_inside(
        &self,
        make_mounts: impl FnOnce() -> io::Result<MountNamespace>,
        obstacle: Option<Unavailable>,
    ) -> Availability {
        let version = self.path().and_then(|path| {
            obstacle.map_or(Ok(()), Err)?;
            let mounts = make_mounts().map_err(|error| {
                self.unavailable(format!("cannot make a mount namespace: {error}"))
            })?;
            ask_version(&path, Some(mounts)).map_err(|reason| self.unavailable(reason))
        });
        match version {
            Ok(version) => Availability {
                version: Some(version),
                unavailable: None,
            },
            Err(unavailable) => Availability::built_in(Some(unavailable)),
        }
    }

    /// As [`Program::availability`], for a program that has no option by which it tells its version.
    /// The program is asked for its help, and only if `obstacle` is `None`.
    pub fn availability_without_version(&self, obstacle: Option<Unavailable>) -> Availability {
        let found = self.path().and_then(|path| {
            obstacle.map_or(Ok(()), Err)?;
            ask(&path, "--help", None).map_err(|reason| self.unavailable(reason))
        });
        Availability::built_in(found.err())
    }

    fn unavailable(&self, reason: String) -> Unavailable {
        let (fix, command) = match self.source {
            Source::Debian(package) => (
                format!("install Debian's package `{package}`"),
                Some(INSTALL_PEERS.to_owned()),
            ),
            Source::Script(fix) => (fix.to_owned(), Some(INSTALL_PEERS.to_owned())),
            Source::Elsewhere(fix) => (fix.to_owned(), None),
        };
        Unavailable {
            reason,
            fix,
            command,
        }
    }
}

/// The version that the program at `path` prints. The program runs in `mounts`, or among the
/// harness's own mounts.
fn ask_version(path: &Path, mounts: Option<MountNamespace>) -> Result<String, String> {
    let output = ask(path, "--version", mounts)?;
    version_in(&output.stdout)
        .ok_or_else(|| format!("`{} --version` prints no version", path.display()))
}

/// What the program at `path` answers to `option`, in `mounts` or among the harness's own mounts.
fn ask(path: &Path, option: &str, mounts: Option<MountNamespace>) -> Result<CommandOutput, String> {
    let mut command = CommandLine::new(path).args([option]);
    command.environment = path_variable();
    command.mounts = mounts;
    let output = bounded_command::run(&command, VERSION_LIMIT)
        .map_err(|error| format!("{} can't be run: {error}", path.display()))?;
    if !output.succeeded() {
        return Err(format!(
            "`{} {option}` failed or took more than {VERSION_LIMIT:?}: {}",
            path.display(),
            output.last_error_line()
        ));
    }
    Ok(output)
}

/// Finds the version in a program's output: the first word that begins with a digit.
fn version_in(text: &str) -> Option<String> {
    let first = text.trim().lines().next()?;
    let words = first.split(|c: char| c.is_whitespace() || "(),".contains(c));
    let version = words
        .map(|word| word.strip_prefix('v').unwrap_or(word))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(version.chars().take(LONGEST_VERSION).collect())
}

/// The path of `program` in the directories of `PATH` or of an administrator's programs, which an
/// ordinary user's `PATH` leaves out.
pub fn find_on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let administration = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(administration)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// The environment that runtimes need: `PATH` alone, to find their helpers.
pub fn path_variable() -> Vec<OsString> {
    vec![variable(
        "PATH",
        &std::env::var_os("PATH").unwrap_or_default(),
    )]
}

/// The environment of a daemon's client: `PATH`, the variables that lead to the client's
/// configuration, and those with the daemon's address.
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

/// What the host lacks for a runtime that isobench runs only as root, in a cgroup of the instance.
pub fn needs_root(name: &str, host: &HostReport) -> Option<Unavailable> {
    needs_to_be_root(name)
        .or_else(|| host.lacks(Need::UserNamespaces))
        .or_else(|| host.lacks(Need::MemoryCgroup))
}

/// What an ordinary user lacks for a runtime that isobench runs only as root.
pub fn needs_to_be_root(name: &str) -> Option<Unavailable> {
    (!geteuid().is_root()).then(|| Unavailable {
        reason: format!("isobench runs {name} only as root"),
        fix: "run isobench as root".to_owned(),
        command: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_first_word_that_begins_with_a_digit() {
        for (output, version) in [
            ("runc version 1.1.5+ds1\ncommit: 1.1.5", "1.1.5+ds1"),
            ("bubblewrap 0.8.0\n", "0.8.0"),
            ("unshare from util-linux 2.38.1", "2.38.1"),
            ("systemd 252 (252.39-1~deb12u2)", "252"),
            ("Docker version 28.2.2, build e6534b4", "28.2.2"),
            ("ctr v1.7.2", "1.7.2"),
            ("5.0.2\n", "5.0.2"),
            ("firejail version 0.9.72\n\nCompile time support:", "0.9.72"),
        ] {
            assert_eq!(version_in(output).as_deref(), Some(version));
        }
        for nonsense in ["", "\n\n", "hello", "version: none"] {
            assert_eq!(version_in(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_long_version_is_cut() {
        let version = version_in(&"1".repeat(1000)).unwrap();
        assert_eq!(version.len(), LONGEST_VERSION);
    }
}
