//! The texts that a results file brings along, in another language.
//!
//! A file names its metrics, parts and targets in English. A language knows some of these texts by
//! their English words. A text that the language doesn't know stays as it is, since the file may
//! come from a newer isobench.

use std::borrow::Cow;

use super::{Language, Words};
use crate::model::Run;

/// The subject of these texts in a language's file.
const GIVEN: &str = "given";

/// The run with the texts that `words` knows in its language; figures are never changed.
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
        translate(&mut experiment.method);
        for metric in &mut experiment.metrics {
            translate(&mut metric.title);
            for part in &mut metric.parts {
                translate(&mut part.explanation);
            }
        }
    }
    for target in &mut run.targets {
        translate(&mut target.description);
        target.differences.iter_mut().for_each(translate);
        if let Some(unavailable) = &mut target.unavailable {
            translate(&mut unavailable.reason);
            translate(&mut unavailable.fix);
        }
    }
    for fact in &mut run.host.facts {
        let warning = fact.warning();
        translate(&mut fact.label);
        translate(&mut fact.value);
        fact.concern.iter_mut().for_each(translate);
        // A warning about the host repeats a fact, and is translated with the fact.
        let translated = fact.warning();
        let told = run
            .warnings
            .iter_mut()
            .find(|told| Some(&**told) == warning.as_ref());
        if let (Some(told), Some(translated)) = (told, translated) {
            *told = translated;
        }
    }
    let reasons = run
        .samples
        .iter_mut()
        .filter_map(|sample| sample.reason.as_mut());
    reasons.for_each(translate);
    Cow::Owned(run)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

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

    #[test]
    fn a_run_of_today_has_no_text_that_is_not_known() {
        let gallery = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/gallery/host");
        let run = crate::read_results(&gallery).unwrap();
        let words = Words::of(Language::Chinese);
        let metrics = run.experiments.iter().flat_map(|one| &one.metrics);
        let parts = metrics.clone().flat_map(|metric| &metric.parts);
        let differences = run.targets.iter().flat_map(|target| &target.differences);
        let texts = (run.experiments.iter().map(|one| &one.method))
            .chain(metrics.map(|metric| &metric.title))
            .chain(parts.map(|part| &part.explanation))
            .chain(run.targets.iter().map(|target| &target.description))
            .chain(differences)
            .chain(run.host.facts.iter().map(|fact| &fact.label));
        let unknown: Vec<&String> = texts
            .filter(|text| words.entry(GIVEN, text).is_none())
            .collect();
        assert!(unknown.is_empty(), "{unknown:#?}");
        let translated = translate(&run, &words);
        let warned = "主机: 本身是虚拟机: 由外层虚拟机监控程序调度，其中的虚拟机是嵌套或模拟的";
        assert!(translated.warnings.iter().any(|told| told == warned));
    }
}
