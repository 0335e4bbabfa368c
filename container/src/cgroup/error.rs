//! What can go wrong with a cgroup.

use std::io;
use std::path::PathBuf;

/// What went wrong with a cgroup.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what the variant is")]
pub enum CgroupError {
    #[error("cannot create the cgroup {path:?}")]
    Create { path: PathBuf, source: io::Error },
    #[error("{path:?} is not in a cgroup file system")]
    NotACgroup { path: PathBuf },
    #[error("the cgroups {paths:?} are not of one version; give those of v1, or one of v2")]
    Mixed { paths: Vec<PathBuf> },
    #[error("cannot write {value:?} to {path:?}")]
    Write {
        path: PathBuf,
        value: String,
        source: io::Error,
    },
    #[error("cannot read {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path:?} holds {text:?}, which is not a number")]
    NotANumber { path: PathBuf, text: String },
    #[error("{path:?} has no number named {name}")]
    NoStatistic { path: PathBuf, name: &'static str },
    #[error("no cgroup among {paths:?} has the {controller} controller")]
    NoController {
        controller: &'static str,
        paths: Vec<PathBuf>,
    },
    #[error("cannot remove the cgroup {path:?}: its processes do not end")]
    Remove { path: PathBuf, source: io::Error },
}
