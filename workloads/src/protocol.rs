//! The line protocol: what a workload says on standard output, and the one place where that is
//! parsed.
//!
//! Each message is one line of ASCII, with its `\n` at most [`MAX_LINE`] bytes long:
//!
//! ```text
//! isobench/1 ready
//! isobench/1 begin
//! isobench/1 end operations=16384 bytes=67108864
//! isobench/1 answer number=1 bytes=655360
//! isobench/1 latencies unit=ns count=3 values=1004:2,20096:1
//! isobench/1 calls kernel=6.1.0 boot=... uptime=7200 answered=0-14,... refused=... unknown=... untried=...
//! ```
//!
//! A line may come from a hostile guest or from a program of the user's own, so the parser trusts
//! nothing. A line that is not exactly a message is a [`ProtocolError`], which fails the one
//! sample. `docs/protocol.md` says when each message is sent.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use bytesize::ByteSize;

use crate::calls::{Calls, number};
use crate::latencies::Latencies;

/// The longest line accepted, in bytes, with its `\n`.
pub const MAX_LINE: usize = 64 * 1024;

/// The line of [`Message::Ready`]. It is a constant, so that a workload needs neither formatting
/// nor memory to say it.
pub const READY_LINE: &str = "isobench/1 ready\n";
/// The line of [`Message::Begin`].
pub const BEGIN_LINE: &str = "isobench/1 begin\n";

const PREFIX: &str = "isobench/";
const VERSION: &str = "1";

/// How much of a refused line an error shows, in bytes.
const SHOWN: usize = 80;

/// One message of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The workload runs and is set up: its start-up is over.
    Ready,
    /// The workload is set up for work that is timed. With `--wait` the timed window opens when the
    /// workload is told to go on, otherwise at once.
    Begin,
    /// The timed window closes.
    End {
        /// Operations done since [`Message::Begin`].
        operations: u64,
        /// Bytes moved since [`Message::Begin`]; zero if the workload moves no bytes.
        bytes: ByteSize,
    },
    /// The latency of each operation in the window. The message is sent after [`Message::End`], so
    /// that sending does not disturb the window.
    Latencies(Latencies),
    /// The answer to one line of the workload's input.
    Answer {
        /// The number of the answer, from 1 on.
        number: u64,
        /// Bytes of its own memory through which the workload went for the answer.
        bytes: ByteSize,
    },
    /// The answer to every system call that was tried.
    Calls(Box<Calls>),
}

impl Message {
    /// Reads one line, with its `\n` or without.
    ///
    /// # Errors
    /// The line is not exactly one message of this version.
    pub fn parse(line: &[u8]) -> Result<Self, ProtocolError> {
        if line.len() > MAX_LINE {
            return Err(ProtocolError::TooLong { length: line.len() });
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let garbled = || ProtocolError::Garbled { line: shown(line) };
        let text = std::str::from_utf8(line).map_err(|_| garbled())?;
        let (version, body) = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once(' '))
            .ok_or_else(garbled)?;
        if version != VERSION {
            return Err(ProtocolError::Version {
                version: shown(version.as_bytes()),
            });
        }
        parse_body(body).ok_or_else(garbled)
    }

    /// Writes the message and its `\n` by one write.
    ///
    /// # Errors
    /// `output` cannot be written to.
    pub fn send(&self, output: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Ready => output.write_all(READY_LINE.as_bytes()),
            Self::Begin => output.write_all(BEGIN_LINE.as_bytes()),
            Self::End { .. } | Self::Answer { .. } | Self::Latencies(_) | Self::Calls(_) => {
                output.write_all(format!("{self}\n").as_bytes())
            }
        }
    }
}

fn parse_body(body: &str) -> Option<Message> {
    let mut words = body.split(' ');
    let message = match words.next()? {
        "ready" => Message::Ready,
        "begin" => Message::Begin,
        "end" => Message::End {
            operations: number(field(words.next()?, "operations")?)?,
            bytes: ByteSize(number(field(words.next()?, "bytes")?)?),
        },
        "answer" => Message::Answer {
            number: number(field(words.next()?, "number")?)?,
            bytes: ByteSize(number(field(words.next()?, "bytes")?)?),
        },
        "latencies" => {
            let unit = field(words.next()?, "unit")?;
            let count = number(field(words.next()?, "count")?)?;
            let values = field(words.next()?, "values")?;
            Message::Latencies(
                parse_values(values).filter(|read| unit == "ns" && read.count() == count)?,
            )
        }
        "calls" => return Some(Message::Calls(Box::new(Calls::parse(words)?))),
        _ => return None,
    };
    words.next().is_none().then_some(message)
}

