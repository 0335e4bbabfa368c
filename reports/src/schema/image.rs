//! `image`: what instances take on the disk and in the page cache.

use super::MetricSchema;
use crate::model::MetricFamily::{
    self, DiskSpace, DiskSpaceCopied, DiskSpaceShared, PageCacheCopied, PageCacheShared,
};

/// Name of the experiment.
pub const NAME: &str = "image";

/// Bytes on the disk of one instance, by part.
pub const ONE: MetricSchema = MetricSchema::bytes("one", "On disk for one instance", DiskSpace);

/// The part of [`ONE`] that is the program.
pub const PROGRAM: &str = "program";
/// The part of [`ONE`] that is the launcher.
pub const LAUNCHER: &str = "launcher";
/// The part of [`ONE`] that is a guest's kernel and the other files that the target needs.
pub const FILES: &str = "files";
/// The part of [`ONE`] that stands for an image.
pub const BASE: &str = "base";
/// The part of [`ONE`] that the instance has written.
pub const WRITTEN: &str = "written";

/// A number of instances, with the metrics of what they take together.
#[derive(Debug, Clone, Copy)]
pub struct CountMetrics {
    /// The number of instances.
    pub count: u32,
    /// Bytes on the disk.
    pub disk: MetricSchema,
    /// Bytes in the page cache.
    pub cache: MetricSchema,
}

/// The steps of instances that share one base.
pub const SHARED: [CountMetrics; 3] = [
    shared(
        1,
        ["disk-shared-1", "On disk, 1, base shared"],
        ["cache-shared-1", "In page cache, 1, base shared"],
    ),
    shared(
        10,
        ["disk-shared-10", "On disk, 10, base shared"],
        ["cache-shared-10", "In page cache, 10, base shared"],
    ),
    shared(
        100,
        ["disk-shared-100", "On disk, 100, base shared"],
        ["cache-shared-100", "In page cache, 100, base shared"],
    ),
];

/// The steps of instances that have a copy of the base each.
pub const COPIED: [CountMetrics; 3] = [
    copied(
        1,
        ["disk-copies-1", "On disk, 1, a copy each"],
        ["cache-copies-1", "In page cache, 1, a copy each"],
    ),
    copied(
        10,
        ["disk-copies-10", "On disk, 10, a copy each"],
        ["cache-copies-10", "In page cache, 10, a copy each"],
    ),
    copied(
        100,
        ["disk-copies-100", "On disk, 100, a copy each"],
        ["cache-copies-100", "In page cache, 100, a copy each"],
    ),
];

/// Every metric, in the order of the report: first the disk, then the page cache.
pub const METRICS: [MetricSchema; 13] = [
    ONE,
    SHARED[0].disk,
    SHARED[1].disk,
    SHARED[2].disk,
    COPIED[0].disk,
    COPIED[1].disk,
    COPIED[2].disk,
    SHARED[0].cache,
    SHARED[1].cache,
    SHARED[2].cache,
    COPIED[0].cache,
    COPIED[1].cache,
    COPIED[2].cache,
];

const fn shared(count: u32, disk: [&'static str; 2], cache: [&'static str; 2]) -> CountMetrics {
    step(count, (disk, DiskSpaceShared), (cache, PageCacheShared))
}

const fn copied(count: u32, disk: [&'static str; 2], cache: [&'static str; 2]) -> CountMetrics {
    step(count, (disk, DiskSpaceCopied), (cache, PageCacheCopied))
}

const fn step(
    count: u32,
    (disk, disk_family): ([&'static str; 2], MetricFamily),
    (cache, cache_family): ([&'static str; 2], MetricFamily),
) -> CountMetrics {
    CountMetrics {
        count,
        disk: MetricSchema::bytes(disk[0], disk[1], disk_family),
        cache: MetricSchema::bytes(cache[0], cache[1], cache_family),
    }
}
