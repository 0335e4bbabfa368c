//! Instances that run one after the other, and the space that they have used so far.
//!
//! The instances need not live at the same time: the space on the disk and in the page cache is the
//! same either way, while a hundred virtual machines at once would need much memory. The files that
//! are removed with an instance are measured while the instance lives.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use isobench_reports::schema::image::{BASE, FILES, LAUNCHER, ONE, PROGRAM, WRITTEN};
use isobench_workloads::protocol::Message;

use super::BaseUse;
use super::base::{Base, Bases, NAME, SIZE};
use crate::experiments::start_cold::own_places;
use crate::experiments::{MeasureContext, MeasureError, Reading, ReadyTarget};
use crate::host::page_cache::{cached_size, load};
use crate::host::probe::disk_use::{self, Entry};
use crate::instance::command_line::CommandLine;
use crate::instance::{Instance, Stdin, unexpected};
use crate::targets::{Capability, DiskAccess, Marks};

/// How long a series may take. Instances that would probably take longer are not started.
const SERIES_LIMIT: Duration = Duration::from_secs(30);

/// The instances of one sample, which run one after the other.
#[derive(Debug)]
pub(super) struct Series<'s> {
    base_use: BaseUse,
    target: &'s ReadyTarget,
    context: &'s MeasureContext<'s>,
    bases: Bases,
    /// The files that all instances use, without the bases.
    programs: Vec<Entry>,
    /// The path of the program that starts an instance.
    launcher: PathBuf,
    /// The bytes that the instances wrote to the disk.
    written: u64,
    /// The number of instances that have run.
    count: u32,
    begun: Instant,
}

/// The space that the instances have used so far, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SpaceUsed {
    program: u64,
    launcher: u64,
    files: u64,
    base: u64,
    written: u64,
    /// The space in the page cache.
    pub in_cache: u64,
}

impl SpaceUsed {
    /// The space on the disk.
    pub fn on_disk(&self) -> u64 {
        self.program + self.launcher + self.files + self.base + self.written
    }

    /// The space on the disk, and its parts.
    pub fn readings(&self) -> Vec<Reading> {
        let parts = [
            (PROGRAM, self.program),
            (LAUNCHER, self.launcher),
            (FILES, self.files),
            (BASE, self.base),
            (WRITTEN, self.written),
        ];
        let parts = parts.map(|(part, value)| Reading::of_part(ONE.name, part, value as f64));
        let total = Reading::total(ONE.name, self.on_disk() as f64);
        [total].into_iter().chain(parts).collect()
    }
}

impl<'s> Series<'s> {
    pub fn begin(
        base_use: BaseUse,
        target: &'s ReadyTarget,
        context: &'s MeasureContext<'s>,
    ) -> Result<Self, MeasureError> {
        Ok(Self {
            base_use,
            target,
            context,
            bases: Bases::new(context.scratch)?,
            programs: Vec::new(),
            launcher: PathBuf::new(),
            written: 0,
            count: 0,
            begun: Instant::now(),
        })
    }

    /// Checks that the series may grow to `count` instances.
    ///
    /// # Errors
    /// The reason why the series may not grow.
    pub fn check_growth(&self, count: u32) -> Result<(), String> {
        let more = count.saturating_sub(self.count);
        let so_far = self.begun.elapsed();
        let each = so_far.checked_div(self.count).unwrap_or_default();
        if so_far + each * more > SERIES_LIMIT {
            return Err(format!(
                "not started: with {more} more instances the series would have taken longer than \
                 {SERIES_LIMIT:?}"
            ));
        }
        let bases = match self.base_use {
            BaseUse::Shared => 1,
            BaseUse::Copied => count as usize,
        };
        self.bases
            .check_space(bases.saturating_sub(self.bases.made().len()))
    }

    /// Runs the instances that are missing to `count`.
    pub fn grow(&mut self, count: u32) -> Result<(), MeasureError> {
        while self.count < count {
            let index = match self.base_use {
                BaseUse::Shared => 0,
                BaseUse::Copied => self.count as usize,
            };
            let base = self.bases.get_or_make(index)?;
            self.run(&base)?;
            self.count += 1;
        }
        Ok(())
    }

