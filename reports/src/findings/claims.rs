//! What people are told about containers and virtual machines, compared with a run's own figures.
//!
//! The claims are sentences of a popular introduction, and one of vendors, which only a run with the
//! experiment `start-warm` has. Each claim has a card: the sentence, a
//! verdict, the figures that decide the claim, and what lies behind them. No verdict is known
//! beforehand. A run that can't decide a claim says what would decide it.

mod evidence;
mod image;
mod quote;
mod reach;
mod resources;
mod speed;
mod start;
mod warm;

use self::evidence::{Answer, Evidence};
pub use self::quote::{Measure, Quote};
use crate::figures::summary::{Figure, Summary};
use crate::words::Words;

/// What a run says to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every figure about the claim agrees with it.
    Supported,
    /// Every figure about the claim disagrees with it.
    Refuted,
    /// Some figures agree with the claim, and others disagree.
    Depends,
    /// The run has no figure that decides the claim.
    Undecided,
}

impl Verdict {
    /// What several comparisons say together.
    fn of(answers: &[Answer]) -> Self {
        let agrees = answers.contains(&Answer::Agrees);
        let disagrees = answers.contains(&Answer::Disagrees);
        match (agrees, disagrees) {
            (false, false) => Self::Undecided,
            (true, false) => Self::Supported,
            (false, true) => Self::Refuted,
            (true, true) => Self::Depends,
        }
    }

    /// The verdict's name for programs, which is also its class in the style sheet.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Refuted => "refuted",
            Self::Depends => "depends",
            Self::Undecided => "undecided",
        }
    }
}

/// A claim with what the run says to it.
#[derive(Debug)]
pub struct Card {
    /// The number of the claim, from 1.
    pub number: usize,
    /// The claim itself, a sentence.
    pub claim: String,
    /// What the run says to the claim.
    pub verdict: Verdict,
    /// The verdict in words: what it depends on, or why there is none.
    pub answer: String,
    /// The figures that decide the claim, each with its interval.
    pub figures: Vec<Quote>,
    /// What lies behind the figures.
    pub nuance: Vec<String>,
    /// What would decide the claim, if this run doesn't.
    pub wanted: Option<String>,
    /// The experiment whose section has all figures.
    pub experiment: Option<&'static str>,
}

/// What the code of a claim finds in a run: a card without the claim itself.
#[derive(Debug)]
struct Finding {
    verdict: Verdict,
    /// What the verdict depends on, or why there is none; empty otherwise.
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

/// The card of every claim, in the order of the introduction.
pub fn cards(summary: &Summary<'_>, words: &Words) -> Vec<Card> {
    let evidence = Evidence { summary, words };
    let findings = [
        ("claim.1", start::machine(&evidence)),
        ("claim.2", start::container(&evidence)),
        ("claim.3", resources::memory_and_processor(&evidence)),
        ("claim.4", speed::programs(&evidence)),
        ("claim.5", resources::memory(&evidence)),
        ("claim.6", speed::storage(&evidence)),
        ("claim.7", resources::density(&evidence)),
        ("claim.8", image::size(&evidence)),
        ("claim.9", image::sharing(&evidence)),
        ("claim.10", reach::environment(&evidence)),
        ("claim.11", reach::isolation(&evidence)),
    ];
    let of_vendors = warm::snapshot(&evidence).map(|finding| ("claim.12", finding));
    let numbered = findings.into_iter().chain(of_vendors).enumerate();
    numbered
        .map(|(index, (claim, mut finding))| {
            finding.nuance.extend(few_samples(&evidence, &finding));
            card(index + 1, claim, finding, words)
        })
        .collect()
}

/// A sentence that warns of figures with few samples, if the finding has such.
fn few_samples(evidence: &Evidence<'_, '_>, finding: &Finding) -> Option<String> {
    let columns = &evidence.summary.section(finding.experiment?)?.columns;
    let mut cells = columns.iter().flat_map(|column| &column.cells);
    let is_thin = cells.any(|cell| cell.figure().is_some_and(Figure::is_thin));
    is_thin.then(|| evidence.words.text("nuance.thin").to_owned())
}

fn card(number: usize, claim: &str, finding: Finding, words: &Words) -> Card {
    let because = finding.because;
    let answer = match finding.verdict {
        Verdict::Supported => words.text("verdict.supported").to_owned(),
        Verdict::Refuted => words.text("verdict.refuted").to_owned(),
        Verdict::Depends => words.say("verdict.depends", &[("what", &because)]),
        Verdict::Undecided => words.say("verdict.undecided", &[("why", &because)]),
    };
    Card {
        number,
        claim: words.text(claim).to_owned(),
        verdict: finding.verdict,
        answer,
        figures: finding.figures,
        nuance: finding.nuance,
        wanted: finding.wanted,
        experiment: finding.experiment,
    }
}

#[cfg(test)]
mod tests;
