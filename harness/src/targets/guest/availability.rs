//! Whether a target can boot a Linux guest on this host, and with which kernel.

use isobench_reports::model::Unavailable;

use crate::host::facts::{HostReport, Need};
use crate::targets::guest::kernel::{self, Kernel, KernelError};

/// The command that builds a kernel for guests.
const BUILD: &str = "isobench kernel build";

/// The kernel for guests, or why there is none.
#[derive(Debug)]
pub struct GuestKernel(Result<Kernel, KernelError>);

impl GuestKernel {
    /// Finds the kernel that `isobench kernel build` has made, or that `ISOBENCH_KERNEL` names.
    pub fn find() -> Self {
        Self(kernel::locate(None))
    }

    /// The kernel.
    pub fn get(&self) -> Result<&Kernel, Unavailable> {
        self.0.as_ref().map_err(to_unavailable)
    }

    /// Why no guest with this kernel can run on the host; `None` if a guest can run.
    pub fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        host.lacks(Need::Kvm)
            .or_else(|| host.lacks(Need::GuestKernel))
            .or_else(|| self.get().err())
    }

    /// The kernel's version and how the kernel was built; `None` if that is unknown.
    pub fn version(&self) -> Option<String> {
        let record = self.0.as_ref().ok()?.record.as_ref()?;
        // 12 letters are enough to tell configurations apart.
        let hash = &record.configuration;
        let hash = hash.get(..12).unwrap_or(hash);
        let (version, source) = (&record.version, &record.source);
        let toolchain = &record.toolchain;
        Some(format!(
            "Linux {version}, {source}, configuration {hash}, {toolchain}"
        ))
    }
}

fn to_unavailable(error: &KernelError) -> Unavailable {
    let reason = match error {
        KernelError::Absent => "there is no kernel for the guest".to_owned(),
        other => other.to_string(),
    };
    Unavailable {
        reason,
        fix: format!(
            "build a kernel with `{BUILD}`, or set ISOBENCH_KERNEL to a vmlinux or bzImage"
        ),
        command: Some(BUILD.to_owned()),
    }
}
