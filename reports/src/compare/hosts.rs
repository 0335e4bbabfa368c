//! Whether two runs were made in the same conditions: a change of the host isn't a change of a
//! target.

use std::fmt;

use crate::model::Run;
use crate::words::text::one_line;

/// The facts that must be the same: the processor, the memory, the kernel, and the kind of KVM.
const IDENTITY: [&str; 6] = ["cpu-model", "cpus", "memory", "kernel", "kvm", "kvm-kind"];

/// Longest value of a fact that is shown, in characters.
const VALUE: usize = 60;

/// A condition that differs between two runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What the condition is called.
    pub label: String,
    /// What the base says of the condition, if anything.
    pub base: Option<String>,
    /// What the new run says of the condition, if anything.
    pub new: Option<String>,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| {
            value
                .as_ref()
                .map_or("unknown".to_owned(), |value| one_line(value, VALUE))
        };
        write!(
            f,
            "{}: {} in the base, {} in the new run",
            one_line(&self.label, VALUE),
            shown(&self.base),
            shown(&self.new)
        )
    }
}

/// Every condition that differs between two runs. The profile is one, since another amount of work
/// is another figure; so are the commands that were timed, and delays that were added on purpose.
pub fn obstacles(base: &Run, new: &Run) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    let mut compare = |label: &str, base: Option<&str>, new: Option<&str>| {
        if base != new {
            obstacles.push(Obstacle {
                label: label.to_owned(),
                base: base.map(str::to_owned),
                new: new.map(str::to_owned),
            });
        }
    };
    for key in IDENTITY {
        let fact = |run: &'_ Run| run.host.facts.iter().find(|fact| fact.key == key).cloned();
        let (old, now) = (fact(base), fact(new));
        let label = old.as_ref().or(now.as_ref()).map(|fact| fact.label.clone());
        compare(
            label.as_deref().unwrap_or(key),
            old.as_ref().map(|fact| fact.value.as_str()),
            now.as_ref().map(|fact| fact.value.as_str()),
        );
    }
    compare("profile", Some(&base.profile), Some(&new.profile));
    for experiment in &base.experiments {
        let mut others = new.experiments.iter();
        if let Some(other) = others.find(|other| other.name == experiment.name) {
            let label = format!("the command of {}", experiment.name);
            let (old, now) = (experiment.command.as_deref(), other.command.as_deref());
            compare(&label, old, now);
        }
    }
    let injected = |run: &Run| {
        let injections = run.conduct.injections.iter();
        let words = injections
            .map(|injection| format!("{} ns in {}", injection.delay_ns, injection.target));
        words.reduce(|all, one| format!("{all}, {one}"))
    };
    let (old, now) = (injected(base), injected(new));
    compare("delays added on purpose", old.as_deref(), now.as_deref());
    obstacles
}
