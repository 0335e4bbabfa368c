#![expect(unsafe_code, reason = "maps a file")]
//! Memory: reading pages that exist, and touching pages that do not exist yet.
//!
//! Where the program can choose, pages have 4 KiB. A kernel that hands out 2 MiB at once would make
//! one fault of 512, and would change how many address translations are missed.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use bytesize::ByteSize;
use memmap2::{Advice, Mmap, MmapMut};

use super::Work;
use crate::run::{PAGE, WorkloadError};

/// Bytes of memory: more than most processors' caches hold, and more than their TLBs reach.
const SIZE: usize = 64 << 20;
/// Bytes that one turn reads in order.
const BLOCK: usize = 1 << 20;
/// Bytes of a line of the caches.
const LINE: usize = 64;
/// Bytes of the file that are mapped.
const FILE_SIZE: usize = 32 << 20;
/// How often the file is mapped. All mappings are made before any is touched.
const MAPPINGS: usize = 32;
/// Bytes that Linux maps at the first touch of one of their pages, if the page cache has them
/// (`fault_around_bytes`).
const AROUND: usize = 16 * PAGE;

/// Memory of [`SIZE`] bytes, none of which is touched.
fn anonymous() -> Result<MmapMut, WorkloadError> {
    let memory = MmapMut::map_anon(SIZE);
    let memory = memory.map_err(|_| WorkloadError::Memory(ByteSize(SIZE as u64)))?;
    // A kernel without huge pages refuses this advice, which it does not need.
    let _ = memory.advise(Advice::NoHugePage);
    Ok(memory)
}

/// Reads block after block, and starts again after the last block.
pub(super) struct Read {
    memory: MmapMut,
    /// The number of the next block.
    block: usize,
}

impl Read {
    /// Fills the memory.
    pub(super) fn new() -> Result<Self, WorkloadError> {
        let mut memory = anonymous()?;
        memory.fill(1);
        Ok(Self { memory, block: 0 })
    }
}

impl Work for Read {
    fn run(&mut self, turns: u64) -> Result<(), WorkloadError> {
        for _ in 0..turns {
            let start = self.block * BLOCK;
            let (words, _) = self.memory[start..start + BLOCK].as_chunks();
            let sum = words.iter().fold(0, |sum, word| {
                u64::wrapping_add(sum, u64::from_ne_bytes(*word))
            });
            black_box(sum);
            self.block = (self.block + 1) % (SIZE / BLOCK);
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        BLOCK as u64
    }
}

/// Goes from line to line. Each line holds the number of the next line, and all lines are visited
/// before the first one comes again.
pub(super) struct Chase {
    memory: MmapMut,
    /// The number of the next line.
    line: usize,
}

impl Chase {
    /// Writes the number of the next line into each line.
    pub(super) fn new() -> Result<Self, WorkloadError> {
        let mut memory = anonymous()?;
        for (number, line) in memory.chunks_exact_mut(LINE).enumerate() {
            if let Some(word) = line.first_chunk_mut() {
                *word = next_line(number).to_ne_bytes();
            }
        }
        Ok(Self { memory, line: 0 })
    }
}

/// The number of the line after line `number`: a linear congruential generator whose period is the
/// number of lines (Hull and Dobell 1962: the increment is odd, and the multiplier is one more than
/// a multiple of four). The upper bits of its numbers, which choose the page, look random. So no
/// table is needed.
pub(super) const fn next_line(number: usize) -> usize {
    number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) % (SIZE / LINE)
}

impl Work for Chase {
    fn run(&mut self, turns: u64) -> Result<(), WorkloadError> {
        let (lines, _) = self.memory.as_chunks::<LINE>();
        let mut line = self.line;
        for _ in 0..turns {
            let word = lines[line].first_chunk();
            line = word.map_or(0, |word| usize::from_ne_bytes(*word));
        }
        self.line = black_box(line);
        Ok(())
    }
}

/// Writes to page after page, none of which was touched before.
pub(super) struct FirstTouch {
    memory: MmapMut,
    /// The number of the next page.
    page: usize,
}

impl FirstTouch {
    /// Reserves the memory.
    pub(super) fn new() -> Result<Self, WorkloadError> {
        let memory = anonymous()?;
        Ok(Self { memory, page: 0 })
    }
}

impl Work for FirstTouch {
    fn run(&mut self, turns: u64) -> Result<(), WorkloadError> {
        for _ in 0..turns {
            *black_box(&mut self.memory[self.page * PAGE]) = 1;
            self.page += 1;
        }
        Ok(())
    }

    fn most(&self) -> u64 {
        (SIZE / PAGE) as u64
    }
}

/// Reads from page after page of a mapped file. The page cache has the pages, and the program has
/// never touched them.
pub(super) struct FirstRead {
    mappings: Vec<Mmap>,
    /// How many reads have been done.
    touched: usize,
}

impl FirstRead {
    /// Reads the file `path` into the page cache, and maps it.
    pub(super) fn new(path: &Path) -> Result<Self, WorkloadError> {
        let failed = |operation| {
            move |source| WorkloadError::Disk {
                operation,
                path: path.to_owned(),
                offset: 0,
                source,
            }
        };
        let mut file = File::open(path).map_err(|source| WorkloadError::Open {
            path: path.to_owned(),
            direct: false,
            source,
        })?;
        let actual = file.seek(SeekFrom::End(0)).map_err(failed("seek"))?;
        let needed = FILE_SIZE as u64;
        if actual < needed {
            let path = path.to_owned();
            return Err(WorkloadError::TooShort {
                path,
                actual,
                needed,
            });
        }
        file.rewind().map_err(failed("seek"))?;
        io::copy(&mut (&file).take(needed), &mut io::sink()).map_err(failed("read"))?;
        let mappings = (0..MAPPINGS).map(|_| map(&file)).collect::<Result<_, _>>();
        Ok(Self {
            mappings: mappings.map_err(failed("mmap"))?,
            touched: 0,
        })
    }
}

fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the bytes are only read, and any value will do, so another process may change them.
    // The file was long enough a moment ago. If somebody cuts it short all the same, the kernel
    // ends this process by SIGBUS, and one sample fails.
    unsafe { memmap2::MmapOptions::new().len(FILE_SIZE).map(file) }
}

impl Work for FirstRead {
    fn run(&mut self, turns: u64) -> Result<(), WorkloadError> {
        const IN_ONE: usize = FILE_SIZE / AROUND;
        for _ in 0..turns {
            let mapping = &self.mappings[self.touched / IN_ONE];
            black_box(mapping[self.touched % IN_ONE * AROUND]);
            self.touched += 1;
        }
        Ok(())
    }

    fn most(&self) -> u64 {
        (MAPPINGS * FILE_SIZE / AROUND) as u64
    }
}
