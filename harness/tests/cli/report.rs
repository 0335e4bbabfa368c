//! `isobench report` on the gallery's run: plots, exercise, language.

use std::fs;
use std::path::Path;

use isobench_reports::model::Run;

use crate::old::{Place, entries, text};

/// Results that another machine may have measured.
const RESULTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../docs/gallery/host/results.json"
);

/// The starts of three targets among them, which are drawn sooner.
fn some_results(place: &Place) {
    let mut run: Run = serde_json::from_slice(&fs::read(RESULTS).unwrap()).unwrap();
    let kept = ["process", "container", "microvm-bare"];
    run.experiments.truncate(1);
    run.targets.retain(|one| kept.contains(&one.name.as_str()));
    run.samples.retain(|one| {
        one.experiment == "startup" && kept.contains(&one.target.as_str()) && one.round < 9
    });
    fs::write(place.path("some.json"), serde_json::to_vec(&run).unwrap()).unwrap();
}

fn with_ending(directory: &Path, ending: &str) -> Vec<String> {
    let files = entries(directory).into_iter();
    let wanted = files.filter(|path| path.extension().is_some_and(|found| found == ending));
    let names = wanted.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn every_plot_is_written_twice_and_none_is_overwritten() {
    let place = Place::new();
    some_results(&place);
    let arguments = ["report", "some.json", "--plots", "plots"];
    let output = place.run(&arguments);
    let said = text(&output.stderr);
    if said.contains("no font is installed") {
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(!place.path("plots").exists());
        println!("skipped: the host has no font to write PNGs with");
        return;
    }
    assert!(output.status.success(), "{said}");
    let drawings = with_ending(&place.path("plots"), "svg");
    assert!(drawings.len() > 5, "{drawings:?}");
    assert_eq!(drawings, with_ending(&place.path("plots"), "png"));
    let first = place.path("plots").join(format!("{}.png", drawings[0]));
    let written = fs::read(&first).unwrap();
    assert!(written.starts_with(b"\x89PNG"));
    let again = place.run(&arguments);
    assert!(!again.status.success());
    assert!(
        text(&again.stderr).contains("already exists"),
        "{}",
        text(&again.stderr)
    );
    assert_eq!(fs::read(&first).unwrap(), written);
}

#[test]
fn a_report_asks_first_and_speaks_another_language_if_told_to() {
    let place = Place::new();
    some_results(&place);
    let draw = |options: &[&str], name: &str| {
        let mut arguments = vec!["report", "some.json", "--out", name];
        arguments.extend(options);
        let output = place.run(&arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        fs::read_to_string(place.path(name)).unwrap()
    };
    let plain = draw(&[], "plain.html");
    assert!(plain.contains("<html lang=\"en\">") && !plain.contains("<script"));
    let exercise = draw(&["--exercise"], "exercise.html");
    assert!(exercise.contains("Predict first") && exercise.contains("script-src 'sha256-"));
    let chinese = draw(&["--language", "zh"], "zh.html");
    assert!(chinese.contains("<html lang=\"zh\">") && chinese.contains("在这台主机上"));
    let output = place.run(&["report", "some.json", "--language", "xx"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("'xx'"),
        "{}",
        text(&output.stderr)
    );
}
