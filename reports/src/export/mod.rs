//! A run as files: JSON to keep, CSV to calculate with, HTML to read, and figures for other
//! programs.

pub mod csv;
pub mod files;
pub mod formats;
pub mod html;
pub mod hyperfine;
pub mod json;
pub mod plots;
