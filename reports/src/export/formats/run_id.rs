//! What tells runs apart that a host began in the same second, and hosts that look alike.

use std::fmt::Write as _;

use serde_json::Error;
use sha2::{Digest as _, Sha256};

use crate::model::Run;

/// Bytes of a digest that are told: among a million runs, two are alike with a chance of 1 in 500.
const BYTES: usize = 6;

/// The identity of a run: the beginning of a digest of all that its results hold, in hexadecimal.
/// The same results have the same identity wherever they are read.
pub fn of(run: &Run) -> Result<String, Error> {
    Ok(digest(&serde_json::to_vec(run)?))
}

/// The beginning of the bytes' digest.
pub fn digest(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * BYTES);
    for byte in &Sha256::digest(bytes)[..BYTES] {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::json;
    use crate::fixture;

    #[test]
    fn results_have_the_same_identity_when_they_are_read_again() {
        let mut run = fixture::run();
        // Of numbers with 17 digits, a quick parser takes some for their neighbours.
        for (number, sample) in run.samples.iter_mut().enumerate() {
            sample.value = sample.value.map(|value| value * (number as f64).sqrt());
        }
        let own = of(&run).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        std::fs::write(&path, json::render(&run).unwrap()).unwrap();
        assert_eq!(of(&json::read(&path).unwrap()).unwrap(), own);
        run.seed += 1;
        assert_ne!(of(&run).unwrap(), own);
        assert_eq!(own.len(), 2 * BYTES);
    }
}
