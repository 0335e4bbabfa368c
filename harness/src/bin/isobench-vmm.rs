//! Placeholder until its crate lands.
fn main() {}
