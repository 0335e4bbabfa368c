//! Tells the linker where the program `workload` starts: see `src/launchers/bin/workload.rs`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bin=workload=-Wl,--entry=workload_start");
}
