//! When a program counts as ready.

use std::fmt;
use std::str::FromStr;

use regex::bytes::Regex;

/// When a program counts as ready.
#[derive(Debug, Clone)]
pub enum ReadyCondition {
    /// The command has ended.
    Exit,
    /// A line has come on standard output or standard error; with an expression, a line that the
    /// expression matches.
    Line(Option<Regex>),
    /// A TCP connection to this port succeeds.
    Tcp(u16),
    /// A GET request is answered with a status of 200 to 299.
    Http {
        /// The port.
        port: u16,
        /// The path, which begins with a slash.
        path: String,
    },
}

impl ReadyCondition {
    /// Whether the program is ready before its end, so that a server can be waited for.
    pub fn is_before_end(&self) -> bool {
        !matches!(self, Self::Exit)
    }

    /// The port that must answer, if the condition is about a network.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(port) | Self::Http { port, .. } => Some(*port),
            Self::Exit | Self::Line(_) => None,
        }
    }
}

/// A text that is no [`ReadyCondition`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadySyntaxError {
    /// No condition begins like the text.
    #[error("`{0}` is no condition; choose among exit, line, line=REGEX, tcp=PORT, http=PORT/PATH")]
    Unknown(String),
    /// The port is no port.
    #[error("`{0}` is no port: a number from 1 to 65535 is needed, as in tcp=8000 or http=8000/")]
    Port(String),
    /// The path of a request can't be sent.
    #[error("`{0}` is no path of a request: a path has no spaces and no control characters")]
    Path(String),
    /// The expression doesn't compile.
    #[error("`{expression}` is no regular expression: {reason}")]
    Expression {
        /// The expression.
        expression: String,
        /// What is wrong with the expression.
        reason: String,
    },
}

impl FromStr for ReadyCondition {
    type Err = ReadySyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            None if text == "exit" => Ok(Self::Exit),
            None if text == "line" => Ok(Self::Line(None)),
            Some(("line", expression)) => compile(expression).map(|regex| Self::Line(Some(regex))),
            Some(("tcp", port)) => parse_port(port).map(Self::Tcp),
            Some(("http", target)) => {
                let (port, path) = target.split_once('/').unwrap_or((target, ""));
                let is_sendable = |byte: u8| byte.is_ascii_graphic();
                if !path.bytes().all(is_sendable) {
                    return Err(ReadySyntaxError::Path(format!("/{path}")));
                }
                Ok(Self::Http {
                    port: parse_port(port)?,
                    path: format!("/{path}"),
                })
            }
            _ => Err(ReadySyntaxError::Unknown(text.to_owned())),
        }
    }
}

fn parse_port(text: &str) -> Result<u16, ReadySyntaxError> {
    let port = text.parse::<u16>().ok().filter(|port| *port > 0);
    port.ok_or_else(|| ReadySyntaxError::Port(text.to_owned()))
}

fn compile(expression: &str) -> Result<Regex, ReadySyntaxError> {
    Regex::new(expression).map_err(|error| {
        // The error draws the expression above its last line, which has the reason.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default();
        ReadySyntaxError::Expression {
            expression: expression.to_owned(),
            reason: reason.trim_start_matches("error: ").to_owned(),
        }
    })
}

impl fmt::Display for ReadyCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit => f.write_str("exit"),
            Self::Line(None) => f.write_str("line"),
            Self::Line(Some(regex)) => write!(f, "line={regex}"),
            Self::Tcp(port) => write!(f, "tcp={port}"),
            Self::Http { port, path } => write!(f, "http={port}{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_written_as_it_is_read() {
        for text in [
            "exit",
            "line",
            "line=^ready: [0-9]+",
            "tcp=1",
            "http=8000/a?b=c",
            "http=80/",
        ] {
            let condition: ReadyCondition = text.parse().unwrap();
            assert_eq!(condition.to_string(), text);
        }
        let bare: ReadyCondition = "http=8000".parse().unwrap();
        assert_eq!(bare.to_string(), "http=8000/");
    }

    #[test]
    fn an_error_names_the_text_and_what_is_expected() {
        for (text, expected) in [
            ("", "choose among exit"),
            ("udp=5", "`udp=5` is no condition"),
            ("exit=0", "choose among"),
            ("tcp=0", "`0` is no port"),
            ("tcp=65536", "a number from 1 to 65535"),
            ("http=/x", "`` is no port"),
            ("http=80/a b", "`/a b` is no path"),
            (
                "line=[",
                "`[` is no regular expression: unclosed character class",
            ),
        ] {
            let error = text.parse::<ReadyCondition>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
