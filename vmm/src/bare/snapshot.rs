//! A snapshot: a file that holds a program which was stopped where it first asks for input.
//!
//! | from | to | what |
//! |---|---|---|
//! | 0 | the end of its line | [`MAGIC`], the version, and the length of what follows |
//! | there | that length | the state: JSON |
//! | the next whole page | one page | the floating-point and vector registers, in XSAVE's layout |
//! | there | the end | the contents of the pages, in the state's order |
//!
//! The restoring VMM maps the pages' contents copy-on-write, so what nobody changes is never copied,
//! and clones of one snapshot share the page cache. The file is not trusted: its numbers are checked
//! as a program's are, and page tables are made anew ([`super::address_space::SavedSpace`]).

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::address_space::{AddressSpace, PAGE_LENGTH, SavedSpace, SavedSpaceError};
use super::paused::{Paused, SavedRegisters};
use super::syscalls::{NotSaved, Personality, SavedPersonality};
use crate::kvm::{KvmError, KvmKind, extended_state, features};
use crate::memory::PAGE;

/// The first words of the file.
const MAGIC: &str = "isobench bare snapshot";
/// The version of the format and of all that the state means.
const VERSION: &str = concat!("1/", env!("CARGO_PKG_VERSION"));
/// The longest first line, in bytes.
const LONGEST_LINE: usize = 80;
/// The longest state, in bytes.
const LONGEST_STATE: u64 = 64 << 20;

/// A snapshot can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The program has something that is not kept.
    #[error(transparent)]
    Program(#[from] NotSaved),
    /// The program's memory can't be kept.
    #[error(transparent)]
    Memory(#[from] SavedSpaceError),
    /// The file can't be written.
    #[error("writing the snapshot")]
    Write(#[from] io::Error),
}

/// A file is no snapshot that can be restored here.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file can't be read.
    #[error("reading the snapshot")]
    Read(#[from] io::Error),
    /// The file is something else.
    #[error("this is no snapshot of isobench-vmm: it doesn't begin with \"{MAGIC}\"")]
    NoSnapshot,
    /// Another version of isobench has taken the snapshot.
    #[error("the snapshot is of version {found}, and this isobench reads {VERSION}: take it again")]
    Version {
        /// The version in the file.
        found: String,
    },
    /// The file's end is missing.
    #[error("the snapshot has {actual} bytes, and its state speaks of {needed}: take it again")]
    Truncated {
        /// The length of the file.
        actual: u64,
        /// The length that the file must have.
        needed: u64,
    },
    /// The state can't be read.
    #[error("the snapshot is damaged: its state can't be read")]
    State(#[source] serde_json::Error),
    /// A part of the program has no place.
    #[error("the snapshot is damaged: a part of the program can't be where it is")]
    Parts,
    /// The state contradicts itself.
    #[error(transparent)]
    Memory(#[from] SavedSpaceError),
    /// The snapshot is of a guest with other memory.
    #[error("the snapshot is of a guest with {found} of memory: say --memory {}B", .found.as_u64())]
    GuestMemory {
        /// The size in the snapshot.
        found: ByteSize,
    },
    /// The snapshot is of another program, or of another file with it.
    #[error("the snapshot is of another program, or the program was written anew: take it again")]
    Program,
    /// The snapshot's program was started otherwise.
    #[error(
        "the snapshot's program had other arguments or another environment: give the same, or take \
         it again"
    )]
    Start,
    /// KVM does not take the registers.
    #[error("the snapshot is damaged: KVM refuses its registers")]
    Registers(#[source] KvmError),
    /// The snapshot is of another processor.
    #[error(
        "the snapshot is of a processor with other features, or of {found} KVM where this host has \
         {actual} KVM: take it again here"
    )]
    Host {
        /// The kind of KVM in the snapshot.
        found: String,
        /// This host's kind.
        actual: KvmKind,
    },
}

/// What a snapshot must agree with.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// The size of guest memory.
    pub memory: ByteSize,
    /// What tells the program's file from others.
    pub program: ProgramIdentity,
    /// A hash of the program's arguments and environment.
    pub start: u64,
}

/// What tells a program's file from others, without a look at all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramIdentity {
    /// The file's length in bytes.
    pub length: u64,
    /// The time of the last change to its contents: seconds and nanoseconds since 1970.
    pub modified: (i64, i64),
}

/// All but the contents of pages and the vector registers.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    kvm: String,
    features: [u32; 6],
    memory: u64,
    program: ProgramIdentity,
    start: u64,
    registers: SavedRegisters,
    space: SavedSpace,
    personality: SavedPersonality,
}

/// A snapshot that has been read and checked, but for the contents of its pages.
#[derive(Debug)]
pub struct Snapshot {
    file: File,
    state: State,
    extended: Vec<u8>,
    /// The offset of the first page's contents.
    pages_at: u64,
}

