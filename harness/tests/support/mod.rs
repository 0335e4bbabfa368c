//! What the tests of isobench's programs share.
//!
//! A test says what it starts, how that must end, and what must be there then:
//!
//! ```ignore
//! Isobench::run()
//!     .quick()
//!     .targets("process,container")
//!     .experiments("startup")
//!     .succeeds()
//!     .has_rows("startup", "ready", &["process", "container"])
//!     .leaves_nothing();
//! ```
//!
//! `ended` serves all programs, the rest `isobench` alone.

pub mod ended;
pub mod isobench;
pub mod needs;
pub mod place;
pub mod results;
pub mod traces;
