//! What the figures of a run say: to common claims, against the run itself, and about its host.

pub mod claims;
pub mod conduct;
pub mod doubts;
pub mod failures;
pub mod headline;
pub mod polled;
pub mod quiet;
pub mod timed;
pub mod verdict;
