//! The results schema, its statistics, and everything drawn from it.

pub mod model;