    /// Runs one instance, which reads all of `base`.
    fn run(&mut self, base: &Base) -> Result<(), MeasureError> {
        let (context, target) = (self.context, self.target);
        let path = self.path_inside(base);
        let path = path.to_string_lossy();
        let size = SIZE.as_u64().to_string();
        let operation = ["--wait", "disk", "--op", "seq-read", "--path", &path];
        let amount = ["--block", &size, "--bytes", &size];
        let mut launch = context.launch(&[&operation[..], &amount].concat());
        launch.marks = Marks::None;
        let written = self.bases.written();
        if target.info.can(Capability::StackLayers) {
            launch.layer = Some(&base.directory);
            launch.scratch = Some(&written);
        } else {
            launch.disk = Some(&base.file);
            if self.base_use == BaseUse::Shared {
                launch.access = DiskAccess::ReadOnly;
            }
        }
        let is_first = self.count == 0;
        let prepare = |command: &CommandLine| {
            if is_first {
                self.find_programs(command, base)
            } else {
                Ok(())
            }
        };
        let (group, mut instance) =
            context.start_after(target, launch, Stdin::HeldOpen, Duration::ZERO, prepare)?;
        if let Some(group) = &group {
            // The harness's own memory must not be charged to the group. Nothing is timed here, so
            // the harness can leave at once.
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

    /// The path of `base` inside an instance.
    fn path_inside(&self, base: &Base) -> PathBuf {
        if self.target.info.can(Capability::StackLayers) {
            Path::new("/").join(NAME)
        } else {
            self.target.info.disk.path(&base.file)
        }
    }

    /// Finds the files that all instances use.
    fn find_programs(&mut self, command: &CommandLine, base: &Base) -> Result<(), MeasureError> {
        let places = own_places(command, self.target);
        let places = places.into_iter().filter(|place| *place != base.file);
        let mut programs = disk_use::entries(places)?;
        // The harness, not the target, needs the directory itself.
        programs.retain(|entry| entry.path != self.target.directory);
        let launcher = &command.program;
        self.launcher = launcher.canonicalize().unwrap_or_else(|_| launcher.clone());
        self.programs = programs;
        Ok(())
    }

    /// The space on the disk and in the page cache now.
    pub fn space_used(&self) -> Result<SpaceUsed, MeasureError> {
        let has_layers = self.target.info.can(Capability::StackLayers);
        let bases = self.bases.made().iter().map(|base| {
            let place = if has_layers {
                &base.directory
            } else {
                &base.file
            };
            place.clone()
        });
        let bases = disk_use::entries(bases)?;
        let mut space = SpaceUsed {
            base: disk_use::allocated_size(&bases).as_u64(),
            written: self.written,
            ..SpaceUsed::default()
        };
        let workload = self.context.workload.file_name();
        for entry in &self.programs {
            let part = if entry.path.file_name() == workload {
                &mut space.program
            } else if entry.path == self.launcher {
                &mut space.launcher
            } else {
                &mut space.files
            };
            *part += entry.allocated.as_u64();
        }
        // The host may evict the programs' pages at any time, which says nothing about the target.
        load(&disk_use::cacheable_files(&self.programs))?;
        for entries in [&self.programs, &bases] {
            space.in_cache += cached_size(&disk_use::cacheable_files(entries))?.as_u64();
        }
        Ok(space)
    }
}

/// The files and directories below `directory`.
fn below(directory: &Path) -> Result<Vec<Entry>, MeasureError> {
    let mut entries = disk_use::entries([directory.to_owned()])?;
    entries.retain(|entry| entry.path != directory);
    Ok(entries)
}

/// Lets the instance read, and checks that the instance has read all.
fn read_all(instance: &mut Instance) -> Result<(), MeasureError> {
    instance.close_stdin();
    match instance.next_message("end line")? {
        (Message::End { bytes, .. }, _) if bytes == SIZE => Ok(()),
        (Message::End { bytes, .. }, _) => Err(MeasureError::OtherAmount {
            did: bytes.as_u64(),
            requested: SIZE.as_u64(),
            unit: "bytes",
        }),
        (other, _) => Err(unexpected(&other, "end line").into()),
    }
}