/// Reads `V:C,V:C,...` with ascending values and counts above zero. An empty text has no value.
fn parse_values(text: &str) -> Option<Latencies> {
    let mut latencies = Latencies::new();
    let mut previous = None;
    for pair in text.split_terminator(',') {
        let (value, count) = pair.split_once(':')?;
        let (value, count) = (number(value)?, number(count)?);
        if count == 0 || previous.is_some_and(|previous| previous >= value) {
            return None;
        }
        latencies.record_nanos(value, count)?;
        previous = Some(value);
    }
    // `split_terminator` allows one comma too many.
    (!text.ends_with(',')).then_some(latencies)
}

/// The value of the field `name` in `NAME=VALUE`.
fn field<'a>(word: &'a str, name: &str) -> Option<&'a str> {
    word.strip_prefix(name)?.strip_prefix('=')
}

/// The first bytes of a line, escaped so that they can be shown on a terminal.
fn shown(line: &[u8]) -> String {
    let cut = &line[..line.len().min(SHOWN)];
    let more = if cut.len() < line.len() { "..." } else { "" };
    format!("{}{more}", cut.escape_ascii())
}

impl fmt::Display for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => formatter.write_str(READY_LINE.trim_ascii_end()),
            Self::Begin => formatter.write_str(BEGIN_LINE.trim_ascii_end()),
            Self::End { operations, bytes } => {
                let bytes = bytes.as_u64();
                write!(
                    formatter,
                    "{PREFIX}{VERSION} end operations={operations} bytes={bytes}"
                )
            }
            Self::Answer { number, bytes } => {
                let bytes = bytes.as_u64();
                write!(
                    formatter,
                    "{PREFIX}{VERSION} answer number={number} bytes={bytes}"
                )
            }
            Self::Latencies(latencies) => {
                let count = latencies.count();
                write!(
                    formatter,
                    "{PREFIX}{VERSION} latencies unit=ns count={count} values="
                )?;
                for (index, (value, count)) in latencies.values().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(formatter, "{comma}{value}:{count}")?;
                }
                Ok(())
            }
            Self::Calls(calls) => write!(formatter, "{PREFIX}{VERSION} {calls}"),
        }
    }
}

impl FromStr for Message {
    type Err = ProtocolError;

    fn from_str(line: &str) -> Result<Self, ProtocolError> {
        Self::parse(line.as_bytes())
    }
}

