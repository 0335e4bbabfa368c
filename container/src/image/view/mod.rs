//! Stacked layers as overlayfs shows them, without mounting anything.
//!
//! - [`lookup`] follows paths;
//! - [`merged`] lists the whole tree;
//! - [`implied`] finds the directories that would be shown with the wrong attributes;
//! - [`own_layer`] mends them in a layer on top, which also has what engines add to an image.

pub mod implied;
pub mod lookup;
pub mod merged;
pub mod own_layer;
