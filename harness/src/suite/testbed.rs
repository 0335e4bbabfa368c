//! The testbed: everything that must exist before the first sample. That is a session, prepared
//! targets, accounting and the disk file.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bytesize::ByteSize;
use isobench_container::cgroup::{Controller, Hierarchies};
use isobench_reports::model::{Injection, Unavailable};
use rand::rngs::ChaCha8Rng;
use rand::{Rng as _, SeedableRng as _};

use crate::experiments::{ContentsId, MeasureContext, ReadyTarget};
use crate::host::accounting::{Accounting, AccountingError};
use crate::host::facts::HostReport;
use crate::host::interrupt::Interrupt;
use crate::host::programs::Programs;
use crate::host::session::{Medium, PlaceNeeds, Session, SessionName};
use crate::host::umask::ReadableByAll;
use crate::targets::resource_limits::ResourceLimits;
use crate::targets::{
    Availability, Contents, PrepareContext, PrepareError, Prepared, Target, TargetInfo,
};

/// How long one instance may take by default before its sample counts as failed.
const SAMPLE_LIMIT: Duration = Duration::from_secs(20);

/// A target of the run, and whether this host can run it.
#[derive(Debug)]
pub struct Candidate {
    /// The target.
    pub target: Box<dyn Target>,
    /// Whether this host can run the target.
    pub availability: Availability,
}

impl Candidate {
    /// Finds out which of `targets` the host can run.
    pub fn inspect(targets: Vec<Box<dyn Target>>, host: &HostReport) -> Vec<Self> {
        let inspected = targets.into_iter().map(|target| Self {
            availability: target.availability(host),
            target,
        });
        inspected.collect()
    }
}

/// A target that can't run on this host, or not with some contents.
#[derive(Debug)]
pub struct UnavailableTarget {
    /// The target's description.
    pub info: TargetInfo,
    /// The content of the root for which the target can't be prepared.
    pub contents: ContentsId,
    /// Why the target can't run, and what the user can do about it.
    pub reason: Unavailable,
}

/// Everything that a run needs to take its samples. Dropping the testbed removes all of it from the
/// host.
#[derive(Debug)]
pub struct Testbed {
    /// The targets that can run on this host.
    pub targets: Vec<ReadyTarget>,
    /// The targets that can't run on this host, or not with some contents.
    pub unavailable: Vec<UnavailableTarget>,
    /// The cgroup in which instances' groups are made, or why there is none.
    pub accounting: Result<Accounting, AccountingError>,
    /// The delays that the run adds on purpose.
    pub injections: Vec<Injection>,
    /// How long one instance may take before its sample counts as failed.
    limit: Duration,
    disk: PathBuf,
    workload: PathBuf,
    tracer: PathBuf,
    session: Session,
}

impl Testbed {
    /// Prepares the candidates for the workload, and makes a disk file of this size. A candidate
    /// that can't be prepared becomes an [`UnavailableTarget`].
    ///
    /// # Errors
    /// There is no directory for files.
    pub fn assemble(
        candidates: &[Candidate],
        programs: &Programs,
        disk_size: ByteSize,
    ) -> anyhow::Result<Self> {
        let session = Session::open(&PlaceNeeds {
            medium: Medium::Disk,
            space: PlaceNeeds::OF_PROGRAMS.space + disk_size,
        })?;
        let contents = [(ContentsId::WORKLOAD, Contents::Program(&programs.workload))];
        let controllers = ResourceLimits::default().controllers();
        Self::assemble_in(
            session,
            candidates,
            &contents,
            &controllers,
            programs,
            disk_size,
        )
    }

    /// As [`Testbed::assemble`], in an open session, with each candidate prepared for each of
    /// `contents`, and with cgroups for `controllers`.
    ///
    /// # Errors
    /// There is no directory for files.
    pub fn assemble_in(
        session: Session,
        candidates: &[Candidate],
        contents: &[(ContentsId, Contents)],
        controllers: &[Controller],
        programs: &Programs,
        disk_size: ByteSize,
    ) -> anyhow::Result<Self> {
        let readable = ReadableByAll::begin();
        let scratch = session.scratch();
        let disk = make_disk_file(scratch, disk_size)
            .with_context(|| format!("cannot make the disk file in {}", scratch.display()))?;
        let mut testbed = Self {
            targets: Vec::new(),
            unavailable: Vec::new(),
            accounting: open_accounting(controllers, session.name()),
            injections: Vec::new(),
            limit: SAMPLE_LIMIT,
            disk,
            workload: programs.workload.clone(),
            tracer: programs.tracer.clone(),
            session,
        };
        for &(id, contents) in contents {
            for candidate in candidates {
                testbed.prepare(candidate, id, contents);
            }
        }
        drop(readable);
        Ok(testbed)
    }

    /// Prepares a target for `contents`.
    fn prepare(&mut self, candidate: &Candidate, id: ContentsId, contents: Contents) {
        let info = candidate.target.info().clone();
        let directory = self.session.scratch().join(match id {
            ContentsId::WORKLOAD => info.name.to_owned(),
            ContentsId(number) => format!("{}-{number}", info.name),
        });
        let context = PrepareContext {
            contents,
            directory: &directory,
            session: self.session.name(),
            accounting: self.accounting.as_ref().ok(),
        };
        match prepare(candidate, &context) {
            Ok(prepared) => self.targets.push(ReadyTarget {
                info,
                contents: id,
                prepared,
                directory,
            }),
            Err(reason) => self.unavailable.push(UnavailableTarget {
                info,
                contents: id,
                reason,
            }),
        }
    }

    /// The same testbed with delays that the run adds on purpose.
    #[must_use]
    pub fn with_injections(self, injections: Vec<Injection>) -> Self {
        Self { injections, ..self }
    }

    /// The same testbed with another limit for one instance, if `limit` is given.
    #[must_use]
    pub fn with_limit(self, limit: Option<Duration>) -> Self {
        Self {
            limit: limit.unwrap_or(self.limit),
            ..self
        }
    }

    /// The context for measurements in this testbed.
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

/// Opens the cgroups of the run.
fn open_accounting(
    controllers: &[Controller],
    session: &SessionName,
) -> Result<Accounting, AccountingError> {
    Accounting::open_in(&Hierarchies::detect_for(controllers)?, session)
}

/// Prepares a target, unless the host can't run it.
fn prepare(
    candidate: &Candidate,
    context: &PrepareContext,
) -> Result<Box<dyn Prepared>, Unavailable> {
    if let Some(reason) = &candidate.availability.unavailable {
        return Err(reason.clone());
    }
    context
        .files(|directory| fs::create_dir(directory))
        .and_then(|()| candidate.target.prepare(context))
        .map_err(PrepareError::into_unavailable)
}

/// Makes a file of random bytes on a disk. All users may write to the file, because a container's
/// root is another user on the host.
fn make_disk_file(scratch: &Path, size: ByteSize) -> io::Result<PathBuf> {
    const CHUNK: usize = 1024 * 1024;
    let path = scratch.join("disk");
    let mut file = File::create_new(&path)?;
    // Random bytes can't be compressed.
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
