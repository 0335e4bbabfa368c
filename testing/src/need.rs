//! What tests need of their host, and how to look that up.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Something that a test needs and that a host may lack.
///
/// `scripts/check-skips` knows each of them by its tag ([`Need::tag`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A file on a block device, whose reads and writes a cgroup can limit.
    BlockDevice,
    /// A cgroup hierarchy, v1 or v2, in which this user may make groups with the usual controllers.
    Cgroup,
    /// A mounted cgroup v2 hierarchy in which this user may make groups.
    CgroupV2,
    /// A `bzImage` beside the guest kernel that `ISOBENCH_KERNEL` names.
    CompressedGuestKernel,
    /// A processor counter (TSC) that runs at a constant rate in all of the processor's states.
    ConstantCounter,
    /// The running daemon of a runtime, which this user can reach.
    Daemon(&'static str),
    /// A file system with `O_DIRECT` (open(2)) below the tests.
    DirectIo,
    /// A `/bin/sh` that is linked with shared libraries.
    DynamicShell,
    /// A file system, and a user, that can give a file capabilities (capabilities(7)).
    FileCapabilities,
    /// A font, to draw texts into pictures.
    Font,
    /// A kernel for Linux guests, which `ISOBENCH_KERNEL` names.
    GuestKernel,
    /// A `/dev/kvm` that is made of VMX or SVM, so that a guest kernel can run.
    HardwareKvm,
    /// A kernel with transparent huge pages.
    HugePages,
    /// A kernel that lets this process have `io_uring` (`io_uring_setup(2)`).
    IoUring,
    /// The kernel's own threads in sight: the tests aren't in a PID namespace.
    KernelThreads,
    /// A `/dev/kvm` that this user may read and write.
    Kvm,
    /// A kernel with POSIX message queues (`mq_overview(7)`).
    MessageQueues,
    /// A kernel with overlayfs.
    Overlayfs,
    /// An installed program.
    Program(&'static str),
    /// User 0.
    Root,
    /// A kernel that takes system calls of 32-bit programs.
    SystemCallsOf32Bits,
    /// A kernel whose tmpfs has extended attributes of users: Linux 6.6 or later.
    TmpfsAttributes,
    /// A `/dev/net/tun` with which this user may make a network device.
    TunDevice,
    /// A kernel of user-mode Linux, built by isobench or of Debian's package.
    UmlKernel,
    /// User namespaces that this user may make.
    UserNamespaces,
}

impl Need {
    /// The word that stands for this need in a test's output.
    pub fn tag(self) -> String {
        let tag = match self {
            Self::BlockDevice => "block-device",
            Self::Cgroup => "cgroup",
            Self::CgroupV2 => "cgroup-v2",
            Self::CompressedGuestKernel => "compressed-guest-kernel",
            Self::ConstantCounter => "constant-counter",
            Self::Daemon(name) => return format!("daemon:{name}"),
            Self::DirectIo => "direct-io",
            Self::DynamicShell => "dynamic-shell",
            Self::FileCapabilities => "file-capabilities",
            Self::Font => "font",
            Self::GuestKernel => "guest-kernel",
            Self::HardwareKvm => "hardware-kvm",
            Self::HugePages => "huge-pages",
            Self::IoUring => "io-uring",
            Self::KernelThreads => "kernel-threads",
            Self::Kvm => "kvm",
            Self::MessageQueues => "message-queues",
            Self::Overlayfs => "overlayfs",
            Self::Program(name) => return format!("program:{name}"),
            Self::Root => "root",
            Self::SystemCallsOf32Bits => "system-calls-of-32-bits",
            Self::TmpfsAttributes => "tmpfs-attributes",
            Self::TunDevice => "tun-device",
            Self::UmlKernel => "uml-kernel",
            Self::UserNamespaces => "user-namespaces",
        };
        tag.to_owned()
    }

    /// Whether this host meets this need; `None` if only a trial can tell.
    pub fn is_met(self) -> Option<bool> {
        Some(match self {
            Self::CompressedGuestKernel => {
                guest_kernel().is_some_and(|kernel| kernel.with_file_name("bzImage").exists())
            }
            Self::GuestKernel => guest_kernel().is_some(),
            Self::HugePages => Path::new("/sys/kernel/mm/transparent_hugepage").exists(),
            // The second process of a host is the kernel's parent of its threads.
            Self::KernelThreads => read("/proc/2/comm").trim() == "kthreadd",
            Self::Kvm => File::options()
                .read(true)
                .write(true)
                .open("/dev/kvm")
                .is_ok(),
            Self::MessageQueues => has_file_system("mqueue"),
            Self::Overlayfs => has_file_system("overlay"),
            Self::Program(name) => find_program(name).is_some(),
            Self::Root => nix::unistd::geteuid().is_root(),
            Self::TmpfsAttributes => version(&read("/proc/sys/kernel/osrelease")) >= (6, 6),
            Self::BlockDevice
            | Self::Cgroup
            | Self::CgroupV2
            | Self::ConstantCounter
            | Self::Daemon(_)
            | Self::DirectIo
            | Self::DynamicShell
            | Self::FileCapabilities
            | Self::Font
            | Self::HardwareKvm
            | Self::IoUring
            | Self::SystemCallsOf32Bits
            | Self::TunDevice
            | Self::UmlKernel
            | Self::UserNamespaces => return None,
        })
    }

    /// What a test says that found out, by [`Need::is_met`], that this host doesn't meet this need.
    pub(crate) fn complaint(self) -> String {
        let complaint = match self {
            Self::CompressedGuestKernel => "there is no bzImage beside the guest kernel",
            Self::GuestKernel => "ISOBENCH_KERNEL names no kernel for guests",
            Self::HugePages => "this host's kernel has no transparent huge pages",
            Self::KernelThreads => "the kernel's threads are out of sight",
            Self::Kvm => "this user can't open /dev/kvm for reading and writing",
            Self::MessageQueues => "this host's kernel has no POSIX message queues",
            Self::Overlayfs => "this host's kernel has no overlayfs",
            Self::Root => "only root may do what this test does",
            Self::TmpfsAttributes => "the tmpfs of this host's kernel has no attributes of users",
            Self::Program(name) => return format!("{name} is not installed"),
            other => return format!("this host has no {other}"),
        };
        complaint.to_owned()
    }
}

impl fmt::Display for Need {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.tag())
    }
}

