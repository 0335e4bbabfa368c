//! The transport: a device's registers in the guest's address space (specification, 4.2).
//!
//! A device is in one of four states, by the bits that the driver has set in `Status`. A write to a
//! register is ignored in a state in which the register has no meaning. A driver that breaks the
//! rules of the queues ends the machine: the device could not serve such a driver, and silence
//! would look like a hang.

use virtio_bindings::virtio_config::{
    VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK,
    VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_F_VERSION_1,
};
use virtio_bindings::virtio_mmio::{
    VIRTIO_MMIO_CONFIG, VIRTIO_MMIO_DEVICE_FEATURES, VIRTIO_MMIO_DEVICE_FEATURES_SEL,
    VIRTIO_MMIO_DEVICE_ID, VIRTIO_MMIO_DRIVER_FEATURES, VIRTIO_MMIO_DRIVER_FEATURES_SEL,
    VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INTERRUPT_STATUS, VIRTIO_MMIO_MAGIC_VALUE,
    VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH,
    VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_NOTIFY, VIRTIO_MMIO_QUEUE_NUM,
    VIRTIO_MMIO_QUEUE_NUM_MAX, VIRTIO_MMIO_QUEUE_READY, VIRTIO_MMIO_QUEUE_SEL,
    VIRTIO_MMIO_QUEUE_USED_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_MMIO_SHM_LEN_HIGH,
    VIRTIO_MMIO_SHM_LEN_LOW, VIRTIO_MMIO_STATUS, VIRTIO_MMIO_VENDOR_ID, VIRTIO_MMIO_VERSION,
};
use virtio_bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use virtio_queue::{Queue, QueueT as _};
use vm_superio::Trigger as _;

use super::queue::QueueError;
use super::{Device, halves};
use crate::devices::serial::Interrupt;
use crate::memory::Memory;

/// `virt`, little-endian.
const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
/// `iso`.
const VENDOR: u32 = 0x006f_7369;
/// The bit of `InterruptStatus` for a buffer that has been used.
const USED_BUFFER: u32 = 1;

const ACKNOWLEDGE: u32 = VIRTIO_CONFIG_S_ACKNOWLEDGE;
const DRIVER: u32 = VIRTIO_CONFIG_S_DRIVER;
const FEATURES_OK: u32 = VIRTIO_CONFIG_S_FEATURES_OK;
const DRIVER_OK: u32 = VIRTIO_CONFIG_S_DRIVER_OK;

/// A driver broke a device's rules.
#[derive(Debug, thiserror::Error)]
#[error("the guest's driver of {device} breaks the rules of virtio in queue {queue}")]
pub struct ViolationError {
    device: &'static str,
    queue: usize,
    source: QueueError,
}

/// A device behind its registers.
#[derive(Debug)]
pub struct Transport {
    device: Box<dyn Device>,
    interrupt: Interrupt,
    queues: Vec<Queue>,
    status: u32,
    interrupts: u32,
    selected_queue: u32,
    device_features_half: u32,
    driver_features_half: u32,
    driver_features: u64,
}

impl Transport {
    /// Puts `device` behind registers. The device raises `interrupt`.
    ///
    /// # Panics
    /// A size of the device's queues is no power of two.
    pub fn new(device: Box<dyn Device>, interrupt: Interrupt) -> Self {
        let queues = device.queues().iter();
        let queues = queues
            .map(|&size| Queue::new(size).expect("a device's own size is a power of two"))
            .collect();
        Self {
            device,
            interrupt,
            queues,
            status: 0,
            interrupts: 0,
            selected_queue: 0,
            device_features_half: 0,
            driver_features_half: 0,
            driver_features: 0,
        }
    }

    /// Serves a driver's read of the registers at `offset`.
    pub fn read(&self, offset: u64, into: &mut [u8]) {
        into.fill(0);
        let configuration = u64::from(VIRTIO_MMIO_CONFIG);
        if let Some(at) = offset.checked_sub(configuration) {
            let all = self.device.configuration();
            let rest = usize::try_from(at).ok().and_then(|at| all.get(at..));
            for (byte, value) in into.iter_mut().zip(rest.unwrap_or_default()) {
                *byte = *value;
            }
        } else if into.len() == size_of::<u32>() {
            into.copy_from_slice(&self.register(offset).to_le_bytes());
        }
    }

