//! Everything that has to be in place before the first sample: a session, prepared targets, accounting, the disk file.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bytesize::ByteSize;
use isobench_reports::model::{Injection, Unavailable};
use rand::rngs::ChaCha8Rng;
use rand::{Rng as _, SeedableRng as _};

use crate::experiments::{MeasureContext, ReadyTarget};
use crate::host::accounting::{Accounting, AccountingError};
use crate::host::facts::HostReport;
use crate::host::interrupt::Interrupt;
use crate::host::programs::Programs;
use crate::host::session::Session;
use crate::targets::{
    Availability, Contents, PrepareContext, PrepareError, Prepared, Target, TargetInfo,
};

/// How long one instance may take before its sample counts as failed, unless told otherwise.
const SAMPLE_LIMIT: Duration = Duration::from_secs(20);

/// A target that a run was asked for, and what this host has of it.
#[derive(Debug)]
pub struct Candidate {
    /// The target.
    pub target: Box<dyn Target>,
    /// What this host has of the target.
    pub availability: Availability,
}

impl Candidate {
    /// Asks each of `targets` what `host` has of it.
    pub fn inspect(targets: Vec<Box<dyn Target>>, host: &HostReport) -> Vec<Self> {
        let inspected = targets.into_iter().map(|target| Self {
            availability: target.availability(host),
            target,
        });
        inspected.collect()
    }
}

/// A target that can't run here.
#[derive(Debug)]
pub struct UnavailableTarget {
    /// The target, described.
    pub info: TargetInfo,
    /// Why, and what would help.
    pub why: Unavailable,
}

/// What the samples of a run are taken with. Dropping it removes all of it from the host.
#[derive(Debug)]
pub struct Testbed {
    /// The targets that can run here, prepared.
    pub targets: Vec<ReadyTarget>,
    /// Those that can't.
    pub absent: Vec<UnavailableTarget>,
    /// Where memory is accounted, or why it isn't.
    pub accounting: Result<Accounting, AccountingError>,
    /// Delays that are added on purpose.
    pub injections: Vec<Injection>,
    /// How long one instance may take before its sample counts as failed.
    limit: Duration,
    disk: PathBuf,
    workload: PathBuf,
    tracer: PathBuf,
    session: Session,
}

impl Testbed {
    /// Prepares `candidates`, with a disk file of `disk_size` bytes.
    ///
    /// # Errors
    /// There is no place for files. A target that can't be prepared is [`UnavailableTarget`].
    pub fn assemble(
        candidates: Vec<Candidate>,
        programs: &Programs,
        disk_size: ByteSize,
    ) -> anyhow::Result<Self> {
        let session = Session::open()?;
        let scratch = session.scratch();
        let accounting = Accounting::open(session.name());
        let disk = make_disk_file(scratch, disk_size)
            .with_context(|| format!("cannot make the disk file in {}", scratch.display()))?;
        let mut targets = Vec::new();
        let mut absent = Vec::new();
        for candidate in candidates {
            let info = candidate.target.info().clone();
            let directory = scratch.join(info.name);
            let context = PrepareContext {
                contents: Contents::Program(&programs.workload),
                directory: &directory,
                session: session.name(),
                accounting: accounting.as_ref().ok(),
            };
            match prepare(&candidate, &context) {
                Ok(prepared) => targets.push(ReadyTarget {
                    info,
                    prepared,
                    directory,
                }),
                Err(why) => absent.push(UnavailableTarget { info, why }),
            }
        }
        Ok(Self {
            targets,
            absent,
            accounting,
            injections: Vec::new(),
            limit: SAMPLE_LIMIT,
            disk,
            workload: programs.workload.clone(),
            tracer: programs.tracer.clone(),
            session,
        })
    }

    /// The same with delays that are added on purpose.
    #[must_use]
    pub fn with_injections(self, injections: Vec<Injection>) -> Self {
        Self { injections, ..self }
    }

    /// The same with another time that one instance may take, if `limit` names one.
    #[must_use]
    pub fn with_limit(self, limit: Option<Duration>) -> Self {
        Self {
            limit: limit.unwrap_or(self.limit),
            ..self
        }
    }

    /// What measurements need of this testbed.
    pub fn context<'r>(&'r self, interrupt: &'r Interrupt) -> MeasureContext<'r> {
        MeasureContext {
            workload: &self.workload,
            disk: &self.disk,
            tracer: &self.tracer,
            scratch: self.session.scratch(),
            accounting: self.accounting.as_ref().ok(),
            limit: self.limit,
            interrupt,
            injections: &self.injections,
        }
    }
}

/// Prepares a target, unless the host can't run it.
fn prepare(
    candidate: &Candidate,
    context: &PrepareContext,
) -> Result<Box<dyn Prepared>, Unavailable> {
    if let Some(why) = &candidate.availability.unavailable {
        return Err(why.clone());
    }
    context
        .files(|directory| fs::create_dir(directory))
        .and_then(|()| candidate.target.prepare(context))
        .map_err(PrepareError::into_unavailable)
}

/// A file of random bytes, on disk, that the mapped root of a container may write as well.
fn make_disk_file(scratch: &Path, size: ByteSize) -> io::Result<PathBuf> {
    const CHUNK: usize = 1024 * 1024;
    let path = scratch.join("disk");
    let mut file = File::create_new(&path)?;
    // The bytes must not compress; which they are doesn't matter.
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut chunk = vec![0_u8; CHUNK];
    for _ in 0..size.as_u64() / CHUNK as u64 {
        random.fill_bytes(&mut chunk);
        file.write_all(&chunk)?;
    }
    file.set_permissions(fs::Permissions::from_mode(0o666))?;
    file.sync_all()?;
    Ok(path)
}
