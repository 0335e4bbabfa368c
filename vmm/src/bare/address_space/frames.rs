//! Which frames of guest RAM are free: contiguous runs, lowest first.

use std::collections::BTreeMap;

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
    left: u64,
}

impl Frames {
    /// Makes an allocator of which all of `start..end` is free.
    pub fn new(start: u64, end: u64) -> Self {
        Self {
            free: BTreeMap::from([(start, end - start)]),
            left: end - start,
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
            let (&start, &free) = self.free.iter().max_by_key(|&(_, &free)| free)?;
            let run = Run {
                start,
                length: free.min(missing),
            };
            self.remove(run);
            missing -= run.length;
            runs.push(run);
        }
        Some(runs)
    }

    /// Takes one page.
    pub fn take_page(&mut self) -> Option<u64> {
        self.take_run(PAGE).map(|run| run.start)
    }

    /// Takes the lowest run of `length` bytes.
    fn take_run(&mut self, length: u64) -> Option<Run> {
        let (&start, _) = self.free.iter().find(|&(_, &free)| free >= length)?;
        let run = Run { start, length };
        self.remove(run);
        Some(run)
    }

    /// Takes `run`, which is the head of a free run.
    fn remove(&mut self, run: Run) {
        if let Some(free) = self.free.remove(&run.start) {
            if free > run.length {
                self.free.insert(run.end(), free - run.length);
            }
            self.left -= run.length;
        }
    }

    /// Gives `run` back.
    pub fn give_back(&mut self, run: Run) {
        self.left += run.length;
        let mut whole = run;
        if let Some(after) = self.free.remove(&run.end()) {
            whole.length += after;
        }
        if let Some((&start, &length)) = self.free.range(..run.start).next_back()
            && start + length == run.start
        {
            whole.start = start;
            whole.length += length;
        }
        self.free.insert(whole.start, whole.length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
