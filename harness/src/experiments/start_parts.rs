//! The price list of a container: what each of its mechanisms adds to a start.
//!
//! The launcher starts the least program with no mechanism, with each mechanism alone, and with
//! all. If the kernel allows a mechanism only on top of others, its price is what the mechanism
//! adds to a start with those others. If no start on the list has just those others, such a start
//! is added to the list. Prices add up only if mechanisms share no work. A row of the report says
//! what all mechanisms together cost beyond the sum of their prices.
//!
//! Containers of images have more than the mechanisms: their price over a whole start is measured
//! beside, and is no part of the sum.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use isobench_container::{Mechanism, Mechanisms, Privilege};
use isobench_reports::model::{Part, TOTAL};
use isobench_reports::schema::start_parts::{CPU, LIFE, METRICS, NAME, READY, WAITING};

use super::info::part;
use super::{
    Applicability, Case, Experiment, ExperimentInfo, MeasureContext, MeasureError, Measurement,
    MetricInfo, Parts, Reading, ReadyTarget, Rounds, elapsed, nanoseconds, waiting,
};
use crate::experiments::profile::ByProfile;
use crate::host::umask::ReadableByAll;
use crate::instance::Stdin;
use crate::targets::{Capability, Surroundings, TargetInfo};

/// The name of the start with no mechanism.
const NONE: &str = "none";

/// A start with some of the mechanisms, or with all and an extra.
#[derive(Debug)]
struct Variant {
    mechanisms: Mechanisms,
    extra: Option<Extra>,
    part: Part,
}

/// What the container of an image has beside the mechanisms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extra {
    Terminals,
    Hosts,
}

impl Extra {
    const ALL: [Self; 2] = [Self::Terminals, Self::Hosts];

    fn part(self) -> Part {
        let (name, explanation) = match self {
            Self::Terminals => (
                "terminals",
                "devpts mounted in its root, and what it needs there: only for programs of images \
                 and of `isobench exec`",
            ),
            Self::Hosts => (
                "etc-hosts",
                "one more layer, with an /etc/hosts: only for images that have none",
            ),
        };
        Part {
            base: Some(TOTAL.to_owned()),
            ..part(name, explanation)
        }
    }
}

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "A price is what one mechanism adds to the start of a container. One launcher \
    starts the least program with no mechanism, with each mechanism alone, and with all, in \
    shuffled order; each start is a fresh instance. If the kernel allows a mechanism only on top \
    of \
    others, its price is counted over a start with those others. `ready` lasts from just before \
    the \
    spawn until the program's line arrives; `life` goes on until the launcher has ended. `life` is \
    the sum of `cpu`, the processor time of all processes on all CPUs together, and of `waiting`, \
    the time in which they were blocked or queued for a CPU.";

/// The experiment `start-parts`.
#[derive(Debug)]
pub struct StartParts {
    info: ExperimentInfo,
    variants: Vec<Variant>,
}

impl StartParts {
    /// The starts that are possible for a user with `privilege`.
    pub fn new(privilege: Privilege) -> Self {
        let nothing = "the launcher, a first process and the program, without any isolation";
        let variant = |mechanisms, part| Variant {
            mechanisms,
            extra: None,
            part,
        };
        let mut variants = vec![variant(Mechanisms::NONE, part(NONE, nothing))];
        for &mechanism in Mechanism::ALL {
            let needs = mechanism.needs(privilege);
            let base = named(&variants, needs).unwrap_or_else(|| {
                let names: Vec<_> = needs.iter().map(Mechanism::name).collect();
                let name = names.join("+");
                let explanation = format!("what {mechanism} needs, without {mechanism} itself");
                variants.push(variant(needs, part(&name, &explanation)));
                name
            });
            let priced = Part {
                base: Some(base),
                ..part(mechanism.name(), mechanism.explanation())
            };
            variants.push(variant(needs.with(mechanism), priced));
        }
        variants.push(variant(Mechanisms::ALL, part(TOTAL, "the container")));
        variants.extend(Extra::ALL.map(|extra| Variant {
            extra: Some(extra),
            ..variant(Mechanisms::ALL, extra.part())
        }));
        let all_parts = variants.iter().map(|variant| &variant.part);
        let parts: Vec<Part> = all_parts
            .filter(|part| part.name != TOTAL)
            .cloned()
            .collect();
        let cases = variants.iter().map(|variant| Case {
            part: variant.part.name.clone(),
            ..Case::of([READY, LIFE, CPU, WAITING])
        });
        let info = ExperimentInfo::new(
            NAME,
            METHOD,
            METRICS.map(|metric| {
                MetricInfo::from(metric)
                    .in_parts(Parts::Named(parts.clone()))
                    .back_to_back()
            }),
            cases,
            ByProfile {
                quick: Rounds::new(1, 15),
                standard: Rounds::new(3, 120),
                thorough: Rounds::new(5, 500),
            },
        );
        Self { info, variants }
    }
}

/// The name of the variant with exactly these `mechanisms`.
fn named(variants: &[Variant], mechanisms: Mechanisms) -> Option<String> {
    let variant = variants
        .iter()
        .find(|variant| variant.mechanisms == mechanisms)?;
    Some(variant.part.name.clone())
}

