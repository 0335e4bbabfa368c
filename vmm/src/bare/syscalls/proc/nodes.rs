//! The nodes of the files below `/proc` and `/sys` in the tree of files.

use std::path::Path;

use super::super::proc_files;
use super::super::tree::{FileTree, FileTreeError, Node};

impl FileTree {
    /// Adds the files of `/proc` and `/sys`. The program lies at `program`.
    pub(in super::super) fn add_proc(&mut self, program: &Path) -> Result<(), FileTreeError> {
        let own = proc_files::own_directory();
        let link = |target: &Path| Node::Link(target.as_os_str().as_encoded_bytes().to_vec());
        let number = own.trim_start_matches("/proc/");
        self.insert(Path::new("/proc/self"), link(Path::new(number)))?;
        self.insert(&Path::new(&own).join("exe"), link(program))?;
        for (name, file) in proc_files::all() {
            self.insert(Path::new(&name), Node::Proc(file))?;
        }
        Ok(())
    }
}
