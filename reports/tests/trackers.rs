//! The formats for trackers of benchmarks, on runs of the gallery, against what their readers accept:
//! `consumers/bencher.json` is the schema that Bencher publishes, `consumers/github-benchmark.json` is
//! the parser of github-action-benchmark as a schema.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use isobench_reports::compare::Comparison;
use isobench_reports::model::Run;
use isobench_reports::{FORMATS, Format, FormatError, read_results};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn run(name: &str) -> Run {
    read_results(&root().join("docs/gallery").join(name)).unwrap()
}

fn format(name: &str) -> Format {
    *FORMATS.iter().find(|format| format.name == name).unwrap()
}

/// The text as JSON that the consumer's schema accepts.
#[track_caller]
fn accepted(text: &str, consumer: &str) -> Value {
    let schema = root().join("reports/tests/consumers").join(consumer);
    let schema = serde_json::from_slice(&fs::read(schema).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let document = serde_json::from_str(text).unwrap();
    if let Err(error) = validator.validate(&document) {
        panic!("{consumer}: {error}");
    }
    document
}

/// The figures of a run that count, from the format for programs that has all.
fn figures(run: &Run) -> Vec<Value> {
    let text = format("json").figures(std::slice::from_ref(run), None);
    let mut document: Value = serde_json::from_str(&text.unwrap()).unwrap();
    let Value::Array(mut figures) = document[0]["figures"].take() else {
        panic!("no figures");
    };
    figures.retain(|figure| figure["status"] == "ok");
    figures
}

#[test]
fn bencher_has_a_benchmark_for_each_figure_with_its_interval_as_bounds() {
    let run = run("lab");
    let figures = figures(&run);
    let text = format("bencher").figures(&[run], None).unwrap();
    let benchmarks = accepted(&text, "bencher.json");
    assert_eq!(benchmarks.as_object().unwrap().len(), figures.len());
    for figure in figures {
        let parts = ["target", "experiment", "metric"].map(|key| figure[key].as_str().unwrap());
        let measures = benchmarks[parts.join("/")].as_object().unwrap();
        let [measure] = measures.values().collect::<Vec<_>>()[..] else {
            panic!("{measures:?}");
        };
        assert_eq!(measure["value"], figure["median"]);
        assert_eq!(measure["lower_value"], figure["low"]);
        assert_eq!(measure["upper_value"], figure["high"]);
    }
}

#[test]
fn the_action_gets_each_figure_once_in_the_file_of_its_direction() {
    let run = run("lab");
    let figures = figures(&run);
    let mut names = HashSet::new();
    for (name, better) in [
        ("github-benchmark", "lower"),
        ("github-benchmark-bigger", "higher"),
    ] {
        let text = format(name).figures(std::slice::from_ref(&run), None);
        let benchmarks = accepted(&text.unwrap(), "github-benchmark.json");
        let benchmarks = benchmarks.as_array().unwrap();
        let of_direction = figures.iter().filter(|figure| figure["better"] == better);
        assert_eq!(benchmarks.len(), of_direction.count(), "{name}");
        for one in benchmarks {
            assert!(names.insert(one["name"].clone()), "{one}");
            let extra = one["extra"].as_str().unwrap();
            assert!(extra.contains(&run.host.summary), "{extra}");
        }
    }
    assert_eq!(names.len(), figures.len());
}

#[test]
fn changes_are_ratios_to_the_base() {
    let base = run("lab");
    let mut new = base.clone();
    for sample in &mut new.samples {
        sample.value = sample.value.map(|value| value * 2.0);
    }
    let comparison = Comparison::of(&base, &new, 0.05);
    let text = |name| format(name).changes(&comparison).unwrap();
    let benchmarks = accepted(&text("bencher"), "bencher.json");
    let ready = &benchmarks["container/startup/ready"]["latency-ratio-to-base"];
    assert_eq!(ready["value"], 2.0);
    assert!(ready["upper_value"].as_f64() > Some(1.9), "{ready}");
    let smaller = accepted(&text("github-benchmark"), "github-benchmark.json");
    let bigger = accepted(&text("github-benchmark-bigger"), "github-benchmark.json");
    let verdict = |benchmarks: &Value, name: &str| {
        let mut found = benchmarks.as_array().unwrap().iter();
        let found = found.find(|one| one["name"] == name).unwrap();
        assert_eq!(
            (&found["value"], &found["unit"]),
            (&2.0.into(), &"× base".into())
        );
        found["extra"].as_str().unwrap().to_owned()
    };
    let rows: Value = serde_json::from_str(&text("json")).unwrap();
    for row in rows["changes"].as_array().unwrap() {
        let parts = ["target", "experiment", "metric"].map(|key| row[key].as_str().unwrap());
        let file = if row["better"] == "lower" {
            &smaller
        } else {
            &bigger
        };
        if !row["ratio"].is_null() {
            let told = verdict(file, &parts.join("/"));
            let expected = format!("verdict: {}\nhost: ", row["verdict"].as_str().unwrap());
            assert!(told.starts_with(&expected), "{told}");
        }
    }
}

#[test]
fn a_tracker_gets_one_run_and_no_figure_that_was_made_slower_on_purpose() {
    let mut run = run("lab");
    for name in ["bencher", "github-benchmark", "github-benchmark-bigger"] {
        let refused = format(name).figures(&[run.clone(), run.clone()], None);
        assert!(matches!(refused, Err(FormatError::OneRun { runs: 2, .. })));
    }
    run.conduct
        .injections
        .push(isobench_reports::model::Injection {
            target: "container".to_owned(),
            experiment: "startup".to_owned(),
            delay_ns: 1_000_000,
        });
    let text = format("bencher").figures(&[run], None).unwrap();
    assert!(!text.contains("container/startup/"), "{text}");
    assert!(text.contains("process/startup/ready") && text.contains("container/memory/"));
}
