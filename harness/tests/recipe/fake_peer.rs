//! The peer of `CONTRIBUTING.md`'s recipe: coreutils' `env`, which starts a program and isolates
//! nothing.

use std::io;
use std::path::{Path, PathBuf};

use isobench::host::facts::HostReport;
use isobench::instance::command_line::CommandLine;
use isobench::targets::{
    Availability, Launch, PrepareContext, PrepareError, Prepared, Target, TargetInfo,
};
use isobench_reports::model::{TargetFamily, Unavailable};

/// The target `env`.
#[derive(Debug)]
pub struct Env(TargetInfo);

impl Env {
    pub fn new() -> Self {
        Self(TargetInfo {
            differences: &["no isolation at all"],
            ..TargetInfo::peer(
                TargetFamily::Process,
                "env",
                "coreutils' env, and nothing else.",
            )
        })
    }
}

impl Target for Env {
    fn info(&self) -> &TargetInfo {
        &self.0
    }

    fn availability(&self, _: &HostReport) -> Availability {
        Availability::built_in((!Path::new("/usr/bin/env").exists()).then(|| Unavailable {
            reason: "env is not installed".to_owned(),
            fix: "install Debian's package `coreutils`".to_owned(),
            command: None,
        }))
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        context.program(self.0.name)?;
        Ok(Box::new(Started(PathBuf::from("/usr/bin/env"))))
    }
}

/// Starts programs by `env` at this path.
#[derive(Debug)]
struct Started(PathBuf);

impl Prepared for Started {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        Ok(CommandLine::new(&self.0)
            .args([launch.program])
            .args(&launch.arguments))
    }
}
