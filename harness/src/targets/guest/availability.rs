//! The kernel of Linux guests, as the targets need it that boot one.

use std::io;

use isobench_reports::model::Unavailable;

use crate::host::facts::{HostReport, Need};
use crate::targets::guest::kernel::{self, Kernel, KernelError};

#[derive(Debug)]
pub struct GuestKernel(Result<Kernel, KernelError>);

impl GuestKernel {
    /// Looks where `isobench kernel build` leaves one, or where `ISOBENCH_KERNEL` says.
    pub fn find() -> Self {
        Self(kernel::locate(None))
    }

    /// A kernel of a test's.
    #[cfg(test)]
    pub fn of(kernel: Kernel) -> Self {
        Self(Ok(kernel))
    }

    /// The kernel, for a command line.
    pub fn get(&self) -> io::Result<&Kernel> {
        let kernel = self.0.as_ref();
        kernel.map_err(|error| io::Error::other(error.to_string()))
    }

    /// Why no guest with it can run here, if so.
    pub fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        host.lacks(Need::Kvm)
            .or_else(|| host.lacks(Need::GuestKernel))
            .or_else(|| self.absent())
    }

    fn absent(&self) -> Option<Unavailable> {
        let reason = match self.0.as_ref().err()? {
            KernelError::Absent => "there is no kernel for the guest".to_owned(),
            other => other.to_string(),
        };
        Some(Unavailable {
            reason,
            fix: "build one with `isobench kernel build`, or set ISOBENCH_KERNEL to a vmlinux or bzImage"
                .to_owned(),
        })
    }

    /// How it was made, where that is known.
    pub fn version(&self) -> Option<String> {
        let record = self.0.as_ref().ok()?.record.as_ref()?;
        // As much of the hash as tells configurations apart.
        let hash = &record.configuration;
        let hash = hash.get(..12).unwrap_or(hash);
        let (version, source) = (&record.version, &record.source);
        let toolchain = &record.toolchain;
        Some(format!(
            "Linux {version}, {source}, configuration {hash}, {toolchain}"
        ))
    }
}
