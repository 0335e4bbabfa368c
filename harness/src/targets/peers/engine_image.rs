//! What podman and docker are given of an image: an archive of all files, which the engine imports
//! once, before the first start.
//!
//! The store has shifted the owners of an image's files, and an engine expects the image's own. So
//! the owners are shifted back in the archive. The archive has the files that a program sees, not
//! the layers: the engine's image has one layer.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use isobench_container::{FIRST_HOST_ID, ID_COUNT, User};
use isobench_reports::model::Unavailable;

use super::instance::runtime_mounts;
use super::program::client_environment;
use crate::instance::bounded_command;
use crate::instance::command_line::CommandLine;
use crate::targets::overlay_roots::{Mounter, OverlayRoots, needs_root};
use crate::targets::prepare::path_as_name;
use crate::targets::{Contents, Image, Launch, PrepareContext, PrepareError};

/// How long packing or importing an image may take.
pub const IMAGE_LIMIT: Duration = Duration::from_mins(5);
/// The difference of the engines that import an archive.
pub const ONE_LAYER_DIFFERENCE: &str = "the image's layers are merged into one when the run \
    begins; the engine mounts its overlayfs as a part of each start";

/// How the program of each instance is started in the engine's root.
#[derive(Debug)]
pub enum ProgramStart {
    /// The program is alone in a read-only root.
    Alone,
    /// The program is one of an image, in a writable root.
    OfImage {
        /// The directory in which the program starts, as a path inside.
        working_directory: PathBuf,
        /// The user that the program runs as, by ids of the container.
        user: User,
    },
}

impl ProgramStart {
    /// How a program of `contents` is started.
    pub fn of(contents: Contents) -> Self {
        match contents {
            Contents::Program(_) => Self::Alone,
            Contents::Image(image) => Self::OfImage {
                working_directory: image.working_directory.to_owned(),
                user: image.user.clone(),
            },
        }
    }

    /// The engine's options for the start.
    pub fn options(&self) -> Vec<OsString> {
        match self {
            Self::Alone => vec!["--read-only".into()],
            Self::OfImage {
                working_directory,
                user,
            } => {
                let mut options = vec!["--workdir".into(), working_directory.into()];
                let ids = format!("{}:{}", user.uid, user.gid);
                options.extend(["--user".into(), ids.into()]);
                for group in &user.groups {
                    options.extend(["--group-add".into(), group.to_string().into()]);
                }
                options
            }
        }
    }

    /// The path inside of the launch's program.
    pub fn program(&self, launch: &Launch) -> PathBuf {
        match self {
            Self::Alone => path_as_name(launch),
            Self::OfImage { .. } => launch.program.to_owned(),
        }
    }
}

/// Makes an archive of the image's files in the target's directory, and returns the archive's path.
///
/// # Errors
/// [`PrepareError`]
pub fn pack_image(context: &PrepareContext, image: Image) -> Result<PathBuf, PrepareError> {
    needs_root().map_or(Ok(()), Err)?;
    let owners = context.directory.join("owners");
    let root = context.files(|_| {
        fs::write(&owners, owner_map())?;
        OverlayRoots::new(runtime_mounts()?, image.layers, Mounter::Runtime)?.mount_read_only()
    })?;
    let map = |option: &str| [option.into(), owners.clone().into_os_string()];
    let mut pack = CommandLine::new("/bin/tar")
        .args(["--numeric-owner"])
        .args(map("--owner-map"))
        .args(map("--group-map"));
    pack.mounts = Some(root.mounted.namespace);
    Ok(run_tar(pack, &root.directory, context)?)
}

/// Makes an archive of the directory `layer` in the target's directory, and returns the archive's
/// path.
///
/// # Errors
/// The reason of tar.
pub fn pack_directory(layer: &Path, context: &PrepareContext) -> Result<PathBuf, Unavailable> {
    run_tar(CommandLine::new("/bin/tar"), layer, context)
}

fn run_tar(
    tar: CommandLine,
    files: &Path,
    context: &PrepareContext,
) -> Result<PathBuf, Unavailable> {
    let archive = context.directory.join("image.tar");
    let mut pack = tar
        .args(["--create".as_ref(), "--file".as_ref(), archive.as_os_str()])
        .args(["--directory".as_ref(), files.as_os_str()])
        .args(["."]);
    pack.environment = client_environment();
    let packed = bounded_command::run(&pack, IMAGE_LIMIT).map_err(|error| error.to_string());
    let reason = match packed {
        Ok(output) if output.succeeded() => return Ok(archive),
        Ok(output) => output.last_error_line().to_owned(),
        Err(reason) => reason,
    };
    Err(Unavailable {
        reason: format!("cannot pack the image: {reason}"),
        fix: format!(
            "check that there is free space in {}, and that /bin/tar is GNU tar",
            context.directory.display()
        ),
        command: None,
    })
}

/// The ids of the host and the ids of the image that belong to the same files, as GNU tar reads
/// them.
fn owner_map() -> String {
    let mut map = String::new();
    for id in 0..ID_COUNT {
        // Writing to a string can't fail.
        let _ = writeln!(map, "+{} +{id}", FIRST_HOST_ID + id);
    }
    map
}