    fn register(&self, offset: u64) -> u32 {
        let Ok(offset) = u32::try_from(offset) else {
            return 0;
        };
        match offset {
            VIRTIO_MMIO_MAGIC_VALUE => MAGIC,
            VIRTIO_MMIO_VERSION => VERSION,
            VIRTIO_MMIO_DEVICE_ID => self.device.kind(),
            VIRTIO_MMIO_VENDOR_ID => VENDOR,
            VIRTIO_MMIO_DEVICE_FEATURES => {
                let half = usize::try_from(self.device_features_half).unwrap_or(usize::MAX);
                halves(self.features()).get(half).copied().unwrap_or(0)
            }
            VIRTIO_MMIO_QUEUE_NUM_MAX => self.selected().map_or(0, |queue| queue.max_size().into()),
            VIRTIO_MMIO_QUEUE_READY => self.selected().map_or(0, |queue| queue.ready().into()),
            VIRTIO_MMIO_INTERRUPT_STATUS => self.interrupts,
            VIRTIO_MMIO_STATUS => self.status,
            // There is no shared memory.
            VIRTIO_MMIO_SHM_LEN_LOW | VIRTIO_MMIO_SHM_LEN_HIGH => u32::MAX,
            // The configuration's generation is always zero, since the configuration never changes.
            _ => 0,
        }
    }

    /// Serves a driver's write to the register at `offset`.
    ///
    /// # Errors
    /// The driver breaks the rules of the queues.
    pub fn write(
        &mut self,
        offset: u64,
        bytes: &[u8],
        memory: &Memory,
    ) -> Result<(), ViolationError> {
        let (Ok(offset), Ok(value)) = (u32::try_from(offset), <[u8; 4]>::try_from(bytes)) else {
            return Ok(());
        };
        let value = u32::from_le_bytes(value);
        match offset {
            VIRTIO_MMIO_DEVICE_FEATURES_SEL => self.device_features_half = value,
            VIRTIO_MMIO_DRIVER_FEATURES_SEL => self.driver_features_half = value,
            VIRTIO_MMIO_DRIVER_FEATURES if self.is_negotiating() => self.choose_features(value),
            VIRTIO_MMIO_QUEUE_SEL => self.selected_queue = value,
            VIRTIO_MMIO_QUEUE_NOTIFY => {
                return self.serve(value as usize, memory);
            }
            VIRTIO_MMIO_INTERRUPT_ACK => self.interrupts &= !value,
            VIRTIO_MMIO_STATUS => self.set_status(value),
            _ if self.is_configuring() => return self.set_up_queue(offset, value, memory),
            _ => {}
        }
        Ok(())
    }

    fn features(&self) -> u64 {
        self.device.features() | 1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_EVENT_IDX
    }

    fn is_negotiating(&self) -> bool {
        self.status & (DRIVER | FEATURES_OK) == DRIVER
    }

    fn is_configuring(&self) -> bool {
        self.status & (FEATURES_OK | DRIVER_OK) == FEATURES_OK
    }

    /// Notes the half of the driver's features that `value` holds.
    fn choose_features(&mut self, value: u32) {
        let value = u64::from(value);
        self.driver_features = match self.driver_features_half {
            0 => self.driver_features & !0xffff_ffff | value,
            1 => self.driver_features & 0xffff_ffff | value << 32,
            _ => return,
        };
    }

