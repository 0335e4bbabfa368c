//! `isobench run --pin`: the processors that isobench and all that isobench starts may use.
//! Launchers, threads of virtual CPUs and programs inherit the choice. A daemon that runs already
//! doesn't.

use std::str::FromStr;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// The kernel refuses to pin isobench to the given processors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "--pin {processors}: the kernel refuses these processors ({error}); \
     `isobench doctor` lists the processors of this host"
)]
pub struct PinError {
    processors: String,
    error: Errno,
}

/// A set of processors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processors {
    /// The set as the user wrote it.
    text: String,
    numbers: Vec<usize>,
}

impl FromStr for Processors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<Vec<usize>>> = text.split(',').map(range).collect();
        Ok(Self {
            text: text.to_owned(),
            numbers: numbers
                .ok_or("expected processors by number, such as 2 or 0,2-3")?
                .concat(),
        })
    }
}

/// The numbers of `3` or `2-5`; `None` if the text is something else, or a kernel can't have so
/// many processors.
fn range(text: &str) -> Option<Vec<usize>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let [first, last] = [first, last].map(|number| number.trim().parse().ok());
    let (first, last): (usize, usize) = (first?, last?);
    (first <= last && last < CpuSet::count()).then(|| (first..=last).collect())
}

impl Processors {
    /// Pins the calling thread, and all processes and threads that it starts from now on, to these
    /// processors (`sched_setaffinity(2)`).
    ///
    /// # Errors
    /// The host has none of the processors, or this process may use none of them.
    pub fn pin_this_thread(&self) -> Result<(), PinError> {
        let mut set = CpuSet::new();
        let added = self.numbers.iter().try_for_each(|number| set.set(*number));
        let pinned = added.and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
        pinned.map_err(|error| PinError {
            processors: self.text.clone(),
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_numbers_and_ranges() {
        let numbers = |text: &str| text.parse::<Processors>().map(|set| set.numbers);
        assert_eq!(numbers("2"), Ok(vec![2]));
        assert_eq!(numbers("0,2-4"), Ok(vec![0, 2, 3, 4]));
        for text in ["", "x", "3-1", "-1", "1,", "99999999999", "0-99999999"] {
            assert!(numbers(text).is_err(), "{text}");
        }
    }
}
