//! The life of a Linux guest: [`Config`] -> [`Machine`] (booted, not yet entered) -> [`Ended`].

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytesize::ByteSize;
use kvm_ioctls::{IoEventAddress, NoDatamatch, VmFd};
use virtio_bindings::virtio_mmio::VIRTIO_MMIO_QUEUE_NOTIFY;
use vm_memory::{Bytes as _, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

use super::boot_params::{self, Archive};
use super::command_line;
use super::end::Ended;
use super::error::{BootError, ConfigError, RunError};
use super::initramfs::Initramfs;
use super::kernel::{Kernel, Loaded};
use super::memory::{self, Memory};
use super::mp_table::{self, MOST_PROCESSORS};
use super::phase::Phase;
use super::threads::Others;
use super::vcpu::LinuxVcpu;
use super::{cpu, layout};
use crate::devices::bus::{Board, PhaseEnded};
use crate::devices::program_io::{Grant, Output};
use crate::devices::serial::{Interrupt, SerialPort};
use crate::devices::virtio::Device;
use crate::devices::virtio::block::Block;
use crate::devices::virtio::mmio::Transport;
use crate::devices::virtio::net::{Net, Reader};
use crate::devices::virtio::transfer::Awaiter;
use crate::kvm::exits::ExitCounts;
use crate::kvm::{Hypervisor, KvmError, KvmKind};
use crate::memory::PAGE;
use crate::probe;

/// What a Linux guest is made from.
#[derive(Debug)]
pub struct Config {
    /// Guest memory.
    pub memory: ByteSize,
    /// Processors.
    pub processors: u8,
    /// Its kernel.
    pub kernel: Kernel,
    /// Its files.
    pub files: Initramfs,
    /// Words for the kernel, beside what this machine needs.
    pub append: String,
    /// Its disks: `/dev/vda` and on.
    pub disks: Vec<Block>,
    /// Its network card, if any: `eth0`.
    pub network: Option<Net>,
    /// Whether the kernel's console is copied to standard error.
    pub show_console: bool,
    /// Standard input for the program, if any.
    pub input: Option<OwnedFd>,
    /// Its standard output.
    pub output: OwnedFd,
    /// Its standard error.
    pub error: OwnedFd,
    /// How long it may take.
    pub limit: Option<Duration>,
    /// Where its exits are counted.
    pub exits: Arc<ExitCounts>,
}

/// Called with how the guest ended, by whichever thread finds out: it ends the process. That spares a start that ends
/// well the waking and joining of threads.
pub type End = Arc<dyn Fn(Result<Ended, RunError>) + Send + Sync>;

/// A Linux guest, ready to run.
#[derive(Debug)]
pub struct Machine {
    // In the order in which they must go: the vCPUs, the VM, then the board with the memory that it maps.
    vcpus: Vec<LinuxVcpu>,
    _vm: VmFd,
    board: Arc<Board>,
    reader: Option<Reader>,
    /// Of each disk, if it has one.
    awaiters: Vec<Option<Awaiter>>,
    limit: Option<Duration>,
}

/// Says in one sentence why no guest kernel can run here, if so.
///
/// The kind of KVM is known at once, and only a software KVM is measured, to be sure and to say how slow it is.
///
/// # Errors
/// KVM can't be used, or no guest kernel can run.
pub fn check_host(hypervisor: &Hypervisor) -> Result<(), BootError> {
    if hypervisor.kind() == KvmKind::Hardware {
        return Ok(());
    }
    match probe::probe()?.guest_kernel_obstacle() {
        Some(obstacle) => Err(BootError::NoGuestKernel(obstacle)),
        None => Ok(()),
    }
}

impl Config {
    /// Checks what can be without KVM.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        memory::check_size(self.memory)?;
        if !(1..=MOST_PROCESSORS).contains(&self.processors) {
            return Err(ConfigError::Processors(self.processors));
        }
        if self.devices() > layout::VIRTIO_COUNT {
            return Err(ConfigError::Devices(self.devices()));
        }
        let files = ByteSize(self.files.size());
        if files >= self.memory {
            return Err(ConfigError::Files {
                memory: self.memory,
                files,
            });
        }
        Ok(())
    }

    /// How many virtio devices it has.
    fn devices(&self) -> usize {
        self.disks.len() + usize::from(self.network.is_some())
    }
}

