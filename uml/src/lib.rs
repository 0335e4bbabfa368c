//! A guest OS without a virtual machine: user-mode Linux, the Linux kernel as an ordinary program.
//!
//! The kernel runs as a process of the host and needs no `/dev/kvm`. The guest's programs are
//! processes of the host too, whose system calls the kernel intercepts with ptrace(2) and serves
//! itself. Guest memory is a file.
//!
//! [`Config`] says what a guest is made from. [`Guest::boot`] starts the kernel in namespaces of its
//! own, and [`Guest::run`] carries the program's streams until the program ends. `/init` is the same
//! as in a virtual machine with a Linux kernel; it speaks to the launcher over a line of the kernel's
//! ([`isobench_workloads::guest_init::frames`]).
//!
//! Source: the kernel's `Documentation/virt/uml/user_mode_linux_howto_v2.rst`.

mod affinity;
mod child_step;
mod command_line;
mod config;
mod ending;
mod guest;
mod input;
mod kernel_process;
mod messages;
mod phase;
mod root;

pub use child_step::ChildStep;
pub use config::{Config, ConfigError, Disk, NetworkCard};
pub use ending::Ending;
pub use guest::{BootError, Guest, RunError};
pub use kernel_process::SpawnError;
pub use phase::Phase;
