//! The command `isobench` as a new user tries it: good input, bad input, bad luck.

mod bad_input;
mod exec;
mod run;
mod support;
