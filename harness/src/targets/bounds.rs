//! What a user of `isobench exec` limits besides memory, and the cgroup controllers that it takes.

use std::ffi::OsString;
use std::num::NonZeroU32;

use clap::Args;
use isobench_container::cgroup::{Controller, Cpus, Hierarchies, IoRate, Unusable};

/// Limits on an instance, and whether its use is told.
#[derive(Debug, Clone, Default, Args)]
pub struct Bounds {
    /// Processes and threads that the container may have, PID 1 included
    #[arg(long, value_name = "N")]
    pub pids: Option<NonZeroU32>,
    /// Processors' worth of time that the program may use, such as 0.5
    #[arg(long, value_name = "N")]
    pub cpus: Option<Cpus>,
    /// Bytes a second that may be read from the device behind PATH; may be repeated
    #[arg(long, value_name = "PATH:RATE")]
    pub io_read_bps: Vec<IoRate>,
    /// Bytes a second that may be written to the device behind PATH; may be repeated
    #[arg(long, value_name = "PATH:RATE")]
    pub io_write_bps: Vec<IoRate>,
    /// Say on standard error, at the end, what the cgroups have counted
    #[arg(long)]
    pub usage: bool,
}

impl Bounds {
    /// The first option that was given, if any was.
    pub fn given(&self) -> Option<&'static str> {
        let given = self.limits().into_iter().find(|(_, given, _)| *given);
        let usage = self.usage.then_some("--usage");
        given.map(|(option, _, _)| option).or(usage)
    }

    /// The controllers to look for: those of a run, and what the options take besides.
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

    /// Checks that `hierarchies` can hold every limit.
    ///
    /// # Errors
    /// The option, and why its controller can't be used.
    pub fn check(&self, hierarchies: &Hierarchies) -> Result<(), (&'static str, Unusable)> {
        let limited = self.limits().into_iter().filter(|(_, given, _)| *given);
        for (option, _, controller) in limited {
            hierarchies
                .of(controller)
                .map_err(|reason| (option, reason))?;
        }
        Ok(())
    }

    /// The options of `isobench-container` that say the same.
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

    /// Each limit's option, whether it was given, and its controller.
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
    fn only_what_is_asked_for_takes_a_controller() {
        let none = Bounds::default();
        assert_eq!(none.given(), None);
        assert_eq!(none.controllers(), [Controller::Memory, Controller::Pids]);
        assert!(none.launcher_options().is_empty());
        let some = Bounds {
            cpus: "0.5".parse().ok(),
            io_write_bps: vec!["/dev/sda:1MiB".parse().unwrap()],
            ..Bounds::default()
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
