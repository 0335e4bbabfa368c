//! What a container is made from: [`Spec`] as the user gave it, [`Config`] once it is checked.

use std::ffi::{CString, OsStr, OsString};
use std::num::NonZeroU32;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use bytesize::ByteSize;

use crate::cgroup::{BlockDevice, Cpus, DeviceError, IoRate};
use crate::isolation::id_map::is_privileged;
use crate::mechanism::{Mechanism, Mechanisms};
use crate::network::Network;
use crate::sys::socket::MAX_DESCRIPTORS;
use crate::user::User;

/// Longest host name, in bytes (`__NEW_UTS_LEN`).
const MAX_HOSTNAME: usize = 64;

/// A host directory or file that appears in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Its path on the host.
    pub source: PathBuf,
    /// Its path in the container.
    pub target: PathBuf,
    /// Whether the container may not write to it.
    pub read_only: bool,
}

/// A text that is no [`Bind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not HOST:INSIDE or HOST:INSIDE:ro")]
pub struct BindSyntaxError {
    text: String,
}

impl FromStr for Bind {
    type Err = BindSyntaxError;

    /// Reads `HOST:INSIDE` or `HOST:INSIDE:ro`. Neither path can hold a colon.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, read_only) = match parts[..] {
            [source, target] => (source, target, false),
            [source, target, "ro"] => (source, target, true),
            _ => ("", "", false),
        };
        if source.is_empty() || target.is_empty() {
            return Err(BindSyntaxError {
                text: text.to_owned(),
            });
        }
        Ok(Self {
            source: source.into(),
            target: target.into(),
            read_only,
        })
    }
}

/// Which root file systems may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RootPolicy {
    /// Overlayfs, or binds where it is refused.
    #[default]
    Auto,
    /// Only overlayfs.
    Overlay,
    /// Only binds of the layers' top-level entries into a tmpfs.
    Binds,
}

/// A container as the user describes it.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// Directories that make up the root, lowest first; they are only read.
    pub layers: Vec<PathBuf>,
    /// A directory on a disk for what the program writes; without one it goes to a tmpfs.
    pub scratch: Option<PathBuf>,
    /// What else of the host appears inside.
    pub binds: Vec<Bind>,
    /// Cgroup directories to create, join and remove: one under v2, one a hierarchy under v1.
    pub cgroups: Vec<PathBuf>,
    /// Limit on memory; it needs a cgroup.
    pub memory: Option<ByteSize>,
    /// Limit on processes and threads, counting PID 1; it needs a cgroup.
    pub pids: Option<NonZeroU32>,
    /// Limit on processor time; it needs a cgroup.
    pub cpus: Option<Cpus>,
    /// Limits on what is read from devices; they need a cgroup.
    pub io_read: Vec<IoRate>,
    /// Limits on what is written to devices; they need a cgroup.
    pub io_write: Vec<IoRate>,
    /// Whether what the cgroups have counted is read at the end.
    pub usage: bool,
    /// Host name; `isobench` without one.
    pub hostname: Option<OsString>,
    /// The environment, whole.
    pub environment: Vec<OsString>,
    /// Where the program starts; `/` without one.
    pub working_directory: Option<PathBuf>,
    /// Who the program runs as; user 0 without one.
    pub user: Option<User>,
    /// Which network the container has.
    pub network: Network,
    /// Which root file systems may be used.
    pub root: RootPolicy,
    /// What isolates it; all by default. With less it is no container.
    pub mechanisms: Mechanisms,
    /// The program's path inside, or on the host for want of [`Mechanism::Pivot`].
    pub program: PathBuf,
    /// Its arguments, without its name.
    pub arguments: Vec<OsString>,
}

