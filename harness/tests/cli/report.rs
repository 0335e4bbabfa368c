//! `isobench report` on the gallery's run: its plots, the exercise, other languages.

use std::fs;
use std::path::Path;

use isobench_reports::model::SCHEMA_VERSION;
use isobench_testing::{Need, skip};

use crate::support::isobench::Isobench;
use crate::support::place::Place;
use crate::support::results::some_results;
use crate::support::traces::entries;

fn report(place: &Place, options: &[&str]) -> Isobench {
    place.isobench(&["report", "some.json"]).options(options)
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
    let place = some_results();
    let finished = report(&place, &["--plots", "plots"]).ends();
    if finished.stderr.contains("no font is installed") {
        finished.has_code(1);
        assert!(!place.path("plots").exists());
        skip(Need::Font, "without a font no PNG is written");
        return;
    }
    finished.has_code(0);
    let drawings = with_ending(&place.path("plots"), "svg");
    assert!(drawings.len() > 5, "{drawings:?}");
    assert_eq!(drawings, with_ending(&place.path("plots"), "png"));
    let first = place.path("plots").join(format!("{}.png", drawings[0]));
    let written = fs::read(&first).unwrap();
    assert!(written.starts_with(b"\x89PNG"));
    let again = report(&place, &["--plots", "plots"]).ends();
    assert_ne!(again.code, Some(0), "{again:?}");
    again.says("already exists");
    assert_eq!(fs::read(&first).unwrap(), written);
}

#[test]
fn a_report_asks_first_and_speaks_another_language_if_told_to() {
    let place = some_results();
    let draw = |options: &[&str]| {
        report(&place, options)
            .options(&["--out", "drawn.html"])
            .succeeds();
        let drawn = place.read("drawn.html");
        fs::remove_file(place.path("drawn.html")).unwrap();
        drawn
    };
    let plain = draw(&[]);
    assert!(plain.contains("<html lang=\"en\">"));
    assert!(!plain.contains("<script"));
    let exercise = draw(&["--exercise"]);
    assert!(exercise.contains("Predict first"));
    assert!(exercise.contains("script-src 'sha256-"));
    let chinese = draw(&["--language", "zh"]);
    assert!(chinese.contains("<html lang=\"zh\">"));
    assert!(chinese.contains("在这台主机上"));
    report(&place, &["--language", "xx"])
        .ends()
        .has_code(2)
        .says("'xx'");
}

#[test]
fn what_can_be_drawn_is_drawn_and_the_rest_is_named() {
    let place = some_results();
    fs::create_dir(place.path("killed")).unwrap();
    let options = ["killed", "--format", "csv"];
    let finished = report(&place, &options).succeeds();
    finished
        .says_one_line()
        .says("left out: killed has no results.json")
        .prints("startup");
    place.write("broken.json", "{");
    let options = ["killed", "broken.json", "missing", "--out", "drawn.html"];
    let finished = report(&place, &options).ends();
    finished
        .has_code(1)
        .says("killed")
        .says("broken.json is truncated");
    finished.says("missing: No such file").prints("drawn.html");
    assert_eq!(finished.stderr.lines().count(), 3, "{finished:?}");
    let nothing = place.isobench(&["report", "killed", "--out", "nothing.html"]);
    nothing.refuses("killed has no results.json");
    assert!(!place.path("nothing.html").exists());
}

#[test]
fn the_schema_of_results_is_the_repository_s() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema");
    let kept = fs::read_to_string(path.join(format!("results-{SCHEMA_VERSION}.json")));
    let printed = Place::new().isobench(&["schema"]).succeeds();
    assert_eq!(printed.stdout, kept.unwrap());
}

#[test]
fn an_export_of_hyperfine_is_drawn_with_its_stamp_and_one_without_runs_is_refused() {
    let place = Place::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/tests/hyperfine");
    for version in ["1.15.0", "1.20.0", "2.0.0"] {
        let export = folder.join(version.to_owned() + ".json");
        place.write("export.json", fs::read(export).unwrap());
        let options = [
            "report",
            "export.json",
            "--format",
            "table",
            "--baseline",
            "true",
        ];
        let drawn = place.isobench(&options).succeeds();
        drawn
            .prints("! measured elsewhere, by hyperfine")
            .prints("sleep 0.01");
        place
            .isobench(&["compare", "export.json", "export.json"])
            .refuses("not a results file");
    }
    place.write("empty.json", r#"{"results": []}"#);
    place
        .isobench(&["report", "empty.json"])
        .refuses("has no runs of any command");
}
