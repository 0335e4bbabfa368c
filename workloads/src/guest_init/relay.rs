//! Carries the program's streams between its pipes and the VMM's ports until it ends, and buries what it leaves.

use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::Mode;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, read, write};

use super::ports::Ports;
use super::start::Program;
use super::{InitError, InitError::Setup};

/// The first serial port: the one way into a guest that wakes it.
const SERIAL: &str = "/dev/ttyS0";
/// Bytes that its receiver holds, so many that may be on their way.
const WINDOW: u8 = 64;
/// Precedes a byte that isn't to be taken as it is.
const ESCAPE: u8 = 0xff;
/// After an escape: standard input has ended.
const END: u8 = 0;
/// As much as a pipe holds.
const CHUNK: usize = 64 * 1024;

/// Carries all streams until the program ends, and gives its exit code.
pub(super) fn relay(program: Program, has_input: bool, ports: &Ports) -> Result<u8, InitError> {
    let ended = ended_children()?;
    let mut input = match (program.input, has_input) {
        (Some(to), true) => Some(Input::open(to, ports)?),
        _ => None,
    };
    let mut streams = Streams {
        output: Some(nonblocking(program.output)?),
        error: Some(nonblocking(program.error)?),
        buffer: vec![0; CHUNK],
    };
    loop {
        // A child may have ended before its signal was waited for, so it is looked for first.
        let code = bury(program.pid);
        streams.carry(ports);
        if let Some(code) = code {
            return Ok(code);
        }
        wait(&ended, &streams, input.as_ref())?;
        if let Some(open) = &mut input
            && open.carry(ports).is_none()
        {
            input = None;
        }
        while let Ok(Some(_)) = ended.read_signal() {}
    }
}

/// The program's output and error, each until nobody can write to it any more.
struct Streams {
    output: Option<OwnedFd>,
    error: Option<OwnedFd>,
    buffer: Vec<u8>,
}

impl Streams {
    /// Passes on all that there is.
    fn carry(&mut self, ports: &Ports) {
        drain(&mut self.output, &mut self.buffer, |bytes| {
            ports.output(bytes);
        });
        drain(&mut self.error, &mut self.buffer, |bytes| {
            ports.error(bytes);
        });
    }
}

/// A descriptor that is readable when a child has ended.
fn ended_children() -> Result<SignalFd, InitError> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals
        .thread_block()
        .map_err(|e| Setup("blocking SIGCHLD", e))?;
    SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(|e| Setup("asking for signals (CONFIG_SIGNALFD)", e))
}

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

/// Passes on all that is in a pipe.
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

/// Waits for every child that has ended, orphans too, and gives the program's exit code if it is among them.
fn bury(program: Pid) -> Option<u8> {
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

/// Standard input, from the serial port to the program's pipe.
struct Input {
    from: OwnedFd,
    to: OwnedFd,
    /// Bytes that the pipe had no room for.
    pending: Vec<u8>,
    /// Bytes taken from the wire and not granted again.
    taken: u8,
    escaped: bool,
    ended: bool,
}

impl Input {
    fn open(to: OwnedFd, ports: &Ports) -> Result<Self, InitError> {
        let failed = |error| Setup("opening the serial port for standard input", error);
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let from = open(SERIAL, flags, Mode::empty()).map_err(failed)?;
        let mut settings = tcgetattr(&from).map_err(failed)?;
        cfmakeraw(&mut settings);
        tcsetattr(&from, SetArg::TCSANOW, &settings).map_err(failed)?;
        let to = nonblocking(to)?;
        ports.grant(WINDOW);
        Ok(Self {
            from,
            to,
            pending: Vec::new(),
            taken: 0,
            escaped: false,
            ended: false,
        })
    }

    /// Room in the pipe while there is something for it, else something on the wire.
    fn waits_for(&self) -> PollFd<'_> {
        if self.pending.is_empty() {
            PollFd::new(self.from.as_fd(), PollFlags::POLLIN)
        } else {
            PollFd::new(self.to.as_fd(), PollFlags::POLLOUT)
        }
    }

    /// Carries on. None once input has ended, or the program has closed it.
    fn carry(&mut self, ports: &Ports) -> Option<()> {
        if self.pending.is_empty() {
            self.take();
        }
        if !self.pending.is_empty() {
            match write(&self.to, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
        if self.pending.is_empty() {
            if self.ended {
                return None;
            }
            if self.taken > 0 {
                ports.grant(self.taken);
                self.taken = 0;
            }
        }
        Some(())
    }

    fn take(&mut self) {
        let mut buffer = [0; WINDOW as usize];
        let count = read(&self.from, &mut buffer).unwrap_or(0);
        self.taken = self
            .taken
            .saturating_add(u8::try_from(count).unwrap_or(WINDOW));
        for &byte in &buffer[..count] {
            match (self.escaped, byte) {
                (false, ESCAPE) => self.escaped = true,
                (true, END) => self.ended = true,
                _ => {
                    self.escaped = false;
                    self.pending.push(byte);
                }
            }
        }
    }
}

fn nonblocking(pipe: OwnedFd) -> Result<OwnedFd, InitError> {
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .map_err(|error| Setup("preparing a pipe", error))?;
    Ok(pipe)
}
