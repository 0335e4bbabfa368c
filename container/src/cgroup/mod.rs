//! Control groups, versions 1 and 2: limits for a container, and accounting for whoever measures a
//! process.
//!
//! [`Hierarchies`] finds where this process may make groups for the controllers that it asks for.
//! [`Group`] is one group in all those hierarchies, and [`Cgroup`] is one directory of the group.
//! [`Limit`] is what can be set on a cgroup; [`Usage`] and [`MemoryCharge`] are what a cgroup has
//! counted.
//!
//! Why not the cgroups-rs crate: a container's start makes two directories, writes two numbers and
//! joins, which takes 0.2 ms. Every superfluous `open` is a visible part of that. The crate asks
//! for all controllers of the host, writes to each and brings a D-Bus client. And the crate joins
//! through `cgroup.procs`, which would cost milliseconds here: see [`Cgroup::entry`].

mod block_device;
mod controller;
mod directory;
mod error;
mod group;
mod hierarchies;
mod hierarchy;
mod limit;
mod membership;
mod memory;
mod unified;
mod usage;
mod version;
mod view;

pub use block_device::{BlockDevice, DeviceError};
pub use controller::Controller;
pub use directory::{Cgroup, join};
pub use error::CgroupError;
pub use group::Group;
pub use hierarchies::Hierarchies;
pub use hierarchy::{Hierarchy, Unusable};
pub use limit::{Cpus, CpusSyntaxError, Direction, IoRate, IoRateSyntaxError, Limit};
pub use memory::MemoryCharge;
pub use usage::Usage;
pub use version::Version;
pub(crate) use view::View;

#[cfg(test)]
mod tests;
