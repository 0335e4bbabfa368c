//! The container's root file system, which the first process assembles and makes its root.
//!
//! The root is assembled in one base directory: a fresh tmpfs, or the scratch directory. The base
//! is mounted over the host's `/proc`, where only this process's mount namespace sees it, and holds
//!
//! ```text
//! l0 l1 ..   the read-only layers, attached here so that overlayfs's options hold no host path
//! e          an empty directory, which covers directories of /proc
//! u w        overlayfs's upper and work directories
//! r          where the root is mounted
//! ```
//!
//! `/proc` and `/dev` are prepared in `u`. So whatever a layer holds in their place, a symbolic
//! link for example, is hidden.
//!
//! Where overlayfs is refused, `u` itself becomes the root, and the layers' top-level entries are
//! bound into `u` read-only.
//!
//! - [`plan`] is what the launcher prepares before the clone;
//! - [`assemble`] makes the root from the plan, with [`devices`], [`masks`] and [`terminals`];
//! - [`cgroups`] shows the container its own cgroups in it, later;
//! - [`switch`] makes the assembled root the root;
//! - [`place`] makes the files and directories to mount on.

pub mod assemble;
pub mod cgroups;
pub mod devices;
mod masks;
mod place;
pub mod plan;
pub mod switch;
mod terminals;
