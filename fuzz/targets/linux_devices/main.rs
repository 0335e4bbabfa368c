//! Every device of a Linux guest's machine: a guest writes to ports and registers, fills its memory, rings and chains with
//! anything, and notifies, while packets come in, in any order.
//!
//! Wrong is a panic, a hang, and a change to what is not the guest's: the memory on both sides of its own, the disk's size.

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
    for step in guest.steps {
        if !machine.step(step) {
            break;
        }
    }
    machine.check();
});
