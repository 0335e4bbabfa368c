//! The nodes of the files below `/proc` and `/sys` in the tree of files.

use std::path::Path;

use super::super::proc_files;
use super::super::tree::{FileTree, FileTreeError, Node, NodeId};

impl FileTree {
    /// Adds the files of `/proc` and `/sys`. The program lies at `program`. Returns the directory
    /// of the program's descriptors.
    pub(in super::super) fn add_proc(&mut self, program: &Path) -> Result<NodeId, FileTreeError> {
        let own = proc_files::own_directory();
        let link = |target: &Path| Node::Link(target.as_os_str().as_encoded_bytes().to_vec());
        let number = own.trim_start_matches("/proc/");
        self.insert(Path::new("/proc/self"), link(Path::new(number)))?;
        self.insert(&Path::new(&own).join("exe"), link(program))?;
        self.insert(Path::new("/dev/fd"), link(Path::new("/proc/self/fd")))?;
        for (name, file) in proc_files::all() {
            self.insert(Path::new(&name), Node::Proc(file))?;
        }
        let names = [b"proc", number.as_bytes(), b"fd"];
        self.make_directory(&names)
            .ok_or_else(|| FileTreeError::Occupied {
                path: Path::new(&own).join("fd"),
            })
    }
}
