//! Why a [`Spec`](super::Spec) describes no container.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::cgroup::DeviceError;
use crate::mechanism::Mechanism;
use crate::sys::socket::MAX_DESCRIPTORS;
use crate::user::User;

/// A [`Spec`](super::Spec) that describes no container.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what the variant is")]
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
    #[error("the host name {name:?} is empty or longer than 64 bytes")]
    Hostname { name: OsString },
    #[error(
        "{user} has the id {id}, which nobody can have: the kernel takes it for \"unchanged\"",
        id = u32::MAX
    )]
    NoSuchId { user: User },
    #[error("limits and usage need a cgroup: give its directory")]
    NoCgroup,
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error("{count} cgroups are more than the {MAX_DESCRIPTORS} that can be joined")]
    TooManyCgroups { count: usize },
    #[error("{text:?} has a zero byte in it")]
    ZeroByte { text: OsString },
}
