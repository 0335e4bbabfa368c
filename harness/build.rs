//! Refuses a build that would link the programs dynamically, and tells the linker where the program
//! `isobench-workload` starts: see `src/launchers/bin/isobench-workload.rs`.

use std::env;

/// What cargo prints if the compiler's flags don't ask for static programs.
///
/// Cargo takes the repository's flags for `cargo install --path`, but not for `cargo install --git`,
/// and variables such as RUSTFLAGS replace them. The programs would be built, and fail in each target
/// that has a root of its own. With RUSTFLAGS alone, cargo would give the flags to procedural macros
/// too, which can't be static; so the target is named.
const NOT_STATIC: &str = "isobench's programs must be linked statically, and these flags don't ask \
    for it. Inside of the repository, unset RUSTFLAGS; elsewhere, set \
    RUSTFLAGS='-C target-feature=+crt-static' and add --target x86_64-unknown-linux-gnu";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bin=isobench-workload=-Wl,--entry=workload_start");
    // Set by cargo: Environment variables cargo sets for build scripts, in the Cargo book.
    if !is_static(&env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default()) {
        println!("cargo::error={NOT_STATIC}");
    }
}

/// Whether `target_features`, separated by commas, link the C library statically.
fn is_static(target_features: &str) -> bool {
    target_features.split(',').any(|it| it == "crt-static")
}
