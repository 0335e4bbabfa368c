//! The files below `/proc` and `/sys` (proc(5)), whose text is made when the program reads it.
//!
//! All of the text comes from what the personality knows of its guest: nothing is read from the
//! host's `/proc`.

mod descriptors;
mod maps;
mod nodes;
mod process;
mod system;

use std::time::Duration;

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use super::Personality;
use super::guest::{self, Buffer};
use super::proc_files::ProcFile;
use crate::bare::ProgramParts;
use crate::bare::address_space::{Access, AddressSpace};
use crate::devices::host_io;

/// The ticks of a second in which `/proc` tells times (`USER_HZ`).
const TICKS: u128 = 100;

/// What `/proc` shows beside the rest of the personality.
#[derive(Debug)]
pub(super) struct State {
    pub parts: ProgramParts,
    /// The uptime at the program's start.
    started: Duration,
    /// The file that the program reads at the moment, and its text.
    text: Option<(ProcFile, Vec<u8>)>,
}

impl State {
    pub fn new() -> Self {
        Self {
            parts: ProgramParts::default(),
            started: uptime(),
            text: None,
        }
    }
}

/// The time since the host's start, which is the guest's as well (`sysinfo`).
fn uptime() -> Duration {
    time_of(ClockId::CLOCK_BOOTTIME)
}

/// The processor time that the program has used.
fn processor_time() -> Duration {
    time_of(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// A clock of the host's, which has these two on every Linux.
fn time_of(clock: ClockId) -> Duration {
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

fn ticks(time: Duration) -> u128 {
    time.as_nanos() * TICKS / 1_000_000_000
}

impl Personality {
    /// Reads a file from `offset` on. The text is made anew at each read from the start, and stays
    /// the same while the program goes on to read that file.
    pub(super) fn read_proc(
        &mut self,
        memory: &AddressSpace,
        file: ProcFile,
        buffers: &[Buffer],
        offset: u64,
    ) -> Result<usize, Errno> {
        let kept = self.proc.text.take();
        let text = match kept {
            Some((of, text)) if of == file && offset > 0 => text,
            _ => self.text_of(file, memory),
        };
        let start = usize::try_from(offset).map_or(text.len(), |offset| offset.min(text.len()));
        let left = &text[start..];
        let count = if left.is_empty() {
            Ok(0)
        } else {
            guest::slices(memory, buffers, Access::Write, left.len() as u64)
                .map(|into| host_io::copy_from(left, &into))
        };
        self.proc.text = Some((file, text));
        count
    }

    fn text_of(&self, file: ProcFile, memory: &AddressSpace) -> Vec<u8> {
        match file {
            ProcFile::Process(file) => self.process_text(file, memory),
            ProcFile::System(file) => self.system_text(file, memory).into_bytes(),
        }
    }
}
