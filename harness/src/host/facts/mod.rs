//! Facts about this host and what it can run, found by reading `/proc` and `/sys` and by trying.
//!
//! The same findings serve `isobench doctor`, the decision which targets can run, and the host's
//! description in every results file. Nothing on the host is changed.

mod cpu;
mod interference;
mod isolation;
mod kernel;

use std::fs;

use isobench_reports::model::{EMULATION, Fact, Host, Unavailable};
use serde::Serialize;

pub use interference::Interference;

use crate::host::programs::Programs;

/// A facility of the host that a target may need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// A `/dev/kvm` with which a VM can be made.
    Kvm,
    /// A KVM on which a guest kernel can run.
    GuestKernel,
    /// A user namespace, and namespaces of the six other kinds inside.
    UserNamespaces,
    /// A cgroup in which memory is accounted.
    MemoryCgroup,
}

/// How much a finding disturbs the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The finding is a plain fact, or as it should be.
    Fine,
    /// The finding makes figures noisier or less comparable.
    Concern,
    /// The finding keeps a target or a part of the measurements from running.
    Missing,
}

/// One fact about the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The finding's key, which doesn't change between versions.
    pub key: &'static str,
    /// The finding's title.
    pub label: &'static str,
    /// What was found.
    pub value: String,
    /// How much the finding disturbs the measurements.
    #[serde(rename = "verdict")]
    pub severity: Severity,
    /// Why the finding isn't fine.
    pub reason: Option<String>,
    /// What the user can do about the finding.
    pub fix: Option<String>,
    /// The need that the host doesn't meet because of this finding.
    #[serde(rename = "lacks")]
    pub unmet_need: Option<Need>,
}

impl Finding {
    pub(crate) fn fine(key: &'static str, label: &'static str, value: impl Into<String>) -> Self {
        Self {
            key,
            label,
            value: value.into(),
            severity: Severity::Fine,
            reason: None,
            fix: None,
            unmet_need: None,
        }
    }

    pub(crate) fn concern(self, reason: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            severity: Severity::Concern,
            reason: Some(reason.into()),
            fix: Some(fix.into()),
            ..self
        }
    }

    /// The finding as a results file holds it.
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
            severity: Severity::Missing,
            unmet_need: Some(need),
            ..self.concern(reason, fix)
        }
    }
}

/// All findings about the host.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HostReport {
    /// The findings, in a fixed order.
    pub findings: Vec<Finding>,
}

impl HostReport {
    /// Inspects this host. Trying out namespaces and KVM takes some tens of milliseconds.
    pub fn inspect(programs: &Programs) -> Self {
        let mut findings = cpu::findings();
        findings.extend(interference::findings());
        findings.extend(kernel::findings());
        findings.extend(isolation::findings(programs));
        Self { findings }
    }

    /// Why this host doesn't meet `need`; `None` if the host meets the need.
    pub fn lacks(&self, need: Need) -> Option<Unavailable> {
        let mut findings = self.findings.iter();
        let finding = findings.find(|finding| finding.unmet_need == Some(need))?;
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

/// The trimmed content of a file under `/proc` or `/sys`; `None` if the file can't be read.
fn read_setting(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The chosen option of a setting such as `always [madvise] never`: the option in brackets.
pub(crate) fn chosen_option(setting: &str) -> &str {
    setting
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or(setting, |(option, _)| option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_option_is_in_brackets_or_stands_alone() {
        assert_eq!(chosen_option("always [madvise] never"), "madvise");
        assert_eq!(chosen_option("never"), "never");
    }

    #[test]
    fn an_unmet_need_has_the_reason_of_its_finding() {
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
