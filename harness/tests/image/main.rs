//! `isobench image` and `isobench exec --image`: images of our own making, good and bad, and those of other tools.

mod bad_input;
mod guest;
mod layout;
mod running;
mod store;
mod support;
mod tools;
