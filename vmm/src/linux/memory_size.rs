//! The size of a guest's memory: what a guest with a Linux kernel can have, in a virtual machine or
//! without one.

use bytesize::ByteSize;

use crate::memory::PAGE;

/// The least memory in which a kernel, its tables and a program fit.
const LEAST_MEMORY: ByteSize = ByteSize::mib(16);

/// No guest can have this much memory on this host.
#[derive(Debug, thiserror::Error)]
pub enum MemorySizeError {
    /// The memory is too small for a guest kernel, or not in whole pages.
    #[error(
        "guest memory of {0} is not at least {LEAST_MEMORY} in whole 4 KiB pages, which a guest kernel needs"
    )]
    TooSmall(ByteSize),
    /// The host itself has less memory.
    #[error("guest memory of {size} is more than this host's {host}: ask for less")]
    MoreThanHost {
        /// The size asked for.
        size: ByteSize,
        /// The memory that the host has.
        host: ByteSize,
    },
}

/// Checks that a guest can have this much memory on this host.
///
/// # Errors
/// See [`MemorySizeError`].
pub fn check_memory_size(size: ByteSize) -> Result<(), MemorySizeError> {
    let host = nix::sys::sysinfo::sysinfo().map_or(u64::MAX, |host| host.ram_total());
    if size < LEAST_MEMORY || !size.as_u64().is_multiple_of(PAGE) {
        return Err(MemorySizeError::TooSmall(size));
    }
    if size.as_u64() > host {
        return Err(MemorySizeError::MoreThanHost {
            size,
            host: ByteSize(host),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_cannot_be_is_refused_with_its_size() {
        let refused = |size| check_memory_size(size).unwrap_err().to_string();
        assert!(refused(ByteSize::mib(1)).contains("1.0 MiB"));
        assert!(refused(ByteSize(LEAST_MEMORY.as_u64() + 1)).contains("4 KiB pages"));
        assert!(refused(ByteSize::tib(900)).contains("more than this host"));
        check_memory_size(LEAST_MEMORY).unwrap();
    }
}
