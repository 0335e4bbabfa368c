//! The threads of a Linux guest's VMM beside the first vCPU's, each confined before the guest runs.

use std::mem::ManuallyDrop;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use super::end::Ended;
use super::error::{BootError, RunError};
use super::machine::End;
use super::vcpu::LinuxVcpu;
use crate::confine::{self, Needs};
use crate::devices::bus::{Board, lock};
use crate::devices::program_io;
use crate::devices::virtio::net::Reader;
use crate::devices::virtio::transfer::Awaiter;

/// What a thread does, until it knows how the guest ended or has nothing more to do.
type Work = Box<dyn FnOnce(&Board) -> Option<Result<Ended, RunError>> + Send>;

/// What has a thread of its own.
pub(super) struct Others {
    /// The vCPUs but the first.
    pub(super) vcpus: Vec<LinuxVcpu>,
    /// Who awaits the network card's packets.
    pub(super) reader: Option<Reader>,
    /// Who awaits what each disk is asked for, if somebody does.
    pub(super) awaiters: Vec<Option<Awaiter>>,
    /// The guest's time limit.
    pub(super) limit: Option<Duration>,
}

impl Others {
    /// Starts them, and confines all threads of the process.
    pub(super) fn start(self, board: &Arc<Board>, end: &End) -> Result<(), BootError> {
        let needs = Needs {
            network: self.reader.is_some(),
            ring: self.awaiters.iter().any(Option::is_some),
        };
        let mut jobs: Vec<Job> = Vec::new();
        let mut add = |name, work: Work| {
            let (board, end) = (board.clone(), end.clone());
            let job = move || {
                if let Some(ended) = work(&board) {
                    end(ended);
                    // Another thread knew before, and is about to end the process.
                    loop {
                        thread::park();
                    }
                }
            };
            jobs.push((name, Box::new(job)));
        };
        // What a thread has goes with the process: the filter doesn't let it be taken down before that.
        for vcpu in self.vcpus {
            let mut vcpu = ManuallyDrop::new(vcpu);
            add("vcpu", Box::new(move |board| Some(vcpu.run(board))));
        }
        if board.input.is_some() {
            add("input", Box::new(forward_input));
        }
        if let Some(reader) = self.reader.map(ManuallyDrop::new) {
            add(
                "network",
                Box::new(move |board| Some(read_network(&reader, board))),
            );
        }
        for (disk, awaiter) in self.awaiters.into_iter().enumerate() {
            if let Some(awaiter) = awaiter.map(ManuallyDrop::new) {
                let work = move |board: &Board| {
                    let violation = awaiter.run(&board.virtio[disk], &board.memory);
                    Some(Err(violation.into()))
                };
                add("disk", Box::new(work));
            }
        }
        if let Some(limit) = self.limit {
            add(
                "limit",
                Box::new(move |board| Some(Ok(time_out(limit, board)))),
            );
        }
        start_confined(jobs, needs)
    }
}

/// What a thread does, and its name.
type Job = (&'static str, Box<dyn FnOnce() + Send>);

/// Starts a thread for each job, and confines all threads before one begins. A thread's own start takes calls that the
/// filter refuses, so each is waited for first.
fn start_confined(jobs: Vec<Job>, needs: Needs) -> Result<(), BootError> {
    let gate = Arc::new(Barrier::new(jobs.len() + 1));
    for (name, work) in jobs {
        let gate = gate.clone();
        thread::Builder::new()
            .name(name.to_owned())
            .stack_size(128 * 1024)
            .spawn(move || {
                // The first memory that a thread asks for has the C library look at the host's processors, to decide
                // whether the thread gets an arena of its own.
                drop(std::hint::black_box(Box::new(0_u8)));
                gate.wait();
                gate.wait();
                work();
            })
            .map_err(|error| BootError::Host("a thread", error))?;
    }
    gate.wait();
    confine::confine_all_threads(needs)?;
    gate.wait();
    Ok(())
}

/// Forwards standard input to the serial port until it ends.
fn forward_input(board: &Board) -> Option<Result<Ended, RunError>> {
    if let Some(input) = &board.input {
        program_io::forward(input, &board.grant, |bytes| {
            lock(&board.serial).receive(bytes);
        });
    }
    None
}

/// Has the network card receive, until its driver breaks the rules.
fn read_network(reader: &Reader, board: &Board) -> Result<Ended, RunError> {
    confine::confine_network_reader()?;
    let card = board.virtio.last().expect("there is a card if a reader");
    Err(reader.run(card, &board.memory).into())
}

/// Waits until the guest's time is up.
fn time_out(limit: Duration, board: &Board) -> Ended {
    thread::sleep(limit);
    Ended::TimedOut {
        limit,
        started: board.started.load(Ordering::Relaxed),
        console: board.console(),
    }
}
