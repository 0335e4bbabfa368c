//! What older results files of this schema leave out: the family of a target, the command that
//! would bring a missing one, and the family and the sign of a metric. Each is filled in here from
//! the names and the words that isobench has always used.

use crate::model::{Metric, MetricFamily, Run, Sign, TargetFamily, Unit};
use crate::schema;

/// Fills in what the file leaves out.
pub fn fill_in(run: &mut Run) {
    for target in &mut run.targets {
        if target.family == TargetFamily::Other {
            target.family = family_of_target(&target.name);
        }
        if let Some(unavailable) = &mut target.unavailable
            && unavailable.command.is_none()
        {
            unavailable.command = command_of(&unavailable.fix);
        }
    }
    for experiment in &mut run.experiments {
        for metric in &mut experiment.metrics {
            if metric.family == MetricFamily::Other {
                fill_in_metric(&experiment.name, metric);
            }
        }
    }
}

fn fill_in_metric(experiment: &str, metric: &mut Metric) {
    if let Some(known) = schema::find(experiment, &metric.name) {
        (metric.family, metric.sign) = (known.family, known.sign);
    } else if metric.unit == Unit::Bytes {
        // In older files, sizes are always differences.
        metric.sign = Sign::Any;
    }
}

/// The command that does what `fix` says.
fn command_of(fix: &str) -> Option<String> {
    const INSTALL: &str = "install Debian's package `";
    const BUILD: &str = "isobench kernel build";
    let package = fix
        .strip_prefix(INSTALL)
        .and_then(|rest| rest.strip_suffix('`'));
    let command = if package.is_some_and(|name| !name.contains('`')) {
        "scripts/install-peers"
    } else if fix.contains(BUILD) {
        BUILD
    } else {
        return None;
    };
    Some(command.to_owned())
}

/// The family of a target, by its name.
fn family_of_target(name: &str) -> TargetFamily {
    match name {
        "process" | "process-twin" => TargetFamily::Process,
        "container" | "unshare" | "bwrap" | "crun" | "lxc" | "runc" | "youki"
        | "systemd-nspawn" | "podman" | "containerd" | "docker" => TargetFamily::Container,
        "runsc" => TargetFamily::UserSpaceKernel,
        "qemu-pc" => TargetFamily::TraditionalVm,
        "microvm-bare" | "microvm-linux" | "firecracker" | "cloud-hypervisor" | "qemu-microvm" => {
            TargetFamily::MicroVm
        }
        _ => TargetFamily::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use crate::export::json::{parse, render};
    use crate::fixture;
    use crate::model::{MetricFamily, Run, Sign, TargetFamily, Unit};

    /// The run as a file that was written before there were families and signs.
    fn older(run: &Run) -> Value {
        let mut file: Value = serde_json::from_slice(&render(run).unwrap()).unwrap();
        let remove = |value: &mut Value| {
            let fields = value.as_object_mut().unwrap();
            fields.remove("family");
            fields.remove("sign");
        };
        file["targets"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(remove);
        for experiment in file["experiments"].as_array_mut().unwrap() {
            experiment["metrics"]
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .for_each(remove);
        }
        file
    }

    fn read(file: &Value) -> Run {
        parse(file.to_string().as_bytes(), Path::new("r.json")).unwrap()
    }

    #[test]
    fn an_older_file_gets_the_families_and_signs_of_known_names() {
        let mut run = fixture::with_prices();
        fixture::add_density(&mut run);
        fixture::add_image(&mut run);
        fixture::add_isolation(&mut run);
        assert_eq!(read(&older(&run)), run);
    }

    #[test]
    fn a_missing_target_gets_the_command_that_would_bring_it() {
        let command = |fix: &str| {
            let mut run = fixture::run();
            run.targets[3].unavailable.as_mut().unwrap().fix = fix.to_owned();
            let target = read(&older(&run)).targets.swap_remove(3);
            target.unavailable.unwrap().command
        };
        let install = "install Debian's package `crun`";
        assert_eq!(command(install).as_deref(), Some("scripts/install-peers"));
        let build = "build one with `isobench kernel build`, or set ISOBENCH_KERNEL";
        assert_eq!(command(build).as_deref(), Some("isobench kernel build"));
        let others = "install Debian's package `libseccomp-dev`, then: cargo install youki";
        assert_eq!(command(others), None);
    }

    #[test]
    fn an_undeclared_metric_stays_readable() {
        let mut file = older(&fixture::run());
        let metric = &mut file["experiments"][0]["metrics"][0];
        metric["name"] = Value::from("colour");
        for sample in file["samples"].as_array_mut().unwrap() {
            if sample["metric"] == "ready" {
                sample["metric"] = Value::from("colour");
            }
        }
        let metric = &read(&file).experiments[0].metrics[0];
        assert_eq!(metric.family, MetricFamily::Other);
        assert_eq!(metric.sign, Sign::NonNegative);
    }

    #[test]
    fn undeclared_bytes_may_be_below_zero() {
        let run = read(&older(&fixture::run()));
        let metric = &run.experiments[1].metrics[0];
        assert_eq!(
            (metric.name.as_str(), metric.unit),
            ("overhead", Unit::Bytes)
        );
        assert_eq!(metric.sign, Sign::Any);
    }

    #[test]
    fn what_the_file_says_is_kept() {
        let mut run = fixture::run();
        run.targets[1].family = TargetFamily::UserSpaceKernel;
        run.experiments[0].metrics[0].family = MetricFamily::EndTime;
        let read = read(&serde_json::to_value(&run).unwrap());
        assert_eq!(read.targets[1].family, TargetFamily::UserSpaceKernel);
        assert_eq!(read.experiments[0].metrics[0].family, MetricFamily::EndTime);
    }

    #[test]
    fn an_unknown_family_is_read_as_other() {
        let mut file = serde_json::to_value(fixture::run()).unwrap();
        file["targets"][4]["family"] = Value::from("unikernel");
        assert_eq!(read(&file).targets[4].family, TargetFamily::Other);
    }
}
