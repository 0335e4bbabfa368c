//! Commands of the user that `isobench time` and `isobench run --workload` measure: what is run, in
//! which root, and when it counts as ready.

pub mod command;
pub mod directory;
pub mod ready;
pub mod root;
pub mod root_choice;
pub mod settings;
pub mod store;
pub mod workload_file;
