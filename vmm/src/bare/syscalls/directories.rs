//! The calls on directories: listing them, and the working directory.

use std::borrow::Cow;

use nix::errno::Errno;
use nix::libc;

use super::descriptors::Object;
use super::guest::{self, put};
use super::paths::LastLink;
use super::place::{InodeId, Place};
use super::scratch::{Inode, Kind};
use super::tree::{Device, Node, NodeId};
use super::{CallResult, Personality, SystemCall};
use crate::bare::address_space::AddressSpace;

/// The bytes of `struct linux_dirent64` before the name.
const ENTRY_HEAD: usize = 19;

/// The offset of the first entry that can come and go. Those of the tree have lower ones.
const OWN_OFFSETS: u64 = 1 << 32;

/// An entry of a directory.
struct ListedEntry<'a> {
    /// The offset at which a listing goes on after this entry.
    offset: u64,
    name: Cow<'a, [u8]>,
    place: Place,
}

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
    /// Serves `getdents64`. The offset of an open directory is that of the last listed entry.
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
        let mut last = file.offset;
        let mut entries = self.entries(directory).into_iter().peekable();
        while entries
            .next_if(|entry| entry.offset <= file.offset)
            .is_some()
        {}
        for entry in entries.by_ref() {
            let bytes = self.directory_entry(&entry);
            if listed.len() + bytes.len() > size as usize {
                if listed.is_empty() {
                    return Err(Errno::EINVAL.into());
                }
                break;
            }
            listed.extend(bytes);
            last = entry.offset;
        }
        guest::write(memory, to, &listed)?;
        self.descriptors.get_mut(descriptor)?.offset = last;
        Ok(listed.len() as u64)
    }

    /// The entries of a directory, by their offsets.
    fn entries(&self, directory: Place) -> Vec<ListedEntry<'_>> {
        let parent = self.child(directory, b"..").unwrap_or(directory);
        let around = [(b".".as_slice(), directory), (b"..".as_slice(), parent)];
        let of_tree = match directory {
            Place::Tree(node) => Some(node),
            Place::Scratch(inode) => self.scratch.below(inode),
            Place::Descriptor(_) => None,
        };
        let named = of_tree.into_iter().flat_map(|node| self.tree_entries(node));
        let mut listed: Vec<_> = (1..)
            .zip(around.into_iter().chain(named))
            .map(|(offset, (name, place))| ListedEntry {
                offset,
                name: Cow::Borrowed(name),
                place,
            })
            .collect();
        match directory {
            Place::Tree(node) if self.tree.is_of_descriptors(node) => {
                listed.extend(self.descriptor_entries());
            }
            Place::Scratch(inode) => listed.extend(self.scratch_entries(inode)),
            Place::Tree(_) | Place::Descriptor(_) => {}
        }
        listed
    }

    fn tree_entries(&self, directory: NodeId) -> impl Iterator<Item = (&[u8], Place)> {
        let entries = match self.tree.node(directory) {
            Node::Directory { entries, .. } => Some(entries),
            _ => None,
        };
        entries
            .into_iter()
            .flatten()
            .map(|(name, &node)| (name.as_slice(), self.place_of(node)))
    }

    fn descriptor_entries(&self) -> impl Iterator<Item = ListedEntry<'_>> {
        self.descriptors.numbers().map(|number| ListedEntry {
            offset: OWN_OFFSETS + number,
            name: Cow::Owned(number.to_string().into_bytes()),
            place: Place::Descriptor(number),
        })
    }

    fn scratch_entries(&self, directory: InodeId) -> Vec<ListedEntry<'_>> {
        let directory = self.scratch.inode(directory).and_then(Inode::directory);
        let entries = directory.map(|directory| &directory.entries);
        let mut listed: Vec<_> = entries
            .into_iter()
            .flatten()
            .map(|(name, entry)| ListedEntry {
                offset: OWN_OFFSETS + entry.number,
                name: Cow::Borrowed(name),
                place: Place::Scratch(entry.inode),
            })
            .collect();
        listed.sort_unstable_by_key(|entry| entry.offset);
        listed
    }

    /// One `struct linux_dirent64`, padded to a multiple of 8 bytes.
    fn directory_entry(&self, listed: &ListedEntry<'_>) -> Vec<u8> {
        let name = &listed.name;
        let length = (ENTRY_HEAD + name.len() + 1).next_multiple_of(8);
        let mut entry = vec![0; length];
        put(&mut entry, 0, listed.place.inode().to_le_bytes());
        put(&mut entry, 8, listed.offset.to_le_bytes());
        // A name has at most 255 bytes.
        put(
            &mut entry,
            16,
            u16::try_from(length).unwrap_or_default().to_le_bytes(),
        );
        put(&mut entry, 18, [self.kind_of(listed.place)]);
        entry[ENTRY_HEAD..ENTRY_HEAD + name.len()].copy_from_slice(name);
        entry
    }

    /// The type of what is at `place`, as a listing tells it.
    fn kind_of(&self, place: Place) -> u8 {
        match place {
            Place::Tree(node) => match self.tree.node(node) {
                Node::Directory { .. } => libc::DT_DIR,
                Node::File(_) | Node::Proc(_) => libc::DT_REG,
                Node::Link(_) => libc::DT_LNK,
                Node::Device(Device::Block) => libc::DT_BLK,
                Node::Device(_) => libc::DT_CHR,
            },
            Place::Scratch(inode) => {
                match self.scratch.inode(inode).ok().map(|inode| &inode.kind) {
                    Some(Kind::File(_)) => libc::DT_REG,
                    Some(Kind::Directory(_)) => libc::DT_DIR,
                    Some(Kind::Link(_)) => libc::DT_LNK,
                    None => libc::DT_UNKNOWN,
                }
            }
            Place::Descriptor(_) => libc::DT_LNK,
        }
    }

    fn tell_directory(&self, memory: &mut AddressSpace, to: u64, size: u64) -> CallResult {
        let mut path = self.path_of(self.working_directory).ok_or(Errno::ENOENT)?;
        path.push(0);
        if (path.len() as u64) > size {
            return Err(Errno::ERANGE.into());
        }
        guest::write(memory, to, &path)?;
        Ok(path.len() as u64)
    }

    fn change_directory(&mut self, path: &[u8]) -> CallResult {
        let place = self.resolve(self.working_directory, path, LastLink::Follow)?;
        if !self.is_directory(place) {
            return Err(Errno::ENOTDIR.into());
        }
        self.working_directory = place;
        Ok(0)
    }

    fn change_to_descriptor(&mut self, descriptor: u64) -> CallResult {
        match self.descriptors.get(descriptor)?.object {
            Object::Directory(place) => self.working_directory = place,
            _ => return Err(Errno::ENOTDIR.into()),
        }
        Ok(0)
    }
}
