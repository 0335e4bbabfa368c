//! The files of an image: in a directory, or in a tar archive whose members are found by an index
//! of their names.
//!
//! The names that are looked up come from the image itself. So a name is looked up only below the
//! directory, or only among the archive's members.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use serde::de::DeserializeOwned;

use super::compression::Compression;
use super::spool;
use crate::image::archive::fault::ArchiveFault;
use crate::image::archive::members::{MemberKind, Members};
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::layer::meter::Meter;
use crate::image::layer::path::SafePath;

/// The longest JSON file that is read, in bytes.
const MAX_JSON: u64 = 4 << 20;
/// The most members that an archive may have. An image has a few members for each layer.
const MAX_MEMBERS: usize = 100_000;
/// The longest content of a symbolic link, in bytes (`PATH_MAX`).
const MAX_LINK: usize = 4096;
/// The most symbolic links on the way to a member.
const MAX_LINKS: usize = 8;

/// The files of an image, as its maker wrote them.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Directory(OwnedFd),
    Archive {
        file: File,
        members: HashMap<SafePath, Found>,
    },
}

/// A member of an archive.
#[derive(Debug, Clone)]
enum Found {
    /// A file of `size` bytes, whose content begins at `position`.
    File { position: u64, size: u64 },
    /// A symbolic link with this content.
    Link(OsString),
}

impl Source {
    /// Opens the image at `path`; `-` is the standard input. An archive that is compressed or comes
    /// through a pipe is copied to the file that `scratch` makes, as far as its meter allows.
    pub fn open(
        path: &Path,
        scratch: impl FnOnce() -> Result<(File, Meter), ImageError>,
    ) -> Result<Self, ImageError> {
        let failed = |source| ImageError::Open {
            path: path.to_owned(),
            source,
        };
        let file = open_any(path).map_err(failed)?;
        let kind = file.metadata().map_err(failed)?.file_type();
        if kind.is_dir() {
            let kind = Kind::Directory(file.into());
            return Ok(Self {
                path: path.to_owned(),
                kind,
            });
        }
        let file = if kind.is_file() && !is_compressed(&file).map_err(failed)? {
            file
        } else if kind.is_file() || kind.is_fifo() || kind.is_socket() {
            let (place, meter) = scratch()?;
            spool::copy(file, place, meter, path)?
        } else {
            let kind = io::Error::other("it is neither a file, a directory nor a pipe");
            return Err(failed(kind));
        };
        let members = index(&file, path)?;
        let kind = Kind::Archive { file, members };
        Ok(Self {
            path: path.to_owned(),
            kind,
        })
    }

    /// The path of the directory or archive.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A reader of the file `name` of the image; `None` if the image has no such file.
    pub fn file(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>, ImageError> {
        let Ok(path) = SafePath::parse(name.as_bytes()) else {
            return Ok(None);
        };
        let failed = |source| ImageError::Open {
            path: self.path.join(name),
            source,
        };
        match &self.kind {
            Kind::Directory(directory) => {
                let Some(file) = open_below(directory, path.as_path()).map_err(failed)? else {
                    return Ok(None);
                };
                Ok(Some(Box::new(file)))
            }
            Kind::Archive { file, members } => {
                let Some((position, size)) = find(members, path) else {
                    return Ok(None);
                };
                let mut file = file;
                file.seek(SeekFrom::Start(position)).map_err(failed)?;
                Ok(Some(Box::new(file.take(size))))
            }
        }
    }

    /// Whether the image has a file `name`.
    pub fn has(&self, name: &str) -> Result<bool, ImageError> {
        Ok(self.file(name)?.is_some())
    }

    /// The content of the file `name`. A file that is too long is an error.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let Some(file) = self.file(name)? else {
            return Err(ImageError::Missing {
                file: name.to_owned(),
            });
        };
        let mut bytes = Vec::new();
        let read = file.take(MAX_JSON + 1).read_to_end(&mut bytes);
        read.map_err(|source| ImageError::Open {
            path: self.path.join(name),
            source,
        })?;
        if bytes.len() as u64 > MAX_JSON {
            return Err(ImageError::TooLong {
                file: name.to_owned(),
                limit: MAX_JSON,
            });
        }
        Ok(bytes)
    }

    /// The content of the JSON file `name`, which is a `what`. If a digest is given, the file must
    /// have it.
    pub fn json<T: DeserializeOwned>(
        &self,
        name: &str,
        what: &'static str,
        digest: Option<&Digest>,
    ) -> Result<T, ImageError> {
        let bytes = self.bytes(name)?;
        if let Some(expected) = digest {
            let found = Digest::of(&bytes);
            if found != *expected {
                return Err(ImageError::Mismatch {
                    what: format!("{name:?} of the image"),
                    expected: expected.clone(),
                    found,
                });
            }
        }
        serde_json::from_slice(&bytes).map_err(|source| ImageError::Json {
            file: name.to_owned(),
            what,
            source,
        })
    }
}