impl Experiment for StartParts {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, _: usize, target: &TargetInfo) -> Applicability {
        Applicability::measured_if(target.can(Capability::LeaveOutMechanisms))
    }

    fn measure(
        &self,
        case: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let Variant {
            mechanisms,
            extra,
            part,
        } = &self.variants[case];
        if part.name == Mechanism::Cgroup.name() && context.accounting.is_none() {
            return Ok(no_cgroup());
        }
        let mut launch = context.launch(&["ready"]);
        launch.mechanisms = *mechanisms;
        let hosts;
        match extra {
            None => {}
            Some(Extra::Terminals) => launch.surroundings = Surroundings::Terminals,
            Some(Extra::Hosts) => {
                hosts = hosts_layer(context.scratch).map_err(MeasureError::Command)?;
                launch.layer = Some(&hosts);
            }
        }
        let (group, mut instance) = context.start(target, launch, Stdin::Null)?;
        let ready = instance.wait_until_ready()?;
        let ended = instance.wait_until_exited()?;
        if let Some(group) = group {
            group.remove(ended)?;
        }
        let spawned = instance.spawned_at();
        let life = elapsed(LIFE.name, spawned, ended)?;
        let cpu_time = instance.cpu_time().unwrap_or_default();
        let values = [
            (
                READY.name,
                nanoseconds(elapsed(READY.name, spawned, ready)?),
            ),
            (LIFE.name, nanoseconds(life)),
            (CPU.name, nanoseconds(cpu_time)),
            (WAITING.name, waiting(life, cpu_time)),
        ];
        let readings = values.map(|(metric, value)| Reading::of_part(metric, &part.name, value));
        Ok(Vec::from(readings).into())
    }
}

/// The layer with an /etc/hosts, made in `scratch` for the first start that has the layer.
fn hosts_layer(scratch: &Path) -> io::Result<PathBuf> {
    let layer = scratch.join("hosts");
    let (etc, hosts) = (layer.join("etc"), layer.join("etc/hosts"));
    if !hosts.exists() {
        let _readable = ReadableByAll::begin();
        fs::create_dir_all(etc)?;
        fs::write(hosts, "127.0.0.1\tlocalhost\n")?;
    }
    Ok(layer)
}

/// The measurement of the cgroup's price on a host without cgroups.
fn no_cgroup() -> Measurement {
    let reason = MeasureError::NoAccounting.to_string();
    Measurement {
        missing: [READY.name, LIFE.name, CPU.name, WAITING.name]
            .map(|metric| (metric, reason.clone()))
            .into(),
        ..Measurement::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(privilege: Privilege) -> Vec<(String, Option<String>)> {
        let experiment = StartParts::new(privilege);
        let parts = experiment
            .info
            .describe(&[])
            .metrics
            .swap_remove(0)
            .parts
            .into_iter();
        parts.map(|part| (part.name, part.base)).collect()
    }

    fn of(name: &str, base: &str) -> (String, Option<String>) {
        (name.to_owned(), (!base.is_empty()).then(|| base.to_owned()))
    }

    #[test]
    fn for_root_the_base_of_a_mechanism_is_nothing_or_what_the_mechanism_needs() {
        let bases = bases(Privilege::Root);
        assert_eq!(bases.len(), 17);
        for expected in [
            of("none", ""),
            of("user", "none"),
            of("net", "none"),
            of("overlay", "mount"),
            of("mount+pid+overlay", ""),
            of("proc-dev", "mount+pid+overlay"),
            of("pivot", "overlay"),
            of("terminals", TOTAL),
            of("etc-hosts", TOTAL),
        ] {
            assert!(bases.contains(&expected), "{expected:?} of {bases:?}");
        }
    }

    #[test]
    fn for_an_ordinary_user_the_base_includes_a_user_namespace() {
        let bases = bases(Privilege::Ordinary);
        for expected in [
            of("user", "none"),
            of("net", "user"),
            of("overlay", "mount"),
            of("proc-dev", "user+mount+pid+overlay"),
            of("seccomp", "none"),
        ] {
            assert!(bases.contains(&expected), "{expected:?} of {bases:?}");
        }
    }

    #[test]
    fn a_variant_has_one_mechanism_more_than_its_base() {
        for privilege in [Privilege::Ordinary, Privilege::Root] {
            let experiment = StartParts::new(privilege);
            let find = |name: &str| {
                let mut all = experiment.variants.iter();
                all.find(|variant| variant.part.name == name).unwrap()
            };
            for variant in experiment.variants.iter().filter(|one| one.extra.is_none()) {
                if let Some(base) = &variant.part.base {
                    let one = variant.mechanisms.iter().count();
                    assert_eq!(find(base).mechanisms.iter().count() + 1, one);
                    assert!(
                        find(base)
                            .mechanisms
                            .iter()
                            .all(|m| variant.mechanisms.contains(m))
                    );
                }
                let complete = variant.mechanisms.complete(privilege);
                assert_eq!(complete, variant.mechanisms);
            }
        }
    }
}
