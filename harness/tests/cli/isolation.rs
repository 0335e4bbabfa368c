//! The system calls that programs can reach from inside, compared with those that they should
//! reach: the kernel's, those of the container's policy, those of the VMM's dispatcher.

use std::fs;

use bytesize::ByteSize;
use isobench_container::seccomp::policy::{ALLOWED, CONDITIONAL, NEWEST, UNKNOWN_CALLS};
use isobench_vmm::bare::address_space::{AddressSpace, GuestRam};
use isobench_vmm::bare::syscalls::{CallEffect, FileTree, Personality, Settings, SystemCall};
use isobench_vmm::devices::console::Console;
use isobench_workloads::calls::{CALLS, CallSet, Calls};
use isobench_workloads::protocol::Message;
use nix::libc::{self, c_long};

use crate::support::isobench::{Isobench, WORKLOAD};
use crate::support::needs::can_run;

/// Calls of Linux 6.14 and later that pass by all filters: uretprobe and uprobe. The kernel kills a
/// program that makes them outside of a probe.
const PAST_FILTERS: [c_long; 2] = [335, 336];

/// Tries all system calls in `target`.
fn tried_in(target: &str) -> Calls {
    let exec = Isobench::exec(target).program(&[WORKLOAD, "calls"]);
    let finished = exec.succeeds();
    let last = finished.stdout.lines().last().unwrap();
    match last.parse().unwrap() {
        Message::Calls(calls) => *calls,
        other => panic!("{target}: {other}"),
    }
}

fn all(is_in: impl Fn(c_long) -> bool) -> CallSet {
    (0..CALLS)
        .filter(|number| is_in((*number).into()))
        .collect()
}

#[test]
fn a_bare_process_reaches_most_of_the_host_s_kernel() {
    let calls = tried_in("process");
    assert!(calls.answered.count() > 300, "{calls}");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(calls.kernel.boot, boot.trim());
}

#[test]
fn the_container_refuses_what_its_policy_does_not_allow_and_nothing_else() {
    if !can_run("container") {
        return;
    }
    let calls = tried_in("container");
    let special = |number| CONDITIONAL.iter().any(|(call, _)| *call == number);
    let allowed = |number| ALLOWED.contains(&number) || special(number);
    for number in 0..CALLS {
        let call = c_long::from(number);
        let expected = call <= NEWEST && !allowed(call) && !UNKNOWN_CALLS.contains(&call);
        // In a user namespace that may not set groups, the kernel refuses `setgroups` itself.
        let is_decided_elsewhere = PAST_FILTERS.contains(&call) || call == libc::SYS_setgroups;
        if !is_decided_elsewhere {
            let is_refused = calls.refused.contains(number);
            assert_eq!(is_refused, expected, "{number}: {calls}");
        }
    }
    let free = tried_in("process");
    for number in calls.answered.iter() {
        assert!(free.answered.contains(number), "{number}: {free}");
    }
    assert_eq!(calls.kernel.boot, free.kernel.boot);
}

/// The calls that the VMM's dispatcher knows, asked without a VM.
fn known_to_the_vmm() -> CallSet {
    let null = || {
        fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")
            .unwrap()
            .into()
    };
    let program = fs::File::open("/dev/null").unwrap();
    let known = |number: c_long| {
        // Each call gets a fresh guest: some calls change the guest's memory, some end its program.
        let tree = FileTree::new("/program".as_ref(), program.try_clone().unwrap()).unwrap();
        let mut personality = Personality::new(Settings {
            tree,
            console: Console::new(null(), null(), null()),
            disk: None,
            memory: ByteSize::mib(1),
            stack: ByteSize::kib(64),
            trace: false,
        })
        .unwrap();
        let mut memory = AddressSpace::new(GuestRam::new(ByteSize::mib(4)).unwrap());
        let call = SystemCall {
            number: number.unsigned_abs(),
            arguments: [u64::MAX; 6],
        };
        // To the dispatcher a futex of an unknown kind is an unknown call.
        let known_futex = number == libc::SYS_futex;
        let answer = personality.call(&call, &mut memory);
        known_futex || answer != CallEffect::Return(-i64::from(libc::ENOSYS))
    };
    // `pause` would never return.
    all(|number| number == libc::SYS_pause || known(number))
}

#[test]
fn without_a_guest_os_what_answers_is_the_vmm_s_dispatcher() {
    if !can_run("microvm-bare") {
        return;
    }
    let calls = tried_in("microvm-bare");
    let reached = |number| calls.answered.contains(number) || calls.refused.contains(number);
    let expected = known_to_the_vmm();
    for number in 0..CALLS {
        if !calls.untried.contains(number) {
            assert_eq!(
                reached(number),
                expected.contains(number),
                "{number}: {calls}"
            );
        }
    }
    assert!(calls.untried.count() <= 5, "{calls}");
    assert_eq!(
        calls.kernel.boot, "",
        "there is no kernel that could have booted"
    );
}

#[test]
fn each_rung_takes_less_of_the_host_s_kernel_and_nothing_is_left() {
    let run = Isobench::run().quick().experiments("isolation");
    let finished = run.targets("process,container,microvm-bare").succeeds();
    finished.leaves_nothing();
    let first = |target, metric| finished.values(target, metric).first().copied();
    let calls = |target| first(target, "host-calls").unwrap();
    assert!(calls("process") > 300.0);
    assert_eq!(first("process", "host-kernel"), Some(1.0));
    // The host and the program count the same calls, but for a few that kill the caller.
    let apart = |target| (calls(target) - first(target, "answered").unwrap()).abs();
    assert!(apart("process") <= 4.0, "{}", apart("process"));
    if can_run("container") {
        assert!(calls("container") < calls("process"));
        assert!(apart("container") <= 4.0, "{}", apart("container"));
        assert!(first("container", "refused") > Some(50.0));
        assert_eq!(first("container", "host-kernel"), Some(1.0));
    }
    if can_run("microvm-bare") {
        assert!((1.0..30.0).contains(&calls("microvm-bare")));
        assert_eq!(first("microvm-bare", "host-kernel"), Some(0.0));
        // Each call is a port write. The calls that the program tries set timers, too, by which the
        // host interrupts the guest.
        let reasons = first("microvm-bare", "exit-reasons").unwrap();
        assert!((1.0..=2.0).contains(&reasons), "{reasons}");
        assert!(first("microvm-bare", "exits") > Some(500.0));
    }
}
