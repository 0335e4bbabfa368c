//! Stacked layers as overlayfs shows them, without mounting anything.
//!
//! - [`lookup`] follows paths;
//! - [`merged`] lists the whole tree;
//! - [`implied`] finds the directories that would be shown with the wrong attributes.

pub mod implied;
pub mod lookup;
pub mod merged;
