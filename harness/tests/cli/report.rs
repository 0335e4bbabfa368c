//! `isobench report` on the gallery's run: its plots, the exercise, other languages.

use std::fs;
use std::path::Path;

use isobench_reports::model::Run;
use isobench_testing::{Need, skip};

use crate::support::isobench::Isobench;
use crate::support::place::Place;
use crate::support::traces::entries;

/// Results in the gallery. They may be of another machine.
const RESULTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../docs/gallery/host/results.json"
);

/// A place with a few of those results, `some.json`: a report of all takes longer.
fn some_results() -> Place {
    let place = Place::new();
    let mut run: Run = serde_json::from_slice(&fs::read(RESULTS).unwrap()).unwrap();
    let kept = ["process", "container", "microvm-bare"];
    run.experiments.truncate(1);
    run.targets.retain(|one| kept.contains(&one.name.as_str()));
    run.samples.retain(|one| {
        one.experiment == "startup" && kept.contains(&one.target.as_str()) && one.round < 9
    });
    place.write("some.json", serde_json::to_vec(&run).unwrap());
    place
}

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
