//! What this host is and what it can run, found by reading `/proc` and `/sys` and by trying.
//!
//! The same findings serve `isobench doctor`, the decision which targets can run, and the host's description in
//! every results file. Nothing on the host is changed.

mod cpu;
mod interference;
mod isolation;
mod kernel;

use std::fs;

use isobench_reports::model::{EMULATION, Fact, Host, Unavailable};
use serde::Serialize;

pub use interference::Interference;

use crate::host::programs::Programs;

/// What a target may need of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// A `/dev/kvm` that a VM can be made with.
    Kvm,
    /// A KVM on which a guest can have a kernel.
    GuestKernel,
    /// Creating user namespaces, and the six others inside one.
    UserNamespaces,
    /// A cgroup in which memory is accounted.
    MemoryCgroup,
}

/// How a finding bears on the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be, or a plain fact.
    Fine,
    /// Works, but makes numbers noisier or less comparable.
    Concern,
    /// Missing: something can't be run.
    Missing,
}

/// One thing found out about the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable key.
    pub key: &'static str,
    /// What it is called.
    pub label: &'static str,
    /// What was found.
    pub value: String,
    /// How it bears on the measurements.
    pub verdict: Verdict,
    /// Why it's a concern or missing.
    pub reason: Option<String>,
    /// What to do about it.
    pub fix: Option<String>,
    /// What can't be had because of it.
    pub lacks: Option<Need>,
}

impl Finding {
    pub(crate) fn fine(key: &'static str, label: &'static str, value: impl Into<String>) -> Self {
        Self {
            key,
            label,
            value: value.into(),
            verdict: Verdict::Fine,
            reason: None,
            fix: None,
            lacks: None,
        }
    }

    pub(crate) fn concern(self, reason: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Concern,
            reason: Some(reason.into()),
            fix: Some(fix.into()),
            ..self
        }
    }

    /// What a results file says of it.
    pub(crate) fn fact(&self) -> Fact {
        Fact {
            key: self.key.to_owned(),
            label: self.label.to_owned(),
            value: self.value.clone(),
            concern: self.reason.clone(),
        }
    }

    fn missing(self, need: Need, reason: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Missing,
            lacks: Some(need),
            ..self.concern(reason, fix)
        }
    }
}

/// Everything found out about the host.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HostReport {
    /// The findings, in a fixed order.
    pub findings: Vec<Finding>,
}

impl HostReport {
    /// Looks at this host. Trying out namespaces and KVM takes some tens of milliseconds.
    pub fn inspect(programs: &Programs) -> Self {
        let mut findings = cpu::findings();
        findings.extend(interference::findings());
        findings.extend(kernel::findings());
        findings.extend(isolation::findings(programs));
        Self { findings }
    }

    /// Why `need` can't be met on this host, if so.
    pub fn lacks(&self, need: Need) -> Option<Unavailable> {
        let finding = self.findings.iter().find(|f| f.lacks == Some(need))?;
        Some(Unavailable {
            reason: finding.reason.clone()?,
            fix: finding.fix.clone()?,
            command: None,
        })
    }

    /// The host's description for a results file.
    pub fn describe(&self) -> Host {
        Host {
            summary: self.summary(),
            facts: self.findings.iter().map(Finding::fact).collect(),
        }
    }

    fn summary(&self) -> String {
        let wanted = [EMULATION, "cpu-model", "cpus", "memory", "kernel", "kvm"];
        let values: Vec<_> = wanted
            .iter()
            .filter_map(|key| self.findings.iter().find(|f| f.key == *key))
            .map(|finding| finding.value.as_str())
            .collect();
        values.join(" · ")
    }
}

/// The trimmed content of a file under `/proc` or `/sys`, if it's there and can be read.
fn read_setting(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The choice in brackets of a setting such as `always [madvise] never`.
pub(crate) fn bracketed(setting: &str) -> &str {
    setting
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or(setting, |(choice, _)| choice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_setting_is_the_one_in_brackets() {
        assert_eq!(bracketed("always [madvise] never"), "madvise");
        assert_eq!(bracketed("never"), "never");
    }

    #[test]
    fn a_missing_need_gives_its_reason_and_fix() {
        let report = HostReport {
            findings: vec![
                Finding::fine("kernel", "Kernel", "Linux 6"),
                Finding::fine("kvm", "KVM", "none").missing(Need::Kvm, "no /dev/kvm", "load kvm"),
            ],
        };
        assert_eq!(report.lacks(Need::Kvm).unwrap().reason, "no /dev/kvm");
        assert_eq!(report.lacks(Need::UserNamespaces), None);
        assert_eq!(report.describe().summary, "Linux 6 · none");
    }
}
