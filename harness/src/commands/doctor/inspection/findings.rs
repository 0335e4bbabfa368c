//! What a program sees inside, turned into findings: which promises of a container hold, and which
//! don't.

use bytesize::ByteSize;
use isobench_container::cgroup::Version;
use isobench_container::seccomp::policy::{ALLOWED, CONDITIONAL, NEWEST};
use isobench_workloads::inspect::{NAMESPACES, TELLING};
use syscalls::Sysno;

use super::{HeldLimits, Sight};
use crate::host::facts::Finding;

/// The findings where a program sees `inside` and this process sees `host`.
pub fn of(inside: &Sight, host: &Sight, limits: Option<HeldLimits>) -> Vec<Finding> {
    let mut findings = vec![
        namespaces(inside, host),
        user(inside),
        capabilities(inside),
        new_privileges(inside),
        seccomp(inside),
        cgroup(inside),
    ];
    findings.extend([
        limits_held(limits),
        root(inside),
        mounts(inside),
        proc(inside),
        sys(inside),
        processes(inside),
        descriptors(inside),
        host_name(inside, host),
    ]);
    findings
}

/// A finding with this value; a concern with this reason unless it `is_good`.
fn check(
    key: &'static str,
    label: &'static str,
    is_good: bool,
    value: impl Into<String>,
    reason: &str,
) -> Finding {
    let finding = Finding::fine(key, label, value);
    if is_good {
        finding
    } else {
        finding.concern(reason, "this is a defect of isobench-container: report it")
    }
}

fn namespaces(inside: &Sight, host: &Sight) -> Finding {
    let shared: Vec<_> = NAMESPACES
        .into_iter()
        .filter(|kind| {
            let name = format!("namespace.{kind}");
            inside.one(&name).is_none() || inside.one(&name) == host.one(&name)
        })
        .collect();
    let value = if shared.is_empty() {
        format!("{}: all private", NAMESPACES.join(", "))
    } else {
        format!("the host's: {}", shared.join(", "))
    };
    let reason = "the container shares these with the host";
    check("namespaces", "Namespaces", shared.is_empty(), value, reason)
}

fn user(inside: &Sight) -> Finding {
    let map: Vec<&str> = inside.one("uid_map").unwrap_or("").split(' ').collect();
    let (value, is_good) = match map[..] {
        ["0", first, "1"] => (format!("user {first}; there is no other"), first != "0"),
        ["0", first, count] => (format!("user {first}, of {count} users"), first != "0"),
        _ => ("unknown".to_owned(), false),
    };
    let reason = "root inside is the host's root: the launcher may not map other ids (CAP_SETUID, CAP_SETGID)";
    let finding = Finding::fine("user", "Root is on the host", value);
    if is_good {
        finding
    } else {
        finding.concern(
            reason,
            "run isobench with these capabilities, or as an ordinary user",
        )
    }
}

fn capabilities(inside: &Sight) -> Finding {
    let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    let is_empty = |set: &&str| {
        inside
            .one(set)
            .is_some_and(|mask| mask.bytes().all(|digit| digit == b'0'))
    };
    let words = [
        "inheritable",
        "permitted",
        "effective",
        "bounding",
        "ambient",
    ];
    let held: Vec<_> = sets
        .iter()
        .zip(words)
        .filter(|(set, _)| !is_empty(set))
        .map(|(set, word)| format!("{word} {}", inside.one(set).unwrap_or("unknown")))
        .collect();
    let value = if held.is_empty() {
        format!("none: {}", words.join(", "))
    } else {
        held.join(", ")
    };
    let reason = "a set isn't empty";
    check(
        "capabilities",
        "Capabilities",
        held.is_empty(),
        value,
        reason,
    )
}

fn new_privileges(inside: &Sight) -> Finding {
    let is_forbidden = inside.one("NoNewPrivs") == Some("1");
    let value = if is_forbidden {
        "forbidden"
    } else {
        "possible"
    };
    let reason = "no_new_privs isn't set";
    check(
        "no-new-privileges",
        "New privileges",
        is_forbidden,
        value,
        reason,
    )
}

fn seccomp(inside: &Sight) -> Finding {
    let is_filtered = inside.one("Seccomp") == Some("2");
    let newest = usize::try_from(NEWEST).unwrap_or(usize::MAX);
    let known = (0..=newest)
        .filter(|number| Sysno::new(*number).is_some())
        .count();
    let refused = known - ALLOWED.len() - CONDITIONAL.len();
    let value = if is_filtered {
        format!(
            "filter: of {known} calls {refused} are refused, {} for some arguments",
            CONDITIONAL.len()
        )
    } else {
        format!("mode {}", inside.one("Seccomp").unwrap_or("unknown"))
    };
    check(
        "seccomp",
        "System calls",
        is_filtered,
        value,
        "there is no filter",
    )
}

