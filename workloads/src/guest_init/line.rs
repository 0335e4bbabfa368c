//! The line of user-mode Linux by which `/init` speaks to the launcher, in [frames](super::frames).

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

use super::frames::{HEADER, Kind, MOST_PAYLOAD, header};

/// The line, a terminal of the kernel's: `con1` on the kernel's command line.
const LINE: Device = Device {
    path: "/.line",
    kind: SFlag::S_IFCHR,
    numbers: (4, 1),
};
/// The mailbox, a disk of the kernel's: `ubd15` on the kernel's command line.
const MAILBOX: Device = Device {
    path: "/.mailbox",
    kind: SFlag::S_IFBLK,
    numbers: (98, 15 << 4),
};

/// A device of the kernel's. `/init` makes the device's node itself, beside its own file: an image's
/// program doesn't see it.
struct Device {
    path: &'static str,
    kind: SFlag,
    /// The major and the minor number.
    numbers: (u64, u64),
}

impl Device {
    fn open(&self, flags: OFlag) -> io::Result<File> {
        let (major, minor) = self.numbers;
        let number = makedev(major, minor);
        match mknod(self.path, self.kind, Mode::S_IRUSR | Mode::S_IWUSR, number) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let mut options = OpenOptions::new();
        options.read(true).write(self.kind == SFlag::S_IFCHR);
        options
            .custom_flags((flags | OFlag::O_CLOEXEC).bits())
            .open(self.path)
    }
}

/// The line's end in the guest.
#[derive(Debug)]
pub(super) struct Line {
    to_host: File,
}

impl Line {
    /// Opens the line, which from then on carries bytes as they are.
    pub(super) fn open() -> io::Result<Self> {
        let to_host = LINE.open(OFlag::O_NOCTTY)?;
        let mut settings = tcgetattr(&to_host)?;
        cfmakeraw(&mut settings);
        tcsetattr(&to_host, SetArg::TCSANOW, &settings)?;
        Ok(Self { to_host })
    }

    /// Opens the line once more, for calls from the launcher. A read never waits.
    pub(super) fn calls() -> io::Result<File> {
        LINE.open(OFlag::O_NOCTTY | OFlag::O_NONBLOCK)
    }

    /// Opens the mailbox. Reads get what is in the host's file now, and not what was read before.
    pub(super) fn mailbox() -> io::Result<File> {
        MAILBOX.open(OFlag::O_DIRECT)
    }

    /// Sends frames of `kind` with these bytes. If the launcher has gone, so has this machine.
    pub(super) fn send(&self, kind: Kind, bytes: &[u8]) {
        for piece in bytes.chunks(MOST_PAYLOAD) {
            self.send_frame(kind, piece);
        }
    }

    /// Sends a frame of `kind`, with no more than [`MOST_PAYLOAD`] bytes.
    pub(super) fn send_frame(&self, kind: Kind, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a payload is short");
        let mut frame = Vec::with_capacity(HEADER + payload.len());
        frame.extend_from_slice(&header(kind, length));
        frame.extend_from_slice(payload);
        let _ = (&self.to_host).write_all(&frame);
    }
}
