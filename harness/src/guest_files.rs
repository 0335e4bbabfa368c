//! The files of a Linux guest: `/init`, the program, what else was asked for, and the orders for `/init`.
//!
//! isobench's own VMM and the other VMMs beside it boot the same archive; only how the guest's output gets out differs.

use std::ffi::{CString, NulError};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use isobench_vmm::linux::initramfs::{Initramfs, InitramfsError};
use isobench_workloads::guest_init::{ORDERS, Orders};

/// Where kernel modules lie in the guest.
const MODULES: &str = "/modules";
/// Directories that every guest has.
const DIRECTORIES: [&str; 4] = ["/dev", "/proc", "/sys", "/tmp"];
/// Names in the guest's root that are not for programs.
const RESERVED: [&str; 7] = ["/", "/init", "/dev", "/proc", "/sys", "/tmp", MODULES];

/// A guest can't have these files.
#[derive(Debug, thiserror::Error)]
pub enum GuestFilesError {
    /// The program's name is the guest's own.
    #[error("a program can't have the guest's own name {0}: rename it")]
    Reserved(String),
    /// A name isn't UTF-8.
    #[error("{} can't be in the guest: its name is not UTF-8", .0.display())]
    NotUtf8(PathBuf),
    /// A zero byte in what is for the program.
    #[error("the program's name holds a zero byte")]
    Nul(#[from] NulError),
    /// The archive can't be made.
    #[error(transparent)]
    Archive(#[from] InitramfsError),
}

/// What a guest is to have.
#[derive(Debug)]
pub struct GuestFiles<'f> {
    /// The workload on the host, which is `/init` as well.
    pub init: &'f Path,
    /// The program on the host.
    pub program: &'f Path,
    /// More files: their names in the guest and on the host.
    pub files: &'f [(PathBuf, PathBuf)],
    /// Kernel modules on the host, in the order of loading.
    pub modules: &'f [PathBuf],
}

impl GuestFiles<'_> {
    /// The archive, with `orders`, to which the names of the program and the modules are added.
    ///
    /// # Errors
    /// See [`GuestFilesError`].
    pub fn archive(&self, mut orders: Orders) -> Result<Initramfs, GuestFilesError> {
        let mut files = Initramfs::default();
        for directory in DIRECTORIES {
            files.directory(directory)?;
        }
        files.file("/init", self.init)?;
        let name = self.program.file_name().unwrap_or_default();
        let path = Path::new("/").join(name);
        let guest_path = utf8(&path)?;
        if RESERVED.contains(&guest_path) {
            return Err(GuestFilesError::Reserved(guest_path.to_owned()));
        }
        files.file(guest_path, self.program)?;
        for (guest, host) in self.files {
            files.file(utf8(guest)?, host)?;
        }
        orders.program = CString::new(path.as_os_str().as_bytes())?;
        for (number, module) in self.modules.iter().enumerate() {
            let guest = format!("{MODULES}/{number}.ko");
            files.file(&guest, module)?;
            orders.modules.push(CString::new(guest)?);
        }
        files.bytes(ORDERS, orders.encode())?;
        Ok(files)
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
    fn a_program_with_a_name_of_the_guest_s_own_is_refused() {
        let own = std::env::current_exe().unwrap();
        let archive = |program: &str| {
            let files = GuestFiles {
                init: &own,
                program: Path::new(program),
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
