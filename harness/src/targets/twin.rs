//! The bare process a second time, as if it were another target. Any difference between the two is
//! an error of the measurement.

use isobench_container::Network;
use isobench_reports::model::TargetKind;

use super::process;
use super::{Availability, PrepareContext, PrepareError, Prepared, Target, TargetInfo};
use crate::host::facts::HostReport;

/// The target `process-twin`.
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

    fn availability(&self, _: &HostReport) -> Availability {
        Availability::default()
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        process::prepare(context)
    }
}