/// Opens whatever is at `path`, or the standard input.
fn open_any(path: &Path) -> io::Result<File> {
    if path == Path::new("-") {
        return io::stdin().as_fd().try_clone_to_owned().map(File::from);
    }
    File::open(path)
}

/// Whether the content of `file` is compressed. The file is at its beginning again.
fn is_compressed(mut file: &File) -> io::Result<bool> {
    file.rewind()?;
    let compression = Compression::of_start(&mut file)?;
    file.rewind()?;
    Ok(compression.0 != Compression::None)
}

/// Opens the regular file `path` below `directory`. Symbolic links may not lead out of the
/// directory.
fn open_below(directory: &OwnedFd, path: &Path) -> io::Result<Option<File>> {
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    match openat2(directory, path, how) {
        Ok(descriptor) => {
            let file = File::from(descriptor);
            Ok(file.metadata()?.is_file().then_some(file))
        }
        Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Finds where in an archive its files and symbolic links are.
fn index(file: &File, path: &Path) -> Result<HashMap<SafePath, Found>, ImageError> {
    let failed = |source| ImageError::Archive {
        path: path.to_owned(),
        source,
    };
    let unknown = || ImageError::UnknownFormat {
        path: path.to_owned(),
    };
    let mut found = HashMap::new();
    let mut members = Members::new(BufReader::new(file));
    loop {
        let member = match members.next() {
            Ok(Some(member)) => member,
            Ok(None) => return Ok(found),
            // The very first header is broken, so the file is no archive at all.
            Err(ArchiveFault::Checksum) if found.is_empty() => return Err(unknown()),
            Err(fault) => return Err(failed(fault)),
        };
        if found.len() >= MAX_MEMBERS {
            return Err(unknown());
        }
        let Ok(name) = SafePath::parse(&member.name) else {
            continue;
        };
        let entry = match member.kind {
            MemberKind::File if member.segments.is_some() => {
                let name = name.as_path().display().to_string();
                return Err(failed(ArchiveFault::Sparse { name }));
            }
            MemberKind::File => Found::File {
                position: members.position(),
                size: member.size,
            },
            MemberKind::SymbolicLink if member.link.len() <= MAX_LINK => {
                Found::Link(std::ffi::OsStr::from_bytes(&member.link).to_owned())
            }
            // One more name of a member that came before.
            MemberKind::HardLink => {
                let target = SafePath::parse(&member.link).ok();
                match target.and_then(|target| found.get(&target)) {
                    Some(entry) => Found::clone(entry),
                    None => continue,
                }
            }
            _ => continue,
        };
        found.insert(name, entry);
    }
}

/// The position and size of the file `path`. Older versions of `docker save` write a symbolic link
/// for a layer that the image has twice.
fn find(members: &HashMap<SafePath, Found>, mut path: SafePath) -> Option<(u64, u64)> {
    for _ in 0..=MAX_LINKS {
        match members.get(&path)? {
            Found::File { position, size } => return Some((*position, *size)),
            Found::Link(content) => {
                let (parent, _) = path.split()?;
                path = resolve(&parent, Path::new(content))?;
            }
        }
    }
    None
}

/// The path to which a link with `content` in `directory` leads; `None` if the link leads out of
/// the archive.
fn resolve(directory: &SafePath, content: &Path) -> Option<SafePath> {
    let mut path = directory.as_path().to_owned();
    for component in content.components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => path.pop().then_some(())?,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    SafePath::parse(path.as_os_str().as_bytes()).ok()
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
