//! Standard input, from the launcher to `/init`: piece by piece through the mailbox.

use std::fs::File;
use std::io::{self, Write as _};
use std::num::NonZeroU32;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use isobench_workloads::guest_init::frames::{MAILBOX, call};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;

/// The thread that fills the mailbox.
#[derive(Debug)]
pub(crate) struct Feeder {
    grants: Sender<()>,
}

impl Feeder {
    /// Starts the thread, which waits for the first grant.
    ///
    /// # Errors
    /// The host has no more threads.
    pub(crate) fn start(input: OwnedFd, mailbox: File, calls: File) -> io::Result<Self> {
        let (grants, granted) = mpsc::channel();
        thread::Builder::new()
            .name("input".to_owned())
            // An error means that the guest has gone, which the launcher sees elsewhere.
            .spawn(move || drop(feed(&input, &mailbox, &calls, &granted)))?;
        Ok(Self { grants })
    }

    /// Lets the thread fill the mailbox once more.
    pub(crate) fn grant(&self) {
        // After the end of input the thread has gone.
        let _ = self.grants.send(());
    }
}

/// Fills the mailbox at each grant, until the end of `input`.
fn feed(
    input: &OwnedFd,
    mailbox: &File,
    mut calls: &File,
    granted: &Receiver<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; MAILBOX];
    while granted.recv().is_ok() {
        let count = read_some(input, &mut buffer);
        mailbox.write_all_at(&buffer[..count], 0)?;
        let count = u32::try_from(count).ok().and_then(NonZeroU32::new);
        calls.write_all(&call(count))?;
        if count.is_none() {
            break;
        }
    }
    Ok(())
}

/// Reads until there is something; 0 is the end. To the program, an input that can't be read has
/// ended.
fn read_some(input: &OwnedFd, buffer: &mut [u8]) -> usize {
    loop {
        match read(input, buffer) {
            Ok(count) => return count,
            Err(Errno::EINTR) => {}
            // Another process has made the shared open file non-blocking.
            Err(Errno::EAGAIN) => {
                let wait = PollFd::new(input.as_fd(), PollFlags::POLLIN);
                let _ = poll(&mut [wait], PollTimeout::NONE);
            }
            Err(_) => return 0,
        }
    }
}