impl Snapshot {
    /// Writes a snapshot of a paused program to `file`, which is empty.
    pub(super) fn write(
        paused: &Paused,
        memory: &AddressSpace,
        personality: &Personality,
        kind: KvmKind,
        identity: Identity,
        file: &File,
    ) -> Result<(), TakeError> {
        let state = State {
            kvm: kind.to_string(),
            features: features::of_host(),
            memory: identity.memory.as_u64(),
            program: identity.program,
            start: identity.start,
            registers: paused.saved_registers(),
            space: memory.save()?,
            personality: personality.save()?,
        };
        let json = serde_json::to_vec(&state).map_err(io::Error::from)?;
        let line = format!("{MAGIC} {VERSION} {}\n", json.len());
        let mut output = BufWriter::new(file);
        output.write_all(line.as_bytes())?;
        output.write_all(&json)?;
        let written = (line.len() + json.len()) as u64;
        let padding = written.next_multiple_of(PAGE) - written;
        io::copy(&mut io::repeat(0).take(padding), &mut output)?;
        output.write_all(&paused.extended_bytes())?;
        let mut page = [0; PAGE_LENGTH];
        for run in state.space.frames() {
            for frame in (run.start..run.end()).step_by(page.len()) {
                memory.ram().read(frame, &mut page);
                output.write_all(&page)?;
            }
        }
        Ok(output.flush()?)
    }

    /// Reads and checks the snapshot in `file` for a guest on a host with this kind of KVM.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn read(file: File, kind: KvmKind, identity: Identity) -> Result<Self, SnapshotError> {
        let (line, length) = first_line(&file)?;
        let actual = file.metadata()?.len();
        let state_at = line;
        let registers_at = (state_at + length.min(LONGEST_STATE)).next_multiple_of(PAGE);
        let pages_at = registers_at + PAGE;
        if length > LONGEST_STATE || actual < pages_at {
            let needed = pages_at.max(length);
            return Err(SnapshotError::Truncated { actual, needed });
        }
        let mut json = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut json, state_at)?;
        let state: State = serde_json::from_slice(&json).map_err(SnapshotError::State)?;
        let contents = state.space.frames().map(|run| run.length);
        let needed = contents.fold(pages_at, u64::saturating_add);
        if actual != needed {
            return Err(SnapshotError::Truncated { actual, needed });
        }
        state.check(kind, identity)?;
        let mut extended = vec![0; extended_state::STATE];
        file.read_exact_at(&mut extended, registers_at)?;
        Ok(Self {
            file,
            state,
            extended,
            pages_at,
        })
    }

    /// Gives a new guest's memory and personality what the snapshot has kept, and returns the
    /// registers.
    pub(super) fn restore(
        self,
        memory: &mut AddressSpace,
        personality: &mut Personality,
    ) -> Result<Paused, SnapshotError> {
        memory.restore(&self.state.space, &self.file, self.pages_at)?;
        personality.restore(self.state.personality, memory);
        let bases = personality.segment_bases();
        Ok(Paused::from_saved(
            &self.state.registers,
            &self.extended,
            bases,
        ))
    }
}

impl State {
    fn check(&self, kind: KvmKind, identity: Identity) -> Result<(), SnapshotError> {
        if self.kvm != kind.to_string() || self.features != features::of_host() {
            return Err(SnapshotError::Host {
                found: self.kvm.chars().take(20).collect(),
                actual: kind,
            });
        }
        if !self.personality.is_usable() {
            return Err(SnapshotError::Parts);
        }
        if self.memory != identity.memory.as_u64() {
            return Err(SnapshotError::GuestMemory {
                found: ByteSize(self.memory),
            });
        }
        if self.program != identity.program {
            return Err(SnapshotError::Program);
        }
        if self.start != identity.start {
            return Err(SnapshotError::Start);
        }
        Ok(())
    }
}

/// The length of the first line, and the length of the state that the line tells.
fn first_line(file: &File) -> Result<(u64, u64), SnapshotError> {
    let mut start = [0; LONGEST_LINE];
    let length = file.read_at(&mut start, 0)?;
    let line = start[..length].split(|&byte| byte == b'\n').next();
    let line = line.and_then(|line| str::from_utf8(line).ok());
    let words = line.and_then(|line| line.strip_prefix(MAGIC));
    let words: Vec<_> = words
        .ok_or(SnapshotError::NoSnapshot)?
        .split_whitespace()
        .collect();
    match words[..] {
        [VERSION, length] => {
            let length = length.parse().map_err(|_| SnapshotError::NoSnapshot)?;
            Ok((line.unwrap_or_default().len() as u64 + 1, length))
        }
        [found, ..] => Err(SnapshotError::Version {
            found: found.escape_default().take(20).collect(),
        }),
        [] => Err(SnapshotError::NoSnapshot),
    }
}
