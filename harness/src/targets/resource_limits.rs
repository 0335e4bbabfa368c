//! The limits that a user of `isobench exec` can set besides memory, and the cgroup controllers
//! that the limits need.

use std::ffi::OsString;
use std::num::NonZeroU32;

use clap::Args;
use isobench_container::cgroup::{Controller, Cpus, Hierarchies, IoRate, Unusable};

/// Limits on an instance, and whether the launcher prints what the instance used.
#[derive(Debug, Clone, Default, Args)]
pub struct ResourceLimits {
    /// Number of processes and threads that the container may have, PID 1 included
    #[arg(long, value_name = "N")]
    pub pids: Option<NonZeroU32>,
    /// Processor time that the program may use, in processors, such as 0.5
    #[arg(long, value_name = "N")]
    pub cpus: Option<Cpus>,
    /// Bytes a second that the program may read from the device of PATH, such as /dev/sda:10M; may be
    /// repeated
    #[arg(long, value_name = "PATH:RATE")]
    pub io_read_bps: Vec<IoRate>,
    /// Bytes a second that the program may write to the device of PATH; may be repeated
    #[arg(long, value_name = "PATH:RATE")]
    pub io_write_bps: Vec<IoRate>,
    /// Print at the end, on standard error, what the program used
    #[arg(long)]
    pub usage: bool,
}

impl ResourceLimits {
    /// The first option that the user gave; `None` without options.
    pub fn given(&self) -> Option<&'static str> {
        let given = self.limits().into_iter().find(|(_, given, _)| *given);
        let usage = self.usage.then_some("--usage");
        given.map(|(option, _, _)| option).or(usage)
    }

    /// The controllers to look for: those that every run needs, and those that the options need.
    pub fn controllers(&self) -> Vec<Controller> {
        let limited = self.limits().into_iter().filter(|(_, given, _)| *given);
        let mut wanted = vec![Controller::Memory, Controller::Pids];
        wanted.extend(limited.map(|(_, _, controller)| controller));
        if self.usage {
            wanted.extend(Controller::ALL);
        }
        let all = Controller::ALL.iter().copied();
        all.filter(|controller| wanted.contains(controller))
            .collect()
    }

    /// Checks that every limit can be set in `hierarchies`.
    ///
    /// # Errors
    /// The first option whose controller can't be used, and the reason.
    pub fn check(&self, hierarchies: &Hierarchies) -> Result<(), (&'static str, Unusable)> {
        let limited = self.limits().into_iter().filter(|(_, given, _)| *given);
        for (option, _, controller) in limited {
            hierarchies
                .of(controller)
                .map_err(|reason| (option, reason))?;
        }
        Ok(())
    }

    /// The limits as options of `isobench-container`.
    pub fn launcher_options(&self) -> Vec<OsString> {
        let mut options: Vec<OsString> = Vec::new();
        let mut push = |option: &str, value: OsString| options.extend([option.into(), value]);
        if let Some(pids) = self.pids {
            push("--pids", pids.to_string().into());
        }
        if let Some(cpus) = self.cpus {
            push("--cpus", cpus.to_string().into());
        }
        for (option, rates) in [
            ("--io-read-bps", &self.io_read_bps),
            ("--io-write-bps", &self.io_write_bps),
        ] {
            for rate in rates {
                push(option, rate.to_argument());
            }
        }
        if self.usage {
            options.push("--usage".into());
        }
        options
    }

    /// The option of each limit, whether the user gave the option, and the limit's controller.
    fn limits(&self) -> [(&'static str, bool, Controller); 4] {
        [
            ("--pids", self.pids.is_some(), Controller::Pids),
            ("--cpus", self.cpus.is_some(), Controller::Cpu),
            (
                "--io-read-bps",
                !self.io_read_bps.is_empty(),
                Controller::Io,
            ),
            (
                "--io-write-bps",
                !self.io_write_bps.is_empty(),
                Controller::Io,
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_given_option_needs_its_controller() {
        let none = ResourceLimits::default();
        assert_eq!(none.given(), None);
        assert_eq!(none.controllers(), [Controller::Memory, Controller::Pids]);
        assert!(none.launcher_options().is_empty());
        let some = ResourceLimits {
            cpus: "0.5".parse().ok(),
            io_write_bps: vec!["/dev/sda:1MiB".parse().unwrap()],
            ..ResourceLimits::default()
        };
        assert_eq!(some.given(), Some("--cpus"));
        assert_eq!(
            some.controllers(),
            [
                Controller::Memory,
                Controller::Pids,
                Controller::Cpu,
                Controller::Io
            ]
        );
        let options = ["--cpus", "0.5", "--io-write-bps", "/dev/sda:1048576B"];
        assert_eq!(some.launcher_options(), options);
    }
}
