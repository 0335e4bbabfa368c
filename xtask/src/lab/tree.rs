//! The machine's files, put together in a directory: programs of the workspace, and some of the
//! host's with their libraries.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::run_tool;

/// Directories that every machine has.
const DIRECTORIES: [&str; 13] = [
    "dev",
    "etc",
    "lab/out",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "usr/bin",
    "usr/lib",
    "usr/lib64",
    "usr/sbin",
    "var/tmp",
];

/// A directory that becomes the machine's root.
#[derive(Debug)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Makes a new one with what every machine has.
    pub fn create(root: &Path) -> anyhow::Result<Self> {
        let tree = Self {
            root: root.to_owned(),
        };
        for directory in DIRECTORIES {
            fs::create_dir_all(root.join(directory))?;
        }
        for place in ["tmp", "var/tmp"] {
            fs::set_permissions(root.join(place), fs::Permissions::from_mode(0o1777))?;
        }
        for name in ["bin", "lib", "lib64", "sbin"] {
            symlink(format!("usr/{name}"), root.join(name))?;
        }
        tree.write(
            "/etc/passwd",
            b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n",
        )?;
        tree.write("/etc/group", b"root:x:0:\nnogroup:x:65534:\n")?;
        Ok(tree)
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where `path` of the machine is for now.
    fn place(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Makes a directory and those above it.
    pub fn directory(&self, path: &Path) -> anyhow::Result<()> {
        Ok(fs::create_dir_all(self.place(path))?)
    }

    /// Writes a file.
    pub fn write(&self, path: &str, content: &[u8]) -> anyhow::Result<()> {
        let place = self.place(Path::new(path));
        fs::write(&place, content).with_context(|| format!("cannot write {}", place.display()))
    }

    /// Copies a file of the host to the same path.
    pub fn copy(&self, file: &Path) -> anyhow::Result<()> {
        let place = self.place(file);
        if place.exists() {
            return Ok(());
        }
        fs::create_dir_all(place.parent().unwrap_or(&self.root))?;
        fs::copy(file, &place).with_context(|| format!("cannot copy {}", file.display()))?;
        Ok(())
    }

    /// Copies a static program without its symbols, which are most of its bytes, and says where
    /// it's for now.
    pub fn copy_stripped(&self, program: &Path) -> anyhow::Result<PathBuf> {
        let place = self.place(program);
        fs::create_dir_all(place.parent().unwrap_or(&self.root))?;
        run_tool(Command::new("strip").arg("-o").arg(&place).arg(program))?;
        Ok(place)
    }

    /// Copies a program of the host and the libraries that it's linked with.
    pub fn copy_with_libraries(&self, program: &Path) -> anyhow::Result<()> {
        self.copy(program)?;
        // It fails for a static program, which needs none.
        let listed = Command::new("ldd").arg(program).output()?;
        for library in libraries(&String::from_utf8_lossy(&listed.stdout)) {
            self.copy(&library)?;
        }
        Ok(())
    }
}

/// The files that ldd names.
fn libraries(listing: &str) -> BTreeSet<PathBuf> {
    listing
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_found_in_a_listing() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found: Vec<_> = libraries(listing).into_iter().collect();
        assert_eq!(
            found,
            [
                PathBuf::from("/lib/x86_64-linux-gnu/libc.so.6"),
                PathBuf::from("/lib64/ld-linux-x86-64.so.2")
            ]
        );
        assert!(libraries("\tstatically linked\n").is_empty());
    }

    #[test]
    fn a_program_is_placed_where_it_is_on_the_host() {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::create(&directory.path().join("root")).unwrap();
        tree.copy_with_libraries(Path::new("/bin/sh")).unwrap();
        assert!(directory.path().join("root/usr/bin/sh").is_file());
        assert!(
            directory
                .path()
                .join("root/tmp")
                .metadata()
                .unwrap()
                .permissions()
                .mode()
                & 0o1000
                != 0
        );
    }
}
