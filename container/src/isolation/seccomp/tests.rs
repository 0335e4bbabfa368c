//! The compiled filter is compared with the filter that seccompiler makes of the same policy, by
//! interpreting both.

use std::collections::BTreeMap;

use proptest::prelude::*;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use super::compile::{
    ARCHITECTURE, ERRNO, JUMP_IF_ANY_BIT, JUMP_IF_AT_LEAST, JUMP_IF_EQUAL, KILL_PROCESS, LOAD_WORD,
    OFFSET_ARCHITECTURE, OFFSET_ARGUMENTS, OFFSET_NUMBER, RETURN,
};
use super::policy::{ALLOWED, ArgumentRule, CONDITIONAL};
use super::*;

// Instructions that only seccompiler emits (linux/bpf_common.h).
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_IF_GREATER: u16 = 0x25;

/// Runs a filter on one call, as the kernel does.
fn run(program: &[sock_filter], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let load = |offset: u32| match offset {
        OFFSET_NUMBER => number,
        OFFSET_ARCHITECTURE => architecture,
        _ => {
            let position = offset - OFFSET_ARGUMENTS;
            let argument = arguments[(position / 8) as usize];
            u32::try_from((argument >> (8 * (position % 8))) & 0xFFFF_FFFF).unwrap()
        }
    };
    let (mut counter, mut accumulator) = (0_usize, 0_u32);
    loop {
        let instruction = &program[counter];
        let jump = |taken: bool| {
            usize::from(if taken {
                instruction.jt
            } else {
                instruction.jf
            })
        };
        counter += 1;
        match instruction.code {
            LOAD_WORD => accumulator = load(instruction.k),
            AND => accumulator &= instruction.k,
            JUMP_IF_EQUAL => counter += jump(accumulator == instruction.k),
            JUMP_IF_AT_LEAST => counter += jump(accumulator >= instruction.k),
            JUMP_IF_ANY_BIT => counter += jump(accumulator & instruction.k != 0),
            JUMP => counter += instruction.k as usize,
            JUMP_IF_GREATER => counter += jump(accumulator > instruction.k),
            RETURN => return instruction.k,
            other => panic!("instruction {other:#x} is not interpreted"),
        }
    }
}

fn ours(number: u32, arguments: [u64; 6]) -> u32 {
    run(PROGRAM.instructions(), ARCHITECTURE, number, arguments)
}

/// The filter that seccompiler makes of the policy. Such a filter knows one refusal, so it has
/// `EPERM` where the policy says `ENOSYS`.
fn oracle() -> BpfProgram {
    let condition = |argument: u32, operator, value: u32| {
        SeccompCondition::new(
            u8::try_from(argument).unwrap(),
            SeccompCmpArgLen::Dword,
            operator,
            value.into(),
        )
        .unwrap()
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().map(|&number| (number, Vec::new())).collect();
    for &(number, rule) in CONDITIONAL {
        let masked =
            |argument, mask: u32| condition(argument, SeccompCmpOp::MaskedEq(mask.into()), 0);
        // The call runs if all conditions of at least one alternative hold.
        let alternatives = match rule {
            ArgumentRule::IfClear { argument, mask } => vec![vec![masked(argument, mask)]],
            ArgumentRule::IfClearOr {
                argument,
                mask,
                value,
            } => vec![
                vec![masked(argument, mask)],
                vec![condition(argument, SeccompCmpOp::Eq, value)],
            ],
            ArgumentRule::Unless { argument, values } => {
                let differs = |&value| condition(argument, SeccompCmpOp::Ne, value);
                vec![values.iter().map(differs).collect()]
            }
        };
        let rule = |conditions| SeccompRule::new(conditions).unwrap();
        rules.insert(number, alternatives.into_iter().map(rule).collect());
    }
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, refuse, SeccompAction::Allow, TargetArch::x86_64)
        .unwrap()
        .try_into()
        .unwrap()
}

fn agree(oracle: &BpfProgram, number: u32, arguments: [u64; 6]) {
    let mut ours = ours(number, arguments);
    if ours == ERRNO | libc::ENOSYS.unsigned_abs() {
        ours = ERRNO | libc::EPERM.unsigned_abs();
    }
    let theirs = run(oracle, ARCHITECTURE, number, arguments);
    assert_eq!(ours, theirs, "call {number} with {arguments:?}");
}

#[test]
fn the_filter_agrees_with_seccompiler_on_every_call() {
    let oracle = oracle();
    for number in 0..1024 {
        for argument in [
            0,
            1,
            40,
            0x5412,
            0x541C,
            0x1000_0000,
            0x4111,
            0xFFFF_FFFF,
            u64::MAX,
        ] {
            agree(&oracle, number, [argument; 6]);
        }
    }
}

proptest! {
    #[test]
    fn the_filter_agrees_with_seccompiler_on_any_argument(number in 0_u32..600, arguments: [u64; 6]) {
        agree(&oracle(), number, arguments);
    }

    #[test]
    fn x32_and_newer_calls_are_unknown(number in 463_u32.., arguments: [u64; 6]) {
        prop_assert_eq!(ours(number, arguments), ERRNO | libc::ENOSYS.unsigned_abs());
    }
}

#[test]
fn a_call_of_another_architecture_kills() {
    let i386 = 0x4000_0003;
    assert_eq!(run(PROGRAM.instructions(), i386, 0, [0; 6]), KILL_PROCESS);
}

#[test]
fn clone3_is_unknown_and_mount_is_forbidden() {
    let number = |call: libc::c_long| u32::try_from(call).unwrap();
    assert_eq!(
        ours(number(libc::SYS_clone3), [0; 6]),
        ERRNO | libc::ENOSYS.unsigned_abs()
    );
    for call in [
        libc::SYS_mount,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_bpf,
        libc::SYS_io_uring_setup,
        libc::SYS_keyctl,
        libc::SYS_init_module,
        libc::SYS_kexec_load,
        libc::SYS_pivot_root,
        libc::SYS_userfaultfd,
        libc::SYS_perf_event_open,
    ] {
        assert_eq!(
            ours(number(call), [0; 6]),
            ERRNO | libc::EPERM.unsigned_abs(),
            "call {call}"
        );
    }
}

#[test]
fn the_compiled_filter_has_the_kernels_layout() {
    let bytes = compiled();
    assert_eq!(bytes.len(), 8 * PROGRAM.instructions().len());
    let read = bytes.chunks(8).map(|chunk| sock_filter {
        code: u16::from_ne_bytes(chunk[..2].try_into().unwrap()),
        jt: chunk[2],
        jf: chunk[3],
        k: u32::from_ne_bytes(chunk[4..].try_into().unwrap()),
    });
    assert!(read.eq(PROGRAM.instructions().iter().cloned()));
}
