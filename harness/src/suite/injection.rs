//! `--inject [TARGET:]startup=+500us`: adds a delay of a known size to every start of a target, to
//! check whether the figures show the delay. Every delayed sample has a note, and the results list
//! the delays.

use std::str::FromStr;
use std::time::Duration;

use isobench_reports::model::Injection;
use isobench_reports::schema::startup;

use crate::targets::Target;
use crate::values::parse_time;

/// The longest delay: one sample may take that long.
const LONGEST: Duration = Duration::from_secs(1);

/// A delay is requested for a target that isn't measured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--inject: the target `{0}` isn't in this run")]
pub struct UnknownDelayTarget(String);

/// A delay for one target or for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedDelay {
    /// The name of the target; `None` for all targets.
    target: Option<String>,
    delay: Duration,
}

impl FromStr for RequestedDelay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            "expected [TARGET:]startup=+DELAY with a delay up to 1s, such as startup=+500us"
                .to_owned()
        };
        let (place, delay) = text.split_once("=+").ok_or_else(refuse)?;
        let (target, experiment) = match place.split_once(':') {
            Some((target, experiment)) => (Some(target.to_owned()), experiment),
            None => (None, place),
        };
        let delay = parse_time(delay).map_err(|_| refuse())?;
        if experiment != startup::NAME || delay > LONGEST {
            return Err(refuse());
        }
        Ok(Self { target, delay })
    }
}

impl RequestedDelay {
    /// The delay for each of `targets` that it applies to.
    ///
    /// # Errors
    /// The delay is for a target that isn't among `targets`.
    pub fn injections(
        &self,
        targets: &[Box<dyn Target>],
    ) -> Result<Vec<Injection>, UnknownDelayTarget> {
        let names = targets.iter().map(|target| target.info().name);
        let wanted: Vec<_> = names
            .filter(|name| self.target.as_deref().is_none_or(|wanted| wanted == *name))
            .collect();
        if let (Some(target), true) = (&self.target, wanted.is_empty()) {
            return Err(UnknownDelayTarget(target.clone()));
        }
        let injection = |name: &str| Injection {
            target: name.to_owned(),
            experiment: startup::NAME.to_owned(),
            delay_ns: u64::try_from(self.delay.as_nanos()).unwrap_or(u64::MAX),
        };
        Ok(wanted.into_iter().map(injection).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_needs_its_experiment_and_is_at_most_a_second() {
        let all: RequestedDelay = "startup=+500us".parse().unwrap();
        assert_eq!((all.target, all.delay.as_micros()), (None, 500));
        let one: RequestedDelay = "container:startup=+2ms".parse().unwrap();
        assert_eq!(one.target.as_deref(), Some("container"));
        for text in [
            "",
            "startup",
            "startup=500us",
            "disk=+1ms",
            "startup=+2s",
            "startup=+1",
            "startup=+-1ms",
        ] {
            assert!(text.parse::<RequestedDelay>().is_err(), "{text}");
        }
    }
}
