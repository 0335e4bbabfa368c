//! Which targets a run measures: targets by name, groups of targets, or all quick targets.

use isobench_reports::model::TargetKind;

use super::{Pace, Target, TargetInfo, names};

/// The name of a group of targets, and the function that tells whether a target belongs to the
/// group.
type TargetGroup = (&'static str, fn(&TargetInfo) -> bool);

const GROUPS: [TargetGroup; 4] = [
    ("all", |_| true),
    ("rungs", |info| matches!(info.kind, TargetKind::Rung(_))),
    ("floors", |info| info.kind == TargetKind::Floor),
    ("peers", |info| info.kind == TargetKind::Peer),
];

/// A name that the user gave is neither a target's nor a group's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown target `{name}`; choose among {known}, or {groups}")]
pub struct UnknownTarget {
    name: String,
    known: String,
    groups: String,
}

/// Picks the targets that `wanted` names, in the order of the report. Without names, all quick
/// targets are picked.
///
/// # Errors
/// [`UnknownTarget`] with the names that exist.
pub fn choose(
    all: Vec<Box<dyn Target>>,
    wanted: Option<&[String]>,
) -> Result<Vec<Box<dyn Target>>, UnknownTarget> {
    let Some(wanted) = wanted else {
        let quick = all
            .into_iter()
            .filter(|target| target.info().pace == Pace::Quick);
        return Ok(quick.collect());
    };
    let matches = |info: &TargetInfo, name: &str| {
        let group = GROUPS.iter().find(|(group, _)| *group == name);
        info.name == name || group.is_some_and(|(_, contains)| contains(info))
    };
    let unknown = wanted
        .iter()
        .find(|name| !all.iter().any(|target| matches(target.info(), name)));
    if let Some(unknown) = unknown {
        return Err(UnknownTarget {
            name: unknown.clone(),
            known: names(&all),
            groups: GROUPS.map(|(name, _)| name).join(", "),
        });
    }
    let chosen = all
        .into_iter()
        .filter(|target| wanted.iter().any(|name| matches(target.info(), name)));
    Ok(chosen.collect())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::host::programs::Programs;
    use crate::targets::{self, Capability};

    fn all() -> Vec<Box<dyn Target>> {
        let programs = Programs {
            workload: PathBuf::new(),
            container: PathBuf::new(),
            vmm: PathBuf::new(),
            floor: PathBuf::new(),
            tracer: PathBuf::new(),
        };
        targets::all(&programs, targets::Daemons::UseRunning)
    }

    fn names(targets: &[Box<dyn Target>]) -> Vec<&'static str> {
        targets.iter().map(|target| target.info().name).collect()
    }

    fn chosen(words: &[&str]) -> Result<Vec<&'static str>, String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let wanted = (!words.is_empty()).then_some(words.as_slice());
        let chosen = choose(all(), wanted);
        chosen
            .map(|targets| names(&targets))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_client_of_a_daemon_passes_no_descriptors_on() {
        let mut passing = all();
        passing.retain(|target| target.info().can(Capability::PassDescriptors));
        let mut passing = names(&passing);
        passing.sort_unstable();
        let expected = [
            "bwrap",
            "bwrap-0.11",
            "container",
            "crun",
            "nsjail",
            "podman",
            "process",
            "runc",
            "unshare",
            "youki",
        ];
        assert_eq!(passing, expected);
    }

    #[test]
    fn names_and_groups_are_chosen_in_the_report_s_order() {
        assert_eq!(chosen(&["bwrap", "process"]).unwrap(), ["process", "bwrap"]);
        let floors = chosen(&["floors", "process"]).unwrap();
        assert_eq!(floors, ["process", "floor-namespaces", "floor-kvm"]);
        let all = chosen(&["all"]).unwrap();
        let (rungs, peers) = (chosen(&["rungs"]).unwrap(), chosen(&["peers"]).unwrap());
        assert_eq!(rungs.len() + peers.len() + 2, all.len());
    }

    #[test]
    fn without_names_slow_peers_are_left_out() {
        let default = chosen(&[]).unwrap();
        assert!(default.contains(&"process"));
        assert!(default.contains(&"runc"));
        assert!(!default.contains(&"runsc"));
    }

    #[test]
    fn the_error_for_an_unknown_name_lists_the_known_names() {
        let error = chosen(&["process", "runk"]).unwrap_err();
        assert!(error.starts_with("unknown target `runk`; choose among process, container"));
        assert!(error.ends_with("or all, rungs, floors, peers"), "{error}");
    }
}
