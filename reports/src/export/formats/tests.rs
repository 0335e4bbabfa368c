//! Every format, on a synthetic run.

use super::*;
use crate::fixture;

fn named(name: &str) -> Format {
    *FORMATS.iter().find(|format| format.name == name).unwrap()
}

fn render(runs: &[Run], baseline: Option<&str>, format: &str) -> Result<String, FormatError> {
    named(format).figures(runs, baseline)
}

fn small() -> Run {
    let mut run = fixture::run();
    run.targets
        .retain(|target| target.name != "docker" && target.name != "namespaces");
    run.experiments.truncate(2);
    run.samples.retain(|sample| {
        sample.experiment != "disk"
            && run
                .targets
                .iter()
                .any(|target| target.name == sample.target)
    });
    run
}

#[test]
fn every_format_has_every_figure_and_every_reason() {
    let run = small();
    let text = |format| render(std::slice::from_ref(&run), None, format).unwrap();
    for (format, hint) in [
        ("json", "\"verdict\": \"worse\""),
        ("csv", ",worse,"),
        ("markdown", "| slower"),
    ] {
        let text = text(format);
        assert!(text.contains(hint), "{text}");
        assert!(text.contains("the host has software KVM"), "{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&text("json")).unwrap();
    let rows = json[0]["figures"].as_array().unwrap().len();
    assert_eq!(rows, 5 + 5 + 5);
    assert_eq!(text("csv").lines().count(), rows + 1);
    assert_eq!(text("markdown").lines().count(), rows + 2);
}

#[test]
fn tails_stand_behind_the_columns_that_there_were() {
    let mut run = fixture::run();
    fixture::only_time(&mut run);
    fixture::add_burst(&mut run);
    let csv = render(&[run.clone()], None, "csv").unwrap();
    let (header, _) = csv.split_once('\n').unwrap();
    let behind = header.split_once(",reason,").unwrap().1;
    let expected = "p95,p95_low,p95_high,p95_needs,p99,p99_low,p99_high,p99_needs,success,\
                    success_low,success_high,resolution";
    assert_eq!(behind, expected);
    let json = render(&[run.clone()], None, "json").unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let figure = |metric: &str| {
        let figures = json[0]["figures"].as_array().unwrap().iter();
        let mut figures = figures.filter(|row| row["target"] == "container");
        figures.find(|row| row["metric"] == metric).unwrap().clone()
    };
    let ready = figure("ready");
    assert_eq!(
        (&ready["p95_needs"], &ready["p95_low"]),
        (&41.into(), &().into())
    );
    assert_eq!(
        (&ready["resolution"], &ready["samples"]),
        (&1e6.into(), &18.into())
    );
    let user = figure("user");
    assert_eq!((&user["p95"], &user["success"]), (&().into(), &().into()));
    let metrics = render(&[run], None, "openmetrics").unwrap();
    let success = "isobench_success{target=\"process\",experiment=\"burst\",metric=\"burst-100\"";
    assert!(metrics.contains(success), "{metrics}");
    assert!(
        metrics.contains("# TYPE isobench_p95_seconds gauge"),
        "{metrics}"
    );
    assert!(!metrics.contains("isobench_p95_bytes"), "{metrics}");
}

#[test]
fn the_table_in_markdown() {
    insta::assert_snapshot!(render(&[small()], None, "markdown").unwrap());
}

#[test]
fn the_metrics_of_a_small_run() {
    let mut run = small();
    run.experiments.truncate(1);
    run.targets.truncate(2);
    run.samples.retain(|sample| {
        sample.experiment == "startup" && ["process", "container"].contains(&sample.target.as_str())
    });
    run.host.summary = "a \"host\"\\\nof two lines".to_owned();
    insta::assert_snapshot!(render(&[run], None, "openmetrics").unwrap());
}

#[test]
fn no_set_of_labels_stands_twice_however_alike_the_runs_are() {
    // Equal machines that began in the same second, with the same seed; and one of them again.
    let one = small();
    let mut two = one.clone();
    two.samples[0].value = two.samples[0].value.map(|value| value + 1.0);
    let mut three = two.clone();
    three.seed += 1;
    // Names that are alike as far as a label reaches, or once control characters are replaced.
    for target in 0..2 {
        let name = "x".repeat(300) + ["\u{1}", "\u{2}"][target];
        let old = std::mem::replace(&mut three.targets[target].name, name.clone());
        let own = three.samples.iter_mut().filter(|one| one.target == old);
        own.for_each(|sample| sample.target.clone_from(&name));
    }
    let runs = [one.clone(), two, three, one];
    let text = render(&runs, None, "openmetrics").unwrap();
    let mut known = std::collections::HashSet::new();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    for (labels, _) in samples.map(|line| line.rsplit_once(' ').unwrap()) {
        assert!(known.insert(labels), "twice: {labels}");
    }
    let of_one = render(&runs[..1], None, "openmetrics").unwrap();
    let of_one = of_one.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(known.len(), 3 * of_one);
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn hosts_are_told_apart_and_hostile_names_stay_in_their_cells() {
    let (mut one, mut two) = (small(), small());
    one.host.summary = "host | one".to_owned();
    two.host.summary = "host\ntwo".to_owned();
    let text = render(&[one.clone(), two.clone()], None, "markdown").unwrap();
    assert!(text.contains("host \\| one") && text.contains("host\u{fffd}two"));
    assert_eq!(text.lines().count(), 2 * 15 + 2);
    let csv = render(&[one, two], Some("container"), "csv").unwrap();
    let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
    let hosts: std::collections::BTreeSet<String> = reader
        .records()
        .map(|record| record.unwrap()[0].to_owned())
        .collect();
    assert_eq!(hosts.len(), 2);
}

#[test]
fn each_format_has_each_row_and_a_comparison_has_no_metrics() {
    let (base, mut new) = (fixture::run(), fixture::run());
    for sample in &mut new.samples {
        sample.value = sample.value.map(|value| value * 1.2);
    }
    new.host.facts[1].value = "another kernel".to_owned();
    let comparison = Comparison::of(&base, &new, 0.05);
    let text = |format| named(format).changes(&comparison).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text("json")).unwrap();
    assert_eq!(json["regression"], true);
    assert_eq!(json["obstacles"].as_array().unwrap().len(), 1);
    let rows = json["changes"].as_array().unwrap();
    assert_eq!(rows.len(), comparison.rows.len());
    assert!((rows[0]["ratio"].as_f64().unwrap() - 1.2).abs() < 1e-9);
    assert_eq!(text("csv").lines().count(), rows.len() + 1);
    let markdown = text("markdown");
    assert!(
        markdown.starts_with("> **Not the same conditions**"),
        "{markdown}"
    );
    assert!(markdown.contains("| +20 %  |"), "{markdown}");
    assert!(matches!(
        named("openmetrics").changes(&comparison),
        Err(FormatError::NoComparison("openmetrics"))
    ));
}
