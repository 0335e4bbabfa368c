//! What people are told about containers and virtual machines, held against a run's own figures.
//!
//! The sentences are those of a popular introduction. Each has a card: the sentence, a verdict, the figures that decide
//! it with their intervals, and what lies behind them. Nothing here is known beforehand: a run that can't decide a
//! sentence says what would.

mod evidence;
mod image;
mod quote;
mod reach;
mod resources;
mod speed;
mod start;

use self::evidence::Evidence;
pub use self::quote::{Measure, Quote};
use crate::figures::summary::{Figure, Summary};
use crate::words::Words;

/// What a run says to a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every figure that bears on it agrees.
    Supported,
    /// Every figure that bears on it disagrees.
    Refuted,
    /// It holds for some and not for others.
    Depends,
    /// The run has nothing to decide it by.
    Undecided,
}

impl Verdict {
    /// Its stable name, which is that of its class in the style sheet.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Refuted => "refuted",
            Self::Depends => "depends",
            Self::Undecided => "undecided",
        }
    }
}

/// One sentence with what the run says to it.
#[derive(Debug)]
pub struct Card {
    /// Its number, from 1.
    pub number: usize,
    /// The sentence.
    pub claim: String,
    /// What the run says.
    pub verdict: Verdict,
    /// The verdict in words, with what it depends on or why there is none.
    pub said: String,
    /// The figures that decide it, each with its interval.
    pub figures: Vec<Quote>,
    /// What lies behind the figures.
    pub nuance: Vec<String>,
    /// What would decide it, if this run doesn't.
    pub wanted: Option<String>,
    /// The experiment whose section has all figures.
    pub experiment: Option<&'static str>,
}

/// What a claim's own code finds; the sentence is added to it.
#[derive(Debug)]
struct Finding {
    verdict: Verdict,
    /// What it depends on, or why it is undecided; nothing otherwise.
    because: String,
    figures: Vec<Quote>,
    nuance: Vec<String>,
    wanted: Option<String>,
    experiment: Option<&'static str>,
}

impl Finding {
    /// A finding without figures: why there are none, and what would bring them.
    fn undecided(because: String, wanted: String) -> Self {
        Self {
            verdict: Verdict::Undecided,
            because,
            figures: Vec::new(),
            nuance: Vec::new(),
            wanted: Some(wanted),
            experiment: None,
        }
    }
}

/// Every sentence, in the order of the introduction.
pub fn cards(summary: &Summary<'_>, words: &Words) -> Vec<Card> {
    let evidence = Evidence { summary, words };
    let findings = [
        ("claim.1", start::machine(&evidence)),
        ("claim.2", start::container(&evidence)),
        ("claim.3", resources::all(&evidence)),
        ("claim.4", speed::programs(&evidence)),
        ("claim.5", resources::memory(&evidence)),
        ("claim.6", speed::storage(&evidence)),
        ("claim.7", resources::density(&evidence)),
        ("claim.8", image::size(&evidence)),
        ("claim.9", image::sharing(&evidence)),
        ("claim.10", reach::environment(&evidence)),
        ("claim.11", reach::isolation(&evidence)),
    ];
    let numbered = findings.into_iter().enumerate();
    numbered
        .map(|(index, (claim, mut finding))| {
            finding.nuance.extend(thin(&evidence, &finding));
            card(index + 1, claim, finding, words)
        })
        .collect()
}

/// What is said where the figures of a finding have few samples.
fn thin(evidence: &Evidence<'_, '_>, finding: &Finding) -> Option<String> {
    let columns = &evidence.section(finding.experiment?)?.columns;
    let mut cells = columns.iter().flat_map(|column| &column.cells);
    let is_thin = cells.any(|cell| cell.figure().is_some_and(Figure::is_thin));
    is_thin.then(|| evidence.words.text("nuance.thin").to_owned())
}

fn card(number: usize, claim: &str, finding: Finding, words: &Words) -> Card {
    let because = finding.because;
    let said = match finding.verdict {
        Verdict::Supported => words.text("verdict.supported").to_owned(),
        Verdict::Refuted => words.text("verdict.refuted").to_owned(),
        Verdict::Depends => words.say("verdict.depends", &[("what", &because)]),
        Verdict::Undecided => words.say("verdict.undecided", &[("why", &because)]),
    };
    Card {
        number,
        claim: words.text(claim).to_owned(),
        verdict: finding.verdict,
        said,
        figures: finding.figures,
        nuance: finding.nuance,
        wanted: finding.wanted,
        experiment: finding.experiment,
    }
}

#[cfg(test)]
mod tests;