impl Machine {
    /// Makes the machine and loads its kernel and files. `ended` is called at the end of each phase, and later by
    /// the guest's doing.
    ///
    /// # Errors
    /// See [`BootError`].
    pub fn boot(
        hypervisor: &Hypervisor,
        config: Config,
        ended: PhaseEnded,
    ) -> Result<Self, BootError> {
        let command_line = command_line::command_line(config.devices(), &config.append)
            .map_err(ConfigError::from)?;
        let vm = create_vm(hypervisor)?;
        ended(Phase::CreateVm);
        let memory = memory::map(config.memory).map_err(ConfigError::from)?;
        memory::attach(&memory, &vm)?;
        ended(Phase::Memory);
        let host = hypervisor.supported_cpuid()?;
        let vcpus = (0..config.processors)
            .map(|id| LinuxVcpu::new(hypervisor, &vm, id, &host))
            .collect::<Result<Vec<_>, _>>()?;
        ended(Phase::Vcpu);
        let loaded = config.kernel.load(&memory).map_err(ConfigError::from)?;
        let archive = place_files(&config, &loaded, &memory)?;
        let seed = random_seed()?;
        boot_params::write(
            &memory,
            config.memory,
            loaded.header,
            &command_line,
            archive,
            &seed,
        )?;
        let table = mp_table::table(config.processors);
        memory.write_slice(&table, GuestAddress(layout::MP_TABLE))?;
        cpu::write_tables(&memory)?;
        vcpus[0].start(loaded.entry)?;
        let descriptor = |error| BootError::Host("a descriptor", error);
        let reader = config.network.as_ref().map(Net::reader).transpose();
        let reader = reader.map_err(descriptor)?;
        let awaiters = config.disks.iter().map(Block::awaiter);
        let awaiters = awaiters
            .collect::<Result<Vec<_>, _>>()
            .map_err(descriptor)?;
        let board = Board {
            serial: Mutex::new(SerialPort::new(
                interrupt(&vm, layout::SERIAL_INTERRUPT)?,
                config.show_console,
            )),
            input: config.input,
            output: Output::new(config.output),
            error: Output::new(config.error),
            grant: Grant::default(),
            virtio: virtio(&vm, config.disks, &awaiters, config.network)?,
            ended,
            started: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            exits: config.exits,
            memory,
        };
        Ok(Self {
            vcpus,
            _vm: vm,
            board: Arc::new(board),
            reader,
            awaiters,
            limit: config.limit,
        })
    }

    /// Starts the other threads, confines all of them and runs the guest. Comes back if `end` does.
    ///
    /// # Errors
    /// A thread can't be started, or the VMM not be confined.
    pub fn run(mut self, end: &End) -> Result<(), BootError> {
        // As with the other threads': it goes with the process.
        let mut first = ManuallyDrop::new(self.vcpus.remove(0));
        let others = Others {
            vcpus: self.vcpus.drain(..).collect(),
            reader: self.reader.take(),
            awaiters: std::mem::take(&mut self.awaiters),
            limit: self.limit,
        };
        others.start(&self.board, end)?;
        (self.board.ended)(Phase::Load);
        end(first.run(&self.board));
        Ok(())
    }

    /// Runs the one vCPU of a test's guest on this thread.
    #[cfg(test)]
    pub(crate) fn run_here(&mut self) -> Result<Ended, RunError> {
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

/// Puts the files at the end of low memory, as far from the kernel as they can be.
fn place_files(config: &Config, kernel: &Loaded, memory: &Memory) -> Result<Archive, BootError> {
    let size = config.files.size();
    let low_end = memory::ranges(config.memory)[0].1;
    let full = || ConfigError::Full {
        memory: config.memory,
        kernel: ByteSize(kernel.end),
        files: ByteSize(size),
    };
    let start = low_end.checked_sub(size).ok_or_else(full)? & !(PAGE - 1);
    if start < kernel.end {
        return Err(full().into());
    }
    let archive = Archive {
        address: u32::try_from(start).map_err(|_| full())?,
        size: u32::try_from(size).map_err(|_| full())?,
    };
    config.files.load(memory, start)?;
    Ok(archive)
}

/// The disks, and the network card as the last. The notices of a disk that somebody awaits go to that thread at once, without a
/// VMM in between (`KVM_IOEVENTFD`).
fn virtio(
    vm: &VmFd,
    disks: Vec<Block>,
    awaiters: &[Option<Awaiter>],
    network: Option<Net>,
) -> Result<Vec<Mutex<Transport>>, BootError> {
    for (place, awaiter) in (0..).zip(awaiters) {
        let Some(awaiter) = awaiter else { continue };
        let register =
            layout::VIRTIO + place * layout::VIRTIO_SIZE + u64::from(VIRTIO_MMIO_QUEUE_NOTIFY);
        vm.register_ioevent(
            awaiter.event(),
            &IoEventAddress::Mmio(register),
            NoDatamatch,
        )
        .map_err(KvmError::from_ioctl("KVM_IOEVENTFD"))?;
    }
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

/// A descriptor whose every write is an edge on the guest's interrupt line.
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
