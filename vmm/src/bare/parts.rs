//! Where the parts of a loaded program lie in its memory: what Linux keeps in its `mm_struct`, and
//! tells by `/proc/self`.

use std::ops::Range;

/// The addresses of a program's parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramParts {
    /// The pages that show the program's file, in the order in which they were mapped.
    pub file_pages: Vec<FilePages>,
    /// From the first to the last byte of code.
    pub code: Range<u64>,
    /// From the first to the last byte of data that come from the file.
    pub data: Range<u64>,
    /// The stack's pages.
    pub stack: Range<u64>,
    /// The stack pointer at the program's start.
    pub stack_pointer: u64,
    /// The arguments, each with its NUL.
    pub arguments: Range<u64>,
    /// The environment, each variable with its NUL.
    pub environment: Range<u64>,
    /// The auxiliary vector.
    pub auxiliary: Range<u64>,
    /// The page with the vDSO's code.
    pub vdso: Range<u64>,
    /// The page with the vDSO's numbers.
    pub clock_page: Range<u64>,
}

/// Pages that show a part of the program's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePages {
    /// The pages' addresses.
    pub pages: Range<u64>,
    /// The offset in the file of the first page, in bytes.
    pub offset: u64,
}
