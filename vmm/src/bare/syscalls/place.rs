//! What a path leads to.

use super::tree::NodeId;

/// Something that a path can lead to, or for which a file is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A node of the tree.
    Tree(NodeId),
    /// The link in `/proc/self/fd` that has the name of this descriptor.
    Descriptor(u64),
}

impl Place {
    /// The directory `/`.
    pub const ROOT: Self = Self::Tree(NodeId::ROOT);

    /// The inode number.
    pub fn inode(self) -> u64 {
        /// The links of descriptors have the inodes from here on.
        const OF_DESCRIPTORS: u64 = 1 << 32;
        match self {
            Self::Tree(node) => node.inode(),
            Self::Descriptor(number) => OF_DESCRIPTORS + number,
        }
    }
}
