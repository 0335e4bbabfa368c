//! Tells the linker where the program `isobench-workload` starts: see `src/launchers/bin/isobench-workload.rs`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bin=isobench-workload=-Wl,--entry=workload_start");
}
