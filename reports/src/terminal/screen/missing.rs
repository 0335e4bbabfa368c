//! The targets that couldn't run on the host, and what would let them run.

use super::heading;
use crate::model::{Run, Target};
use crate::terminal::Style;
use crate::terminal::wrap::{Indent, wrap};
use crate::words::Words;
use crate::words::text::one_line;

/// Most targets that one line names.
const NAMED: usize = 8;

/// Longest name of a target, and longest remedy: what a hostile file can make of a line.
const NAME: usize = 24;
const REMEDY: usize = 150;

/// Most lines, the heading and the count of further ones aside.
const LINES: usize = 5;

const INDENT: Indent<'_> = Indent {
    first: "  ",
    rest: "      ",
};

/// Targets that the same remedy would let run.
struct Group<'a> {
    remedy: &'a str,
    targets: Vec<&'a Target>,
}

/// A line for each remedy, with the targets that it would let run.
pub fn lines(run: &Run, words: &Words, style: Style, width: usize) -> Vec<String> {
    let groups = groups(run);
    if groups.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![heading("Not run here, and what would change that", style)];
    let mut told = 0;
    for group in &groups {
        let own = wrap(&sentence(group, words), INDENT, width);
        if lines.len() + own.len() > 1 + LINES {
            break;
        }
        lines.extend(own);
        told += 1;
    }
    let rest = groups[told..].iter().map(|group| group.targets.len());
    let rest: usize = rest.sum();
    lines.extend((rest > 0).then(|| format!("  and {rest} more: isobench doctor")));
    lines
}

/// The unavailable targets by what would help, in the order of the run.
fn groups(run: &Run) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for target in &run.targets {
        let Some(unavailable) = &target.unavailable else {
            continue;
        };
        let remedy = unavailable.command.as_ref().unwrap_or(&unavailable.fix);
        match groups.iter_mut().find(|group| group.remedy == remedy) {
            Some(group) => group.targets.push(target),
            None => groups.push(Group {
                remedy,
                targets: vec![target],
            }),
        }
    }
    groups
}

fn sentence(group: &Group<'_>, words: &Words) -> String {
    let names = group
        .targets
        .iter()
        .map(|target| one_line(&target.name, NAME));
    let mut names: Vec<String> = names.collect();
    let rest = names.len().saturating_sub(NAMED);
    if rest > 0 {
        names.truncate(NAMED);
        names.push(format!("{rest} more"));
    }
    format!("{}: {}", words.list(&names), one_line(group.remedy, REMEDY))
}
