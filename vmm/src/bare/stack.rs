#![expect(unsafe_code, reason = "getauxval(3) has no safe wrapper")]
//! A program's first stack frame: its arguments, environment and auxiliary vector (System V ABI for
//! x86-64, 3.4.1; getauxval(3)).

use std::ffi::CString;
use std::ops::Range;

use super::program::Image;
use crate::memory::PAGE;

/// What a program gets at its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    /// The program's path inside the guest (`AT_EXECFN`).
    pub path: CString,
    /// The program's arguments. The first is its name.
    pub arguments: Vec<CString>,
    /// The program's environment, `KEY=VALUE` each.
    pub environment: Vec<CString>,
    /// The host processor's features, as Linux passes them (`AT_HWCAP`).
    pub features: u64,
}

impl Start {
    /// The host's own `AT_HWCAP`.
    pub fn host_features() -> u64 {
        // SAFETY: the call reads a word that the kernel gave to this process at its start.
        unsafe { libc::getauxval(libc::AT_HWCAP) }
    }
}

/// The bytes at the end of the stack.
#[derive(Debug)]
pub(super) struct FirstFrame {
    /// The stack pointer.
    pub pointer: u64,
    /// The bytes from the stack pointer to the end of the stack.
    pub bytes: Vec<u8>,
    /// The addresses of the argument strings.
    pub arguments: Range<u64>,
    /// The addresses of the environment strings.
    pub environment: Range<u64>,
    /// The addresses of the auxiliary vector.
    pub auxiliary: Range<u64>,
}

/// Builds the frame of a stack that ends at `stack_end`. The vDSO lies at `clocks`.
///
/// The arguments and then the environment lie in order and without a gap, as Linux has them:
/// programs that change their name write over both.
pub(super) fn first_frame(
    start: &Start,
    image: &Image,
    random: [u8; 16],
    stack_end: u64,
    clocks: u64,
) -> FirstFrame {
    let mut data = Data::ending_at(stack_end);
    let path = data.push(start.path.as_bytes_with_nul());
    let platform = data.push(b"x86_64\0");
    let random = data.push(&random);
    let environment_end = data.bottom();
    let environment = data.push_all(&start.environment);
    let arguments_end = data.bottom();
    let arguments = data.push_all(&start.arguments);
    let strings = data.bottom();
    let mut words = vec![arguments.len() as u64];
    words.extend(arguments);
    words.push(0);
    words.extend(environment);
    words.push(0);
    let before_auxiliary = words.len() as u64 * 8;
    for (kind, value) in auxiliary(image, start.features, path, platform, random, clocks) {
        words.extend([kind, value]);
    }
    // The stack pointer must be a multiple of 16.
    let words_length = words.len() as u64 * 8;
    let pointer = (strings - words_length) & !15;
    let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
    let gap = strings - pointer - words_length;
    bytes.extend(std::iter::repeat_n(
        0,
        usize::try_from(gap).expect("less than 16"),
    ));
    bytes.extend(data.into_bytes());
    FirstFrame {
        pointer,
        bytes,
        arguments: strings..arguments_end,
        environment: arguments_end..environment_end,
        auxiliary: pointer + before_auxiliary..pointer + words_length,
    }
}

/// Bytes that are put together from their end.
struct Data {
    end: u64,
    /// The pieces, of which each lies below the one before.
    pieces: Vec<Vec<u8>>,
    length: u64,
}

impl Data {
    const fn ending_at(end: u64) -> Self {
        Self {
            end,
            pieces: Vec::new(),
            length: 0,
        }
    }

    const fn bottom(&self) -> u64 {
        self.end - self.length
    }

    fn push(&mut self, bytes: &[u8]) -> u64 {
        self.length += bytes.len() as u64;
        self.pieces.push(bytes.to_vec());
        self.bottom()
    }

    /// Adds strings, of which the first lies lowest, and returns their addresses.
    fn push_all(&mut self, strings: &[CString]) -> Vec<u64> {
        let mut addresses: Vec<u64> = strings
            .iter()
            .rev()
            .map(|string| self.push(string.as_bytes_with_nul()))
            .collect();
        addresses.reverse();
        addresses
    }

    fn into_bytes(self) -> Vec<u8> {
        self.pieces.into_iter().rev().flatten().collect()
    }
}

fn auxiliary(
    image: &Image,
    features: u64,
    path: u64,
    platform: u64,
    random: u64,
    clocks: u64,
) -> [(u64, u64); 19] {
    [
        (libc::AT_HWCAP, features),
        (libc::AT_PAGESZ, PAGE),
        (libc::AT_CLKTCK, 100),
        (libc::AT_PHDR, image.headers),
        (libc::AT_PHENT, 56),
        (libc::AT_PHNUM, u64::from(image.header_count)),
        (libc::AT_BASE, 0),
        (libc::AT_FLAGS, 0),
        (libc::AT_ENTRY, image.entry),
        (libc::AT_UID, 0),
        (libc::AT_EUID, 0),
        (libc::AT_GID, 0),
        (libc::AT_EGID, 0),
        (libc::AT_SECURE, 0),
        (libc::AT_RANDOM, random),
        (libc::AT_EXECFN, path),
        (libc::AT_PLATFORM, platform),
        (libc::AT_SYSINFO_EHDR, clocks),
        (libc::AT_NULL, 0),
    ]
}
