//! What should be known before the figures are believed.

use super::heading;
use crate::figures::summary::Summary;
use crate::findings::doubts::{self, Doubt};
use crate::findings::quiet::Quiet;
use crate::terminal::Style;
use crate::terminal::wrap::{Indent, wrap};
use crate::words::Words;

/// Most lines of doubts, the heading and the count of further ones aside.
const LINES: usize = 6;

const BULLET: Indent<'_> = Indent {
    first: "  - ",
    rest: "    ",
};

/// The doubts about a run, the gravest first, as far as there is room.
pub fn lines(summary: &Summary<'_>, words: &Words, style: Style, width: usize) -> Vec<String> {
    let all = sentences(summary, words);
    if all.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![heading("Doubts", style)];
    let mut room = LINES;
    let mut told = 0;
    for sentence in &all {
        let own = wrap(sentence, BULLET, width);
        // The gravest doubt is told in any case.
        if own.len() > room && told > 0 {
            break;
        }
        room = room.saturating_sub(own.len());
        lines.extend(own.into_iter().take(LINES));
        told += 1;
    }
    let rest = all.len() - told;
    lines.extend((rest > 0).then(|| format!("  and {rest} more in the report")));
    lines
}

/// Every doubt: about the run as a whole, about its host, about its figures, and the warnings.
fn sentences(summary: &Summary<'_>, words: &Words) -> Vec<String> {
    let run = summary.run;
    let doubts = doubts::of(summary);
    let mut sentences = Vec::new();
    if run.partial {
        sentences.push("the run was interrupted: its figures are of the samples up to then".into());
    }
    let quiet = Quiet::of(summary, &doubts);
    let is_loud = matches!(quiet, Quiet::No(_));
    sentences.extend(is_loud.then(|| {
        let (answer, because) = quiet.tell(words);
        format!("{answer} {because}")
    }));
    let failed: usize = summary.gaps().iter().map(|gap| gap.failed).sum();
    sentences.extend((failed > 0).then(|| match failed {
        1 => "1 sample failed".to_owned(),
        _ => format!("{failed} samples failed"),
    }));
    let is_told = |doubt: &&Doubt<'_>| is_loud && doubt.is_of_host();
    let others = doubts.iter().filter(|doubt| !is_told(doubt));
    sentences.extend(others.map(|doubt| doubt.tell(words)));
    sentences.extend(run.warnings.iter().cloned());
    sentences
}
