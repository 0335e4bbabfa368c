//! Figures for a terminal: the screen that a run ends with, every figure as tables, and a
//! comparison.

pub mod comparison;
mod explanation;
pub mod screen;
pub mod tables;
mod wrap;

/// How text is written for a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalOptions {
    /// Columns of the terminal; fewer than 40 count as 40.
    pub width: u16,
    /// Whether the text is styled.
    pub style: Style,
}

/// Whether text has colours and bold letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Letters alone, for a file or a pipe.
    Plain,
    /// With escape sequences, for a terminal.
    Styled,
}
