//! `isobench doctor`

use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;

use crate::cli::DoctorArguments;
use crate::host::{Finding, HostReport, Verdict};
use crate::output::say;
use crate::programs::Programs;
use crate::target;

/// Widest line printed.
const WIDTH: usize = 80;
/// Width of the first column.
const LABEL: usize = 34;

/// Which targets can run, and the host's findings.
#[derive(Debug, Serialize)]
struct Diagnosis {
    targets: Vec<TargetDiagnosis>,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct TargetDiagnosis {
    name: &'static str,
    available: bool,
    version: Option<String>,
    differences: &'static [&'static str],
    reason: Option<String>,
    fix: Option<String>,
}

/// Prints what this host can run and what it can't. The exit code is 0 also if something is missing: that's a finding.
///
/// # Errors
/// The launchers are not there.
pub fn doctor(arguments: &DoctorArguments) -> anyhow::Result<ExitCode> {
    let programs = Programs::find()?;
    let host = HostReport::inspect(&programs);
    let targets = target::all(&programs)
        .iter()
        .map(|target| {
            let unavailable = target.unavailable(&host);
            TargetDiagnosis {
                name: target.name(),
                available: unavailable.is_none(),
                version: target.version(),
                differences: target.differences(),
                reason: unavailable.as_ref().map(|u| u.reason.clone()),
                fix: unavailable.map(|u| u.fix),
            }
        })
        .collect();
    let diagnosis = Diagnosis {
        targets,
        findings: host.findings,
    };
    say(if arguments.json {
        serde_json::to_string_pretty(&diagnosis).context("cannot write JSON")?
    } else {
        render(&diagnosis).trim_end().to_owned()
    });
    Ok(ExitCode::SUCCESS)
}

fn render(diagnosis: &Diagnosis) -> String {
    let mut text = String::from("Targets\n");
    for target in &diagnosis.targets {
        let value = match (&target.version, target.available) {
            (_, false) => "can't run",
            (Some(version), true) => version,
            (None, true) => "can run",
        };
        let mark = if target.available {
            Verdict::Fine
        } else {
            Verdict::Missing
        };
        entry(
            &mut text,
            mark,
            target.name,
            value,
            target.reason.as_deref(),
            target.fix.as_deref(),
        );
        if target.available {
            for difference in target.differences {
                push_wrapped(&mut text, "    differs: ", difference);
            }
        }
    }
    text.push_str("\nHost\n");
    for finding in &diagnosis.findings {
        let Finding {
            verdict,
            label,
            value,
            reason,
            fix,
            ..
        } = finding;
        entry(
            &mut text,
            *verdict,
            label,
            value,
            reason.as_deref(),
            fix.as_deref(),
        );
    }
    text
}

fn entry(
    text: &mut String,
    verdict: Verdict,
    label: &str,
    value: &str,
    reason: Option<&str>,
    fix: Option<&str>,
) {
    let mark = match verdict {
        Verdict::Fine => ' ',
        Verdict::Concern => '!',
        Verdict::Missing => 'x',
    };
    let first = format!("{mark} {label:<width$}", width = LABEL - 2);
    push_wrapped(text, &first, value);
    for (name, sentence) in [("why: ", reason), ("fix: ", fix)] {
        if let Some(sentence) = sentence {
            push_wrapped(text, &format!("    {name}"), sentence);
        }
    }
}

fn push_wrapped(text: &mut String, lead: &str, sentence: &str) {
    let options = textwrap::Options::new(WIDTH)
        .initial_indent(lead)
        .subsequent_indent(if lead.len() >= LABEL {
            "                                  "
        } else {
            "         "
        });
    text.push_str(&textwrap::fill(sentence, options));
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_fits_a_terminal_and_a_missing_thing_has_its_fix() {
        let finding = Finding {
            key: "kvm",
            label: "KVM",
            value: "absent ".repeat(20),
            verdict: Verdict::Missing,
            reason: Some("there is no /dev/kvm ".repeat(10)),
            fix: Some("load the module".to_owned()),
            lacks: None,
        };
        let text = render(&Diagnosis {
            targets: Vec::new(),
            findings: vec![finding],
        });
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
        assert!(
            text.contains("x KVM") && text.contains("    fix: load the module"),
            "{text}"
        );
    }
}
