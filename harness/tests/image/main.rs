//! `isobench image` and `isobench exec --image`: images of our own making, good and bad, and those
//! of other tools.

mod bad_input;
mod commands;
mod guest;
mod layout;
mod running;
mod store;
#[expect(dead_code, reason = "the tests of measurements use the rest")]
#[path = "../support/mod.rs"]
mod support;
mod tools;
