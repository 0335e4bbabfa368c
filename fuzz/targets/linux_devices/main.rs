//! Every device of a Linux guest's machine. A guest writes to ports and registers, fills its
//! memory, rings and chains with any bytes, and notifies, while packets come in, in any order.
//!
//! The target fails at a panic, at a hang, or if something changes that is not the guest's: the
//! memory on both sides of its own, or the disk's size.

#![no_main]

mod guest;
mod machine;

use guest::Guest;
use libfuzzer_sys::fuzz_target;
use machine::Machine;

fuzz_target!(|guest: Guest| {
    let mut machine = Machine::new(guest.read_only);
    if let Some(driver) = guest.driver {
        machine.set_up(driver);
    }
    for action in guest.actions {
        if !machine.act(action) {
            break;
        }
    }
    machine.check();
});
