//! The table of file descriptors: the open file of each number, with the rules of POSIX.

use nix::errno::Errno;
use nix::libc::c_int;

use super::own_files::OwnFile;
use super::place::{InodeId, Place};
use super::proc_files::ProcFile;
use super::tree::NodeId;
use crate::devices::console::Stream;

/// The most descriptors of a program (`RLIMIT_NOFILE`).
pub(super) const MAX_DESCRIPTORS: usize = 1024;

/// What execve(2) does with a descriptor (`FD_CLOEXEC`). The guest has no execve, so the flag is
/// only kept for the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnExec {
    /// The descriptor stays open.
    Keep,
    /// The descriptor is closed.
    Close,
}

impl OnExec {
    /// From the flags of `open`, `dup3` or `fcntl`, of which `bit` asks for [`Self::Close`].
    pub fn from_bit(flags: c_int, bit: c_int) -> Self {
        if flags & bit == 0 {
            Self::Keep
        } else {
            Self::Close
        }
    }
}

/// What `close_range` does with the descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RangeClosing {
    /// The call closes them.
    Now,
    /// The call only marks them close-on-exec (`CLOSE_RANGE_CLOEXEC`).
    OnExec,
}

/// What an open file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    /// One of the console's three streams.
    Stream(Stream),
    /// A regular file of the tree.
    File(NodeId),
    /// A regular file of the program's own.
    Scratch(InodeId),
    /// A directory.
    Directory(Place),
    /// A symbolic link, opened by `O_PATH | O_NOFOLLOW`.
    Link(Place),
    /// `/dev/null`.
    Null,
    /// `/dev/zero`.
    Zero,
    /// `/dev/urandom`.
    Random,
    /// `/dev/vda`.
    Block,
    /// A file below `/proc` or `/sys`.
    Proc(ProcFile),
    /// A file that exists only between the program's threads.
    Own(OwnFile),
}

/// An open file (Linux: "open file description"). Duplicated descriptors share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenFile {
    pub object: Object,
    /// Where the file is, for `fstat`. The console's streams at the program's start are nowhere.
    pub place: Option<Place>,
    /// The offset of the next `read`. In a directory, the number of the next entry.
    pub offset: u64,
    /// The access mode and the status flags.
    pub flags: c_int,
}

impl OpenFile {
    pub fn readable(&self) -> bool {
        self.has_data() && self.flags & libc::O_ACCMODE != libc::O_WRONLY
    }

    pub fn writable(&self) -> bool {
        self.has_data() && self.flags & libc::O_ACCMODE != libc::O_RDONLY
    }

    /// Whether the program may use the file's data: a file opened with `O_PATH` only names a place
    /// in the tree.
    pub fn has_data(&self) -> bool {
        self.flags & libc::O_PATH == 0
    }
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    open: usize,
    on_exec: OnExec,
}

#[derive(Debug)]
struct Shared {
    file: OpenFile,
    references: usize,
}

/// All of a program's descriptors.
#[derive(Debug)]
pub(super) struct Descriptors {
    slots: Vec<Option<Slot>>,
    open: Vec<Option<Shared>>,
}

impl Descriptors {
    /// Whether the same files are open here under the same numbers as in `other`.
    pub fn are(&self, other: &Self) -> bool {
        let open = |table: &Self| {
            let slots = table.slots.iter().enumerate();
            let files = slots.filter_map(|(number, slot)| {
                let shared = slot.and_then(|slot| table.open[slot.open].as_ref());
                shared.map(|shared| (number, shared.file))
            });
            files.collect::<Vec<_>>()
        };
        open(self) == open(other)
    }

    /// Makes a table with descriptors 0, 1 and 2, on the console.
    pub fn new() -> Self {
        let streams = [
            (Stream::Input, libc::O_RDONLY),
            (Stream::Output, libc::O_WRONLY),
            (Stream::Error, libc::O_WRONLY),
        ];
        let mut table = Self {
            slots: Vec::new(),
            open: Vec::new(),
        };
        for (number, (stream, flags)) in streams.into_iter().enumerate() {
            table.open.push(Some(Shared {
                file: OpenFile {
                    object: Object::Stream(stream),
                    place: None,
                    offset: 0,
                    flags,
                },
                references: 1,
            }));
            table.slots.push(Some(Slot {
                open: number,
                on_exec: OnExec::Keep,
            }));
        }
        table
    }

    /// Puts `file` at descriptor 0, which is still the console's.
    pub fn set_input(&mut self, file: OpenFile) {
        if let Some(Some(input)) = self.open.first_mut() {
            input.file = file;
        }
    }

