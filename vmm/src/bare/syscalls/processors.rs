//! The program's processors: how many there are, which one serves a call, what the run loop has to
//! know for each, and the calls that ask.

use nix::errno::Errno;
use nix::libc;

use super::guest;
use super::{CallResult, Personality, SystemCall};
use crate::bare::address_space::AddressSpace;

pub(super) fn serve(
    state: &Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let [first, second, ..] = call.arguments;
    Some(match call.linux_number() {
        // A thread goes on with whichever processor is free, whatever the program asks for.
        libc::SYS_sched_setaffinity => Ok(0),
        libc::SYS_sched_getaffinity => state.affinity(memory, call),
        libc::SYS_getcpu => state.tell_processor(memory, first, second),
        _ => return None,
    })
}

impl Personality {
    /// Gives the program `count` processors.
    pub(in crate::bare) fn set_processors(&mut self, count: usize) {
        self.threads.seats_mut().extend_to(count);
    }

    /// The number of processors.
    pub(super) fn processors(&self) -> usize {
        self.threads.seats().count()
    }

    /// Turns to the processor of this number, whose exit is served next.
    pub(in crate::bare) fn turn_to(&mut self, processor: usize) {
        self.threads.seats_mut().turn_to(processor);
    }

    /// The other processors whose threads must stop for a look at their signals.
    pub(in crate::bare) fn called_processors(&self) -> impl Iterator<Item = usize> + '_ {
        self.threads.seats().called()
    }

    /// The number of threads that could run but for a processor.
    pub(in crate::bare) fn ready_threads(&self) -> usize {
        self.threads.ready()
    }

    /// Whether a thread must be interrupted now and then: there are others, or a timer runs, or
    /// packets may come.
    pub(in crate::bare) fn needs_slices(&self) -> bool {
        self.threads.count() > 1 || self.timers.is_armed() || self.own.net.look().is_some()
    }

    /// Whether the run loop must choose a thread, and look for its signals, before it enters the
    /// guest again.
    pub(in crate::bare) fn wants_look(&self) -> bool {
        self.threads.wants_look()
    }

    /// Writes the set of processors, of which each thread may have any.
    fn affinity(&self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        let size = call.unsigned(1);
        if size < 8 || !size.is_multiple_of(8) {
            return Err(Errno::EINVAL.into());
        }
        let all = (0..self.processors()).fold(0_u64, |set, number| set | 1 << number);
        guest::write(memory, call.arguments[2], &all.to_le_bytes())?;
        Ok(8)
    }

    /// Writes the number of the processor that serves the call, and that of the only node.
    fn tell_processor(&self, memory: &mut AddressSpace, to: u64, node: u64) -> CallResult {
        let number = super::low_half(self.threads.seats().number() as u64);
        for (address, number) in [(to, number), (node, 0)] {
            if address != 0 {
                guest::write(memory, address, &number.to_le_bytes())?;
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;
    use nix::libc;

    use super::super::tests::Machine;

    #[test]
    fn a_program_sees_all_its_processors_and_the_one_that_it_has() {
        let mut machine = Machine::new();
        machine.personality().set_processors(3);
        machine.personality().turn_to(2);
        let at = machine.data();
        let set = libc::SYS_sched_getaffinity;
        assert_eq!(machine.call(set, &[0, 128, at]), Ok(8));
        assert_eq!(machine.word(0), 0b111);
        assert_eq!(machine.call(set, &[0, 12, at]), Err(Errno::EINVAL));
        machine.put(0, &[0xff; 8]);
        assert_eq!(machine.call(libc::SYS_getcpu, &[at, at + 4]), Ok(0));
        assert_eq!(machine.word(0), 2);
    }
}
