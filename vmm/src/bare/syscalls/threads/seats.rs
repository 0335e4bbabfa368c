//! Which processor runs which thread.

use super::ThreadId;

/// What one processor does.
#[derive(Debug, Clone, Copy)]
pub(in crate::bare::syscalls) struct Seat {
    /// The thread that has the processor, or had it last.
    pub thread: ThreadId,
    /// Whether the thread goes on as soon as it may. Otherwise it waits or has ended.
    pub runs: bool,
    /// Whether the run loop must look for the next thread, or for a signal, before the thread goes
    /// on.
    pub wants_look: bool,
}

/// All processors, one of which has the VMM's attention.
#[derive(Debug)]
pub(in crate::bare::syscalls) struct Seats {
    all: Vec<Seat>,
    here: usize,
}

impl Seats {
    /// A single processor, which has the thread `first`.
    pub fn new(first: ThreadId) -> Self {
        let seat = Seat {
            thread: first,
            runs: true,
            wants_look: false,
        };
        Self {
            all: vec![seat],
            here: 0,
        }
    }

    /// Adds processors without a thread, up to `count`.
    pub fn extend_to(&mut self, count: usize) {
        let idle = Seat {
            runs: false,
            ..self.all[0]
        };
        self.all.resize(count.max(1), idle);
    }

    /// The number of processors.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Turns to the processor of this number, whose exit is served next.
    pub fn turn_to(&mut self, number: usize) {
        self.here = number.min(self.all.len() - 1);
    }

    /// The number of the processor whose exit is served.
    pub fn number(&self) -> usize {
        self.here
    }

    /// The processor whose exit is served.
    pub fn here(&self) -> &Seat {
        &self.all[self.here]
    }

    /// The same, to change it.
    pub fn here_mut(&mut self) -> &mut Seat {
        &mut self.all[self.here]
    }

    /// The processor that runs a thread, if one does.
    pub fn of_mut(&mut self, thread: ThreadId) -> Option<&mut Seat> {
        let runs_it = |seat: &&mut Seat| seat.runs && seat.thread == thread;
        self.all.iter_mut().find(runs_it)
    }

    /// The number of processors that run a thread.
    pub fn running(&self) -> usize {
        self.all.iter().filter(|seat| seat.runs).count()
    }

    /// The other processors whose threads must stop for a look.
    pub fn called(&self) -> impl Iterator<Item = usize> + '_ {
        let seats = self.all.iter().enumerate();
        let called = seats.filter(|(_, seat)| seat.runs && seat.wants_look);
        called
            .map(|(number, _)| number)
            .filter(|&number| number != self.here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_processor_has_its_own_thread_and_is_called_for_it() {
        let mut seats = Seats::new(ThreadId(1));
        seats.extend_to(3);
        assert_eq!((seats.count(), seats.running()), (3, 1));
        seats.turn_to(2);
        *seats.here_mut() = Seat {
            thread: ThreadId(7),
            runs: true,
            wants_look: true,
        };
        assert_eq!(seats.called().count(), 0);
        seats.turn_to(1);
        assert_eq!(seats.called().collect::<Vec<_>>(), [2]);
        assert!(seats.of_mut(ThreadId(8)).is_none());
        seats.of_mut(ThreadId(1)).unwrap().wants_look = true;
        assert_eq!(seats.called().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(seats.running(), 2);
    }
}
