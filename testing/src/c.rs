//! Programs in C, for what a program in Rust doesn't see or do.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Need, lacks};

/// Compiles `source` to `program`, with these further flags. `false` if there is no compiler here;
/// then the reason to skip is printed.
///
/// # Panics
/// The source is wrong.
pub fn compile_c(program: &Path, source: &str, flags: &[&str]) -> bool {
    if lacks(Need::Program("cc")) {
        return false;
    }
    let mut compiler = Command::new("cc")
        .args(["-x", "c", "-", "-O1", "-o"])
        .arg(program)
        .args(flags)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = compiler.stdin.take().unwrap();
    input.write_all(source.as_bytes()).unwrap();
    drop(input);
    assert!(compiler.wait().unwrap().success());
    true
}