fn cgroup(inside: &Sight) -> Finding {
    let elsewhere: Vec<_> = inside
        .all("cgroup")
        .filter(|line| !line.ends_with(":/"))
        .collect();
    let value = if elsewhere.is_empty() {
        "/ in every hierarchy".to_owned()
    } else {
        elsewhere.join(", ")
    };
    let reason = "the program sees where its cgroup is on the host";
    check(
        "cgroup",
        "Cgroup as seen",
        elsewhere.is_empty(),
        value,
        reason,
    )
}

fn limits_held(limits: Option<HeldLimits>) -> Finding {
    let finding = |value: &str| Finding::fine("limits", "Limits in force", value);
    let Some(limits) = limits else {
        return finding("none").concern(
            "no cgroup can be made here: nothing limits memory and processes",
            "see the finding on cgroups in `isobench doctor`",
        );
    };
    let version = match limits.version {
        Some(Version::V1) => "version 1",
        Some(Version::V2) => "version 2",
        None => "no version",
    };
    let memory = limits
        .memory
        .and_then(|text| text.parse().ok())
        .map_or_else(
            || "no limit of memory".to_owned(),
            |bytes| format!("{} of memory", ByteSize(bytes).display().iec()),
        );
    let pids = limits.pids.unwrap_or_else(|| "any number of".to_owned());
    finding(&format!("cgroup {version}: {memory}, {pids} threads"))
}

fn root(inside: &Sight) -> Finding {
    let root = inside
        .all("mount")
        .filter_map(|line| line.strip_prefix("/ "))
        .last();
    let value = match root.and_then(|line| line.split_once(' ')) {
        Some((kind, "rw")) => format!("{kind}, writable"),
        Some((kind, _)) => format!("{kind}, read-only"),
        None => "unknown".to_owned(),
    };
    Finding::fine("root", "Root file system", value)
}

fn mounts(inside: &Sight) -> Finding {
    let points = inside
        .all("mount")
        .filter_map(|line| line.split(' ').next());
    let (own, others): (Vec<_>, Vec<_>) = points.partition(|point| {
        *point == "/" || point.starts_with("/proc") || point.starts_with("/dev")
    });
    let value = if others.is_empty() {
        format!("{}: the root, of /proc and of /dev", own.len())
    } else {
        others.join(", ")
    };
    let reason = "these are mounts of the host";
    check("mounts", "Mounts", others.is_empty(), value, reason)
}

fn proc(inside: &Sight) -> Finding {
    let telling: Vec<_> = inside.all("tells").collect();
    let value = if telling.is_empty() {
        format!(
            "none of the {} paths that OCI runtimes cover is readable",
            TELLING.len()
        )
    } else {
        telling.join(", ")
    };
    let reason = "these paths tell of the host";
    check("proc", "/proc", telling.is_empty(), value, reason)
}

fn sys(inside: &Sight) -> Finding {
    let is_there = inside.all("exists").any(|path| path == "/sys");
    let value = if is_there { "there" } else { "not there" };
    check(
        "sys",
        "/sys",
        !is_there,
        value,
        "/sys tells of the host's devices",
    )
}

fn processes(inside: &Sight) -> Finding {
    let pids: Vec<_> = inside.all("process").collect();
    let value = format!("{} (PID 1 is the launcher's)", pids.join(", "));
    let is_good = pids == ["1", "2"];
    check(
        "processes",
        "Processes in sight",
        is_good,
        value,
        "the program sees processes of others",
    )
}

fn descriptors(inside: &Sight) -> Finding {
    let open: Vec<_> = inside.all("descriptor").collect();
    let is_good = open == ["0", "1", "2"];
    check(
        "descriptors",
        "Open descriptors",
        is_good,
        open.join(", "),
        "the program inherited some of them",
    )
}

fn host_name(inside: &Sight, host: &Sight) -> Finding {
    let name = inside.one("hostname").unwrap_or("unknown");
    let is_own = inside.one("namespace.uts") != host.one("namespace.uts");
    check(
        "host-name",
        "Host name",
        is_own,
        name,
        "the program shares the host's name",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::facts::Severity;

    fn concerns(findings: &[Finding]) -> Vec<&'static str> {
        let concerns = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Concern);
        concerns.map(|finding| finding.key).collect()
    }

    #[test]
    fn a_process_of_the_hosts_is_no_container() {
        let host = Sight::of_this_process();
        let found = concerns(&of(&host, &host, None));
        for key in ["namespaces", "limits", "processes", "host-name"] {
            assert!(found.contains(&key), "{key} is not in {found:?}");
        }
    }

    #[test]
    fn a_program_that_says_nothing_promises_nothing() {
        let host = Sight::of_this_process();
        let found = concerns(&of(&Sight::default(), &host, None));
        for key in [
            "namespaces",
            "user",
            "capabilities",
            "no-new-privileges",
            "seccomp",
            "processes",
        ] {
            assert!(found.contains(&key), "{key} is not in {found:?}");
        }
    }
}
