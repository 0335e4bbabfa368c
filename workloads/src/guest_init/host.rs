//! The way from `/init` to the host: ports of a virtual machine, or a line of user-mode Linux.

use super::InitError;
use super::frames::Kind;
use super::line::Line;
use super::orders::{Orders, Wire};
use super::ports::Ports;

/// The host, as `/init` reaches it.
#[derive(Debug)]
pub(super) enum Host {
    /// The host emulates ports.
    Ports(Ports),
    /// The host reads a line.
    Line(Line),
}

impl Host {
    /// Opens the way that the orders name.
    pub(super) fn reach(orders: &Orders) -> Result<Self, InitError> {
        if orders.wire == Wire::Line {
            return Line::open().map(Self::Line).map_err(InitError::Line);
        }
        Ports::open(orders.ports, orders.wire, orders.power_off)
            .map(Self::Ports)
            .map_err(InitError::Ports)
    }

    /// Sends bytes of the program's standard output.
    pub(super) fn output(&self, bytes: &[u8]) {
        match self {
            Self::Ports(ports) => ports.output(bytes),
            Self::Line(line) => line.send(Kind::Output, bytes),
        }
    }

    /// Sends bytes of the program's standard error.
    pub(super) fn error(&self, bytes: &[u8]) {
        match self {
            Self::Ports(ports) => ports.error(bytes),
            Self::Line(line) => line.send(Kind::Error, bytes),
        }
    }

    /// Says that `/init` has started.
    pub(super) fn mark(&self) {
        match self {
            Self::Ports(ports) => ports.mark(),
            Self::Line(line) => line.send_frame(Kind::Started, &[]),
        }
    }

    /// Says that the mailbox may be filled. Ports have none.
    pub(super) fn grant(&self) {
        if let Self::Line(line) = self {
            line.send_frame(Kind::Ready, &[]);
        }
    }

    /// Asks for standard input, which fills `piece`. A line brings it by the mailbox.
    pub(super) fn input(&self, piece: &mut [u8]) {
        if let Self::Ports(ports) = self {
            ports.input(piece);
        }
    }

    /// Tells the exit code `code`. The function returns if that doesn't end the machine.
    pub(super) fn exit(&self, code: u8) {
        match self {
            Self::Ports(ports) => ports.exit(code),
            Self::Line(line) => line.send_frame(Kind::Exit, &[code]),
        }
    }
}
