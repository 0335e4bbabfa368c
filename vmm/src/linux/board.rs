//! The devices behind a Linux guest's ports and addresses.
//!
//! The threads of all vCPUs come here, so each device has a lock. A port or an address without a
//! device reads as ones and ignores writes, as on a PC: kernels search for devices in that way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vm_memory::{GuestAddress, GuestMemoryBackend as _};

use super::layout::{
    ERROR_PORT, EXIT_PORT, INPUT_PORT, KEYBOARD, MARK_PORT, SERIAL, VIRTIO, VIRTIO_SIZE,
};
use super::phase::Phase;
use crate::devices::host_io::GuestSlices;
use crate::devices::program_input::Input;
use crate::devices::program_output::{Output, ReaderGone};
use crate::devices::serial::SerialPort;
use crate::devices::virtio::mmio::{Transport, ViolationError};
use crate::kvm::exits::ExitCounts;
use crate::memory::Memory;

/// The keyboard controller's status, always "output buffer full": a kernel that searches for a
/// keyboard gives up, and a kernel that resets the machine finds no other bit in its way.
const KEYBOARD_STATUS: u8 = 1;
/// The keyboard controller's command to reset the processor.
const KEYBOARD_RESET: u8 = 0xfe;

/// Why the machine has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// The guest passed the program's exit code.
    Exit(u8),
    /// The guest asked for a reset.
    Reset,
    /// The guest's kernel said that it halts.
    Halted,
    /// The program wrote to a standard output that nobody reads.
    OutputClosed,
    /// A processor could not even raise a double fault.
    TripleFault,
}

/// Called at the end of each phase.
pub type OnPhase = Box<dyn Fn(Phase) + Send + Sync>;

/// The devices behind the guest's ports and addresses.
pub struct Board {
    /// Guest memory.
    pub memory: Memory,
    /// The serial port.
    pub serial: Mutex<SerialPort>,
    /// The program's standard input, if it has one.
    pub input: Option<Input>,
    /// The program's standard output.
    pub output: Output,
    /// The program's standard error.
    pub error: Output,
    /// The virtio devices, in the order of their addresses.
    pub virtio: Vec<Mutex<Transport>>,
    /// Called at the end of each phase that the guest ends.
    pub on_phase: OnPhase,
    /// Whether `/init` has started.
    pub started: AtomicBool,
    /// Whether the program has written to its standard output.
    pub ready: AtomicBool,
    /// The exits of all vCPUs.
    pub exits: Arc<ExitCounts>,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Board").finish_non_exhaustive()
    }
}

impl Board {
    /// Serves a guest's write to a port.
    pub fn write_port(&self, port: u16, bytes: &[u8]) -> Option<EndCause> {
        match port {
            EXIT_PORT => return Some(EndCause::Exit(*bytes.first()?)),
            MARK_PORT => self.end_phase_once(&self.started, Phase::Kernel),
            KEYBOARD if bytes.contains(&KEYBOARD_RESET) => return Some(EndCause::Reset),
            _ if SERIAL.contains(&port) => return self.write_serial(port, bytes),
            _ => {}
        }
        None
    }

    fn write_serial(&self, port: u16, bytes: &[u8]) -> Option<EndCause> {
        let mut serial = lock(&self.serial);
        serial.write(register(port), bytes);
        serial.has_halted().then_some(EndCause::Halted)
    }

    /// Serves a guest's read from a port.
    pub fn read_port(&self, port: u16, into: &mut [u8]) {
        match port {
            KEYBOARD => into.fill(KEYBOARD_STATUS),
            _ if SERIAL.contains(&port) => lock(&self.serial).read(register(port), into),
            _ => into.fill(0xff),
        }
    }

    /// Serves a guest's write to an address that isn't memory.
    ///
    /// # Errors
    /// The guest breaks a device's rules.
    pub fn write_address(&self, address: u64, bytes: &[u8]) -> Result<(), ViolationError> {
        match self.device(address) {
            Some((device, offset)) => lock(device).write(offset, bytes, &self.memory),
            None => Ok(()),
        }
    }

    /// Serves a guest's read from an address that isn't memory.
    pub fn read_address(&self, address: u64, into: &mut [u8]) {
        match self.device(address) {
            Some((device, offset)) => lock(device).read(offset, into),
            None => into.fill(0xff),
        }
    }

    /// The last messages of the guest's kernel.
    pub fn console(&self) -> String {
        lock(&self.serial).console()
    }

    fn device(&self, address: u64) -> Option<(&Mutex<Transport>, u64)> {
        let offset = address.checked_sub(VIRTIO)?;
        let index = usize::try_from(offset / VIRTIO_SIZE).ok()?;
        Some((self.virtio.get(index)?, offset % VIRTIO_SIZE))
    }

    /// Moves bytes of the program's streams between the host and guest memory. `pieces` are addresses
    /// and lengths there, and `port` says which stream it is.
    pub fn transfer(&self, port: u16, pieces: &[(u64, u64)]) -> Option<EndCause> {
        let mut slices = self.slices(pieces);
        match port {
            INPUT_PORT => {
                if let Some(input) = &self.input {
                    input.take(slices);
                }
            }
            ERROR_PORT => {
                // A program goes on without a reader of its standard error.
                let _ = self.error.write(&mut slices);
            }
            _ => {
                if let Err(ReaderGone) = self.output.write(&mut slices) {
                    return Some(EndCause::OutputClosed);
                }
                self.end_phase_once(&self.ready, Phase::Ready);
            }
        }
        None
    }

    /// The pieces of guest memory, up to the first that isn't memory.
    fn slices(&self, pieces: &[(u64, u64)]) -> GuestSlices<'_> {
        let mut slices = GuestSlices::default();
        for &(address, length) in pieces {
            let Ok(length) = usize::try_from(length) else {
                break;
            };
            let Ok(piece) = self.memory.get_slice(GuestAddress(address), length) else {
                break;
            };
            slices.push(&piece);
        }
        slices
    }

    fn end_phase_once(&self, is_over: &AtomicBool, phase: Phase) {
        if !is_over.swap(true, Ordering::Relaxed) {
            (self.on_phase)(phase);
        }
    }
}

/// Locks a device. A poisoned lock is taken all the same, since a panic in a device ends the
/// process.
pub(super) fn lock<T>(device: &Mutex<T>) -> MutexGuard<'_, T> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The serial port's register behind one of its eight ports.
fn register(port: u16) -> u8 {
    u8::try_from(port - SERIAL.start).expect("the port has eight registers")
}
