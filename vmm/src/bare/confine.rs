//! What the bare guest's VMM may do once the guest runs.

use super::syscalls::HOST_SYSTEM_CALLS;
use super::time_slice::TIME_SLICE_CALLS;
use crate::confine::{
    Allowed, ConfineError, KVM_GET_SREGS, KVM_GET_XSAVE, KVM_RUN, KVM_SET_MSRS, KVM_SET_SREGS,
    KVM_SET_XSAVE, RUNTIME_CALLS,
};

/// Confines this thread until its end. Any other call kills the process.
///
/// # Errors
/// See [`ConfineError`].
pub fn confine() -> Result<(), ConfineError> {
    allowed().confine_thread()
}

fn allowed() -> Allowed {
    Allowed {
        calls: [&HOST_SYSTEM_CALLS[..], &TIME_SLICE_CALLS, &RUNTIME_CALLS].concat(),
        ioctls: vec![
            KVM_RUN,
            KVM_GET_SREGS,
            KVM_SET_SREGS,
            KVM_SET_MSRS,
            // A switch between two threads of the program takes their vector registers along.
            KVM_GET_XSAVE,
            KVM_SET_XSAVE,
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles() {
        assert!(allowed().compile().unwrap().len() > 30);
    }
}
