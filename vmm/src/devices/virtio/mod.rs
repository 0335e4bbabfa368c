//! Virtio devices (Virtual I/O Device specification 1.2): one transport, and the devices behind it.
//!
//! A request is served in the exit that announces it, on the vCPU's own thread. No thread has to be
//! woken, no state is shared, and the answer is ready when the guest goes on. Two things wait for
//! the host and so have threads: a disk that bypasses the page cache (docs/adr/0005), and the
//! packets of a network.

pub mod block;
pub mod mmio;
pub mod net;
pub mod queue;
pub mod transfer;

#[cfg(test)]
pub(crate) mod block_tests;
#[cfg(test)]
pub(crate) mod driver;
#[cfg(test)]
mod net_tests;

use virtio_queue::Queue;

use crate::memory::Memory;
use queue::QueueError;

/// What a transport needs of the device behind it.
pub trait Device: std::fmt::Debug + Send {
    /// The number of the device's kind (specification, chapter 5).
    fn kind(&self) -> u32;

    /// The device's name, for messages.
    fn name(&self) -> &'static str;

    /// The features that the device offers, one bit each.
    fn features(&self) -> u64;

    /// The most entries of each of the device's queues.
    fn queues(&self) -> &'static [u16];

    /// The device's configuration, which a driver can read.
    fn configuration(&self) -> &[u8];

    /// Learns the features that the driver has chosen among those offered.
    fn set_features(&mut self, features: u64);

    /// Forgets all that is under way, since the driver starts over.
    fn reset(&mut self) {}

    /// Serves the requests in `queue`, the device's queue number `index`. Returns whether the
    /// driver wants an interrupt.
    ///
    /// # Errors
    /// The driver breaks the rules.
    fn serve(
        &mut self,
        index: usize,
        queue: &mut Queue,
        memory: &Memory,
    ) -> Result<bool, QueueError>;
}

/// The low and the high half of 64 bits: a register holds one half.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is the number without its upper bits"
)]
const fn halves(bits: u64) -> [u32; 2] {
    [bits as u32, (bits >> 32) as u32]
}
