//! Whether a target can boot a Linux guest on this host, and with which kernel.

use isobench_reports::model::Unavailable;

use super::kernel::{self, Architecture, BuildRecord, Kernel, KernelError};
use crate::host::facts::{HostReport, Need};

/// The letters of a configuration's hash that are shown. So many are enough to tell configurations
/// apart.
const HASH_LETTERS: usize = 12;

/// The kernel for guests, or why there is none.
#[derive(Debug)]
pub struct GuestKernel {
    architecture: Architecture,
    found: Result<Kernel, KernelError>,
}

impl GuestKernel {
    /// Finds the kernel that `isobench kernel build` has made, or that the user has named.
    pub fn find(architecture: Architecture) -> Self {
        Self {
            architecture,
            found: kernel::locate(architecture),
        }
    }

    /// The kernel.
    pub fn get(&self) -> Result<&Kernel, Unavailable> {
        self.found.as_ref().map_err(|error| self.explain(error))
    }

    /// Why no guest with this kernel can run on the host; `None` if a guest can run.
    pub fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        let lacks = match self.architecture {
            Architecture::X86_64 => host
                .lacks(Need::Kvm)
                .or_else(|| host.lacks(Need::GuestKernel)),
            Architecture::Um => host.lacks(Need::UserNamespaces),
        };
        lacks.or_else(|| self.get().err())
    }

    /// The kernel's version and how the kernel was built; `None` if that is unknown.
    pub fn version(&self) -> Option<String> {
        let record = self.found.as_ref().ok()?.record.as_ref()?;
        Some(version(record))
    }

    fn explain(&self, error: &KernelError) -> Unavailable {
        let reason = match error {
            KernelError::Absent(_) => "there is no kernel for the guest".to_owned(),
            other => other.to_string(),
        };
        let build = self.architecture.build_command();
        let variable = self.architecture.variable();
        let fix = match self.architecture {
            Architecture::X86_64 => {
                format!("build a kernel with `{build}`, or set {variable} to a vmlinux or bzImage")
            }
            Architecture::Um => format!(
                "build a kernel with `{build}`, which takes minutes and no root; or install Debian's \
                 package user-mode-linux"
            ),
        };
        Unavailable {
            reason,
            fix,
            command: Some(build.to_owned()),
        }
    }
}

/// The version of a built kernel, or of a distribution's.
fn version(record: &BuildRecord) -> String {
    let BuildRecord {
        version,
        source,
        configuration,
        toolchain,
    } = record;
    if configuration.is_empty() {
        return format!("Linux {version} of {source}");
    }
    let hash = configuration.get(..HASH_LETTERS).unwrap_or(configuration);
    format!("Linux {version}, {source}, configuration {hash}, {toolchain}")
}