/// Finds a program on the `PATH` or among root's, which an ordinary user's `PATH` leaves out.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let mut candidates = directories.map(|directory| directory.join(name));
    candidates.find(|candidate| candidate.is_file())
}

fn guest_kernel() -> Option<PathBuf> {
    let kernel = std::env::var_os("ISOBENCH_KERNEL")?;
    (!kernel.is_empty()).then(|| kernel.into())
}

/// The text of a file under /proc, or nothing.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Whether the running kernel lists the file system `name`.
fn has_file_system(name: &str) -> bool {
    let known = read("/proc/filesystems");
    known
        .lines()
        .any(|line| line.split_whitespace().last() == Some(name))
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(['.', '-'])
        .map(|word| word.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_name() {
        assert!(find_program("sh").is_some());
        assert_eq!(find_program("no-such-program"), None);
        assert_eq!(Need::Program("no-such-program").is_met(), Some(false));
    }

    #[test]
    fn a_file_system_is_found_by_its_whole_name() {
        assert!(has_file_system("proc"));
        assert!(!has_file_system("pro"));
    }

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(version("6.18.44-generic"), (6, 18));
        assert_eq!(version("6.1-rc3"), (6, 1));
        assert!(version("6.18.44") > version("6.6.0"));
        assert_eq!(version("unknown"), (0, 0));
    }
}