/// A [`Spec`] that cannot be.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
pub enum ConfigError {
    #[error("a container needs a root: give at least one layer")]
    NoLayer,
    #[error("the mechanism {mechanism} needs {need} too: add {need}, or leave {mechanism} out")]
    LacksMechanism {
        mechanism: Mechanism,
        need: Mechanism,
    },
    #[error(
        "a {what} needs the mechanism {mechanism}, which was left out: leave both out, or none"
    )]
    UselessWithout {
        what: &'static str,
        mechanism: Mechanism,
    },
    #[error("cannot use {path:?} as a {role}")]
    Unusable {
        role: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path:?} cannot be a {role}: it is not a directory")]
    NotADirectory { role: &'static str, path: PathBuf },
    #[error("the {role} {path:?} must be an absolute path inside the container, without `..`")]
    NotInside { role: &'static str, path: PathBuf },
    #[error("{text:?} is not KEY=VALUE")]
    Environment { text: OsString },
    #[error("the host name {name:?} is longer than 64 bytes or empty")]
    Hostname { name: OsString },
    #[error("limits and usage need a cgroup: give its directory")]
    NoCgroup,
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error("{count} cgroups are more than the {MAX_DESCRIPTORS} that can be joined")]
    TooManyCgroups { count: usize },
    #[error("{text:?} has a zero byte in it")]
    ZeroByte { text: OsString },
}

/// A checked [`Spec`].
#[derive(Debug, Clone)]
pub struct Config {
    spec: Spec,
}

impl Config {
    /// Checks `spec`. The program itself is looked up by the kernel, inside.
    ///
    /// # Errors
    /// What cannot be, with the path or text at fault.
    pub fn new(spec: Spec) -> Result<Self, ConfigError> {
        check_mechanisms(&spec)?;
        for layer in &spec.layers {
            check_directory("layer", layer)?;
        }
        if let Some(scratch) = &spec.scratch {
            check_directory("scratch directory", scratch)?;
        }
        for bind in &spec.binds {
            metadata("bind source", &bind.source)?;
            check_inside("bind target", &bind.target)?;
        }
        check_inside("program", &spec.program)?;
        if let Some(directory) = &spec.working_directory {
            check_inside("working directory", directory)?;
        }
        check_cgroups(&spec)?;
        check_texts(&spec)?;
        Ok(Self { spec })
    }

    /// What was checked.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }
}

fn check_mechanisms(spec: &Spec) -> Result<(), ConfigError> {
    let mechanisms = spec.mechanisms;
    if let Some((mechanism, need)) = mechanisms.lacking(is_privileged()) {
        return Err(ConfigError::LacksMechanism { mechanism, need });
    }
    let given = [
        (!spec.layers.is_empty(), "layer", Mechanism::Overlay),
        (
            spec.scratch.is_some(),
            "scratch directory",
            Mechanism::Overlay,
        ),
        (!spec.binds.is_empty(), "bind", Mechanism::Pivot),
        (spec.hostname.is_some(), "host name", Mechanism::Uts),
        (spec.user.is_some(), "user", Mechanism::User),
        (!spec.cgroups.is_empty(), "cgroup", Mechanism::Cgroup),
        (spec.network.is_set_up(), "network", Mechanism::Net),
    ];
    for (is_given, what, mechanism) in given {
        if is_given && !mechanisms.contains(mechanism) {
            return Err(ConfigError::UselessWithout { what, mechanism });
        }
    }
    if spec.layers.is_empty() && mechanisms.contains(Mechanism::Overlay) {
        return Err(ConfigError::NoLayer);
    }
    Ok(())
}

fn metadata(role: &'static str, path: &Path) -> Result<std::fs::Metadata, ConfigError> {
    std::fs::metadata(path).map_err(|source| ConfigError::Unusable {
        role,
        path: path.to_owned(),
        source,
    })
}

fn check_directory(role: &'static str, path: &Path) -> Result<(), ConfigError> {
    if metadata(role, path)?.is_dir() {
        Ok(())
    } else {
        Err(ConfigError::NotADirectory {
            role,
            path: path.to_owned(),
        })
    }
}

fn check_inside(role: &'static str, path: &Path) -> Result<(), ConfigError> {
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && plain {
        Ok(())
    } else {
        Err(ConfigError::NotInside {
            role,
            path: path.to_owned(),
        })
    }
}

fn check_cgroups(spec: &Spec) -> Result<(), ConfigError> {
    let count = spec.cgroups.len();
    if count > MAX_DESCRIPTORS {
        return Err(ConfigError::TooManyCgroups { count });
    }
    let rates = || spec.io_read.iter().chain(&spec.io_write);
    let limited = spec.memory.is_some()
        || spec.pids.is_some()
        || spec.cpus.is_some()
        || rates().next().is_some();
    if count == 0 && (limited || spec.usage) {
        return Err(ConfigError::NoCgroup);
    }
    rates().try_for_each(|limit| {
        BlockDevice::behind(&limit.path)?;
        Ok(())
    })
}

