//! Carries the program's streams between its pipes and the VMM's ports until the program ends, and
//! waits for the processes that the program leaves behind.

use std::ops::ControlFlow;
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

/// The first serial port. It is the only way into a guest that can wake the guest.
const SERIAL: &str = "/dev/ttyS0";
/// Bytes that the serial port's receiver holds. So many bytes may be on their way.
const WINDOW: u8 = 64;
/// The byte before a byte that is not to be taken as it is.
const ESCAPE: u8 = 0xff;
/// The byte after an escape which says that standard input has ended.
const END: u8 = 0;
/// How many bytes are carried at a time: as many as a pipe holds.
const CHUNK: usize = 64 * 1024;

/// Carries all streams until the program ends, and gives the program's exit code.
pub(super) fn relay(program: Program, ports: &Ports) -> Result<u8, InitError> {
    let ended = ended_children()?;
    let input = program.input.map(|to| Input::open(to, ports));
    let mut input = input.transpose()?;
    let mut streams = Streams {
        output: Some(nonblocking(program.output)?),
        error: Some(nonblocking(program.error)?),
        buffer: vec![0; CHUNK],
    };
    loop {
        // A child may have ended before its signal was waited for, so ended children are looked for
        // first.
        let code = reap(program.pid);
        streams.carry(ports);
        if let Some(code) = code {
            return Ok(code);
        }
        wait(&ended, &streams, input.as_ref())?;
        if let Some(open) = &mut input
            && open.carry(ports).is_break()
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
    fn carry(&mut self, ports: &Ports) {
        drain(&mut self.output, &mut self.buffer, |bytes| {
            ports.output(bytes);
        });
        drain(&mut self.error, &mut self.buffer, |bytes| {
            ports.error(bytes);
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

/// Standard input, from the serial port to the program's pipe.
struct Input {
    /// The serial port.
    from: OwnedFd,
    /// The program's pipe.
    to: OwnedFd,
    /// Bytes for which the pipe had no room.
    pending: Vec<u8>,
    /// Bytes that have come from the serial port since the VMM was last told to send more.
    taken: u8,
    /// Whether the last byte was an escape.
    escaped: bool,
    /// Whether the VMM has sent the end of standard input.
    ended: bool,
}

impl Input {
    /// Opens the serial port, and tells the VMM to send.
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

    /// What has to be waited for: room in the pipe if bytes are pending, otherwise bytes from the
    /// serial port.
    fn waits_for(&self) -> PollFd<'_> {
        if self.pending.is_empty() {
            PollFd::new(self.from.as_fd(), PollFlags::POLLIN)
        } else {
            PollFd::new(self.to.as_fd(), PollFlags::POLLOUT)
        }
    }

    /// Carries bytes from the serial port to the pipe. Breaks once standard input has ended, or the
    /// program has closed it.
    fn carry(&mut self, ports: &Ports) -> ControlFlow<()> {
        if self.pending.is_empty() {
            self.take();
        }
        if !self.pending.is_empty() {
            match write(&self.to, &self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(_) => return ControlFlow::Break(()),
            }
        }
        if self.pending.is_empty() {
            if self.ended {
                return ControlFlow::Break(());
            }
            if self.taken > 0 {
                ports.grant(self.taken);
                self.taken = 0;
            }
        }
        ControlFlow::Continue(())
    }

    /// Takes bytes from the serial port.
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
