#![expect(unsafe_code, reason = "gives guest RAM to the probe's VM")]
//! The kind of KVM that this host has, measured with a VM: the rate of ring-0 instructions, and
//! whether `SYSCALL` changes the ring.
//!
//! Software KVM interprets ring 0, so a guest kernel is very slow there, and a `SYSCALL` that stays
//! in ring 3 breaks the kernel. The probe takes a few milliseconds on either kind.

use std::time::{Duration, Instant};

use bytesize::ByteSize;
use kvm_bindings::kvm_regs;

use crate::bare::address_space::{
    AddressSpace, Backing, GuestRam, MapError, Placement, Protection, RamError,
};
use crate::bare::layout::{PROGRAM, STACK_END, SYSTEM_CALL_PORT};
use crate::bare::{registers, trampoline};
use crate::kvm::exits::VmExit;
use crate::kvm::registers::RFLAGS_RESERVED;
use crate::kvm::{Hypervisor, KvmError, KvmKind, Vcpu};

const MEMORY: ByteSize = ByteSize::mib(2);

/// The least duration of a measurement.
const LEAST_DURATION: Duration = Duration::from_millis(2);

/// The most turns of the loop. Hardware needs some milliseconds for them.
const MOST_TURNS: u64 = 10_000_000;

/// Millions of instructions a second that no interpreter reaches (software KVM has 1.6), and below
/// which no processor falls, not even an emulated one on a busy host (7 were seen).
const SLOWEST_HARDWARE_MIPS: f64 = 3.0;

/// How often a number of turns is timed. The quickest time counts, since interrupts lengthen
/// others.
const TRIES: usize = 3;

/// What the probe found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probe {
    /// The kind of KVM.
    pub kind: KvmKind,
    /// Millions of ring-0 instructions a second.
    pub ring0_mips: f64,
    /// Whether `SYSCALL` goes from ring 3 to ring 0.
    pub syscall_changes_ring: bool,
}

impl Probe {
    /// Why no guest kernel can run here, in one sentence. The result is `None` if one can.
    pub fn guest_kernel_obstacle(&self) -> Option<String> {
        if self.kind == KvmKind::Hardware {
            return None;
        }
        let ring = if self.syscall_changes_ring {
            "changes"
        } else {
            "does not change"
        };
        Some(format!(
            "this host's KVM is software: it interprets ring 0 at {:.1} million instructions a second and SYSCALL \
             {ring} the ring, so a guest kernel cannot run",
            self.ring0_mips
        ))
    }
}

/// The probe's VM could not run.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// KVM can't be used, or refused something.
    #[error("kvm")]
    Kvm(#[from] KvmError),
    /// There is no guest RAM.
    #[error("guest memory")]
    Ram(#[from] RamError),
    /// The code could not be mapped.
    #[error("mapping the probe's code")]
    Map(#[from] MapError),
    /// The guest came out for another reason than its port write.
    #[error("the probe's guest stopped: {0}")]
    Exit(VmExit),
}

/// No guest kernel can be started on this host.
#[derive(Debug, thiserror::Error)]
pub enum GuestKernelError {
    /// No guest kernel runs on this host's KVM.
    #[error("{0}")]
    Obstacle(String),
    /// This host's KVM can't be measured.
    #[error("probing KVM")]
    Probe(#[from] ProbeError),
}

/// Checks that a guest kernel can run on this host.
///
/// The kind of KVM is known at once. Only a software KVM is measured, to be sure, and to report how
/// slow ring 0 is.
///
/// # Errors
/// No guest kernel can run, or KVM can't be measured.
pub fn check_guest_kernel(hypervisor: &Hypervisor) -> Result<(), GuestKernelError> {
    if hypervisor.kind() == KvmKind::Hardware {
        return Ok(());
    }
    match probe(hypervisor)?.guest_kernel_obstacle() {
        Some(obstacle) => Err(GuestKernelError::Obstacle(obstacle)),
        None => Ok(()),
    }
}

/// Measures this host's KVM.
///
/// # Errors
/// See [`ProbeError`].
pub fn probe(hypervisor: &Hypervisor) -> Result<Probe, ProbeError> {
    let vm = hypervisor.create_vm()?;
    let ram = GuestRam::new(MEMORY)?;
    // SAFETY: both the RAM and the vCPU live to the end of this function, and nobody enters the
    // vCPU while they are dropped.
    unsafe { ram.attach(&vm)? };
    let mut vcpu = Vcpu::new(hypervisor, &vm, 0)?;
    let mut memory = AddressSpace::new(ram);
    // Ring 3 may use the port on either kind: the stub must exit whether or not SYSCALL changed the
    // ring.
    trampoline::install(&mut memory, KvmKind::Software);
    // syscall
    let code = Backing::Bytes(&[0x0f, 0x05]);
    memory.map(Placement::Fixed(PROGRAM), 2, Protection::READ_EXECUTE, code)?;
    let start = registers::at_entry(hypervisor.kind(), 0, memory.root(), PROGRAM, STACK_END);
    vcpu.set_start(&start)?;
    expect_port_write(&mut vcpu)?;
    let mut system = vcpu.system_registers()?;
    let syscall_changes_ring = system.cs.dpl == 0;
    registers::enter_ring0(&mut system);
    vcpu.set_system_registers(&system)?;
    // A SYSCALL that stays in its ring decides the kind. Then the rate is only reported, and one
    // try is enough.
    let tries = if syscall_changes_ring { TRIES } else { 1 };
    let ring0_mips = ring0_rate(&mut vcpu, tries)?;
    let kind = if ring0_mips < SLOWEST_HARDWARE_MIPS || !syscall_changes_ring {
        KvmKind::Software
    } else {
        KvmKind::Hardware
    };
    Ok(Probe {
        kind,
        ring0_mips,
        syscall_changes_ring,
    })
}

/// Millions of ring-0 instructions a second. The number of turns grows until they take long enough.
fn ring0_rate(vcpu: &mut Vcpu, tries: usize) -> Result<f64, ProbeError> {
    let idle = time_loop(vcpu, 1)?;
    let mut turns = 1000;
    loop {
        let mut busy = Duration::MAX;
        for _ in 0..tries {
            busy = busy.min(time_loop(vcpu, turns)?.saturating_sub(idle));
        }
        if busy >= LEAST_DURATION || turns >= MOST_TURNS {
            // A turn is two instructions.
            let instructions = 2.0 * turns as f64;
            return Ok(instructions / busy.max(Duration::from_nanos(1)).as_secs_f64() / 1e6);
        }
        turns *= 10;
    }
}

/// The duration of `turns` turns in ring 0, with the way in and out.
fn time_loop(vcpu: &mut Vcpu, turns: u64) -> Result<Duration, ProbeError> {
    vcpu.set_registers(&kvm_regs {
        rip: trampoline::ring0_loop(),
        rcx: turns,
        rflags: RFLAGS_RESERVED,
        rsp: trampoline::RING0_STACK_END,
        ..kvm_regs::default()
    });
    let start = Instant::now();
    expect_port_write(vcpu)?;
    Ok(start.elapsed())
}

fn expect_port_write(vcpu: &mut Vcpu) -> Result<(), ProbeError> {
    match vcpu.run()? {
        VmExit::PortWrite(port) if port == u16::from(SYSTEM_CALL_PORT) => Ok(()),
        exit => Err(ProbeError::Exit(exit)),
    }
}
