//! Why the targets of a command differ, a line each.

use super::columns::{Drawn, table};
use super::heading;
use super::ladder::NAME;
use crate::figures::explanation::Explanation;
use crate::figures::summary::{Section, Summary};
use crate::model::TargetKind;
use crate::terminal::Style;
use crate::terminal::explanation::{TITLES, texts};
use crate::words::text::one_line;

/// Most targets that are explained on the screen.
const MOST: usize = 8;

/// The lines of a section, with a heading; none if the run doesn't explain the command.
pub fn lines(
    summary: &Summary<'_>,
    section: &Section<'_>,
    style: Style,
    width: usize,
) -> Vec<String> {
    let Some(mut explanation) = Explanation::of(summary, section) else {
        return Vec::new();
    };
    let is_shown = |kind| kind != TargetKind::Floor;
    let targets = &mut explanation.targets;
    targets.retain(|target| is_shown(target.target.kind));
    let rest = targets.len().saturating_sub(MOST);
    targets.truncate(MOST);
    if targets.is_empty() {
        return Vec::new();
    }
    let names = targets.iter().map(|one| one_line(&one.target.name, NAME));
    let rows: Vec<_> = targets.iter().map(texts).collect();
    let drawn = |(place, title): (usize, &str)| Drawn {
        title: title.to_owned(),
        texts: rows
            .iter()
            .map(|row| [row[place].clone(), String::new()])
            .collect(),
    };
    let columns = TITLES.into_iter().enumerate().map(drawn).collect();
    let base = one_line(&explanation.base.name, NAME);
    let title = format!("Beyond {base}, and what its start and calls there predict");
    let mut lines = vec![heading(&one_line(&title, width), style)];
    lines.extend(table(&names.collect::<Vec<_>>(), columns, style, width));
    lines.extend((rest > 0).then(|| format!("and {rest} more in the report")));
    lines
}
