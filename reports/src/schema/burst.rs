//! `burst`: many starts at once, and starts that come at a steady rate.
//!
//! The harness leaves `at_once` out of these metrics: it stands for the curves of `parallel`, which
//! run over several numbers of instances.

use std::time::Duration;

use super::MetricSchema;
use crate::model::MetricFamily::{Rate, StartTime};

/// Name of the experiment.
pub const NAME: &str = "burst";

/// The number of instances that start at once.
pub const AT_ONCE: u32 = 100;

/// From the start of each of [`AT_ONCE`] instances until its ready line.
pub const BURST: MetricSchema = MetricSchema::time("burst-100", "100 at once", StartTime);

/// Starts a second of [`AT_ONCE`] instances, until the last of them is ready.
pub const BURST_RATE: MetricSchema =
    MetricSchema::rate("burst-rate-100", "Rate, 100 at once", Rate);

/// The number of instances that start one after the other.
pub const IN_TURN: u32 = 20;

/// The time from one of these starts to the next, whether or not the one before is ready.
pub const STAGGER: Duration = Duration::from_millis(200);

/// From the start of each of [`IN_TURN`] instances until its ready line.
pub const STAGGERED: MetricSchema = MetricSchema::time("staggered", "One each 200 ms", StartTime);

/// Every metric, in the order of the report.
pub const METRICS: [MetricSchema; 3] = [BURST, BURST_RATE, STAGGERED];
