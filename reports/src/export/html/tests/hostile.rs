//! Texts of results files that look like markup.

use proptest::prelude::*;

use super::render;
use crate::export::html::{self, ReportOptions};
use crate::fixture;
use crate::model::{Fact, Injection, Run, Unavailable};

/// Puts `text` into every text of a price list.
fn poison_prices(run: &mut Run, text: &str) {
    let poisoned = || text.to_owned();
    let priced = &mut run.experiments[3].metrics[0];
    priced.title = poisoned();
    for part in &mut priced.parts {
        part.explanation = poisoned();
        if part.base.as_deref() == Some("none") {
            part.base = Some(poisoned());
        }
        if part.name == "none" {
            part.name = poisoned();
        }
    }
    for sample in run
        .samples
        .iter_mut()
        .filter(|sample| sample.part == "none")
    {
        sample.part = poisoned();
    }
}

/// Puts `text` into the command lines, and into the name of a command.
fn poison_commands(run: &mut Run, text: &str) {
    for experiment in &mut run.experiments {
        experiment.command = experiment.command.as_ref().map(|_| text.to_owned());
    }
    let rename = |name: &mut String| *name = format!("time-{text}");
    let experiments = run.experiments.iter_mut();
    let names = experiments.map(|experiment| &mut experiment.name);
    let samples = run.samples.iter_mut();
    let all = names.chain(samples.map(|sample| &mut sample.experiment));
    all.filter(|name| *name == "time-server").for_each(rename);
}

/// A run with `text` in every text that a results file has.
fn poison(text: &str) -> Run {
    let mut run = fixture::with_prices();
    fixture::add_crowds(&mut run);
    fixture::add_time(&mut run);
    run.samples.retain(|sample| sample.round < 8);
    let poisoned = || text.to_owned();
    let renamed = run.targets[1].name.clone();
    for sample in &mut run.samples {
        if sample.target == renamed {
            sample.target = poisoned();
            sample.reason = Some(poisoned());
        }
        if sample.part == "clone" {
            sample.part = poisoned();
        }
    }
    run.targets[1].name = poisoned();
    run.targets[1].description = poisoned();
    run.targets[3].unavailable = Some(Unavailable {
        reason: poisoned(),
        fix: poisoned(),
        command: None,
    });
    run.targets[5].version = Some(poisoned());
    run.targets[5].differences.push(poisoned());
    run.experiments[2].name = poisoned();
    for sample in run
        .samples
        .iter_mut()
        .filter(|sample| sample.experiment == "disk")
    {
        sample.experiment = poisoned();
    }
    run.conduct.injections.push(Injection {
        target: poisoned(),
        experiment: poisoned(),
        delay_ns: 7,
    });
    run.experiments[0].method = poisoned();
    run.experiments[0].metrics[0].title = poisoned();
    run.experiments[0].metrics[0].parts[0].explanation = poisoned();
    run.experiments[2].metrics[0].title = poisoned();
    poison_prices(&mut run, text);
    poison_commands(&mut run, text);
    run.host.summary = poisoned();
    run.host.facts.push(Fact {
        key: poisoned(),
        label: poisoned(),
        value: poisoned(),
        concern: Some(poisoned()),
    });
    run.warnings.push(poisoned());
    run.started = poisoned();
    run.version = poisoned();
    run.profile = poisoned();
    run
}

#[test]
fn markup_in_results_is_text_in_the_report() {
    let tags = |document: &str| document.matches('<').count();
    for text in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'-->]]></style><b>",
        "&lt;",
        "\u{0}\u{1b}",
    ] {
        let exercise = ReportOptions {
            exercise: true,
            ..ReportOptions::default()
        };
        let document = html::render(&[poison(text)], exercise).unwrap();
        assert_eq!(document.matches("<script").count(), 1, "{text}");
        let document = render(&[poison(text)], None).unwrap();
        // The harmless text is as long as the poison, since a name is written into a bar only if it
        // fits.
        let harmless = render(&[poison(&"x".repeat(text.chars().count()))], None).unwrap();
        assert_eq!(tags(&document), tags(&harmless), "{text}");
        assert!(
            !document.contains("<script")
                && !document.contains("<img")
                && !document.contains("<b>alert")
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn no_text_changes_the_structure(text in "[<>&\"'=/a-z \\-]{1,12}") {
        let tags = |document: &str| document.matches('<').count();
        let plain: String = text.chars().map(|_| 'x').collect();
        prop_assert_eq!(tags(&render(&[poison(&text)], None).unwrap()), tags(&render(&[poison(&plain)], None).unwrap()));
    }
}
