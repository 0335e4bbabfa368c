//! The directory for a run's results. Results in a directory are never overwritten.

use std::path::Path;

use isobench_reports::{Output, WriteError};
use jiff::Timestamp;

/// The directory in which the directories with dates are made.
const DEFAULT_PARENT: &str = "isobench-results";

/// Claims the directory `wanted`, or a directory named after the date, before anything is measured.
///
/// # Errors
/// The directory holds results already, another run writes to it, or the user may not.
pub fn claim(wanted: Option<&Path>, started: Timestamp) -> Result<Output, WriteError> {
    match wanted {
        Some(directory) => Output::claim(directory),
        None => claim_dated(Path::new(DEFAULT_PARENT), started),
    }
}

/// Claims a new directory in `parent` that is named after the date. Runs that start in the same
/// second get numbers.
fn claim_dated(parent: &Path, started: Timestamp) -> Result<Output, WriteError> {
    let name = started.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    let mut directory = parent.join(&name);
    let mut number = 1;
    loop {
        if !directory.exists() {
            match Output::claim(&directory) {
                // Another run has come first, since the look.
                Err(WriteError::Claimed(_) | WriteError::Exists(_)) => {}
                claimed => return claimed,
            }
        }
        number += 1;
        directory = parent.join(format!("{name}-{number}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn runs_that_start_in_the_same_second_have_directories_of_their_own() {
        const RUNS: usize = 8;
        let started = Timestamp::UNIX_EPOCH;
        for _ in 0..50 {
            let parent = tempfile::tempdir().unwrap();
            let barrier = Barrier::new(RUNS);
            let claim = || {
                barrier.wait();
                claim_dated(parent.path(), started).unwrap()
            };
            let claimed: Vec<_> = thread::scope(|scope| {
                let runs = [(); RUNS].map(|()| scope.spawn(claim));
                runs.into_iter().map(|run| run.join().unwrap()).collect()
            });
            let mut files: Vec<_> = claimed.iter().map(|one| one.files().json).collect();
            files.sort();
            files.dedup();
            assert_eq!(files.len(), RUNS);
        }
    }
}
