//! Which side of a sentence a target is on.

/// What kind of isolation a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// A container: namespaces on the host's kernel, whoever makes them.
    Container,
    /// A virtual machine as a data centre has them: firmware, a kernel and an init.
    Traditional,
    /// A virtual machine that leaves some of that away.
    MicroVm,
    /// Neither: the bare process, the floors, kernels in user space.
    Other,
}

impl Family {
    /// The family of a target, by its name.
    pub fn of(target: &str) -> Self {
        match target {
            "container" | "unshare" | "bwrap" | "crun" | "lxc" | "runc" | "youki"
            | "systemd-nspawn" | "podman" | "containerd" | "docker" => Self::Container,
            "qemu-pc" => Self::Traditional,
            "firecracker" | "cloud-hypervisor" => Self::MicroVm,
            name if name.starts_with("microvm-") || name.starts_with("qemu-") => Self::MicroVm,
            _ => Self::Other,
        }
    }

    /// Whether it is a virtual machine.
    pub fn is_machine(self) -> bool {
        matches!(self, Self::Traditional | Self::MicroVm)
    }
}
