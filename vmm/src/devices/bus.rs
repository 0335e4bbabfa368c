//! Which device a port or an address belongs to, for a guest with a kernel.
//!
//! Every vCPU's thread comes here, so each device has a lock. What belongs to nobody reads as ones and
//! takes writes without effect, as on a PC: kernels look for devices that way.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vm_memory::{GuestAddress, GuestMemoryBackend as _};

use super::host_io::GuestSlices;
use super::program_io::{Grant, Output, ReaderGone};
use super::serial::SerialPort;
use super::virtio::mmio::{Transport, ViolationError};
use crate::kvm::exits::ExitCounts;
use crate::linux::layout::{
    ERROR_PORT, EXIT_PORT, INPUT_PORT, KEYBOARD, MARK_PORT, SERIAL, VIRTIO, VIRTIO_SIZE,
};
use crate::linux::memory::Memory;
use crate::linux::phase::Phase;

/// The keyboard controller's "output buffer full", for good: a kernel that looks for a keyboard gives up on it,
/// and one that wants to reset the machine finds no other bit in the way.
const KEYBOARD_STATUS: u8 = 1;
/// The keyboard controller's command to reset the processor.
const KEYBOARD_RESET: u8 = 0xfe;

/// What the guest asked of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// To end, with the program's exit code.
    Exit(u8),
    /// To reset.
    Reset,
    /// To write to a standard output that nobody reads.
    WriteToNobody,
    /// Nothing: one of its processors could not even raise a double fault.
    TripleFault,
}

/// Called at the end of each phase.
pub type PhaseEnded = Box<dyn Fn(Phase) + Send + Sync>;

/// What is behind the guest's ports and addresses.
pub struct Board {
    /// Guest memory.
    pub memory: Memory,
    /// The serial port.
    pub serial: Mutex<SerialPort>,
    /// Standard input for the program, if any. It stays open: closing takes a call that the filter may refuse.
    pub input: Option<OwnedFd>,
    /// The program's standard output.
    pub output: Output,
    /// Its standard error.
    pub error: Output,
    /// What `/init` takes of its standard input.
    pub grant: Grant,
    /// The virtio devices, in the order of their addresses.
    pub virtio: Vec<Mutex<Transport>>,
    /// Called at the end of each phase that the guest ends.
    pub ended: PhaseEnded,
    /// Whether `/init` has started.
    pub started: AtomicBool,
    /// Whether the program has written to its standard output.
    pub ready: AtomicBool,
    /// How often its vCPUs came out.
    pub exits: Arc<ExitCounts>,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Board").finish_non_exhaustive()
    }
}

impl Board {
    /// The guest writes to a port.
    pub fn write_port(&self, port: u16, bytes: &[u8]) -> Option<Request> {
        match port {
            EXIT_PORT => return Some(Request::Exit(*bytes.first()?)),
            MARK_PORT => self.end_once(&self.started, Phase::Kernel),
            INPUT_PORT => self.grant.raise((*bytes.first()?).into()),
            KEYBOARD if bytes.contains(&KEYBOARD_RESET) => return Some(Request::Reset),
            _ if SERIAL.contains(&port) => lock(&self.serial).write(register(port), bytes),
            _ => {}
        }
        None
    }

    /// The guest reads from a port.
    pub fn read_port(&self, port: u16, into: &mut [u8]) {
        match port {
            KEYBOARD => into.fill(KEYBOARD_STATUS),
            _ if SERIAL.contains(&port) => lock(&self.serial).read(register(port), into),
            _ => into.fill(0xff),
        }
    }

    /// The guest writes to an address that isn't memory.
    ///
    /// # Errors
    /// It breaks a device's rules.
    pub fn write_address(&self, address: u64, bytes: &[u8]) -> Result<(), ViolationError> {
        match self.device(address) {
            Some((device, offset)) => lock(device).write(offset, bytes, &self.memory),
            None => Ok(()),
        }
    }

    /// The guest reads from an address that isn't memory.
    pub fn read_address(&self, address: u64, into: &mut [u8]) {
        match self.device(address) {
            Some((device, offset)) => lock(device).read(offset, into),
            None => into.fill(0xff),
        }
    }

    /// The last that the guest's kernel said.
    pub fn console(&self) -> String {
        lock(&self.serial).console()
    }

    fn device(&self, address: u64) -> Option<(&Mutex<Transport>, u64)> {
        let offset = address.checked_sub(VIRTIO)?;
        let index = usize::try_from(offset / VIRTIO_SIZE).ok()?;
        Some((self.virtio.get(index)?, offset % VIRTIO_SIZE))
    }

    /// The guest hands over what its program wrote: pieces of its memory, by address and length.
    pub fn transfer(&self, port: u16, pieces: &[(u64, u64)]) -> Option<Request> {
        let mut slices = GuestSlices::default();
        for &(address, length) in pieces {
            let Ok(length) = usize::try_from(length) else {
                break;
            };
            // What isn't memory has nothing to say.
            let Ok(piece) = self.memory.get_slice(GuestAddress(address), length) else {
                break;
            };
            slices.push_volatile(&piece);
        }
        if port == ERROR_PORT {
            // A program's errors matter less than its end: if nobody hears them, it goes on.
            let _ = self.error.write(&mut slices);
            return None;
        }
        if let Err(ReaderGone) = self.output.write(&mut slices) {
            return Some(Request::WriteToNobody);
        }
        self.end_once(&self.ready, Phase::Ready);
        None
    }

    fn end_once(&self, done: &AtomicBool, phase: Phase) {
        if !done.swap(true, Ordering::Relaxed) {
            (self.ended)(phase);
        }
    }
}

/// A device that panicked has ended the process; there is no state behind a poisoned lock to be afraid of.
pub(crate) fn lock<T>(device: &Mutex<T>) -> MutexGuard<'_, T> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The serial port's register behind one of its ports.
fn register(port: u16) -> u8 {
    u8::try_from(port - SERIAL.start).expect("it has eight")
}
