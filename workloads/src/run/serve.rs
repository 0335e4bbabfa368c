#![expect(unsafe_code, reason = "clones itself by fork(2)")]
//! `serve`: initialises, then answers one line for each line read, until its input ends.
//!
//! Programs of this kind are what pools, snapshots and templates of sandboxes are for: the start
//! includes an initialisation, and only its result is wanted. To initialise is to write to memory
//! and to compute. Each answer reads a hundredth of that memory, so a start that put off the work of
//! getting the memory pays for it until its hundredth answer.
//!
//! With `--template` the program clones itself, once it has initialised, at each request on its
//! standard input ([`crate::template`]).

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{ForkResult, fork, getpid, getppid};

use super::memory::Touched;
use super::{WorkloadError, send};
use crate::protocol::Message;
use crate::template;

/// What the program does before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serve {
    /// Memory that the program writes to.
    pub touch: ByteSize,
    /// For how long the program computes.
    pub compute: Duration,
    /// Whether clones of the program answer.
    pub is_template: bool,
}

/// The answers after which all memory has been read once.
pub const ROUND: u64 = 100;

impl Serve {
    /// Initialises, and answers the lines of `input`, or makes clones that do.
    pub(super) fn run(
        self,
        output: &mut dyn Write,
        input: &mut dyn Read,
    ) -> Result<(), WorkloadError> {
        let memory = Touched::new(self.touch)?;
        let start = Instant::now();
        while start.elapsed() < self.compute {
            std::hint::spin_loop();
        }
        if self.is_template {
            send(&Message::Begin, output)?;
            return make_clones(&memory);
        }
        answer(&memory, output, input)
    }
}

/// Answers each line of `input`.
fn answer(
    memory: &Touched,
    output: &mut dyn Write,
    input: &mut dyn Read,
) -> Result<(), WorkloadError> {
    let mut input = BufReader::new(input);
    let (mut line, mut number) = (String::new(), 0);
    while input.read_line(&mut line).map_err(WorkloadError::Input)? > 0 {
        let bytes = memory.read_part(number % ROUND, ROUND);
        number += 1;
        send(&Message::Answer { number, bytes }, output)?;
        line.clear();
    }
    Ok(())
}

/// Makes a clone for each request on standard input.
fn make_clones(memory: &Touched) -> Result<(), WorkloadError> {
    // SAFETY: no handler is installed: the kernel itself takes clones that have ended.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.map_err(failed)?;
    let (socket, template) = (io::stdin(), getpid());
    while let Some(streams) =
        template::next_request(socket.as_fd()).map_err(WorkloadError::Input)?
    {
        // SAFETY: the program has one thread.
        let fork = unsafe { fork() };
        if matches!(fork.map_err(failed)?, ForkResult::Child) {
            prctl::set_pdeathsig(Signal::SIGKILL).map_err(failed)?;
            // A template that had died by then tells nobody.
            if getppid() != template {
                return Ok(());
            }
            let mut output = File::from(streams.output);
            return answer(memory, &mut output, &mut File::from(streams.input));
        }
    }
    Ok(())
}

fn failed(errno: nix::errno::Errno) -> WorkloadError {
    WorkloadError::Clone(errno.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_gets_an_answer_and_a_round_reads_all_memory() {
        let serve = Serve {
            touch: ByteSize::kib(1000),
            compute: Duration::ZERO,
            is_template: false,
        };
        let (mut output, lines) = (Vec::new(), "\n".repeat(150));
        serve.run(&mut output, &mut lines.as_bytes()).unwrap();
        let output = String::from_utf8(output).unwrap();
        let answers: Vec<Message> = output.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(answers.len(), 150);
        let mut read = 0;
        for (answer, expected) in answers.iter().zip(1..) {
            let Message::Answer { number, bytes } = answer else {
                panic!("{answer}");
            };
            assert_eq!(*number, expected);
            read += if expected <= ROUND { bytes.as_u64() } else { 0 };
        }
        assert_eq!(read, ByteSize::kib(1000).as_u64());
    }
}
