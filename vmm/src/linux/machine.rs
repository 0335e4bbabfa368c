#![expect(unsafe_code, reason = "gives guest memory to the VM")]
//! The life of a Linux guest: a [`CheckedConfig`] becomes a [`Machine`] (booted, not yet entered),
//! and running the machine gives an [`Ending`](super::Ending).

use std::io;
use std::mem::ManuallyDrop;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kvm_ioctls::{IoEventAddress, NoDatamatch, VmFd};
use virtio_bindings::virtio_mmio::VIRTIO_MMIO_QUEUE_NOTIFY;
use vm_memory::{Bytes as _, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

use super::board::{Board, OnPhase};
use super::boot::boot_params::{self, InitramfsRange};
use super::boot::kernel::LoadedKernel;
use super::boot::{mp_table, processor};
use super::config::{CheckedConfig, Config, ConfigError};
use super::ending::OnEnd;
use super::error::BootError;
use super::layout;
use super::phase::Phase;
use super::threads::OtherThreads;
use super::vcpu::Vcpu;
use crate::devices::program_input::Input;
use crate::devices::program_output::Output;
use crate::devices::serial::{Interrupt, SerialPort};
use crate::devices::virtio::Device;
use crate::devices::virtio::block::Block;
use crate::devices::virtio::mmio::Transport;
use crate::devices::virtio::net::{Net, NetWorker};
use crate::devices::virtio::transfer::DiskWorker;
use crate::kvm::{Hypervisor, KvmError};
use crate::memory::{self, Memory};

/// A Linux guest, ready to run.
#[derive(Debug)]
pub struct Machine {
    // The order of the fields is the order in which they must be dropped: the vCPUs, the VM, then
    // the board with the memory that the VM maps.
    vcpus: Vec<Vcpu>,
    _vm: VmFd,
    board: Arc<Board>,
    workers: Workers,
    limit: Option<Duration>,
}

/// What the devices have done in threads of their own.
#[derive(Debug)]
struct Workers {
    /// The network card's worker, if there is a card.
    net: Option<NetWorker>,
    /// Each disk's worker, if the disk has one.
    disks: Vec<Option<DiskWorker>>,
}

impl Workers {
    fn of(config: &Config) -> io::Result<Self> {
        Ok(Self {
            net: config.network.as_ref().map(Net::worker).transpose()?,
            disks: config
                .disks
                .iter()
                .map(Block::worker)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Machine {
    /// Makes the machine, and loads its kernel and files. `on_phase` is called at the end of each
    /// phase: during this call, and later for the phases that the guest ends.
    ///
    /// # Errors
    /// See [`BootError`].
    pub fn boot(
        hypervisor: &Hypervisor,
        config: CheckedConfig,
        on_phase: OnPhase,
    ) -> Result<Self, BootError> {
        let CheckedConfig {
            config,
            command_line,
        } = config;
        let vm = create_vm(hypervisor)?;
        on_phase(Phase::CreateVm);
        let regions = layout::memory_regions(config.memory);
        let memory = memory::map(&regions).map_err(ConfigError::from)?;
        // SAFETY: the board owns the memory, and each thread that enters a vCPU shares the board.
        unsafe { memory::attach(&memory, &vm)? };
        on_phase(Phase::Memory);
        let host = hypervisor.supported_cpuid()?;
        let vcpus = (0..config.processors)
            .map(|id| Vcpu::new(hypervisor, &vm, id, &host))
            .collect::<Result<Vec<_>, _>>()?;
        on_phase(Phase::Vcpu);
        let entry = load(&config, &memory, &command_line)?;
        vcpus[0].set_start(entry)?;
        let workers =
            Workers::of(&config).map_err(|error| BootError::Host("a descriptor", error))?;
        let limit = config.limit;
        let board = build_board(&vm, config, memory, &workers, on_phase)?;
        Ok(Self {
            vcpus,
            _vm: vm,
            board: Arc::new(board),
            workers,
            limit,
        })
    }

    /// Starts the other threads, confines all threads and runs the guest. This call returns only if
    /// `on_end` does.
    ///
    /// # Errors
    /// A thread can't be started, or the VMM can't be confined.
    pub fn run(mut self, on_end: &OnEnd) -> Result<(), BootError> {
        // The vCPU is dropped by the process's end, as those of the other threads are.
        let mut first = ManuallyDrop::new(self.vcpus.remove(0));
        let others = OtherThreads {
            vcpus: self.vcpus,
            net: self.workers.net,
            disks: self.workers.disks,
            limit: self.limit,
        };
        others.start(&self.board, on_end)?;
        (self.board.on_phase)(Phase::Load);
        on_end(first.run(&self.board));
        Ok(())
    }

    /// Runs the only vCPU of a test's guest on this thread.
    #[cfg(test)]
    pub(crate) fn run_here(&mut self) -> Result<super::Ending, super::RunError> {
        self.vcpus[0].run(&self.board)
    }
}

fn create_vm(hypervisor: &Hypervisor) -> Result<VmFd, KvmError> {
    let vm = hypervisor.create_vm()?;
    vm.set_tss_address(layout::TASK_STATE)
        .map_err(KvmError::from_ioctl("KVM_SET_TSS_ADDR"))?;
    vm.create_irq_chip()
        .map_err(KvmError::from_ioctl("KVM_CREATE_IRQCHIP"))?;
    Ok(vm)
}

/// Loads kernel, files and tables into guest memory, and returns the kernel's entry.
fn load(config: &Config, memory: &Memory, command_line: &[u8]) -> Result<u64, BootError> {
    let kernel = config.kernel.load(memory).map_err(ConfigError::from)?;
    let initramfs = load_files(config, &kernel, memory)?;
    boot_params::write(
        memory,
        config.memory,
        kernel.header,
        command_line,
        initramfs,
        &random_seed()?,
    )?;
    let table = mp_table::table(config.processors);
    memory.write_slice(&table, GuestAddress(layout::MP_TABLE))?;
    processor::write_tables(memory)?;
    Ok(kernel.entry)
}

/// Loads the files behind the kernel.
fn load_files(
    config: &Config,
    kernel: &LoadedKernel,
    memory: &Memory,
) -> Result<InitramfsRange, BootError> {
    let start = config.start_of_files(kernel.end)?;
    config.files.load(memory, start)?;
    let below_4_gib = "low memory ends below 4 GiB";
    Ok(InitramfsRange {
        address: u32::try_from(start).expect(below_4_gib),
        size: u32::try_from(config.files.size()).expect(below_4_gib),
    })
}

fn build_board(
    vm: &VmFd,
    config: Config,
    memory: Memory,
    workers: &Workers,
    on_phase: OnPhase,
) -> Result<Board, BootError> {
    let serial = interrupt(vm, layout::SERIAL_INTERRUPT)?;
    notify_disk_workers(vm, &workers.disks)?;
    Ok(Board {
        serial: Mutex::new(SerialPort::new(serial, config.kernel_messages)),
        input: config.input.map(Input::new),
        output: Output::new(config.output),
        error: Output::new(config.error),
        virtio: virtio_devices(vm, config.disks, config.network)?,
        on_phase,
        started: AtomicBool::new(false),
        ready: AtomicBool::new(false),
        exits: config.exits,
        memory,
    })
}

/// Makes KVM pass a guest's notices of a disk to the disk's worker at once (`KVM_IOEVENTFD`),
/// without an exit to the VMM. A disk without a worker is served in the exit.
fn notify_disk_workers(vm: &VmFd, workers: &[Option<DiskWorker>]) -> Result<(), KvmError> {
    for (place, worker) in (0..).zip(workers) {
        let Some(worker) = worker else { continue };
        let register =
            layout::VIRTIO + place * layout::VIRTIO_SIZE + u64::from(VIRTIO_MMIO_QUEUE_NOTIFY);
        let address = IoEventAddress::Mmio(register);
        vm.register_ioevent(worker.event(), &address, NoDatamatch)
            .map_err(KvmError::from_ioctl("KVM_IOEVENTFD"))?;
    }
    Ok(())
}

/// The disks, and the network card as the last device.
fn virtio_devices(
    vm: &VmFd,
    disks: Vec<Block>,
    network: Option<Net>,
) -> Result<Vec<Mutex<Transport>>, BootError> {
    let boxed = |disk| -> Box<dyn Device> { Box::new(disk) };
    let mut devices: Vec<_> = disks.into_iter().map(boxed).collect();
    if let Some(network) = network {
        devices.push(Box::new(network));
    }
    devices
        .into_iter()
        .zip(layout::VIRTIO_INTERRUPT..)
        .map(|(device, line)| Ok(Mutex::new(Transport::new(device, interrupt(vm, line)?))))
        .collect()
}

/// Makes a descriptor of which every write is an edge on the guest's interrupt line `line`.
fn interrupt(vm: &VmFd, line: u32) -> Result<Interrupt, BootError> {
    let edge = EventFd::new(libc::EFD_CLOEXEC)
        .map_err(|error| BootError::Host("an interrupt line", error))?;
    vm.register_irqfd(&edge, line)
        .map_err(KvmError::from_ioctl("KVM_IRQFD"))?;
    Ok(Interrupt::new(edge))
}

fn random_seed() -> Result<[u8; 32], BootError> {
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| io::Read::read_exact(&mut random, &mut seed))
        .map_err(|error| BootError::Host("random numbers", error))?;
    Ok(seed)
}
