//! Where the parts of a loaded program lie in its memory: what Linux keeps in its `mm_struct`, and
//! tells by `/proc/self`.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::layout::{MOST_STACK, USER_HALF_END};

/// The addresses of a program's parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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

impl ProgramParts {
    /// Whether each part has its start before its end, and none is larger than all of a stack.
    pub(crate) fn are_ranges(&self) -> bool {
        let files = self.file_pages.iter().map(|pages| &pages.pages);
        let large = [&self.code, &self.data].into_iter().chain(files);
        let small = [
            &self.stack,
            &self.arguments,
            &self.environment,
            &self.auxiliary,
            &self.vdso,
            &self.clock_page,
        ];
        let are_small = small
            .iter()
            .all(|range| range.end.saturating_sub(range.start) <= MOST_STACK);
        let all = large.chain(small);
        are_small
            && all
                .into_iter()
                .all(|range| range.start <= range.end && range.end <= USER_HALF_END)
    }
}

/// Pages that show a part of the program's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePages {
    /// The pages' addresses.
    pub pages: Range<u64>,
    /// The offset in the file of the first page, in bytes.
    pub offset: u64,
}
