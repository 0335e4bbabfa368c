//! Columns of figures beside the names of targets.

use super::heading;
use crate::terminal::Style;
use crate::terminal::wrap::length;

/// Blanks between two columns, and between two that would not fit otherwise.
const WIDE_GAP: usize = 2;
const NARROW_GAP: usize = 1;

/// A column of the screen: figures, and what stands behind each, such as its ratio.
pub struct Drawn {
    /// The heading.
    pub title: String,
    /// For each row the figure, and what stands behind it.
    pub texts: Vec<[String; 2]>,
}

impl Drawn {
    /// The widths of figures, and of what stands behind them.
    fn widths(&self) -> [usize; 2] {
        [0, 1].map(|index| {
            let texts = self.texts.iter().map(|pair| length(&pair[index]));
            texts.max().unwrap_or_default()
        })
    }

    fn width(&self) -> usize {
        let [figure, behind] = self.widths();
        let gap = usize::from(behind > 0);
        (figure + gap + behind).max(length(&self.title))
    }

    /// The text of a row, as wide as the column.
    fn text(&self, row: usize) -> String {
        let [figure, behind] = &self.texts[row];
        let [figure_width, behind_width] = self.widths();
        let gap = usize::from(behind_width > 0);
        let text = format!("{figure:>figure_width$}{:gap$}{behind:>behind_width$}", "");
        format!("{text:>0$}", self.width())
    }
}

/// The names and, beside them, as many of the first columns as fit.
pub fn table(names: &[String], columns: Vec<Drawn>, style: Style, width: usize) -> Vec<String> {
    let first = names.iter().map(|name| length(name)).max();
    let first = first.unwrap_or_default();
    let room = width.saturating_sub(first);
    let (columns, gap) = fitting(columns, room);
    let gap = " ".repeat(gap);
    let titles = columns
        .iter()
        .map(|column| format!("{gap}{:>1$}", column.title, column.width()));
    let titles = titles.collect::<String>();
    let mut lines = vec![heading(&format!("{:first$}{titles}", ""), style)];
    lines.extend(names.iter().enumerate().map(|(row, name)| {
        let cells = columns
            .iter()
            .map(|column| format!("{gap}{}", column.text(row)));
        let line = format!("{name:first$}{}", cells.collect::<String>());
        line.trim_end().to_owned()
    }));
    lines
}

/// As many of the first columns as fit beside each other into `room`, and the blanks between two.
/// The columns stand closer together if all of them fit by that.
fn fitting(mut columns: Vec<Drawn>, room: usize) -> (Vec<Drawn>, usize) {
    let widths: Vec<usize> = columns.iter().map(Drawn::width).collect();
    let needed = |gap: usize| widths.iter().map(|width| gap + width).sum::<usize>();
    let gap = if needed(WIDE_GAP) <= room {
        WIDE_GAP
    } else {
        NARROW_GAP
    };
    let mut used = 0;
    let fits = |width: &&usize| {
        used += gap + **width;
        used <= room
    };
    // Even where none fits: a name without its figure says nothing.
    let count = widths.iter().take_while(fits).count().max(1);
    columns.truncate(count);
    (columns, gap)
}
