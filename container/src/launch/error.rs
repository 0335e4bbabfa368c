//! Why a container did not start.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use super::handshake::OutOfTurn;
use crate::cgroup::CgroupError;
use crate::config::ConfigError;
use crate::isolation::id_map::MapError;
use crate::network::NetworkError;

/// Why a container did not start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what the variant is")]
pub enum LaunchError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Protocol(#[from] OutOfTurn),
    #[error("cannot open {path:?}")]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot make a directory for the container in {path:?}")]
    Scratch { path: PathBuf, source: io::Error },
    #[error("cannot use the socket to the container's first process")]
    Socket { source: io::Error },
    #[error(
        "cannot make a process in new namespaces: {errno}{}",
        advice_on_clone(*errno)
    )]
    Clone { errno: Errno },
    #[error("cannot map user ids into the container")]
    Map(#[from] MapError),
    #[error("the container's first process was killed during its set-up")]
    Lost,
    #[error("{what}: {errno}{advice}")]
    Step {
        what: String,
        errno: Errno,
        advice: &'static str,
    },
}

fn advice_on_clone(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => {
            "; user namespaces are forbidden here (look at user.max_user_namespaces, \
             kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns, \
             or an outer container's seccomp profile)"
        }
        Errno::ENOSPC => "; raise user.max_user_namespaces and its neighbours in /proc/sys/user",
        Errno::ENOSYS => {
            "; clone3 is missing: use Linux 5.12 or newer, without a seccomp profile that hides clone3"
        }
        Errno::EINVAL => "; the kernel lacks a kind of namespace",
        _ => "",
    }
}