    /// Gives a newly opened file the lowest free number.
    pub fn insert(&mut self, file: OpenFile, on_exec: OnExec) -> Result<u64, Errno> {
        let number = self.lowest_free(0)?;
        let open = self
            .open
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.open.len());
        if open == self.open.len() {
            self.open.push(None);
        }
        self.open[open] = Some(Shared {
            file,
            references: 1,
        });
        self.put(number, Slot { open, on_exec });
        Ok(number as u64)
    }

    /// All open files.
    pub fn files(&self) -> impl Iterator<Item = &OpenFile> {
        self.open.iter().flatten().map(|shared| &shared.file)
    }

    /// Whether a newly opened file can get a number.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn check_room(&self) -> Result<(), Errno> {
        self.lowest_free(0).map(drop)
    }

    /// The numbers of all descriptors, lowest first.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        (0..)
            .zip(&self.slots)
            .filter_map(|(number, slot)| slot.map(|_| number))
    }

    /// The open file behind a descriptor.
    pub fn get(&self, descriptor: u64) -> Result<OpenFile, Errno> {
        let slot = self.slot(descriptor)?;
        self.open[slot.open]
            .as_ref()
            .map(|shared| shared.file)
            .ok_or(Errno::EBADF)
    }

    /// The number of the open file behind a descriptor, which it shares with its duplicates.
    pub fn open_number(&self, descriptor: u64) -> Result<usize, Errno> {
        self.slot(descriptor).map(|slot| slot.open)
    }

    /// The open file of a number, if there is one.
    pub fn open_file(&self, number: usize) -> Option<OpenFile> {
        self.open.get(number)?.as_ref().map(|shared| shared.file)
    }

    /// The files of the program's own that are open.
    pub fn own_files(&self) -> impl Iterator<Item = OwnFile> {
        let open = self.open.iter().flatten();
        open.filter_map(|shared| match shared.file.object {
            Object::Own(file) => Some(file),
            _ => None,
        })
    }

    /// The open file behind a descriptor, to change its offset or flags.
    pub fn get_mut(&mut self, descriptor: u64) -> Result<&mut OpenFile, Errno> {
        let slot = self.slot(descriptor)?;
        self.open[slot.open]
            .as_mut()
            .map(|shared| &mut shared.file)
            .ok_or(Errno::EBADF)
    }

    /// Closes a descriptor, and its file with the last one.
    pub fn close(&mut self, descriptor: u64) -> Result<(), Errno> {
        let slot = self.slot(descriptor)?;
        self.slots[index(descriptor)?] = None;
        if let Some(shared) = &mut self.open[slot.open] {
            shared.references -= 1;
            if shared.references == 0 {
                self.open[slot.open] = None;
            }
        }
        Ok(())
    }

    /// Closes all descriptors from `first` to `last`, or only marks them close-on-exec.
    pub fn close_range(&mut self, first: u64, last: u64, closing: RangeClosing) {
        let end = last.saturating_add(1).min(self.slots.len() as u64);
        for descriptor in first..end {
            // Free numbers in the range are no error.
            let _ = match closing {
                RangeClosing::Now => self.close(descriptor),
                RangeClosing::OnExec => self.set_on_exec(descriptor, OnExec::Close),
            };
        }
    }

    /// Makes a second descriptor for the same file: the lowest free one from `least` on.
    pub fn duplicate(
        &mut self,
        descriptor: u64,
        least: u64,
        on_exec: OnExec,
    ) -> Result<u64, Errno> {
        let slot = self.slot(descriptor)?;
        let least = usize::try_from(least).map_err(|_| Errno::EINVAL)?;
        if least >= MAX_DESCRIPTORS {
            return Err(Errno::EINVAL);
        }
        let number = self.lowest_free(least)?;
        self.share(number, Slot { on_exec, ..slot });
        Ok(number as u64)
    }

    /// Makes `new` a descriptor for the file of `old`. If `new` was open, it is closed first.
    pub fn duplicate_to(&mut self, old: u64, new: u64, on_exec: OnExec) -> Result<u64, Errno> {
        let slot = self.slot(old)?;
        let number = index(new)?;
        if self.slot(new).is_ok() {
            // If both have the same file, the file stays open, since `old` refers to it.
            self.close(new)?;
        }
        self.share(number, Slot { on_exec, ..slot });
        Ok(new)
    }

    /// What execve(2) would do with the descriptor.
    pub fn on_exec(&self, descriptor: u64) -> Result<OnExec, Errno> {
        self.slot(descriptor).map(|slot| slot.on_exec)
    }

    /// Sets or clears `FD_CLOEXEC`.
    pub fn set_on_exec(&mut self, descriptor: u64, on_exec: OnExec) -> Result<(), Errno> {
        let slot = self.slot(descriptor)?;
        self.slots[index(descriptor)?] = Some(Slot { on_exec, ..slot });
        Ok(())
    }

    fn share(&mut self, number: usize, slot: Slot) {
        if let Some(shared) = &mut self.open[slot.open] {
            shared.references += 1;
        }
        self.put(number, slot);
    }

    fn put(&mut self, number: usize, slot: Slot) {
        if self.slots.len() <= number {
            self.slots.resize(number + 1, None);
        }
        self.slots[number] = Some(slot);
    }

    fn slot(&self, descriptor: u64) -> Result<Slot, Errno> {
        self.slots
            .get(index(descriptor)?)
            .copied()
            .flatten()
            .ok_or(Errno::EBADF)
    }

    fn lowest_free(&self, least: usize) -> Result<usize, Errno> {
        let free = (least..self.slots.len()).find(|&number| self.slots[number].is_none());
        let number = free.unwrap_or_else(|| self.slots.len().max(least));
        if number < MAX_DESCRIPTORS {
            Ok(number)
        } else {
            Err(Errno::EMFILE)
        }
    }
}

/// The index of a descriptor. A descriptor is an `unsigned int`, so the upper half of the register
/// doesn't count.
fn index(descriptor: u64) -> Result<usize, Errno> {
    let number = (descriptor & 0xffff_ffff) as usize;
    if number < MAX_DESCRIPTORS {
        Ok(number)
    } else {
        Err(Errno::EBADF)
    }
}
