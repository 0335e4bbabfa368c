//! Carries the program's streams between its pipes and the host until the program ends, and
//! waits for the processes that the program leaves behind.

use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, read};

use super::host::Host;
use super::input::Input;
use super::start::Program;
use super::{InitError, InitError::Setup};

/// How many bytes are carried at a time: as many as a pipe holds.
const CHUNK: usize = 64 * 1024;

/// Carries all streams until the program ends, and gives the program's exit code.
pub(super) fn relay(program: Program, host: &Host) -> Result<u8, InitError> {
    let ended = ended_children()?;
    let mut input = match program.input {
        Some(to) => Some(Input::open(nonblocking(to)?, host)?),
        None => None,
    };
    let mut streams = Streams {
        output: Some(nonblocking(program.output)?),
        error: Some(nonblocking(program.error)?),
        buffer: vec![0; CHUNK],
    };
    loop {
        // A child may have ended before its signal was waited for, so ended children are looked for
        // first.
        let code = reap(program.pid);
        streams.carry(host);
        if let Some(code) = code {
            return Ok(code);
        }
        wait(&ended, &streams, input.as_ref())?;
        if let Some(open) = &mut input
            && open.carry(host).is_break()
        {
            input = None;
        }
        while let Ok(Some(_)) = ended.read_signal() {}
    }
}

/// The program's standard output and standard error. Each is open until no process can write to it
/// any more.
struct Streams {
    output: Option<OwnedFd>,
    error: Option<OwnedFd>,
    buffer: Vec<u8>,
}

impl Streams {
    /// Passes on everything that is in both pipes.
    fn carry(&mut self, host: &Host) {
        drain(&mut self.output, &mut self.buffer, |bytes| {
            host.output(bytes);
        });
        drain(&mut self.error, &mut self.buffer, |bytes| {
            host.error(bytes);
        });
    }
}

/// A descriptor that becomes readable when a child has ended.
fn ended_children() -> Result<SignalFd, InitError> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals
        .thread_block()
        .map_err(|e| Setup("blocking SIGCHLD", e))?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(|e| Setup("asking for signals (CONFIG_SIGNALFD)", e))
}

/// Waits until a child has ended, or a stream has something to carry.
fn wait(ended: &SignalFd, streams: &Streams, input: Option<&Input>) -> Result<(), InitError> {
    let mut polled = vec![PollFd::new(ended.as_fd(), PollFlags::POLLIN)];
    for stream in [&streams.output, &streams.error].into_iter().flatten() {
        polled.push(PollFd::new(stream.as_fd(), PollFlags::POLLIN));
    }
    polled.extend(input.map(Input::waits_for));
    match poll(&mut polled, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(Setup("waiting for the program", error)),
    }
}

/// Passes on everything that is in a pipe, and closes the pipe at its end.
fn drain(pipe: &mut Option<OwnedFd>, buffer: &mut [u8], to: impl Fn(&[u8])) {
    while let Some(open) = pipe {
        match read(open, buffer) {
            Ok(count) if count > 0 => to(&buffer[..count]),
            Err(Errno::EAGAIN) => return,
            Err(Errno::EINTR) => {}
            Ok(_) | Err(_) => *pipe = None,
        }
    }
}

/// Reaps every child that has ended, including orphans, and gives the program's exit code if the
/// program is among them.
fn reap(program: Pid) -> Option<u8> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == program => {
                code = u8::try_from(status & 0xff).ok();
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => {
                code = u8::try_from(128 + signal as i32).ok();
            }
            Ok(WaitStatus::StillAlive) | Err(_) => return code,
            Ok(_) => {}
        }
    }
}

fn nonblocking(pipe: OwnedFd) -> Result<OwnedFd, InitError> {
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .map_err(|error| Setup("preparing a pipe", error))?;
    Ok(pipe)
}
