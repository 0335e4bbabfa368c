//! Instances one after the other, and what they have taken so far.
//!
//! Neither a disk nor the page cache asks whether instances live at the same time, so they need not: a hundred virtual
//! machines at once would be a matter of memory. What goes away with an instance is looked at while it lives.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use isobench_reports::schema::image::{BASE, FILES, LAUNCHER, ONE, PROGRAM, WRITTEN};
use isobench_workloads::protocol::Message;

use super::base::{Base, Bases, NAME, SIZE};
use crate::experiments::start_cold::own_places;
use crate::experiments::{Bench, MeasureError, Reading, Subject};
use crate::host::page_cache::{cached_size, load};
use crate::host::probe::disk_use::{self, Entry};
use crate::instance::command_line::CommandLine;
use crate::instance::{Instance, Stdin, unexpected};
use crate::targets::{Capability, DiskAccess, Marks};

/// No further instances are started if they would probably take a series longer than this.
const TIME: Duration = Duration::from_secs(30);

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Series<'s> {
    is_shared: bool,
    subject: &'s Subject,
    bench: &'s Bench<'s>,
    bases: Bases,
    /// The files that all instances use, the base aside.
    programs: Vec<Entry>,
    /// The program that the instances start, on the host.
    launcher: PathBuf,
    /// Bytes that the instances wrote to the disk.
    written: u64,
    count: u32,
    begun: Instant,
}

/// What the instances so far have taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Taken {
    program: u64,
    launcher: u64,
    files: u64,
    base: u64,
    written: u64,
    /// In the page cache.
    pub cache: u64,
}

impl Taken {
    /// On the disk.
    pub fn disk(&self) -> u64 {
        self.program + self.launcher + self.files + self.base + self.written
    }

    /// On the disk, by part.
    pub fn readings(&self) -> Vec<Reading> {
        let parts = [
            (PROGRAM, self.program),
            (LAUNCHER, self.launcher),
            (FILES, self.files),
            (BASE, self.base),
            (WRITTEN, self.written),
        ];
        let parts = parts.map(|(part, value)| Reading::of_part(ONE.name, part, value as f64));
        let total = Reading::total(ONE.name, self.disk() as f64);
        [total].into_iter().chain(parts).collect()
    }
}

impl<'s> Series<'s> {
    pub fn begin(
        is_shared: bool,
        subject: &'s Subject,
        bench: &'s Bench<'s>,
    ) -> Result<Self, MeasureError> {
        Ok(Self {
            is_shared,
            subject,
            bench,
            bases: Bases::new(bench.scratch)?,
            programs: Vec::new(),
            launcher: PathBuf::new(),
            written: 0,
            count: 0,
            begun: Instant::now(),
        })
    }

    /// Why the series may not grow to `count` instances, if so.
    pub fn allows(&self, count: u32) -> Result<(), String> {
        let more = count.saturating_sub(self.count);
        let so_far = self.begun.elapsed();
        let each = so_far.checked_div(self.count).unwrap_or_default();
        if so_far + each * more > TIME {
            return Err(format!(
                "not started: {more} more instances would have taken the series longer than {TIME:?}"
            ));
        }
        let bases = if self.is_shared { 1 } else { count as usize };
        self.bases
            .refuse(bases.saturating_sub(self.bases.made().len()))
    }

    /// Runs as many instances as are missing to `count`.
    pub fn grow(&mut self, count: u32) -> Result<(), MeasureError> {
        while self.count < count {
            let index = if self.is_shared {
                0
            } else {
                self.count as usize
            };
            let base = self.bases.get(index)?;
            self.run(&base)?;
            self.count += 1;
        }
        Ok(())
    }

