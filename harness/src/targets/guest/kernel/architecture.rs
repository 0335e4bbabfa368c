//! The two kernels for guests: the kernel of virtual machines, and user-mode Linux.

use std::path::Path;

use clap::ValueEnum;

/// What a kernel runs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Architecture {
    /// A virtual machine with x86-64 processors
    #[default]
    #[value(name = "x86_64")]
    X86_64,
    /// An ordinary process of the host (user-mode Linux)
    Um,
}

impl Architecture {
    /// The architecture's name, as make knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Um => "um",
        }
    }

    /// The options of the kernel's configuration, each with its reason.
    pub(super) const fn fragment(self) -> &'static str {
        match self {
            Self::X86_64 => include_str!("../../../../kernel/guest.config"),
            Self::Um => include_str!("../../../../kernel/um.config"),
        }
    }

    /// The environment variable with the path of a kernel to use.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::X86_64 => "ISOBENCH_KERNEL",
            Self::Um => "ISOBENCH_UM_KERNEL",
        }
    }

    /// The command that builds the kernel.
    pub const fn build_command(self) -> &'static str {
        match self {
            Self::X86_64 => "isobench kernel build",
            Self::Um => "isobench kernel build --arch um",
        }
    }

    /// The first part of the name of a kernel's directory. A hash follows.
    pub(super) const fn directory_prefix(self) -> &'static str {
        match self {
            Self::X86_64 => "guest",
            Self::Um => "um",
        }
    }

    /// The file that a guest starts from, and that make calls the same.
    pub(super) const fn image(self) -> &'static str {
        match self {
            Self::X86_64 => "vmlinux",
            Self::Um => "linux",
        }
    }

    /// The first part of the name of an archive of Debian's with a source that the configuration fits.
    pub(super) const fn source_prefix(self) -> &'static str {
        match self {
            Self::X86_64 => "linux-source-6.1.",
            Self::Um => "linux-source-6.",
        }
    }

    /// The kernel that Debian's package installs, if that kernel boots isobench's guests.
    pub(super) const fn of_debian(self) -> Option<&'static str> {
        match self {
            Self::X86_64 => None,
            Self::Um => Some("/usr/bin/linux.uml"),
        }
    }

    /// The compressed kernel among make's files, for VMMs that boot no ELF file.
    pub(super) fn compressed(self) -> Option<&'static Path> {
        match self {
            Self::X86_64 => Some(Path::new("arch/x86/boot/bzImage")),
            Self::Um => None,
        }
    }

    /// What make is asked for.
    pub(super) const fn goals(self) -> &'static [&'static str] {
        match self {
            Self::X86_64 => &["vmlinux", "bzImage"],
            Self::Um => &["linux"],
        }
    }

    /// The number of lines that make prints for isobench's configuration of Linux 6.1. Only the
    /// progress bar uses this estimate.
    pub(super) const fn expected_lines(self) -> u64 {
        match self {
            Self::X86_64 => 1430,
            Self::Um => 1200,
        }
    }
}
