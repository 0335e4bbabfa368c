//! The calls on directories: listing them, and the working directory.

use nix::errno::Errno;
use nix::libc;

use super::descriptors::Object;
use super::guest::{self, put};
use super::tree::{Device, LastLink, Node, NodeId};
use super::{CallResult, Personality, SystemCall};
use crate::bare::address_space::AddressSpace;

/// The bytes of `struct linux_dirent64` before the name.
const ENTRY_HEAD: usize = 19;

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let [first, second, ..] = call.arguments;
    Some(match call.linux_number() {
        libc::SYS_getdents64 => state.list(memory, first, second, call.unsigned(2)),
        libc::SYS_getcwd => state.tell_directory(memory, first, second),
        libc::SYS_chdir => guest::read_path(memory, first)
            .map_err(Into::into)
            .and_then(|path| state.change_directory(&path)),
        libc::SYS_fchdir => state.change_to_descriptor(first),
        _ => return None,
    })
}

impl Personality {
    /// Serves `getdents64`. The offset of an open directory is the number of the next entry.
    fn list(
        &mut self,
        memory: &mut AddressSpace,
        descriptor: u64,
        to: u64,
        size: u32,
    ) -> CallResult {
        let file = self.descriptors.get(descriptor)?;
        let Object::Directory(directory) = file.object else {
            return Err(Errno::ENOTDIR.into());
        };
        if !file.has_data() {
            return Err(Errno::EBADF.into());
        }
        let mut listed = Vec::new();
        let mut next = file.offset;
        let skipped = usize::try_from(file.offset).unwrap_or(usize::MAX);
        for (name, node) in self.entries(directory).skip(skipped) {
            let entry = self.directory_entry(name, node, next + 1);
            if listed.len() + entry.len() > size as usize {
                break;
            }
            listed.extend(entry);
            next += 1;
        }
        let is_at_end = self.entries(directory).nth(skipped).is_none();
        if listed.is_empty() && !is_at_end {
            return Err(Errno::EINVAL.into());
        }
        guest::write(memory, to, &listed)?;
        self.descriptors.get_mut(descriptor)?.offset = next;
        Ok(listed.len() as u64)
    }

    fn entries(&self, directory: NodeId) -> impl Iterator<Item = (&[u8], NodeId)> {
        let (parent, entries) = match self.tree.node(directory) {
            Node::Directory { parent, entries } => (*parent, Some(entries)),
            _ => (directory, None),
        };
        let named = entries
            .into_iter()
            .flatten()
            .map(|(name, node)| (name.as_slice(), *node));
        [(b".".as_slice(), directory), (b"..".as_slice(), parent)]
            .into_iter()
            .chain(named)
    }

    /// One `struct linux_dirent64`, padded to a multiple of 8 bytes.
    fn directory_entry(&self, name: &[u8], node: NodeId, next: u64) -> Vec<u8> {
        let kind = match self.tree.node(node) {
            Node::Directory { .. } => libc::DT_DIR,
            Node::File(_) | Node::Proc(_) => libc::DT_REG,
            Node::Link(_) => libc::DT_LNK,
            Node::Device(Device::Block) => libc::DT_BLK,
            Node::Device(_) => libc::DT_CHR,
        };
        let length = (ENTRY_HEAD + name.len() + 1).next_multiple_of(8);
        let mut entry = vec![0; length];
        put(&mut entry, 0, node.inode().to_le_bytes());
        put(&mut entry, 8, next.to_le_bytes());
        // A name has at most 255 bytes.
        put(
            &mut entry,
            16,
            u16::try_from(length).unwrap_or_default().to_le_bytes(),
        );
        put(&mut entry, 18, [kind]);
        entry[ENTRY_HEAD..ENTRY_HEAD + name.len()].copy_from_slice(name);
        entry
    }

    fn tell_directory(&self, memory: &mut AddressSpace, to: u64, size: u64) -> CallResult {
        let mut path = self.tree.path_of(self.working_directory);
        path.push(0);
        if (path.len() as u64) > size {
            return Err(Errno::ERANGE.into());
        }
        guest::write(memory, to, &path)?;
        Ok(path.len() as u64)
    }

    fn change_directory(&mut self, path: &[u8]) -> CallResult {
        let node = self
            .tree
            .resolve(self.working_directory, path, LastLink::Follow)?;
        match self.tree.node(node) {
            Node::Directory { .. } => self.working_directory = node,
            _ => return Err(Errno::ENOTDIR.into()),
        }
        Ok(0)
    }

    fn change_to_descriptor(&mut self, descriptor: u64) -> CallResult {
        match self.descriptors.get(descriptor)?.object {
            Object::Directory(node) => self.working_directory = node,
            _ => return Err(Errno::ENOTDIR.into()),
        }
        Ok(0)
    }
}
