//! Standard input of an instance.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use isobench_workloads::template;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

/// What the instance finds on its standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing: `/dev/null`.
    Null,
    /// A pipe that stays open until [`Instance::close_stdin`](super::Instance::close_stdin).
    HeldOpen,
    /// A socket by which clones of the program are requested.
    Requests,
}

impl Stdin {
    /// The instance's end, and the end that the harness holds open, if any.
    pub(super) fn open(self) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
        match self {
            Self::Null => Ok((File::open("/dev/null")?.into(), None)),
            Self::HeldOpen => {
                let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
                Ok((reader, Some(writer)))
            }
            Self::Requests => {
                let (requests, served) = template::socket()?;
                Ok((served, Some(requests)))
            }
        }
    }
}
