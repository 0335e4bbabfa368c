//! Why a bare guest can't be started, or can't go on.

use std::io;

use nix::errno::Errno;

use super::address_space::RamError;
use super::loader::LoadError;
use super::snapshot::SnapshotError;
use crate::confine::ConfineError;
use crate::kvm::KvmError;

/// A microVM could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// KVM can't be used, or refused something.
    #[error("kvm")]
    Kvm(#[from] KvmError),
    /// There is no guest RAM.
    #[error("guest memory")]
    Ram(#[from] RamError),
    /// The vCPUs can't be made to wake each other.
    #[error("making the descriptor by which vCPUs wake each other")]
    Bell(#[source] Errno),
    /// The program does not fit.
    #[error("loading the program")]
    Load(#[from] LoadError),
}

/// A snapshot could not be put into a microVM.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// KVM can't be used, or refused something.
    #[error("kvm")]
    Kvm(#[from] KvmError),
    /// There is no guest RAM.
    #[error("guest memory")]
    Ram(#[from] RamError),
    /// The snapshot is to blame.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// A running microVM cannot go on, and the program is not to blame.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// KVM refused something.
    #[error("kvm")]
    Kvm(#[from] KvmError),
    /// A vCPU's thread could not be started.
    #[error("starting the thread of a vCPU")]
    Thread(#[source] io::Error),
    /// The VMM could not be confined.
    #[error(transparent)]
    Confine(#[from] ConfineError),
    /// A program with several threads can't be stopped where it asks for input.
    #[error(
        "the program has {threads} threads where it first asks for input: a template's program has \
         one thread"
    )]
    TemplateThreads {
        /// The number of threads.
        threads: usize,
    },
    /// The program's only thread waits for another thread. On Linux the program would hang forever.
    #[error("the program waits for a wake-up that nobody can give")]
    Deadlock,
    /// The guest came out in a way for which this VMM has no answer.
    #[error("the guest stopped at rip={rip:#x}: {what}")]
    Stopped {
        /// The address of the guest's instruction.
        rip: u64,
        /// The guest's exit.
        what: String,
    },
}
