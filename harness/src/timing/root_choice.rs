//! Where a timed command's program is.

use std::path::PathBuf;

/// Where a timed command's program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootChoice {
    /// The program is a file of the host, and the only file of its root.
    ProgramAlone,
    /// The program is a file of an image.
    Image {
        /// The image's name in the store.
        name: String,
        /// What the user says beside the image.
        place: Place,
    },
    /// The program is a file below a directory of the host.
    Directory {
        /// The directory's path on the host.
        path: PathBuf,
        /// What the user says beside the directory.
        place: Place,
    },
}

/// Where in a root the program starts, and as whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The directory inside; `None` for the image's.
    pub working_directory: Option<String>,
    /// The user and group, as numbers or names; `None` for the image's.
    pub user: Option<String>,
}