    /// Changes the status. Zero resets the device. Otherwise bits are only added, and in order. An
    /// impossible choice of features leaves the bit `FEATURES_OK` clear.
    fn set_status(&mut self, value: u32) {
        if value == 0 {
            self.reset();
            return;
        }
        for (bit, needed) in [
            (ACKNOWLEDGE, 0),
            (DRIVER, ACKNOWLEDGE),
            (FEATURES_OK, DRIVER),
            (DRIVER_OK, FEATURES_OK),
        ] {
            let is_new = value & bit != 0 && self.status & bit == 0;
            let possible =
                self.status & needed == needed && (bit != FEATURES_OK || self.accepts_features());
            if is_new && possible {
                self.status |= bit;
                if bit == FEATURES_OK {
                    self.settle_features();
                }
            }
        }
    }

    fn accepts_features(&self) -> bool {
        let needed = 1 << VIRTIO_F_VERSION_1;
        self.driver_features & !self.features() == 0 && self.driver_features & needed != 0
    }

    fn settle_features(&mut self) {
        let event_index = self.driver_features & 1 << VIRTIO_RING_F_EVENT_IDX != 0;
        for queue in &mut self.queues {
            queue.set_event_idx(event_index);
        }
        self.device.set_features(self.driver_features);
    }

    fn reset(&mut self) {
        self.device.reset();
        for queue in &mut self.queues {
            queue.reset();
        }
        self.status = 0;
        self.interrupts = 0;
        self.selected_queue = 0;
        self.device_features_half = 0;
        self.driver_features_half = 0;
        self.driver_features = 0;
    }

    fn selected(&self) -> Option<&Queue> {
        self.queues.get(usize::try_from(self.selected_queue).ok()?)
    }

    fn set_up_queue(
        &mut self,
        offset: u32,
        value: u32,
        memory: &Memory,
    ) -> Result<(), ViolationError> {
        let index = self.selected_queue as usize;
        let Some(queue) = self.queues.get_mut(index) else {
            return Ok(());
        };
        if queue.ready() && offset != VIRTIO_MMIO_QUEUE_READY {
            return Ok(());
        }
        match offset {
            VIRTIO_MMIO_QUEUE_NUM => {
                // An impossible size leaves the largest one in place.
                queue.set_size(u16::try_from(value).unwrap_or(0));
            }
            VIRTIO_MMIO_QUEUE_READY => {
                queue.set_ready(value == 1);
                if value == 1 && !queue.is_valid(memory) {
                    return Err(self.violation(index, QueueError::RingOutside));
                }
            }
            VIRTIO_MMIO_QUEUE_DESC_LOW => queue.set_desc_table_address(Some(value), None),
            VIRTIO_MMIO_QUEUE_DESC_HIGH => queue.set_desc_table_address(None, Some(value)),
            VIRTIO_MMIO_QUEUE_AVAIL_LOW => queue.set_avail_ring_address(Some(value), None),
            VIRTIO_MMIO_QUEUE_AVAIL_HIGH => queue.set_avail_ring_address(None, Some(value)),
            VIRTIO_MMIO_QUEUE_USED_LOW => queue.set_used_ring_address(Some(value), None),
            VIRTIO_MMIO_QUEUE_USED_HIGH => queue.set_used_ring_address(None, Some(value)),
            _ => {}
        }
        Ok(())
    }

    /// Makes the device serve a queue, after the driver's notice or after an event of the host.
    ///
    /// # Errors
    /// The driver breaks the rules of the queues.
    pub fn serve(&mut self, index: usize, memory: &Memory) -> Result<(), ViolationError> {
        let has_driver = self.status & DRIVER_OK != 0;
        let queue = self.queues.get_mut(index);
        let Some(queue) = queue.filter(|queue| has_driver && queue.ready()) else {
            return Ok(());
        };
        match self.device.serve(index, queue, memory) {
            Ok(false) => Ok(()),
            Ok(true) => {
                self.interrupts |= USED_BUFFER;
                // The write fails only if the line has counted 2^64 edges that nobody took.
                let _ = self.interrupt.trigger();
                Ok(())
            }
            Err(error) => Err(self.violation(index, error)),
        }
    }

    fn violation(&self, queue: usize, source: QueueError) -> ViolationError {
        ViolationError {
            device: self.device.name(),
            queue,
            source,
        }
    }
}
