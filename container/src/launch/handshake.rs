//! What the launcher and the container's first process say to each other, and in which order.
//!
//! The two processes share a pair of sequenced-packet sockets. The launcher gives two or three
//! [`Order`]s; the first process sends [`Message`]s of eight bytes. [`Handshake`] is the launcher's
//! side as a pure state machine.

use nix::errno::Errno;

use super::program_end::ProgramEnd;
use crate::isolation::step::{SetupFailure, SetupStep};

/// What the launcher tells the first process to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Order {
    /// The user and group ids are mapped: become root and assemble the root file system.
    IdsMapped = 1,
    /// Join the cgroups whose descriptors come with this message, and go on.
    Proceed = 2,
    /// The network exists: pass the messages that follow this byte, if any, on to the kernel.
    SetUpNetwork = 3,
}

/// What the first process reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// A step of the set-up failed, and the first process ends now.
    SetupFailed(SetupFailure),
    /// The program runs.
    ProgramStarted,
    /// The signal of this number has stopped the program.
    ProgramStopped(u8),
    /// The program ended, and the first process ends now.
    ProgramEnded(ProgramEnd),
}

/// Bytes of a message.
pub const MESSAGE_BYTES: usize = 8;

// The first byte of a message.
const FAILED: u8 = 1;
const STARTED: u8 = 2;
const EXITED: u8 = 3;
const SIGNALED: u8 = 4;
const STOPPED: u8 = 5;

impl Message {
    /// The bytes of the message: its kind, the step, the index, zero, and a number of 32 bits.
    pub fn encode(self) -> [u8; MESSAGE_BYTES] {
        let (kind, step, index, number) = match self {
            Self::SetupFailed(failure) => (
                FAILED,
                failure.step as u8,
                failure.index,
                failure.errno as i32,
            ),
            Self::ProgramStarted => (STARTED, 0, 0, 0),
            Self::ProgramStopped(signal) => (STOPPED, 0, 0, signal.into()),
            Self::ProgramEnded(ProgramEnd::Exited(code)) => (EXITED, 0, 0, code.into()),
            Self::ProgramEnded(ProgramEnd::Signaled(signal)) => (SIGNALED, 0, 0, signal.into()),
        };
        let [a, b, c, d] = number.to_le_bytes();
        [kind, step, index, 0, a, b, c, d]
    }

    /// The message that `bytes` are, or `None` if they are no message.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let &[kind, step, index, 0, a, b, c, d] = bytes else {
            return None;
        };
        let number = i32::from_le_bytes([a, b, c, d]);
        match (kind, step, index) {
            (FAILED, step, index) => Some(Self::SetupFailed(SetupFailure {
                step: SetupStep::from_repr(step)?,
                index,
                errno: Errno::from_raw(number),
            })),
            (STARTED, 0, 0) => (number == 0).then_some(Self::ProgramStarted),
            (STOPPED, 0, 0) => Some(Self::ProgramStopped(number.try_into().ok()?)),
            (EXITED, 0, 0) => Some(Self::ProgramEnded(ProgramEnd::Exited(
                number.try_into().ok()?,
            ))),
            (SIGNALED, 0, 0) => Some(Self::ProgramEnded(ProgramEnd::Signaled(
                number.try_into().ok()?,
            ))),
            _ => None,
        }
    }
}

/// How far the conversation has got, seen by the launcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handshake {
    /// The first process sets itself up.
    Starting,
    /// The program runs.
    Running,
    /// The conversation has ended: nothing more may come.
    Over(ConversationEnd),
}

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConversationEnd {
    /// The set-up failed: the program never ran.
    SetupFailed(SetupFailure),
    /// The program ended.
    ProgramEnded(ProgramEnd),
    /// The first process went away without a word: it was killed, with everything in the container.
    FirstProcessLost,
}

/// A message of the first process that makes no sense at this point of the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the container's first process sent {message:?}, which cannot follow {state:?}")]
pub struct OutOfTurn {
    state: Handshake,
    message: Option<Message>,
}

impl Handshake {
    /// Takes in the next message. `None` stands for the end of the connection.
    ///
    /// # Errors
    /// The message is out of turn.
    pub fn accept(self, message: Option<Message>) -> Result<Self, OutOfTurn> {
        match (self, message) {
            (Self::Starting, Some(Message::ProgramStarted))
            | (Self::Running, Some(Message::ProgramStopped(_))) => Ok(Self::Running),
            (Self::Starting, Some(Message::SetupFailed(failure))) => {
                Ok(Self::Over(ConversationEnd::SetupFailed(failure)))
            }
            (Self::Running, Some(Message::ProgramEnded(end))) => {
                Ok(Self::Over(ConversationEnd::ProgramEnded(end)))
            }
            (Self::Starting | Self::Running, None) => {
                Ok(Self::Over(ConversationEnd::FirstProcessLost))
            }
            (Self::Over(_), None) => Ok(self),
            (state, message) => Err(OutOfTurn { state, message }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use strum::VariantArray as _;

    use super::*;

    const FAILURE: SetupFailure = SetupFailure {
        step: SetupStep::Overlay,
        index: 3,
        errno: Errno::EACCES,
    };
    const END: ProgramEnd = ProgramEnd::Exited(7);
    const LOST: Handshake = Handshake::Over(ConversationEnd::FirstProcessLost);

    #[test]
    fn a_start_a_stop_and_an_end_are_accepted_in_order() {
        let running = Handshake::Starting.accept(Some(Message::ProgramStarted));
        assert_eq!(running, Ok(Handshake::Running));
        let stopped = Handshake::Running.accept(Some(Message::ProgramStopped(20)));
        assert_eq!(stopped, Ok(Handshake::Running));
        let over = Handshake::Over(ConversationEnd::ProgramEnded(END));
        let ended = Handshake::Running.accept(Some(Message::ProgramEnded(END)));
        assert_eq!(ended, Ok(over));
        assert_eq!(over.accept(None), Ok(over));
    }

    #[test]
    fn a_failure_ends_a_start() {
        let over = Handshake::Starting.accept(Some(Message::SetupFailed(FAILURE)));
        let expected = Handshake::Over(ConversationEnd::SetupFailed(FAILURE));
        assert_eq!(over, Ok(expected));
    }

    #[test]
    fn silence_means_that_the_first_process_is_lost() {
        for state in [Handshake::Starting, Handshake::Running] {
            assert_eq!(state.accept(None), Ok(LOST));
        }
    }

    #[test]
    fn a_message_out_of_turn_is_refused() {
        for (state, message) in [
            (Handshake::Starting, Message::ProgramEnded(END)),
            (Handshake::Starting, Message::ProgramStopped(20)),
            (Handshake::Running, Message::ProgramStarted),
            (Handshake::Running, Message::SetupFailed(FAILURE)),
            (LOST, Message::ProgramStarted),
        ] {
            assert!(
                state.accept(Some(message)).is_err(),
                "{state:?} took {message:?}"
            );
        }
    }

    #[test]
    fn a_failure_of_every_step_is_read_as_it_is_written() {
        for step in SetupStep::VARIANTS {
            let failure = SetupFailure {
                step: *step,
                ..FAILURE
            };
            let message = Message::SetupFailed(failure);
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
    }

    #[test]
    fn starts_stops_and_ends_are_read_as_they_are_written() {
        for message in [
            Message::ProgramStarted,
            Message::ProgramStopped(20),
            Message::ProgramEnded(END),
            Message::ProgramEnded(ProgramEnd::Signaled(9)),
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
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
