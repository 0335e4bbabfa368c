//! What instances take on the disk and in the page cache: the names of that experiment's metrics and parts.

/// Name of the experiment.
pub const IMAGE: &str = "image";

/// Name of the metric of one instance on the disk, by part.
pub const ONE: &str = "one";

/// The part that is the program.
pub const PROGRAM: &str = "program";
/// The part that is the launcher.
pub const LAUNCHER: &str = "launcher";
/// The part that is a guest's kernel, and whatever else.
pub const FILES: &str = "files";
/// The part that stands for an image.
pub const BASE: &str = "base";
/// The part that an instance has written.
pub const WRITTEN: &str = "written";

/// The metrics that differ in nothing but the number of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// On the disk, one base for all.
    DiskShared,
    /// On the disk, a base for each.
    DiskCopies,
    /// In the page cache, one base for all.
    CacheShared,
    /// In the page cache, a base for each.
    CacheCopies,
}

impl Family {
    /// Every family, in the order of the report.
    pub const ALL: [Self; 4] = [
        Self::DiskShared,
        Self::DiskCopies,
        Self::CacheShared,
        Self::CacheCopies,
    ];

    /// How the names of its metrics begin; the number of instances follows.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::DiskShared => "disk-shared-",
            Self::DiskCopies => "disk-copies-",
            Self::CacheShared => "cache-shared-",
            Self::CacheCopies => "cache-copies-",
        }
    }

    /// The family of a metric, if it has one.
    pub fn of(metric: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|family| metric.starts_with(family.prefix()))
    }
}
