//! The program of an image that a container is to run, and the user that it runs as.

mod account;
pub mod command;
