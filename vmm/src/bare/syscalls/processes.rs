//! The calls that would make a second process or become another program. Both need an address space
//! of their own, which a guest without an OS has no kernel to keep.
//!
//! The calls fail. Programs often go on after that, and some end as if all had gone well: so the
//! personality remembers that a program has asked, and its launcher says so at the end.

use nix::errno::Errno;
use nix::libc;

use super::{CallResult, Personality, SystemCall};

/// What a program has asked for and can't have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedProcess {
    /// A second process, by `fork`, `vfork` or `clone`.
    Fork,
    /// Another program in its place, by `execve`.
    Exec,
}

impl RefusedProcess {
    /// The name of the call.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Exec => "execve",
        }
    }
}

pub(super) fn serve(state: &mut Personality, call: &SystemCall) -> Option<CallResult> {
    let asked = match call.linux_number() {
        libc::SYS_fork | libc::SYS_vfork => RefusedProcess::Fork,
        libc::SYS_execve | libc::SYS_execveat => RefusedProcess::Exec,
        _ => return None,
    };
    Some(Err(state.refuse_process(asked).into()))
}

impl Personality {
    /// The first thing that the program has asked for and can't have, if there was one.
    pub fn refused_process(&self) -> Option<RefusedProcess> {
        self.refused_process
    }

    /// The error of a call that asks for a second process or another program.
    pub(super) fn refuse_process(&mut self, asked: RefusedProcess) -> Errno {
        self.refused_process.get_or_insert(asked);
        Errno::ENOSYS
    }
}
