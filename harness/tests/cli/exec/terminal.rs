//! A terminal for a test's command.

use std::io::{BufRead, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use nix::pty::{Winsize, openpty};

use crate::support::place::Place;

/// A command with a terminal of its own, whose keys the test presses.
pub struct Terminal {
    keys: std::fs::File,
    pub screen: BufReader<std::fs::File>,
    pub child: Child,
}

impl Terminal {
    pub fn start(place: &Place, command: &[&str]) -> Self {
        let size = Winsize {
            ws_row: 33,
            ws_col: 77,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(&size, None).unwrap();
        let copy = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        let words = [&["--ctty", "--wait"], command].concat();
        let mut leader: Command = place.command("/usr/bin/setsid", &words);
        leader
            .stdin(copy(&pair.slave))
            .stdout(copy(&pair.slave))
            .stderr(copy(&pair.slave));
        let child = leader.spawn().unwrap();
        Self {
            keys: pair.master.try_clone().unwrap().into(),
            screen: BufReader::new(pair.master.into()),
            child,
        }
    }

    pub fn press(&mut self, key: u8) {
        self.keys.write_all(&[key]).unwrap();
    }

    pub fn line(&mut self) -> String {
        line(&mut self.screen)
    }
}

/// The next line of an output, without its end.
pub fn line(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}
