//! Virtio devices (Virtual I/O Device specification 1.2): one transport, and the devices behind it.
//!
//! A request is served in the exit that announces it, on the vCPU's own thread: no thread to wake, no state
//! to share, and the answer lies ready when the guest goes on. What waits for the host has a thread: a disk past
//! the page cache (docs/adr/0005), and a network's packets.

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
    /// Its number (specification, chapter 5).
    fn kind(&self) -> u32;

    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// Bits of features that it offers.
    fn features(&self) -> u64;

    /// Most entries of each of its queues.
    fn queues(&self) -> &'static [u16];

    /// Its configuration, which a driver can read.
    fn configuration(&self) -> &[u8];

    /// A driver has settled on `features`, among those offered.
    fn accept(&mut self, features: u64);

    /// The driver starts over.
    fn reset(&mut self) {}

    /// Serves what is in `queue`, its number `index`, and says whether the driver wants to hear of it.
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

/// The low and the high half of 64 bits, which registers hold apart.
#[expect(
    clippy::cast_possible_truncation,
    reason = "cutting off is what it is for"
)]
const fn halves(bits: u64) -> [u32; 2] {
    [bits as u32, (bits >> 32) as u32]
}
