//! What the tests of isobench's programs share.
//!
//! A test says what it starts, how that must end, and what must be true then:
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
//! Tests of all programs use `ended`. The other modules are for tests of `isobench`.

pub mod ended;
pub mod isobench;
pub mod needs;
pub mod place;
pub mod results;
pub mod traces;
