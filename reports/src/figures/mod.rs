//! From samples to figures: medians with their intervals, and what is worked out from them.

pub mod density;
pub mod explanation;
pub mod isolation;
pub mod latency;
pub mod leading;
pub mod name;
pub mod noise;
pub mod parts;
pub mod prices;
pub mod summary;
pub mod tails;