    /// One instance, which reads all of `base`.
    fn run(&mut self, base: &Base) -> Result<(), MeasureError> {
        let (bench, subject) = (self.bench, self.subject);
        let target = &subject.info;
        let path = if target.can(Capability::StackLayers) {
            Path::new("/").join(NAME)
        } else {
            target.disk.path(&base.file)
        };
        let size = SIZE.as_u64().to_string();
        let path = path.to_string_lossy();
        let operation = ["--wait", "disk", "--op", "seq-read", "--path", &path];
        let amount = ["--block", &size, "--bytes", &size];
        let mut launch = bench.launch(&[&operation[..], &amount].concat());
        launch.marks = Marks::None;
        let written = self.bases.written();
        if target.can(Capability::StackLayers) {
            launch.layer = Some(&base.directory);
            launch.scratch = Some(&written);
        } else {
            launch.disk = Some(&base.file);
            if self.is_shared {
                launch.access = DiskAccess::ReadOnly;
            }
        }
        let is_first = self.count == 0;
        let prepare = |command: &CommandLine| {
            if is_first {
                self.look_at_programs(command, base)
            } else {
                Ok(())
            }
        };
        let (group, mut instance) =
            bench.start_after(subject, launch, Stdin::HeldOpen, Duration::ZERO, prepare)?;
        if let Some(group) = &group {
            // Nothing is timed here, so the harness leaves at once and charges nothing of its own.
            group.leave()?;
        }
        match instance.next_message("begin line")? {
            (Message::Begin, _) => {}
            (other, _) => return Err(unexpected(&other, "begin line").into()),
        }
        self.written += disk_use::allocated_size(&below(&written)?).as_u64();
        read_all(&mut instance)?;
        let ended = instance.wait_until_exited()?;
        if let Some(group) = group {
            group.remove(ended)?;
        }
        Ok(())
    }

    /// Finds the files of the programs.
    fn look_at_programs(&mut self, command: &CommandLine, base: &Base) -> Result<(), MeasureError> {
        let places = own_places(command, self.subject);
        let places = places.into_iter().filter(|place| *place != base.file);
        let mut programs = disk_use::entries(places)?;
        // The directory itself is there for the harness's sake.
        programs.retain(|entry| entry.path != self.subject.directory);
        let launcher = &command.program;
        self.launcher = launcher.canonicalize().unwrap_or_else(|_| launcher.clone());
        self.programs = programs;
        Ok(())
    }

    /// What is on the disk and in the page cache now.
    pub fn taken(&self) -> Result<Taken, MeasureError> {
        let stacks = self.subject.info.can(Capability::StackLayers);
        let bases = self.bases.made().iter().map(|base| {
            let place = if stacks { &base.directory } else { &base.file };
            place.clone()
        });
        let bases = disk_use::entries(bases)?;
        let mut taken = Taken {
            base: disk_use::allocated_size(&bases).as_u64(),
            written: self.written,
            ..Taken::default()
        };
        let name = self.bench.workload.file_name();
        for entry in &self.programs {
            let part = if entry.path.file_name() == name {
                &mut taken.program
            } else if entry.path == self.launcher {
                &mut taken.launcher
            } else {
                &mut taken.files
            };
            *part += entry.allocated.as_u64();
        }
        // A host may take pages of theirs back at any time, and that is no matter of the target.
        load(&disk_use::cacheable_files(&self.programs))?;
        for entries in [&self.programs, &bases] {
            taken.cache += cached_size(&disk_use::cacheable_files(entries))?.as_u64();
        }
        Ok(taken)
    }
}

/// What is below `directory`, without itself.
fn below(directory: &Path) -> Result<Vec<Entry>, MeasureError> {
    let mut entries = disk_use::entries([directory.to_owned()])?;
    entries.retain(|entry| entry.path != directory);
    Ok(entries)
}

/// Has the instance read, and makes sure that it has read all.
fn read_all(instance: &mut Instance) -> Result<(), MeasureError> {
    instance.close_stdin();
    match instance.next_message("end line")? {
        (Message::End { bytes, .. }, _) if bytes == SIZE => Ok(()),
        (Message::End { bytes, .. }, _) => Err(MeasureError::OtherAmount {
            did: bytes.as_u64(),
            asked: SIZE.as_u64(),
            unit: "bytes",
        }),
        (other, _) => Err(unexpected(&other, "end line").into()),
    }
}
