//! What the launcher and the container's first process say to each other, and in which order.
//!
//! They share a pair of sequenced-packet sockets. The launcher gives two [`Order`]s or three; the first process sends
//! [`Message`]s of eight bytes. [`Handshake`] is the launcher's side as a pure state machine.

use nix::errno::Errno;

/// What the launcher tells the first process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Order {
    /// The user and group ids are mapped: become root and assemble the root file system.
    IdsMapped = 1,
    /// Join the cgroups that come with this message and go on.
    Proceed = 2,
    /// The network is there; pass on to the kernel the messages that come behind this byte, if any.
    SetUpNetwork = 3,
}

/// What the first process was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    Handshake = 1,
    Descriptors,
    Identity,
    DieWithLauncher,
    PrivateMounts,
    Scratch,
    Layer,
    Overlay,
    Entry,
    Proc,
    Masks,
    Device,
    Bind,
    BindTarget,
    JoinCgroup,
    CgroupNamespace,
    PivotRoot,
    WorkingDirectory,
    Hostname,
    User,
    Capabilities,
    Seccomp,
    Spawn,
    Execute,
    Network,
}

impl Step {
    const ALL: [Self; 25] = [
        Self::Handshake,
        Self::Descriptors,
        Self::Identity,
        Self::DieWithLauncher,
        Self::PrivateMounts,
        Self::Scratch,
        Self::Layer,
        Self::Overlay,
        Self::Entry,
        Self::Proc,
        Self::Masks,
        Self::Device,
        Self::Bind,
        Self::BindTarget,
        Self::JoinCgroup,
        Self::CgroupNamespace,
        Self::PivotRoot,
        Self::WorkingDirectory,
        Self::Hostname,
        Self::User,
        Self::Capabilities,
        Self::Seccomp,
        Self::Spawn,
        Self::Execute,
        Self::Network,
    ];
}

/// A step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The step.
    pub step: Step,
    /// Which of several: the layer, bind, device, entry or cgroup, from 0.
    pub index: u8,
    /// Why.
    pub errno: Errno,
}

impl Failure {
    /// For `map_err`: says at which step an error came.
    pub fn at(step: Step) -> impl Fn(Errno) -> Self {
        Self::at_item(step, 0)
    }

    /// For `map_err`: says at which step, and for which of several things, an error came.
    pub fn at_item(step: Step, index: usize) -> impl Fn(Errno) -> Self {
        move |errno| Self {
            step,
            index: u8::try_from(index).unwrap_or(u8::MAX),
            errno,
        }
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramEnd {
    /// It exited with this code.
    Exited(u8),
    /// The signal of this number ended it.
    Signaled(u8),
}

impl ProgramEnd {
    /// The end that a wait status of waitpid(2) tells of, or `None` if it tells of a stop.
    pub fn from_wait_status(status: i32) -> Option<Self> {
        if libc::WIFEXITED(status) {
            return u8::try_from(libc::WEXITSTATUS(status))
                .ok()
                .map(Self::Exited);
        }
        let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status))?;
        u8::try_from(signal).ok().map(Self::Signaled)
    }

    /// The exit code that a shell would give it: its own, or 128 + the signal's number.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => 128_u8.saturating_add(signal),
        }
    }
}

/// What the first process reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// A step failed; the first process ends now.
    Failed(Failure),
    /// The program runs.
    Started,
    /// The program ended; the first process ends now.
    Ended(ProgramEnd),
}

/// Bytes of a message.
pub const MESSAGE_BYTES: usize = 8;

const FAILED: u8 = 1;
const STARTED: u8 = 2;
const EXITED: u8 = 3;
const SIGNALED: u8 = 4;

impl Message {
    /// Its bytes: a tag, the step, the index, padding, and a number.
    pub fn encode(self) -> [u8; MESSAGE_BYTES] {
        let (tag, step, index, number) = match self {
            Self::Failed(failure) => (
                FAILED,
                failure.step as u8,
                failure.index,
                failure.errno as i32,
            ),
            Self::Started => (STARTED, 0, 0, 0),
            Self::Ended(ProgramEnd::Exited(code)) => (EXITED, 0, 0, code.into()),
            Self::Ended(ProgramEnd::Signaled(signal)) => (SIGNALED, 0, 0, signal.into()),
        };
        let [a, b, c, d] = number.to_le_bytes();
        [tag, step, index, 0, a, b, c, d]
    }

