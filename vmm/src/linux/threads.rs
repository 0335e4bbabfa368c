//! The threads of a Linux guest's VMM beside the first vCPU's. Each is confined before the guest
//! runs.

use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use super::board::{Board, lock};
use super::confine::{self, DevicesInUse};
use super::ending::{Ending, OnEnd};
use super::error::{BootError, RunError};
use super::vcpu::Vcpu;
use crate::devices::virtio::net::NetWorker;
use crate::devices::virtio::transfer::DiskWorker;

/// What a thread does. The result is `None` if the thread has nothing more to do, or how the guest
/// ended.
type Work = Box<dyn FnOnce(&Board) -> Option<Result<Ending, RunError>> + Send>;

/// A thread that is not started yet: its name and its work.
type Job = (&'static str, Box<dyn FnOnce() + Send>);

/// Everything that runs in a thread of its own.
pub(super) struct OtherThreads {
    /// The vCPUs without the first.
    pub(super) vcpus: Vec<Vcpu>,
    /// The network card's worker, if there is a card.
    pub(super) net: Option<NetWorker>,
    /// Each disk's worker, if the disk has one.
    pub(super) disks: Vec<Option<DiskWorker>>,
    /// The guest's time limit.
    pub(super) limit: Option<Duration>,
}

impl OtherThreads {
    /// Starts the threads, and confines all threads of the process.
    pub(super) fn start(self, board: &Arc<Board>, on_end: &OnEnd) -> Result<(), BootError> {
        let devices = DevicesInUse {
            has_network: self.net.is_some(),
            has_disk_ring: self.disks.iter().any(Option::is_some),
        };
        let jobs = self
            .work(board)
            .into_iter()
            .map(|(name, work)| job(name, work, board.clone(), on_end.clone()))
            .collect();
        start_confined(jobs, devices)
    }

    /// The work of each thread. The process's end drops what a thread owns: the filter may refuse
    /// the calls that dropping takes.
    fn work(self, board: &Board) -> Vec<(&'static str, Work)> {
        let mut all: Vec<(&'static str, Work)> = Vec::new();
        for vcpu in self.vcpus {
            let mut vcpu = ManuallyDrop::new(vcpu);
            all.push(("vcpu", Box::new(move |board| Some(vcpu.run(board)))));
        }
        if board.input.is_some() {
            all.push(("input", Box::new(read_input)));
        }
        if let Some(worker) = self.net.map(ManuallyDrop::new) {
            let work = move |board: &Board| Some(receive_packets(&worker, board));
            all.push(("network", Box::new(work)));
        }
        for (disk, worker) in self.disks.into_iter().enumerate() {
            let Some(worker) = worker.map(ManuallyDrop::new) else {
                continue;
            };
            let work = move |board: &Board| {
                let violation = worker.run(&board.virtio[disk], &board.memory);
                Some(Err(violation.into()))
            };
            all.push(("disk", Box::new(work)));
        }
        if let Some(limit) = self.limit {
            let work = move |board: &Board| Some(Ok(time_out(limit, board)));
            all.push(("limit", Box::new(work)));
        }
        all
    }
}

/// A thread's job: to do its work, and to report an ending.
fn job(name: &'static str, work: Work, board: Arc<Board>, on_end: OnEnd) -> Job {
    let run = move || {
        if let Some(ending) = work(&board) {
            on_end(ending);
            // Another thread was first, and is about to end the process.
            loop {
                thread::park();
            }
        }
    };
    (name, Box::new(run))
}

/// Starts a thread for each job, and confines all threads before a job begins. The start of a
/// thread takes calls that the filter refuses, so all threads are started first.
fn start_confined(jobs: Vec<Job>, devices: DevicesInUse) -> Result<(), BootError> {
    let gate = Arc::new(Barrier::new(jobs.len() + 1));
    for (name, work) in jobs {
        let gate = gate.clone();
        thread::Builder::new()
            .name(name.to_owned())
            .stack_size(128 * 1024)
            .spawn(move || {
                // At a thread's first allocation the C library asks for the host's processors, to
                // decide whether the thread gets an arena of its own.
                drop(std::hint::black_box(Box::new(0_u8)));
                gate.wait();
                gate.wait();
                work();
            })
            .map_err(|error| BootError::Host("a thread", error))?;
    }
    gate.wait();
    confine::confine_all_threads(devices)?;
    gate.wait();
    Ok(())
}

/// Reads standard input ahead until it ends, and wakes the guest by a byte through the serial port.
fn read_input(board: &Board) -> Option<Result<Ending, RunError>> {
    if let Some(input) = &board.input {
        input.read_ahead(|| lock(&board.serial).receive(&[0]));
    }
    None
}

/// Receives packets until the guest's driver breaks the rules.
fn receive_packets(worker: &NetWorker, board: &Board) -> Result<Ending, RunError> {
    confine::confine_net_worker()?;
    let card = board.virtio.last().expect("a worker has a card");
    Err(worker.run(card, &board.memory).into())
}

/// Waits until the guest's time is up.
fn time_out(limit: Duration, board: &Board) -> Ending {
    thread::sleep(limit);
    Ending::TimedOut {
        limit,
        started: board.started.load(Ordering::Relaxed),
        console: board.console(),
    }
}
