//! What `isobench-workload inspect` printed, looked up by name.

use isobench_workloads::inspect;

/// What one process sees: facts, each a name and a value. A name can stand several times.
#[derive(Debug, Default)]
pub struct Sight {
    facts: Vec<(String, String)>,
}

impl Sight {
    /// Reads lines of a name, a tab and a value. Other lines are left out.
    pub fn parse(lines: &[String]) -> Self {
        let facts = lines.iter().filter_map(|line| line.split_once('\t'));
        Self {
            facts: facts
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// The facts that this process sees.
    pub fn of_this_process() -> Self {
        Self {
            facts: inspect::facts(),
        }
    }

    /// The values of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.facts.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The first value of `name`.
    pub fn one(&self, name: &str) -> Option<&str> {
        let (_, value) = self.facts.iter().find(|(known, _)| known == name)?;
        Some(value)
    }
}
