//! The kernel of Linux guests, as the targets need it that boot one.

use isobench_reports::model::Unavailable;

use crate::host::facts::{HostReport, Need};
use crate::targets::guest::kernel::{self, Kernel, KernelError};

/// The command that builds a kernel for guests.
const BUILD: &str = "isobench kernel build";

/// A kernel for guests, or why there is none.
#[derive(Debug)]
pub struct GuestKernel(Result<Kernel, KernelError>);

impl GuestKernel {
    /// Looks where `isobench kernel build` leaves a kernel, or where `ISOBENCH_KERNEL` says.
    pub fn find() -> Self {
        Self(kernel::locate(None))
    }

    /// The kernel.
    pub fn get(&self) -> Result<&Kernel, Unavailable> {
        self.0.as_ref().map_err(absent)
    }

    /// Why no guest with this kernel can run on the host, if so.
    pub fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        host.lacks(Need::Kvm)
            .or_else(|| host.lacks(Need::GuestKernel))
            .or_else(|| self.get().err())
    }

    /// How the kernel was made, where that is known.
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

fn absent(error: &KernelError) -> Unavailable {
    let reason = match error {
        KernelError::Absent => "there is no kernel for the guest".to_owned(),
        other => other.to_string(),
    };
    Unavailable {
        reason,
        fix: format!("build one with `{BUILD}`, or set ISOBENCH_KERNEL to a vmlinux or bzImage"),
        command: Some(BUILD.to_owned()),
    }
}
