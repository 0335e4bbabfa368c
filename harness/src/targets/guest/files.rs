//! The files of a Linux guest: `/init`, the program, further files and modules, and the orders for
//! `/init`.
//!
//! isobench's own VMM and all other VMMs boot the same archive. Only the orders differ: how the
//! guest writes its output.

mod image;

use std::ffi::{CString, NulError};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use isobench_container::image::MergedError;
use isobench_vmm::linux::initramfs::{Initramfs, InitramfsError};
use isobench_workloads::guest_init::{ORDERS, Orders};

pub use image::GuestImage;

/// The directory of kernel modules in the guest.
const MODULES: &str = "/modules";
/// The directories that every guest has.
const DIRECTORIES: [&str; 4] = ["/dev", "/proc", "/sys", "/tmp"];
/// The paths in the guest that a program can't have.
const RESERVED: [&str; 7] = ["/", "/init", "/dev", "/proc", "/sys", "/tmp", MODULES];

/// A guest can't have these files.
#[derive(Debug, thiserror::Error)]
pub enum GuestFilesError {
    /// The program would have the path of a file of the guest itself.
    #[error("a program can't have the guest's own name {0}: rename the program")]
    Reserved(String),
    /// A name isn't UTF-8.
    #[error("{} can't be in the guest: its name is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    /// The program's name contains a zero byte.
    #[error("the program's name contains a zero byte")]
    Nul(#[from] NulError),
    /// The image can't be read.
    #[error(transparent)]
    Image(#[from] MergedError),
    /// The archive can't be made.
    #[error(transparent)]
    Archive(#[from] InitramfsError),
}

/// The files that a guest gets.
#[derive(Debug)]
pub struct GuestFiles<'f> {
    /// The workload's path on the host. The workload is also the guest's `/init`.
    pub init: &'f Path,
    /// The program's path on the host, or in the image if there is an image.
    pub program: &'f Path,
    /// The image that is the program's root, if any.
    pub image: Option<GuestImage<'f>>,
    /// Further files: each path in the guest and on the host.
    pub files: &'f [(PathBuf, PathBuf)],
    /// The paths of kernel modules on the host, in the order in which the guest loads them.
    pub modules: &'f [PathBuf],
}

impl GuestFiles<'_> {
    /// Makes the archive. The paths of the program and of the modules are added to `orders`, which
    /// the archive contains as well.
    ///
    /// # Errors
    /// [`GuestFilesError`]
    pub fn archive(&self, mut orders: Orders) -> Result<Initramfs, GuestFilesError> {
        let mut files = Initramfs::default();
        for directory in DIRECTORIES {
            files.directory(directory)?;
        }
        files.file("/init", self.init)?;
        match &self.image {
            Some(image) => {
                orders.program = CString::new(self.program.as_os_str().as_bytes())?;
                image.add_to(&mut files, &mut orders)?;
            }
            None => orders.program = self.add_program(&mut files)?,
        }
        for (guest, host) in self.files {
            files.file(utf8(guest)?, host)?;
        }
        for (number, module) in self.modules.iter().enumerate() {
            let guest = format!("{MODULES}/{number}.ko");
            files.file(&guest, module)?;
            orders.modules.push(CString::new(guest)?);
        }
        files.bytes(ORDERS, orders.encode())?;
        Ok(files)
    }

    /// Adds the program beside `/init`, and returns its path in the guest.
    fn add_program(&self, files: &mut Initramfs) -> Result<CString, GuestFilesError> {
        let name = self.program.file_name().unwrap_or_default();
        let path = Path::new("/").join(name);
        let guest_path = utf8(&path)?;
        if RESERVED.contains(&guest_path) {
            return Err(GuestFilesError::Reserved(guest_path.to_owned()));
        }
        files.file(guest_path, self.program)?;
        Ok(CString::new(guest_path)?)
    }
}

fn utf8(path: &Path) -> Result<&str, GuestFilesError> {
    path.to_str()
        .ok_or_else(|| GuestFilesError::NotUtf8(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_the_name_of_a_guest_s_own_file_is_refused() {
        let own = std::env::current_exe().unwrap();
        let archive = |program: &str| {
            let files = GuestFiles {
                init: &own,
                program: Path::new(program),
                image: None,
                files: &[],
                modules: &[],
            };
            files.archive(Orders::default())
        };
        let error = archive("/bin/init").unwrap_err().to_string();
        assert!(error.contains("own name /init"), "{error}");
        archive(own.to_str().unwrap()).unwrap();
    }
}
