//! Peers: runtimes that people use, as reference points beside isobench's own rungs.
//!
//! Each peer gets what isobench's container gets, as far as the peer's interface allows.
//! [`TargetInfo::differences`](super::TargetInfo::differences) lists what differs. A peer is one
//! file with a [`Target`] and a [`Prepared`](super::Prepared), and one line in [`all`].

mod bwrap;
mod containerd;
mod daemon;
mod docker;
mod engine_image;
mod firejail;
mod instance;
mod lxc;
mod nsjail;
mod nspawn;
mod oci;
mod oci_config;
mod podman;
mod program;
mod roots;
mod unshare;
mod vmm;

use super::Target;
use crate::host::programs::Programs;

pub use daemon::Daemons;

/// All peers, the fast ones first.
pub(super) fn all(programs: &Programs, daemons: Daemons) -> Vec<Box<dyn Target>> {
    let init = &programs.workload;
    vec![
        Box::new(unshare::Unshare::new()),
        Box::new(bwrap::of_distribution()),
        Box::new(bwrap::later()),
        Box::new(nsjail::Nsjail::new()),
        Box::new(oci::crun()),
        Box::new(lxc::Lxc::new()),
        Box::new(oci::runc()),
        Box::new(oci::youki()),
        Box::new(firejail::Firejail::new()),
        Box::new(nspawn::Nspawn::new()),
        Box::new(oci::runsc()),
        Box::new(containerd::Containerd::new(daemons)),
        Box::new(podman::Podman::new()),
        Box::new(docker::Docker::new(daemons)),
        Box::new(vmm::firecracker::target(init)),
        Box::new(vmm::cloud_hypervisor::target(init)),
        Box::new(vmm::qemu::microvm(init)),
        Box::new(vmm::qemu::pc(init)),
        Box::new(vmm::qemu::emulated_microvm(init)),
        Box::new(vmm::qemu::emulated_pc(init)),
    ]
}
