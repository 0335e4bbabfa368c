//! Dropping every capability, in all five sets of a thread (capabilities(7)).

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

use crate::sys::errno;

/// Empties the bounding set: no program that this process executes can gain a capability, not
/// even as user 0. The call needs `CAP_SETPCAP`, so it comes before [`drop_all`].
pub fn empty_bounding_set() -> nix::Result<()> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // The kernel has no capability of this number, nor of a higher one.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(errno(error)),
        }
    }
    Ok(())
}

/// Empties the ambient, effective, permitted and inheritable sets.
pub fn drop_all() -> nix::Result<()> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    clear_ambient_capability_set()
        .and_then(|()| set_capabilities(None, none))
        .map_err(errno)
}
