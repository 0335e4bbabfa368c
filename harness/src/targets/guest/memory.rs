//! The size of guest memory for an image, whose files all are in the guest's first file system.

use bytesize::ByteSize;
use isobench_vmm::linux::initramfs::Initramfs;
use isobench_vmm::linux::layout::DEVICE_HOLE;

/// No guest memory can hold an image, or the memory asked for can't.
#[derive(Debug, thiserror::Error)]
pub enum GuestMemoryError {
    /// The archive would reach into the addresses of devices.
    #[error(
        "the image's files take {size}, but a guest's first file system must be smaller than {most}"
    )]
    ImageTooLarge {
        /// The size of the archive.
        size: ByteSize,
        /// The first size that is too large.
        most: ByteSize,
    },
    /// The memory that was asked for is too small.
    #[error(
        "guest memory of {asked} is too small for the image: while the guest starts, memory holds \
         the image's files twice; use at least --memory {}MiB",
        .least.as_u64() >> 20
    )]
    TooSmall {
        /// The memory that was asked for.
        asked: ByteSize,
        /// The least memory for the image.
        least: ByteSize,
    },
}

/// The size of guest memory: `asked` if it is large enough for `files`; without it, a size that
/// leaves programs room as well.
///
/// # Errors
/// [`GuestMemoryError`]
pub fn for_image(files: &Initramfs, asked: Option<ByteSize>) -> Result<ByteSize, GuestMemoryError> {
    let most = ByteSize(DEVICE_HOLE.start);
    let size = ByteSize(files.size());
    if size >= most {
        return Err(GuestMemoryError::ImageTooLarge { size, most });
    }
    let least = files.least_memory();
    match asked {
        None => Ok(files.ample_memory()),
        Some(asked) if asked < least => Err(GuestMemoryError::TooSmall { asked, least }),
        Some(asked) => Ok(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_memory_is_refused_with_the_least_that_will_do() {
        let files = Initramfs::default();
        let least = files.least_memory();
        assert!(for_image(&files, None).unwrap() > least);
        assert_eq!(for_image(&files, Some(least)).unwrap(), least);
        let error = for_image(&files, Some(ByteSize(least.as_u64() - 1))).unwrap_err();
        let advice = format!("use at least --memory {}MiB", least.as_u64() >> 20);
        assert!(error.to_string().ends_with(&advice), "{error}");
    }
}
