//! What a path leads to.

use super::tree::NodeId;

/// The number of a scratch file: one that the program itself has made. No two files ever have the
/// same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InodeId(pub u64);

/// Something that a path can lead to, or for which a file is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A node of the read-only tree.
    Tree(NodeId),
    /// A scratch file.
    Scratch(InodeId),
    /// The link in `/proc/self/fd` that has the name of this descriptor.
    Descriptor(u64),
}

impl Place {
    /// The directory `/`.
    pub const ROOT: Self = Self::Tree(NodeId::ROOT);

    /// The inode number, on the place's own device.
    pub fn inode(self) -> u64 {
        /// The links of descriptors have the inodes from here on.
        const OF_DESCRIPTORS: u64 = 1 << 32;
        match self {
            Self::Tree(node) => node.inode(),
            Self::Scratch(inode) => inode.0 + 1,
            Self::Descriptor(number) => OF_DESCRIPTORS + number,
        }
    }
}
