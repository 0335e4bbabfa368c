//! Figures for a terminal.

pub mod comparison;
pub mod tables;
