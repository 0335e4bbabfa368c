//! `isobench image` and `isobench exec --image`, with images that the tests make, good and bad, and
//! with images of other tools.

mod bad_input;
mod builders;
mod commands;
mod foreign;
mod guest;
mod layout;
mod running;
mod store;
#[expect(dead_code, reason = "the tests of measurements use the rest")]
#[path = "../support/mod.rs"]
mod support;
mod surroundings;
mod targets;
mod terminals;
mod tools;
