//! The QEMU that emulates the lab's machine: the host's if it's new enough, else that of Debian's
//! backports, unpacked into a cache and never installed.
//!
//! Before 8.1 QEMU could keep its translation of code that another processor was just patching
//! ("accel/tcg: Always lock pages before translation"), and Linux patches its own code each time a
//! VM begins or ends: the machine hung within minutes. One thread for all processors instead of one
//! each loses guests of the machine as well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::{only_file, run_tool, say};

/// The host's.
const PROGRAM: &str = "qemu-system-x86_64";
/// The first version that can be used.
const LEAST: (u32, u32) = (8, 1);
/// Debian's packages that hold QEMU; what these depend on comes with the host's older ones.
const PACKAGES: [&str; 3] = ["qemu-system-x86", "qemu-system-common", "qemu-system-data"];
/// Where an unpacked QEMU has its program and its firmware; `SeaBIOS` has a package of its own,
/// which the host's QEMU needs too.
const UNPACKED_PROGRAM: &str = "usr/bin/qemu-system-x86_64";
const UNPACKED_FIRMWARE: &str = "usr/share/qemu";
const SEABIOS: &str = "/usr/share/seabios";
/// Whose signature the backports have.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A QEMU.
#[derive(Debug)]
pub struct Emulator {
    pub program: PathBuf,
    /// Where QEMU finds its firmware, if not in the place that it was built for.
    pub firmware: Vec<PathBuf>,
}

/// Finds a QEMU, or gets one from Debian's backports.
pub fn prepare(cache: &Path) -> anyhow::Result<Emulator> {
    let text = run_tool(Command::new(PROGRAM).arg("--version"))?;
    let version = version(&text).with_context(|| {
        let line = text.lines().next().unwrap_or_default();
        format!("{PROGRAM} --version says `{line}`, which names no version")
    })?;
    if version >= LEAST {
        return Ok(Emulator {
            program: PROGRAM.into(),
            firmware: Vec::new(),
        });
    }
    let directory = cache.join("qemu-backports");
    if !directory.exists() {
        let (major, minor) = version;
        say(&format!(
            "getting QEMU from the backports: {PROGRAM} here is {major}.{minor}, and before {}.{} it hangs",
            LEAST.0, LEAST.1
        ));
        unpack(cache, &directory).context("cannot get a newer QEMU; have one installed instead")?;
    }
    Ok(Emulator {
        program: directory.join(UNPACKED_PROGRAM),
        firmware: vec![directory.join(UNPACKED_FIRMWARE), SEABIOS.into()],
    })
}

/// The version in what QEMU says of itself.
fn version(text: &str) -> Option<(u32, u32)> {
    let number = text.split_once("version ")?.1;
    let mut parts = number.split(|character: char| !character.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Unpacks aside and renames: what is in the cache is whole.
fn unpack(cache: &Path, directory: &Path) -> anyhow::Result<()> {
    let aside = cache.join("qemu-backports.new");
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    let apt = Apt::new(&aside.join("apt"))?;
    run_tool(apt.command().args(["update", "-qq"]))?;
    run_tool(apt.command().args(["download", "-qq"]).args(PACKAGES))?;
    for package in PACKAGES {
        let archive = only_file(&apt.directory, &format!("{package}_"))?;
        run_tool(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&aside))?;
    }
    fs::remove_dir_all(&apt.directory)?;
    fs::rename(&aside, directory)?;
    Ok(())
}

/// An apt that knows the backports of this host's release alone, in a directory of its own.
struct Apt {
    directory: PathBuf,
}

impl Apt {
    fn new(directory: &Path) -> anyhow::Result<Self> {
        let indexes = run_tool(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE)",
            "Created-By: Packages",
        ]))?;
        let release =
            fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
        let Some(source) = backports(&indexes, &release) else {
            bail!("apt has no archive of this release of Debian's");
        };
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(directory.join(part))?;
        }
        fs::write(directory.join("sources.list"), source)?;
        Ok(Self {
            directory: directory.to_owned(),
        })
    }

    /// `apt-get` with the options that lead to this apt's directory.
    fn command(&self) -> Command {
        let option =
            |name: &str, file: &str| format!("{name}={}", self.directory.join(file).display());
        let mut command = Command::new("apt-get");
        command
            .args(["-o", &option("Dir::Etc::sourcelist", "sources.list")])
            .args(["-o", "Dir::Etc::sourceparts=/dev/null"])
            .args(["-o", &option("Dir::State::lists", "lists")])
            .args(["-o", &option("Dir::Cache", "cache")])
            .args(["-o", "APT::Sandbox::User=root"])
            .current_dir(&self.directory);
        command
    }
}

/// The line for `sources.list`: the archive that the release itself comes from has its backports
/// beside it.
fn backports(indexes: &str, os_release: &str) -> Option<String> {
    let codename = os_release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))?
        .trim_matches('"');
    let archive = indexes.lines().find_map(|line| {
        let (archive, release) = line.split_once(' ')?;
        (release == codename).then_some(archive)
    })?;
    Some(format!(
        "deb [signed-by={KEYS}] {archive} {codename}-backports main\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_qemu_and_not_of_its_package() {
        let text = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright";
        assert_eq!(version(text), Some((7, 2)));
        assert_eq!(version("QEMU emulator version 10.0.2"), Some((10, 0)));
        assert_eq!(version("something else"), None);
    }

    #[test]
    fn the_backports_lie_where_the_release_does() {
        let indexes = "http://mirror/security/ bookworm-security\nhttp://mirror/debian/ bookworm\n";
        let release = "ID=debian\nVERSION_CODENAME=bookworm\n";
        let line = backports(indexes, release).unwrap();
        assert!(
            line.ends_with("http://mirror/debian/ bookworm-backports main\n"),
            "{line}"
        );
        assert_eq!(backports("http://mirror/x/ trixie\n", release), None);
    }
}
