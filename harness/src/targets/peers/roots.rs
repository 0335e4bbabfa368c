//! The roots of the peers that take a directory as root.
//!
//! A static program is alone in a directory that all instances share. The instances of an image get
//! a fresh overlayfs each ([`OverlayRoots`]), and the image's working directory and user.

use std::io;
use std::path::{Path, PathBuf};

use isobench_container::User;

use super::instance::{binds, make_layer, runtime_mounts};
use crate::host::mounts::{MountNamespace, MountPoint};
use crate::targets::overlay_roots::{Mounter, OverlayRoots, needs_root};
use crate::targets::prepare::path_as_name;
use crate::targets::{Contents, Launch, PrepareContext, PrepareError};

/// The difference of every peer whose roots of images are [`OverlayRoots`].
pub const OVERLAY_DIFFERENCE: &str = "the root is an overlayfs of the image's layers that is \
    mounted before the clock starts; the container mounts its overlayfs as a part of its start";

/// The difference of every peer that an ordinary user could start, and that maps this user alone.
pub const ONE_USER_DIFFERENCE: &str = "the program's user and group are the only ones inside, and \
    start the runtime: files of the image's other users belong to nobody";

/// The differences between a peer and isobench's container, by what the root holds.
#[derive(Debug, Clone, Copy)]
pub struct Differences {
    /// The differences with a static program.
    pub program: &'static [&'static str],
    /// The differences with an image.
    pub image: &'static [&'static str],
}

/// Makes [`Differences`] from three lists: those with a program alone, those with an image alone,
/// and those with either.
macro_rules! differences {
    ([$($program:expr),* $(,)?], [$($image:expr),* $(,)?], [$($both:expr),* $(,)?] $(,)?) => {
        $crate::targets::peers::roots::Differences {
            program: &[$($program,)* $($both),*],
            image: &[$($image,)* $($both),*],
        }
    };
}
pub(super) use differences;

/// The roots of a prepared peer's instances.
#[derive(Debug)]
pub struct Roots {
    kind: Kind,
    /// Directories that the runtime wants in every root.
    directories: &'static [&'static str],
}

#[derive(Debug)]
enum Kind {
    /// One directory, which all instances share.
    Shared(PathBuf),
    /// A fresh root of an image for each instance.
    Fresh {
        roots: OverlayRoots,
        working_directory: PathBuf,
        user: User,
    },
}

/// The root of one instance, and how the instance's program is started in it.
#[derive(Debug)]
pub struct InstanceRoot {
    /// The root directory.
    pub directory: PathBuf,
    /// Whether the program may write to the root. A root that instances share is read-only.
    pub is_writable: bool,
    /// The program's path inside.
    pub program: PathBuf,
    /// The directory in which the program starts, as a path inside.
    pub working_directory: PathBuf,
    /// The user that the program runs as, by ids of the container.
    pub user: User,
    /// What has to be unmounted when the instance has ended.
    pub mounted: Option<MountPoint>,
}

impl Roots {
    /// Makes the roots for what the context holds. `directories` are made in every root, besides
    /// the mount points that all peers need. The roots of an image are in the mount namespace
    /// `namespace`, which has a `/run` of its own.
    ///
    /// # Errors
    /// [`PrepareError`]
    pub fn new(
        context: &PrepareContext,
        directories: &'static [&'static str],
        mounter: Mounter,
        namespace: impl FnOnce() -> io::Result<MountNamespace>,
    ) -> Result<Self, PrepareError> {
        let kind = match context.contents {
            Contents::Program(program) => {
                let layer = |directory: &Path| make_layer(program, directory, directories);
                Kind::Shared(context.files(layer)?)
            }
            Contents::Image(image) => {
                needs_root().map_or(Ok(()), Err)?;
                let roots = |_: &Path| OverlayRoots::new(namespace()?, image.layers, mounter);
                Kind::Fresh {
                    roots: context.files(roots)?,
                    working_directory: image.working_directory.to_owned(),
                    user: image.user.clone(),
                }
            }
        };
        Ok(Self { kind, directories })
    }

    /// As [`Roots::new`], for a runtime that mounts /proc and /dev itself, and whose processes are
    /// in the mount namespace `namespace` in any case.
    ///
    /// # Errors
    /// [`PrepareError`]
    pub fn in_namespace(
        context: &PrepareContext,
        directories: &'static [&'static str],
        namespace: &MountNamespace,
    ) -> Result<Self, PrepareError> {
        Self::new(context, directories, Mounter::Runtime, || {
            Ok(namespace.clone())
        })
    }

    /// As [`Roots::new`], for a runtime that needs a mount namespace for images alone.
    ///
    /// # Errors
    /// [`PrepareError`]
    pub fn alone(
        context: &PrepareContext,
        directories: &'static [&'static str],
        mounter: Mounter,
    ) -> Result<Self, PrepareError> {
        Self::new(context, directories, mounter, runtime_mounts)
    }

    /// The mount namespace with the roots; `None` if the root is visible on the host.
    pub fn namespace(&self) -> Option<&MountNamespace> {
        match &self.kind {
            Kind::Shared(_) => None,
            Kind::Fresh { roots, .. } => Some(roots.namespace()),
        }
    }

    /// The root of one instance, with the places for what the launch binds.
    ///
    /// # Errors
    /// The root can't be mounted.
    pub fn instance(&self, launch: &Launch) -> io::Result<InstanceRoot> {
        match &self.kind {
            Kind::Shared(layer) => Ok(InstanceRoot {
                directory: layer.clone(),
                is_writable: false,
                program: path_as_name(launch),
                working_directory: "/".into(),
                user: User::default(),
                mounted: None,
            }),
            Kind::Fresh {
                roots,
                working_directory,
                user,
            } => {
                let places = binds(launch).map(|(source, inside)| (source, inside.into()));
                let places: Vec<_> = places.collect();
                let root = roots.mount(&places, self.directories)?;
                Ok(InstanceRoot {
                    directory: root.directory,
                    is_writable: true,
                    program: launch.program.to_owned(),
                    working_directory: working_directory.clone(),
                    user: user.clone(),
                    mounted: Some(root.mounted),
                })
            }
        }
    }
}
