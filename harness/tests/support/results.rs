//! The results of a run, and what a test expects of them.

use std::fs;

use isobench_reports::model::{Run, Sample, Status, TOTAL};
use isobench_testing::{Need, skip};

use super::isobench::Finished;
use super::needs::can_run;
use super::place::Place;

/// Results in the gallery. They may be of another machine.
const RESULTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../docs/gallery/host/results.json"
);

/// A place with a few of those results, `some.json`: a report of all takes longer.
pub fn some_results() -> Place {
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

/// The results that a run has saved to the directory `out`.
#[track_caller]
pub fn results(place: &Place, out: &str) -> Run {
    serde_json::from_str(&place.read(&format!("{out}/results.json"))).unwrap()
}

/// The rows of a metric as a whole, without those of its parts.
pub fn rows<'a>(run: &'a Run, target: &str, metric: &str) -> Vec<&'a Sample> {
    let rows = run.samples.iter();
    rows.filter(|row| row.target == target && row.metric == metric && row.part == TOTAL)
        .collect()
}

/// The values of a metric as a whole that count: not those of samples that failed or warmed up.
pub fn values(run: &Run, target: &str, metric: &str) -> Vec<f64> {
    let rows = rows(run, target, metric).into_iter();
    rows.filter(|row| row.status == Status::Ok)
        .filter_map(|row| row.value)
        .collect()
}

impl Finished {
    /// The results that the run saved.
    #[track_caller]
    pub fn results(&self) -> &Run {
        self.results.get_or_init(|| results(&self.place, &self.out))
    }

    /// The values of a metric as a whole that count.
    #[track_caller]
    pub fn values(&self, target: &str, metric: &str) -> Vec<f64> {
        values(self.results(), target, metric)
    }

    /// Whether the run could charge memory to cgroups. If it couldn't, the reason to skip is
    /// printed.
    #[track_caller]
    pub fn accounts_memory(&self) -> bool {
        let mut warnings = self.results().warnings.iter();
        let warning = warnings.find(|warning| warning.starts_with("memory is not accounted"));
        if let Some(warning) = warning {
            skip(Need::Cgroup, warning);
        }
        warning.is_none()
    }

    /// The text of a file in the directory with the results.
    #[track_caller]
    pub fn saved(&self, name: &str) -> String {
        self.place.read(&format!("{}/{name}", self.out))
    }

    /// Expects a good sample of the metric in each of `targets` that this host can run.
    #[track_caller]
    pub fn has_rows(&self, experiment: &str, metric: &str, targets: &[&'static str]) -> &Self {
        let mut experiments = self.results().experiments.iter();
        let known = experiments.any(|known| known.name == experiment);
        assert!(known, "the run has no experiment {experiment}");
        for target in targets.iter().filter(|target| can_run(target)) {
            let mut rows = rows(self.results(), target, metric);
            rows.retain(|row| row.experiment == experiment);
            let good = rows.iter().any(|row| row.status == Status::Ok);
            assert!(good, "{target} has no good sample of {metric}: {rows:?}");
        }
        self
    }
}
