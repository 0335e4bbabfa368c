#!/usr/bin/env bash
# smoltcp 0.14.0 does not compile with its feature `segmentation-offload` unless `proto-ipv6` is on as well, though both
# are listed as independent: its interface looks at the field `tcpv6` of the device's capabilities, which exists for IPv6
# alone. A user of IPv4 must take IPv6 along to hand TCP's segments to a device whole.
# Seen with Rust 1.95: "no field `tcpv6` on type `SegmentationCapabilities`"; with `proto-ipv6` the same compiles.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
echo 'fn main() {}' >src/main.rs
compile() { # FEATURES
    cat >Cargo.toml <<END
[package]
name = "offload"
version = "0.1.0"
edition = "2021"
[dependencies.smoltcp]
version = "=0.14.0"
default-features = false
features = ["std", "medium-ethernet", "socket-tcp", "segmentation-offload", $1]
END
    CARGO_TARGET_DIR=$work/target cargo check --quiet 2>&1
}
compile '"proto-ipv4", "proto-ipv6"'
echo "with proto-ipv6: compiles"
if said=$(compile '"proto-ipv4"'); then
    echo "without proto-ipv6 it compiles now, too" >&2
    exit 1
fi
grep 'no field' <<<"$said"
