//! The machine's disk: an ext4 file system in a file, written and read by e2fsprogs without a
//! mount.
//!
//! The file loses its name before the machine starts, so a lab that is killed leaves no gigabytes
//! behind.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::run_tool;
use super::tree::Tree;
use crate::plan::OUT;

/// Size of the file system; the file is sparse.
const SIZE: u64 = 8 << 30;

/// An open file without a name.
#[derive(Debug)]
pub struct Image(File);

impl Image {
    /// A path by which child processes open it.
    pub fn path(&self) -> PathBuf {
        path_of(&self.0)
    }
}

/// A path by which child processes open a file that they inherit.
pub fn path_of(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// A new file in memory, which child processes inherit.
pub fn nameless() -> anyhow::Result<File> {
    Ok(memfd_create(c"initramfs", MFdFlags::empty())?.into())
}

/// Makes the disk in `directory`, out of `tree`.
pub fn make(directory: &Path, tree: &Tree) -> anyhow::Result<Image> {
    let path = directory.join("disk.img");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    file.set_len(SIZE)?;
    // No journal: nothing survives the machine but what it wrote before it ended. Tables are
    // written when first used.
    let mut command = Command::new("mkfs.ext4");
    command
        .args([
            "-q",
            "-F",
            "-m",
            "0",
            "-O",
            "^has_journal",
            "-E",
            "root_owner=0:0,lazy_itable_init=1",
            "-d",
        ])
        .arg(tree.root())
        .arg(&path);
    let made = run_tool(&mut command).context("cannot make the disk");
    fs::remove_file(&path)?;
    made?;
    // QEMU and debugfs inherit it.
    fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(Image(file))
}

/// Copies what the machine left into `directory`.
pub fn bring_out(image: &Image, directory: &Path) -> anyhow::Result<()> {
    let aside = directory.join("brought");
    fs::create_dir(&aside)?;
    let request = format!("rdump {OUT} {}", aside.display());
    run_tool(
        Command::new("debugfs")
            .arg("-R")
            .arg(request)
            .arg(image.path()),
    )
    .context("cannot read the disk")?;
    let out = aside.join(Path::new(OUT).file_name().unwrap_or_default());
    if out.is_dir() {
        for entry in fs::read_dir(&out)?.flatten() {
            fs::rename(entry.path(), directory.join(entry.file_name()))?;
        }
    }
    fs::remove_dir_all(aside)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use isobench_testing::{Need, lacks};

    use super::*;

    #[test]
    fn what_is_on_the_disk_comes_out_and_the_file_is_gone() {
        if lacks(Need::Program("mkfs.ext4")) || lacks(Need::Program("debugfs")) {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::create(&directory.path().join("stage")).unwrap();
        tree.write(&format!("{OUT}/said"), b"hello").unwrap();
        let image = make(directory.path(), &tree).unwrap();
        assert!(!directory.path().join("disk.img").exists());
        bring_out(&image, directory.path()).unwrap();
        assert_eq!(fs::read(directory.path().join("said")).unwrap(), b"hello");
    }
}
