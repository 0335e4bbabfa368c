//! The bare process entered twice, as if it were another target: whatever differs between the two
//! is the suite's own error.

use isobench_container::Network;
use isobench_reports::model::TargetKind;

use super::process::{self, BareProcess};
use super::{PrepareError, Prepared, Presence, Setup, Target, TargetInfo};
use crate::host::facts::HostReport;

/// The bare process as `process-twin`.
#[derive(Debug)]
pub struct Twin {
    info: TargetInfo,
}

impl Twin {
    pub fn new() -> Self {
        let description = "The bare process once more, under another name: any difference is an \
                           error of the measurement.";
        Self {
            info: TargetInfo {
                networks: &[Network::None],
                ..process::info(TargetKind::Peer, "process-twin", description)
            },
        }
    }
}

impl Target for Twin {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn presence(&self, _: &HostReport) -> Presence {
        Presence::default()
    }

    fn prepare(&self, setup: &Setup) -> Result<Box<dyn Prepared>, PrepareError> {
        setup.program(self.info.name)?;
        Ok(Box::new(BareProcess))
    }
}
