//! Budget files: what figures may be at most, in TOML.
//!
//! ```toml
//! budgets = [
//!     "container startup p95 <= 12x process",
//!     "microvm-bare memory <= 3 MiB",
//!     "container startup ready <= base + 5 %",
//! ]
//! ```

use std::path::Path;

use isobench_reports::budgets::{Budget, SyntaxError};
use serde::Deserialize;
use toml::Spanned;

use super::failure::BadInput;
use crate::toml_file::{self, TomlFileError};

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    budgets: Vec<Spanned<String>>,
}

/// The budgets of the file at `path`, in the file's order.
///
/// # Errors
/// [`TomlFileError`] with the place of what is wrong; [`BadInput`] if the file has no budget.
pub fn read(path: &Path) -> anyhow::Result<Vec<Budget>> {
    let text = toml_file::read(path, "budget file")?;
    let budgets = parse(&text, path)?;
    if budgets.is_empty() {
        let path = path.display();
        return Err(BadInput(format!("{path} has no budget: add a sentence to `budgets`")).into());
    }
    Ok(budgets)
}

fn parse(text: &str, path: &Path) -> Result<Vec<Budget>, TomlFileError> {
    let document: Document = toml_file::parse(text, path)?;
    let budgets = document.budgets.iter().map(|sentence| {
        let budget = sentence.get_ref().parse();
        budget.map_err(|error: SyntaxError| {
            TomlFileError::syntax(path, text, sentence.span().start, &error.to_string())
        })
    });
    budgets.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let parse = |text: &str| parse(text, Path::new("budgets.toml"));
        let good =
            "budgets = [\n  \"container startup <= 3 ms\",\n  # why\n  \"a b >= 2x c\",\n]\n";
        assert_eq!(parse(good).unwrap().len(), 2);
        for (text, expected) in [
            ("", "budgets.toml:1:1: missing field `budgets`"),
            ("budget = []", "unknown field `budget`"),
            (
                &good.replace("3 ms", "3 furlongs"),
                "budgets.toml:2:3: `furlongs` in",
            ),
            (
                &good.replace(">=", "="),
                "budgets.toml:4:3: `a b = 2x c` has no <= or >=",
            ),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
