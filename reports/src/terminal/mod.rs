//! Figures for a terminal: the screen that a run ends with, every figure as tables, a
//! comparison, and budgets.

pub mod budgets;
pub mod comparison;
mod explanation;
mod fit;
pub mod screen;
pub mod tables;
mod wrap;

/// How text is written for a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalOptions {
    /// Columns of the terminal; fewer than 20 count as 20.
    pub width: u16,
    /// Whether the text is styled.
    pub style: Style,
}

impl TerminalOptions {
    /// The narrowest terminal that text is laid out for. It holds most words.
    const NARROWEST: u16 = 20;

    /// The options of a terminal on which words can stand.
    fn with_room(self) -> Self {
        Self {
            width: self.width.max(Self::NARROWEST),
            ..self
        }
    }
}

/// Whether text has colours and bold letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Letters alone, for a file or a pipe.
    Plain,
    /// With escape sequences, for a terminal.
    Styled,
}
