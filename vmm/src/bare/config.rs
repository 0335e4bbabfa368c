//! What a bare guest is made from, checked.

use bytesize::ByteSize;

use super::program::Program;
use super::stack::Start;

/// The size of guest RAM if the user names none.
pub const DEFAULT_MEMORY: ByteSize = ByteSize::mib(128);

/// The most vCPUs of a bare guest. Their exits are served one after the other, so more would wait for
/// each other and little else.
pub const MOST_PROCESSORS: u8 = 16;

/// A bare guest can't have so many vCPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} vCPUs: a guest without an OS has 1 to {MOST_PROCESSORS}")]
pub struct ProcessorsError(u8);

/// A bare guest's microVM, before it exists.
#[derive(Debug)]
pub struct Config {
    /// The size of guest RAM.
    pub memory: ByteSize,
    /// The number of vCPUs, 1 to [`MOST_PROCESSORS`].
    pub processors: u8,
    /// The program that the guest runs.
    pub program: Program,
    /// The program's arguments, environment and features.
    pub start: Start,
}

impl Config {
    /// Checks that a guest can have so many vCPUs.
    ///
    /// # Errors
    /// It can't.
    pub fn check_processors(processors: u8) -> Result<(), ProcessorsError> {
        (1..=MOST_PROCESSORS)
            .contains(&processors)
            .then_some(())
            .ok_or(ProcessorsError(processors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_at_least_one_vcpu_and_no_more_than_its_trampoline_serves() {
        for count in [1, 2, MOST_PROCESSORS] {
            assert_eq!(Config::check_processors(count), Ok(()));
        }
        for count in [0, MOST_PROCESSORS + 1, u8::MAX] {
            let error = Config::check_processors(count).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{count} vCPUs: ")));
        }
    }
}