/// A line of a workload's output is not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The line is none of the protocol, or is garbled.
    #[error("the workload's line \"{line}\" is not a message of protocol {PREFIX}{VERSION}")]
    Garbled {
        /// The beginning of the line, escaped.
        line: String,
    },
    /// The line is a message of another version of the protocol.
    #[error(
        "the workload speaks protocol {PREFIX}{version}, this program {PREFIX}{VERSION}: build both from the same source"
    )]
    Version {
        /// The version found, escaped.
        version: String,
    },
    /// The line is longer than [`MAX_LINE`].
    #[error("the workload's line is {length} bytes long, {MAX_LINE} are allowed")]
    TooLong {
        /// Bytes of the line seen so far.
        length: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_message_is_the_documented_line() {
        let mut latencies = Latencies::new();
        latencies.record_nanos(1004, 2).unwrap();
        latencies.record_nanos(20_000, 1).unwrap();
        let end = Message::End {
            operations: 16384,
            bytes: ByteSize::mib(64),
        };
        for (message, line) in [
            (Message::Ready, "isobench/1 ready"),
            (Message::Begin, "isobench/1 begin"),
            (end, "isobench/1 end operations=16384 bytes=67108864"),
            (
                Message::Answer {
                    number: 1,
                    bytes: ByteSize::kib(640),
                },
                "isobench/1 answer number=1 bytes=655360",
            ),
            (
                Message::Latencies(latencies),
                "isobench/1 latencies unit=ns count=3 values=1006:2,20032:1",
            ),
            (
                Message::Latencies(Latencies::new()),
                "isobench/1 latencies unit=ns count=0 values=",
            ),
        ] {
            assert_eq!(message.to_string(), line);
            assert_eq!(line.parse(), Ok(message.clone()));
            let mut sent = Vec::new();
            message.send(&mut sent).unwrap();
            assert_eq!(sent, format!("{line}\n").into_bytes());
            assert_eq!(Message::parse(&sent), Ok(message));
        }
    }

    #[test]
    fn a_hostile_or_garbled_line_is_refused() {
        for line in [
            "",
            "\n",
            "ready",
            "isobench/1",
            "isobench/1 ",
            "isobench/1 ready ",
            " isobench/1 ready",
            "isobench/1 ready\r",
            "isobench/1 ready\n\n",
            "isobench/1 READY",
            "isobench/1 end",
            "isobench/1 end operations=1",
            "isobench/1 end bytes=1 operations=1",
            "isobench/1 end operations=+1 bytes=1",
            "isobench/1 end operations=-1 bytes=1",
            "isobench/1 end operations= bytes=1",
            "isobench/1 end operations=18446744073709551616 bytes=1",
            "isobench/1 end operations=1 bytes=1 more=1",
            "isobench/1 answer number=1",
            "isobench/1 answer number=1 bytes=1 more=1",
            "isobench/1 latencies unit=us count=1 values=5:1",
            "isobench/1 latencies unit=ns count=2 values=5:1",
            "isobench/1 latencies unit=ns count=1 values=5:1,",
            "isobench/1 latencies unit=ns count=0 values=5:0",
            "isobench/1 latencies unit=ns count=2 values=5:1,5:1",
            "isobench/1 latencies unit=ns count=2 values=6:1,5:1",
            "isobench/1 latencies unit=ns count=1 values=99999999999999:1",
            "isobench/1 latencies unit=ns count=0 values=5:18446744073709551615,7:1",
            "isobench/1 latencies unit=ns count=1 values=5",
        ] {
            let error = line.parse::<Message>().unwrap_err();
            assert!(
                matches!(error, ProtocolError::Garbled { .. }),
                "{line}: {error}"
            );
        }
    }

    #[test]
    fn an_error_shows_the_beginning_of_the_line_escaped() {
        let error = Message::parse(&[b"\x1b[2J\xff", [b'x'; 500].as_slice()].concat()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("\\x1b[2J\\xff") && text.contains("xx...\""),
            "{text}"
        );
        assert!(text.len() < 200 && text.is_ascii(), "{text}");
    }

    #[test]
    fn a_message_of_another_version_is_not_called_garbled() {
        let error = "isobench/2 ready".parse::<Message>().unwrap_err();
        assert_eq!(
            error,
            ProtocolError::Version {
                version: "2".into()
            }
        );
    }

    #[test]
    fn a_line_above_the_limit_is_too_long() {
        let flood = vec![b'x'; MAX_LINE + 1];
        assert_eq!(
            Message::parse(&flood),
            Err(ProtocolError::TooLong {
                length: MAX_LINE + 1
            })
        );
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let latencies = prop::collection::vec(0..1_u64 << 36, 0..200).prop_map(|all| {
            let mut latencies = Latencies::new();
            for nanos in all {
                latencies.record_nanos(nanos, 1).unwrap();
            }
            Message::Latencies(latencies)
        });
        let end = any::<(u64, u64)>().prop_map(|(operations, bytes)| Message::End {
            operations,
            bytes: ByteSize(bytes),
        });
        prop_oneof![Just(Message::Ready), Just(Message::Begin), end, latencies]
    }

    proptest! {
        #[test]
        fn a_message_is_read_as_it_is_written(message in any_message()) {
            let line = message.to_string();
            let read: Message = line.parse().unwrap();
            prop_assert_eq!(read.to_string(), line);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(line in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::parse(&line);
        }

        #[test]
        fn no_garbled_message_makes_the_parser_panic(
            message in any_message(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut line = message.to_string().into_bytes();
            let at = at.index(line.len());
            line[at] = byte;
            if let Err(error) = Message::parse(&line) {
                prop_assert!(error.to_string().len() < 500);
            }
        }
    }
}
