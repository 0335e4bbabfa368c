//! A running guest: its frames are served until its program ends.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use isobench_workloads::guest_init::frames::{FrameError, Frames, HEADER, Kind, MOST_PAYLOAD};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::write;

use crate::config::{Config, ConfigError, NetworkCard};
use crate::ending::Ending;
use crate::input::Feeder;
use crate::kernel_process::{KernelProcess, SpawnError, Streams, spawn};
use crate::messages::Messages;
use crate::phase::Phase;
use crate::root::{INITRD, MAILBOX};

/// How long a guest keeps to one processor at most. Most programs have said something by then.
const LONGEST_START: Duration = Duration::from_millis(200);

/// A guest can't be started.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The guest can't be what was asked for.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The kernel's process can't be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

/// A guest can't be served any more.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The lines can't be read.
    #[error("reading what the guest's kernel says")]
    Lines(#[source] io::Error),
    /// The program's input can't be sent.
    #[error("opening the guest's mailbox for standard input")]
    Mailbox(#[source] io::Error),
}

/// A guest whose kernel boots or runs.
#[derive(Debug)]
pub struct Guest {
    process: KernelProcess,
    streams: Streams,
    messages: Messages,
    feeder: Option<Feeder>,
    /// Standard input, until the guest first asks for it.
    input: Option<OwnedFd>,
    output: OwnedFd,
    error: OwnedFd,
    /// The network card's other end, by which the harness finds the link.
    _network: Option<NetworkCard>,
    /// Whether the program has written to its standard output.
    is_ready: bool,
    start: Start,
}

/// Whether the guest still starts, and so keeps to one processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// It does, but not longer than this.
    UnderWay {
        until: Instant,
    },
    Over,
}

/// Why serving frames stopped.
enum Stop {
    Ended(Ending),
    Failed(RunError),
}

impl From<FrameError> for Stop {
    fn from(error: FrameError) -> Self {
        Self::Ended(Ending::BadFrame(error))
    }
}

impl Guest {
    /// Starts the guest's kernel. The calling process has one thread.
    ///
    /// # Errors
    /// See [`BootError`].
    pub fn boot(config: Config) -> Result<Self, BootError> {
        let mut checked = config.check()?;
        let (process, streams) = spawn(&checked)?;
        Ok(Self {
            process,
            streams,
            messages: Messages::default(),
            feeder: None,
            input: checked.config.input.take(),
            output: checked.config.output,
            error: checked.config.error,
            _network: checked.config.network,
            is_ready: false,
            start: Start::UnderWay {
                until: Instant::now() + LONGEST_START,
            },
        })
    }

    /// Serves the guest until its program ends, and ends the guest. `on_phase` is called at the end
    /// of each phase.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run(mut self, on_phase: &dyn Fn(Phase)) -> Result<Ending, RunError> {
        let mut frames = Frames::default();
        let mut buffer = vec![0; HEADER + MOST_PAYLOAD];
        loop {
            let (has_frames, has_messages) = self.wait().map_err(RunError::Lines)?;
            if has_messages {
                let count = read_some(&self.streams.messages, &mut buffer);
                self.messages
                    .add(&buffer[..count.map_err(RunError::Lines)?]);
            }
            if !has_frames {
                continue;
            }
            let count = read_some(&self.streams.frames, &mut buffer).map_err(RunError::Lines)?;
            if count == 0 {
                return Ok(self.explain_end());
            }
            let taken = frames.take(&buffer[..count], |kind, payload| {
                self.serve(kind, payload, on_phase)
            });
            match taken {
                Ok(()) => {}
                Err(Stop::Ended(ending)) => return Ok(ending),
                Err(Stop::Failed(error)) => return Err(error),
            }
        }
    }

    /// Waits until there are frames or messages. Lets the guest use all processors once it has started.
    fn wait(&mut self) -> io::Result<(bool, bool)> {
        let limit = match self.start {
            Start::UnderWay { until } => until.saturating_duration_since(Instant::now()),
            Start::Over => Duration::MAX,
        };
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::NONE);
        let mut polled = [&self.streams.frames, &self.streams.messages]
            .map(|stream| PollFd::new(stream.as_fd(), PollFlags::POLLIN));
        let found = match poll(&mut polled, limit) {
            Ok(found) => found,
            Err(Errno::EINTR) => 1,
            Err(error) => return Err(error.into()),
        };
        let [frames, messages] = polled.map(|stream| stream.any().unwrap_or(false));
        if found == 0 {
            self.end_start();
        }
        Ok((frames, messages))
    }

    /// Serves one frame.
    fn serve(&mut self, kind: Kind, payload: &[u8], on_phase: &dyn Fn(Phase)) -> Result<(), Stop> {
        match kind {
            Kind::Started => {
                on_phase(Phase::Kernel);
                // The guest has its own copy of its files. A file that stays costs memory, no more.
                let _ = fs::remove_file(self.process.file(INITRD));
            }
            Kind::Output => {
                write_all(&self.output, payload)?;
                if !self.is_ready {
                    self.is_ready = true;
                    on_phase(Phase::Ready);
                    self.end_start();
                }
            }
            Kind::Error => write_all(&self.error, payload)?,
            Kind::Ready => self.grant_input().map_err(Stop::Failed)?,
            Kind::Exit => return Err(Stop::Ended(Ending::Exited(payload[0]))),
        }
        Ok(())
    }

    /// Ends the time in which the guest keeps to one processor.
    fn end_start(&mut self) {
        if self.start != Start::Over {
            self.start = Start::Over;
            self.process.release_processors();
        }
    }

    /// Lets the mailbox be filled. At the first time this starts the thread that fills it.
    fn grant_input(&mut self) -> Result<(), RunError> {
        if let Some(input) = self.input.take() {
            let path = self.process.file(MAILBOX);
            let mailbox = File::options().write(true).open(path);
            let mailbox = mailbox.map_err(RunError::Mailbox)?;
            let calls = self.streams.calls.try_clone().map_err(RunError::Mailbox)?;
            let feeder = Feeder::start(input, mailbox, calls);
            self.feeder = Some(feeder.map_err(RunError::Mailbox)?);
        }
        if let Some(feeder) = &self.feeder {
            feeder.grant();
        }
        Ok(())
    }

    /// The ending of a guest whose line has closed, with the kernel's last messages.
    fn explain_end(mut self) -> Ending {
        drop(self.process);
        let mut rest = Vec::new();
        // All processes that could write have ended.
        let _ = self.streams.messages.read_to_end(&mut rest);
        self.messages.add(&rest);
        Ending::KernelEnded(self.messages.text())
    }
}

fn read_some(mut stream: &File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Writes all of `bytes`. If nobody reads them, the guest is to end.
fn write_all(to: &OwnedFd, mut bytes: &[u8]) -> Result<(), Stop> {
    while !bytes.is_empty() {
        match write(to, bytes) {
            Ok(0) => return Err(Stop::Ended(Ending::OutputClosed)),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            // Another process has made the shared open file non-blocking.
            Err(Errno::EAGAIN) => {
                let wait = PollFd::new(to.as_fd(), PollFlags::POLLOUT);
                let _ = poll(&mut [wait], PollTimeout::NONE);
            }
            Err(_) => return Err(Stop::Ended(Ending::OutputClosed)),
        }
    }
    Ok(())
}
