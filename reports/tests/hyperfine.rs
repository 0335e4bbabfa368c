//! Exports that hyperfine itself has written, of each of its forms.

use std::fs;
use std::path::{Path, PathBuf};

use isobench_reports::{FORMATS, Language, ReportOptions, ResultsError, plots, read_foreign};
use isobench_reports::{read_results, render_html};
use serde_json::Value;

fn export(version: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hyperfine");
    folder.join(format!("{version}.json"))
}

/// The medians that hyperfine tells of its own runs, in seconds, by command.
fn own_medians(version: &str) -> Vec<(String, f64)> {
    let export: Value = serde_json::from_slice(&fs::read(export(version)).unwrap()).unwrap();
    let results = export["results"].as_array().unwrap().iter();
    let median = |result: &Value| {
        let of_times = result["median"].as_f64();
        of_times.or_else(|| result["summary"]["time_wall_clock"]["median"].as_f64())
    };
    let named = |result: &Value| {
        let command = result["command"].as_str().unwrap().to_owned();
        (command, median(result).unwrap())
    };
    results.map(named).collect()
}

#[test]
fn each_form_has_hyperfine_s_own_medians_and_says_who_measured_them() {
    for version in ["1.15.0", "1.20.0", "2.0.0"] {
        let run = read_foreign(&export(version)).unwrap();
        let json = FORMATS.iter().find(|format| format.name == "json").unwrap();
        let figures = json.figures(std::slice::from_ref(&run), None).unwrap();
        let figures: Value = serde_json::from_str(&figures).unwrap();
        let host = figures[0]["host"].as_str().unwrap();
        assert!(
            host.starts_with("measured elsewhere, by hyperfine"),
            "{host}"
        );
        for (command, seconds) in own_medians(version) {
            let mut rows = figures[0]["figures"].as_array().unwrap().iter();
            let row = rows.find(|row| row["target"] == *command && row["metric"] == "end");
            let nanos = row.unwrap()["median"].as_f64().unwrap();
            assert!(
                (nanos / seconds / 1e9 - 1.0).abs() < 1e-9,
                "{version} {command}"
            );
        }
    }
}

#[test]
fn its_report_and_plots_are_stamped() {
    let run = read_foreign(&export("2.0.0")).unwrap();
    let options = ReportOptions {
        baseline: Some("true"),
        language: Language::English,
        exercise: false,
    };
    let page = render_html(std::slice::from_ref(&run), options).unwrap();
    assert!(page.contains("measured elsewhere, by hyperfine 2.0.0."));
    assert!(page.contains("isobench has not measured these figures"));
    assert!(!page.contains("The processor was a program"));
    assert!(!page.contains("peers are runtimes that people use"));
    for plot in plots(&[run], Language::English).unwrap() {
        assert!(plot.svg.contains("by hyperfine"), "{}", plot.name);
    }
}

#[test]
fn an_export_is_no_results_file() {
    let refused = read_results(&export("2.0.0"));
    assert!(matches!(refused, Err(ResultsError::Foreign { .. })));
}
