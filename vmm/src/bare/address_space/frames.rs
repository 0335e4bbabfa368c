//! Which frames of guest RAM are free: contiguous runs, of which the shortest that suffices is used.

use std::collections::{BTreeMap, BTreeSet};

use crate::memory::PAGE;

/// A run of adjacent frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The guest physical address of the first byte.
    pub start: u64,
    /// The length in bytes, in whole pages.
    pub length: u64,
}

impl Run {
    /// One past the last byte.
    pub const fn end(self) -> u64 {
        self.start + self.length
    }
}

/// The free frames. A frame that is handed out is zero, since a frame's contents are discarded
/// before the frame is given back.
#[derive(Debug)]
pub struct Frames {
    /// The length of each free run, by its start. No two runs touch.
    free: BTreeMap<u64, u64>,
    /// The same runs: length and start.
    by_length: BTreeSet<(u64, u64)>,
    left: u64,
}

impl Frames {
    /// Makes an allocator of which all of `start..end` is free.
    pub fn new(start: u64, end: u64) -> Self {
        let length = end - start;
        Self {
            free: BTreeMap::from([(start, length)]),
            by_length: BTreeSet::from([(length, start)]),
            left: length,
        }
    }

    /// The free bytes.
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Takes `length` bytes: in one run if a free run is long enough, otherwise in few runs.
    pub fn take(&mut self, length: u64) -> Option<Vec<Run>> {
        if length > self.left {
            return None;
        }
        if let Some(run) = self.take_run(length) {
            return Some(vec![run]);
        }
        let mut runs = Vec::new();
        let mut missing = length;
        while missing > 0 {
            let &(free, start) = self.by_length.last()?;
            let run = Run {
                start,
                length: free.min(missing),
            };
            self.take_head(run);
            missing -= run.length;
            runs.push(run);
        }
        Some(runs)
    }

    /// Takes one page.
    pub fn take_page(&mut self) -> Option<u64> {
        self.take_run(PAGE).map(|run| run.start)
    }

    /// Takes one run of `length` bytes.
    fn take_run(&mut self, length: u64) -> Option<Run> {
        let &(_, start) = self.by_length.range((length, 0)..).next()?;
        let run = Run { start, length };
        self.take_head(run);
        Some(run)
    }

    /// Takes this very run. The result is whether all of it was free.
    pub fn take_at(&mut self, run: Run) -> bool {
        let Some(end) = run.start.checked_add(run.length) else {
            return false;
        };
        let Some((&start, &length)) = self.free.range(..=run.start).next_back() else {
            return false;
        };
        if run.length == 0 || end > start + length {
            return false;
        }
        self.remove(start);
        if start < run.start {
            self.insert(start, run.start - start);
        }
        if end < start + length {
            self.insert(end, start + length - end);
        }
        self.left -= run.length;
        true
    }

    /// Takes `run`, which is the head of a free run.
    fn take_head(&mut self, run: Run) {
        if let Some(free) = self.remove(run.start) {
            if free > run.length {
                self.insert(run.end(), free - run.length);
            }
            self.left -= run.length;
        }
    }

    /// Removes the free run at `start`, and returns its length.
    fn remove(&mut self, start: u64) -> Option<u64> {
        let length = self.free.remove(&start)?;
        self.by_length.remove(&(length, start));
        Some(length)
    }

    fn insert(&mut self, start: u64, length: u64) {
        self.free.insert(start, length);
        self.by_length.insert((length, start));
    }

    /// Gives `run` back.
    pub fn give_back(&mut self, run: Run) {
        self.left += run.length;
        let mut whole = run;
        if let Some(after) = self.remove(run.end()) {
            whole.length += after;
        }
        if let Some((&start, &length)) = self.free.range(..run.start).next_back()
            && start + length == run.start
        {
            self.remove(start);
            whole.start = start;
            whole.length += length;
        }
        self.insert(whole.start, whole.length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_taken_where_it_is_free_and_nowhere_else() {
        let run = |start, pages| Run {
            start: start * PAGE,
            length: pages * PAGE,
        };
        let mut frames = Frames::new(PAGE, 8 * PAGE);
        assert!(frames.take_at(run(3, 2)));
        for taken in [
            run(0, 1),
            run(2, 2),
            run(4, 1),
            run(7, 2),
            run(5, 0),
            run(9, 1),
        ] {
            assert!(!frames.take_at(taken), "{taken:?}");
        }
        assert_eq!(frames.left(), 5 * PAGE);
        assert!(frames.take_at(run(1, 2)) && frames.take_at(run(5, 3)));
        assert_eq!(frames.left(), 0);
        let endless = Run {
            start: PAGE,
            length: u64::MAX,
        };
        assert!(!frames.take_at(endless));
        frames.give_back(run(1, 7));
        assert_eq!(frames.take(7 * PAGE).unwrap(), [run(1, 7)]);
    }

    #[test]
    fn frames_given_back_join_up_again() {
        let mut frames = Frames::new(0, 8 * PAGE);
        let first = frames.take(2 * PAGE).unwrap()[0];
        let second = frames.take(PAGE).unwrap()[0];
        let third = frames.take(5 * PAGE).unwrap()[0];
        assert_eq!(frames.left(), 0);
        assert!(frames.take(PAGE).is_none());
        frames.give_back(first);
        frames.give_back(third);
        assert_eq!(frames.take(7 * PAGE).unwrap(), [third, first]);
        frames.give_back(first);
        frames.give_back(third);
        frames.give_back(second);
        assert_eq!(
            frames.take(8 * PAGE).unwrap(),
            [Run {
                start: 0,
                length: 8 * PAGE
            }]
        );
    }
}