fn check_texts(spec: &Spec) -> Result<(), ConfigError> {
    for text in &spec.environment {
        let equals = text.as_bytes().iter().position(|byte| *byte == b'=');
        if equals.is_none_or(|position| position == 0) {
            return Err(ConfigError::Environment { text: text.clone() });
        }
    }
    if let Some(name) = &spec.hostname
        && (name.is_empty() || name.len() > MAX_HOSTNAME)
    {
        return Err(ConfigError::Hostname { name: name.clone() });
    }
    let paths = spec
        .layers
        .iter()
        .chain(&spec.scratch)
        .chain(&spec.working_directory);
    let paths = paths.chain(
        spec.binds
            .iter()
            .flat_map(|bind| [&bind.source, &bind.target]),
    );
    let paths = paths.chain([&spec.program]).map(|path| path.as_os_str());
    let texts = spec
        .environment
        .iter()
        .chain(&spec.hostname)
        .chain(&spec.arguments);
    for text in paths.chain(texts.map(OsString::as_os_str)) {
        c_string(text)?;
    }
    Ok(())
}

/// `text` for a system call.
pub fn c_string(text: impl AsRef<OsStr>) -> Result<CString, ConfigError> {
    let text = text.as_ref();
    CString::new(text.as_bytes()).map_err(|error| ConfigError::ZeroByte {
        text: OsString::from_vec(error.into_vec()),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec() -> Spec {
        Spec {
            layers: vec!["/".into()],
            program: "/bin/true".into(),
            ..Spec::default()
        }
    }

    #[test]
    fn a_bind_is_read() {
        let bind: Bind = "/a:/b:ro".parse().unwrap();
        assert_eq!(bind.source, Path::new("/a"));
        assert_eq!(bind.target, Path::new("/b"));
        assert!(bind.read_only);
        assert!(!"/a:/b".parse::<Bind>().unwrap().read_only);
    }

    #[test]
    fn what_is_no_bind_is_named() {
        for text in ["", "/a", ":", "/a:", ":/b", "/a:/b:rw", "/a:/b:ro:"] {
            let error = text.parse::<Bind>().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(Config::new(spec()).is_ok());
        let wrong: [fn(&mut Spec); 18] = [
            |spec| spec.layers = vec![],
            |spec| spec.layers = vec!["/no/such".into()],
            |spec| spec.layers = vec!["/proc/version".into()],
            |spec| spec.scratch = Some("/no/such".into()),
            |spec| spec.program = "bin/true".into(),
            |spec| spec.program = "/../true".into(),
            |spec| spec.binds = vec!["/no/such:/x".parse().unwrap()],
            |spec| spec.binds = vec!["/:x".parse().unwrap()],
            |spec| spec.environment = vec!["A".into()],
            |spec| spec.environment = vec!["=A".into()],
            |spec| spec.environment = vec!["A=\0".into()],
            |spec| spec.hostname = Some("x".repeat(65).into()),
            |spec| spec.memory = Some(ByteSize::mib(1)),
            |spec| spec.cpus = "1".parse().ok(),
            |spec| spec.io_read = vec!["/:1MiB".parse().unwrap()],
            |spec| spec.usage = true,
            |spec| {
                spec.cgroups = vec!["/x".into()];
                spec.io_write = vec!["/proc:1MiB".parse().unwrap()];
            },
            |spec| spec.cgroups = vec!["/x".into(); MAX_DESCRIPTORS + 1],
        ];
        for spoil in wrong {
            let mut spec = spec();
            spoil(&mut spec);
            assert!(Config::new(spec.clone()).is_err(), "{spec:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_bind_or_an_error(text: String) {
            if let Ok(bind) = text.parse::<Bind>() {
                let suffix = if bind.read_only { ":ro" } else { "" };
                prop_assert_eq!(format!("{}:{}{suffix}", bind.source.display(), bind.target.display()), text);
            }
        }
    }
}
