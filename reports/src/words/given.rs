//! The texts that a results file brings with it, in another language.
//!
//! A file names its metrics, parts and targets in English. A language may know some of these texts, by the English one; what it
//! doesn't know stays as it is, for a file may come from an isobench that is newer.

use std::borrow::Cow;

use super::{Language, Words};
use crate::model::Run;

/// The subject of the texts that are known.
const GIVEN: &str = "given";

/// The run with the texts that `words` knows in its language; no figure is touched.
pub fn translate<'r>(run: &'r Run, words: &Words) -> Cow<'r, Run> {
    if words.language() == Language::English {
        return Cow::Borrowed(run);
    }
    let mut run = run.clone();
    let translate = |text: &mut String| {
        if let Some(known) = words.entry(GIVEN, text) {
            known.clone_into(text);
        }
    };
    for experiment in &mut run.experiments {
        for metric in &mut experiment.metrics {
            translate(&mut metric.title);
            for part in &mut metric.parts {
                translate(&mut part.explanation);
            }
        }
    }
    for target in &mut run.targets {
        translate(&mut target.description);
    }
    for fact in &mut run.host.facts {
        translate(&mut fact.label);
    }
    Cow::Owned(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn what_is_known_is_translated_and_the_rest_stays() {
        let mut run = fixture::run();
        "Start-up until ready, least program".clone_into(&mut run.experiments[0].metrics[0].title);
        let words = Words::of(Language::Chinese);
        let translated = translate(&run, &words);
        let titles = |run: &Run| {
            let metrics = run.experiments[0].metrics.iter();
            metrics
                .map(|metric| metric.title.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            titles(&translated),
            ["启动至就绪，最小程序", "exit to clean"]
        );
        assert_eq!(translated.samples, run.samples);
        let english = Words::of(Language::English);
        assert!(matches!(translate(&run, &english), Cow::Borrowed(_)));
    }
}
