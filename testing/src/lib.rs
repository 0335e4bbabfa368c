//! How a test skips itself on a host that lacks something, for the tests of all crates.
//!
//! A test that can't run here prints one line and passes:
//!
//! ```text
//! skipped[TAG]: WHY
//! ```
//!
//! The tag names the [`Need`] that the host doesn't meet. `scripts/check-skips` reads these lines
//! in the log of a test run and looks at the host itself: a test that skipped itself although the
//! host has what the tag names is a failure there, and so is an unknown tag. The lab (`cargo xtask
//! lab`) reads the same lines.
//!
//! - [`lacks`] answers for a need that this crate can look up: `if lacks(Need::Root) { return; }`
//! - [`or_skip`] and [`skip`] are for what only a trial shows, which the test makes itself.
#![expect(
    clippy::print_stdout,
    reason = "the test framework keeps what `println!` prints, and shows it if asked"
)]

mod c;
mod line;
mod need;

use std::fmt::Display;

pub use c::compile_c;
pub use line::{Skip, again_in};
pub use need::{Need, find_program};

/// Whether this host lacks `need`. If it does, the reason is printed, and the test has to return.
///
/// # Panics
/// Only a trial can tell whether the host has `need`: see [`Need::is_met`].
pub fn lacks(need: Need) -> bool {
    let is_met = need.is_met();
    let is_met = is_met.unwrap_or_else(|| panic!("only a trial tells whether {need} is there"));
    if !is_met {
        skip(need, need.complaint());
    }
    !is_met
}

/// Says that the test skips itself because its trial found `need` missing. The test has to return.
pub fn skip(need: Need, why: impl Display) {
    println!("{}", Skip::new(need, why));
}

/// What a trial of `need` gave. If the trial failed, its error is printed as the reason to skip.
pub fn or_skip<T>(need: Need, trial: Result<T, impl Display>) -> Option<T> {
    match trial {
        Ok(value) => Some(value),
        Err(error) => {
            skip(need, error);
            None
        }
    }
}

/// Says that a test did something twice, because the host may be to blame for the first failure.
pub fn tried_again(why: impl Display) {
    println!("{}", line::again(why));
}
