//! `isobench doctor`: what this host can run, and what it can't.

mod inspection;

use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;

use crate::commands::arguments::DoctorArguments;
use crate::commands::failure::BadInput;
use crate::commands::terminal::terminal_options;
use crate::host::facts::{Finding, HostReport, Severity};
use crate::host::programs::Programs;
use crate::streams::say;
use crate::targets::{self, Availability, Daemons, Target};

/// Widest line printed, and the narrowest terminal that lines are cut for.
const WIDTH: usize = 80;
const NARROWEST: usize = 20;
/// The narrowest terminal that has values beside their labels.
const BESIDE: usize = 60;
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
    limits: &'static [&'static str],
    reason: Option<String>,
    fix: Option<String>,
}

/// One target, and what a program sees inside.
#[derive(Debug, Serialize)]
struct TargetReport {
    target: TargetDiagnosis,
    /// What a program sees inside the container; none for other targets, or if the container can't
    /// run.
    inside: Option<Vec<Finding>>,
}

/// Prints what this host can run and what it can't. The exit code is 0 also if something is missing:
/// a missing thing is a finding.
///
/// # Errors
/// The launchers are missing, the target is unknown, or the container doesn't start.
pub fn doctor(arguments: &DoctorArguments) -> anyhow::Result<ExitCode> {
    let programs = Programs::find()?;
    let host = HostReport::inspect(&programs);
    let all = targets::all(&programs, Daemons::UseRunning);
    if let Some(wanted) = &arguments.target {
        let target = all.iter().find(|target| target.info().name == wanted);
        let known = || targets::names(&all);
        let target = target.ok_or_else(|| {
            BadInput(format!(
                "unknown target `{wanted}`; choose among {}",
                known()
            ))
        })?;
        let report = report(target.as_ref(), &programs, &host)?;
        return print(arguments, &report, render_report);
    }
    let diagnosis = Diagnosis {
        targets: all
            .iter()
            .map(|target| diagnose(target.as_ref(), &host))
            .collect(),
        findings: host.findings,
    };
    print(arguments, &diagnosis, render)
}

fn print<T: Serialize>(
    arguments: &DoctorArguments,
    answer: &T,
    render: fn(&T, usize) -> String,
) -> anyhow::Result<ExitCode> {
    say(if arguments.json {
        serde_json::to_string_pretty(answer).context("cannot write JSON")?
    } else {
        let width = usize::from(terminal_options().width);
        let width = width.clamp(NARROWEST, WIDTH);
        render(answer, width).trim_end().to_owned()
    })?;
    Ok(ExitCode::SUCCESS)
}

fn diagnose(target: &dyn Target, host: &HostReport) -> TargetDiagnosis {
    let info = target.info();
    let Availability {
        version,
        unavailable,
    } = target.availability(host);
    TargetDiagnosis {
        name: info.name,
        available: unavailable.is_none(),
        version,
        differences: info.differences,
        limits: info.limits,
        reason: unavailable.as_ref().map(|u| u.reason.clone()),
        fix: unavailable.map(|u| u.fix),
    }
}

fn report(
    target: &dyn Target,
    programs: &Programs,
    host: &HostReport,
) -> anyhow::Result<TargetReport> {
    let diagnosis = diagnose(target, host);
    let is_looked_into = diagnosis.available && target.info().name == "container";
    let inside = is_looked_into
        .then(|| inspection::inspect(target, programs))
        .transpose()?;
    Ok(TargetReport {
        target: diagnosis,
        inside,
    })
}

fn render_report(report: &TargetReport, width: usize) -> String {
    let mut text = String::from("Target\n");
    render_target(&mut text, &report.target, width);
    if let Some(findings) = &report.inside {
        text.push_str("\nAs a program in it sees it\n");
        for finding in findings {
            render_finding(&mut text, finding, width);
        }
    } else if report.target.available {
        text.push('\n');
        let hint = "Only of `container` there is more to say.";
        push_wrapped(&mut text, "", hint, width);
    }
    text
}

fn render(diagnosis: &Diagnosis, width: usize) -> String {
    let mut text = String::from("Targets\n");
    for target in &diagnosis.targets {
        render_target(&mut text, target, width);
    }
    text.push_str("\nHost\n");
    for finding in &diagnosis.findings {
        render_finding(&mut text, finding, width);
    }
    text
}

fn render_target(text: &mut String, target: &TargetDiagnosis, width: usize) {
    let (mark, value) = match (&target.version, target.available) {
        (_, false) => (Severity::Missing, "can't run"),
        (Some(version), true) => (Severity::Fine, version.as_str()),
        (None, true) => (Severity::Fine, "can run"),
    };
    let (reason, fix) = (target.reason.as_deref(), target.fix.as_deref());
    entry(text, (mark, target.name, value), reason, fix, width);
    if target.available {
        for difference in target.differences {
            push_wrapped(text, "    differs: ", difference, width);
        }
        for limit in target.limits {
            push_wrapped(text, "    limit: ", limit, width);
        }
    }
}

fn render_finding(text: &mut String, finding: &Finding, width: usize) {
    let (reason, fix) = (finding.reason.as_deref(), finding.fix.as_deref());
    let value = (finding.severity, finding.label, finding.value.as_str());
    entry(text, value, reason, fix, width);
}

fn entry(
    text: &mut String,
    (severity, label, value): (Severity, &str, &str),
    reason: Option<&str>,
    fix: Option<&str>,
    width: usize,
) {
    let mark = match severity {
        Severity::Fine => ' ',
        Severity::Concern => '!',
        Severity::Missing => 'x',
    };
    if width < BESIDE {
        push_wrapped(text, &format!("{mark} "), label, width);
        push_wrapped(text, "    ", value, width);
    } else {
        let first = format!("{mark} {label:<0$}", LABEL - 2);
        push_wrapped(text, &first, value, width);
    }
    for (name, sentence) in [("why: ", reason), ("fix: ", fix)] {
        if let Some(sentence) = sentence {
            push_wrapped(text, &format!("    {name}"), sentence, width);
        }
    }
}

fn push_wrapped(text: &mut String, lead: &str, sentence: &str, width: usize) {
    let options = textwrap::Options::new(width)
        .initial_indent(lead)
        .subsequent_indent(if lead.len() >= LABEL {
            "                                  "
        } else if width < BESIDE {
            "      "
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
            severity: Severity::Missing,
            reason: Some("there is no /dev/kvm ".repeat(10)),
            fix: Some("load the module".to_owned()),
            unmet_need: None,
        };
        let diagnosis = Diagnosis {
            targets: Vec::new(),
            findings: vec![finding],
        };
        for width in [20, 40, BESIDE, WIDTH] {
            let text = render(&diagnosis, width);
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width), "{text}");
            assert!(text.contains("x KVM"), "{text}");
        }
        let text = render(&diagnosis, WIDTH);
        assert!(
            text.contains("x KVM") && text.contains("    fix: load the module"),
            "{text}"
        );
    }
}