    /// The message in `bytes`, or `None` if they are none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let &[tag, step, index, 0, a, b, c, d] = bytes else {
            return None;
        };
        let number = i32::from_le_bytes([a, b, c, d]);
        match (tag, step, index) {
            (FAILED, step, index) => Some(Self::Failed(Failure {
                step: Step::ALL.into_iter().find(|known| *known as u8 == step)?,
                index,
                errno: Errno::from_raw(number),
            })),
            (STARTED, 0, 0) => (number == 0).then_some(Self::Started),
            (EXITED, 0, 0) => Some(Self::Ended(ProgramEnd::Exited(number.try_into().ok()?))),
            (SIGNALED, 0, 0) => Some(Self::Ended(ProgramEnd::Signaled(number.try_into().ok()?))),
            _ => None,
        }
    }
}

/// The launcher's place in the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// The first process is being set up.
    Starting,
    /// The program runs.
    Running,
    /// Nothing more may come.
    Over(Outcome),
}

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The container was never up.
    Failed(Failure),
    /// The program ended.
    Ended(ProgramEnd),
    /// The first process went away without a word: killed, with everything in the container.
    Lost,
}

/// What the first process said makes no sense at this point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the container's first process sent {message:?}, which cannot follow {state:?}")]
pub struct OutOfTurn {
    state: Handshake,
    message: Option<Message>,
}

impl Handshake {
    /// Takes in the next message; `None` is the end of the conversation.
    ///
    /// # Errors
    /// A message out of turn.
    pub fn accept(self, message: Option<Message>) -> Result<Self, OutOfTurn> {
        match (self, message) {
            (Self::Starting, Some(Message::Started)) => Ok(Self::Running),
            (Self::Starting, Some(Message::Failed(failure))) => {
                Ok(Self::Over(Outcome::Failed(failure)))
            }
            (Self::Running, Some(Message::Ended(end))) => Ok(Self::Over(Outcome::Ended(end))),
            (Self::Starting | Self::Running, None) => Ok(Self::Over(Outcome::Lost)),
            (Self::Over(_), None) => Ok(self),
            (state, message) => Err(OutOfTurn { state, message }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAILURE: Failure = Failure {
        step: Step::Overlay,
        index: 3,
        errno: Errno::EACCES,
    };
    const END: ProgramEnd = ProgramEnd::Exited(7);

    #[test]
    fn a_start_and_an_end_are_accepted_in_order() {
        let running = Handshake::Starting.accept(Some(Message::Started)).unwrap();
        assert_eq!(running, Handshake::Running);
        let over = running.accept(Some(Message::Ended(END))).unwrap();
        assert_eq!(over, Handshake::Over(Outcome::Ended(END)));
        assert_eq!(over.accept(None), Ok(over));
    }

    #[test]
    fn a_failure_ends_a_start() {
        let over = Handshake::Starting.accept(Some(Message::Failed(FAILURE)));
        assert_eq!(over, Ok(Handshake::Over(Outcome::Failed(FAILURE))));
    }

    #[test]
    fn silence_is_a_loss() {
        for state in [Handshake::Starting, Handshake::Running] {
            assert_eq!(state.accept(None), Ok(Handshake::Over(Outcome::Lost)));
        }
    }

    #[test]
    fn what_is_out_of_turn_is_refused() {
        for (state, message) in [
            (Handshake::Starting, Message::Ended(END)),
            (Handshake::Running, Message::Started),
            (Handshake::Running, Message::Failed(FAILURE)),
            (Handshake::Over(Outcome::Lost), Message::Started),
        ] {
            assert!(
                state.accept(Some(message)).is_err(),
                "{state:?} took {message:?}"
            );
        }
    }

    #[test]
    fn every_message_is_read_back() {
        let failures = Step::ALL.map(|step| Message::Failed(Failure { step, ..FAILURE }));
        let others = [
            Message::Started,
            Message::Ended(END),
            Message::Ended(ProgramEnd::Signaled(9)),
        ];
        for message in failures.into_iter().chain(others) {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
    }

    #[test]
    fn exit_codes_are_a_shells() {
        assert_eq!(END.exit_code(), 7);
        assert_eq!(ProgramEnd::Signaled(9).exit_code(), 137);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_none(bytes: Vec<u8>) {
            if let Some(message) = Message::decode(&bytes) {
                prop_assert!(bytes.len() == MESSAGE_BYTES);
                let _ = message.encode();
            }
        }
    }
}
