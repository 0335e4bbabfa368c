//! What a container is made from: a [`Spec`] as the user gives it, and a [`Config`] once the spec
//! is checked.

mod bind;
mod c_string;
mod checked;
mod error;
mod inside;
mod signals;
mod spec;
mod strings;

pub use bind::{Bind, BindSyntaxError};
pub(crate) use c_string::c_string;
pub use checked::Config;
pub use error::ConfigError;
pub use signals::ProgramSignals;
pub use spec::{RootPolicy, Spec};
