//! What can be reached from inside, held against what ought to be: the kernel, the container's policy, the VMM's own
//! dispatcher.

use std::fs;
use std::path::PathBuf;

use bytesize::ByteSize;
use isobench_container::seccomp::policy::{ALLOWED, NEWEST, SPECIAL, UNKNOWN_CALLS};
use isobench_reports::model::{Run, Status};
use isobench_vmm::bare::address_space::{AddressSpace, GuestRam};
use isobench_vmm::bare::syscalls::{CallEffect, FileTree, Personality, Settings, SystemCall};
use isobench_vmm::devices::console::Console;
use isobench_workloads::calls::{CALLS, CallSet, Calls};
use isobench_workloads::protocol::Message;
use nix::libc::{self, c_long};

use crate::old::{Place, WORKLOAD, can_run, cgroups_of, text};

/// Calls of Linux 6.14 and later that no filter is asked about (uretprobe and uprobe); who makes them outside of a probe is
/// killed. And in a user namespace that may not, the kernel refuses `setgroups`, which the policy allows.
const PAST_FILTERS: [c_long; 2] = [335, 336];

/// What a program in `target` says of all system calls.
fn tried_in(target: &str) -> Calls {
    let place = Place::new();
    let output = place.run(&["exec", "--target", target, "--", WORKLOAD, "calls"]);
    let said = text(&output.stdout);
    let last = said.lines().last();
    let last = last.unwrap_or_else(|| panic!("{target}: {}", text(&output.stderr)));
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
    let special = |number| SPECIAL.iter().any(|(call, _)| *call == number);
    let allowed = |number| ALLOWED.contains(&number) || special(number);
    for number in 0..CALLS {
        let call = c_long::from(number);
        let expected = call <= NEWEST && !allowed(call) && !UNKNOWN_CALLS.contains(&call);
        let decided_elsewhere = PAST_FILTERS.contains(&call) || call == libc::SYS_setgroups;
        let refused = calls.refused.contains(number);
        assert!(
            decided_elsewhere || refused == expected,
            "{number}: {calls}"
        );
    }
    let free = tried_in("process");
    assert!(
        calls
            .answered
            .iter()
            .all(|number| free.answered.contains(number))
    );
    assert_eq!(calls.kernel.boot, free.kernel.boot);
}

/// What the VMM itself says to the same calls, without a VM.
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
        // A fresh one for each: some change what is mapped, some end the program.
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
        // A futex of an unknown kind is an unknown call.
        let known_futex = number == libc::SYS_futex;
        let answer = personality.call(&call, &mut memory);
        known_futex || answer != CallEffect::Return(-i64::from(libc::ENOSYS))
    };
    // It would wait for good.
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
        let untried = calls.untried.contains(number);
        assert!(
            untried || reached(number) == expected.contains(number),
            "{number}: {calls}"
        );
    }
    assert!(calls.untried.count() <= 5, "{calls}");
    assert_eq!(
        calls.kernel.boot, "",
        "there is no kernel that could have booted"
    );
}

#[test]
fn each_rung_takes_less_of_the_host_s_kernel_and_nothing_is_left() {
    let place = Place::new();
    let targets = "process,container,microvm-bare";
    let child = place.start(&[
        "run",
        "--profile",
        "quick",
        "--experiments",
        "isolation",
        "--targets",
        targets,
        "--out",
        "out",
    ]);
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(place.left_behind(), Vec::<PathBuf>::new());
    assert_eq!(cgroups_of(pid), Vec::<PathBuf>::new());
    let json = fs::read(place.path("out/results.json")).unwrap();
    let run: Run = serde_json::from_slice(&json).unwrap();
    let first = |target: &str, metric: &str| -> Option<f64> {
        let mut good = run.samples.iter().filter(|sample| {
            sample.target == target && sample.metric == metric && sample.status == Status::Ok
        });
        good.find(|sample| sample.part == "total")?.value
    };
    let calls = |target| first(target, "host-calls").unwrap();
    assert!(calls("process") > 300.0);
    assert_eq!(first("process", "host-kernel"), Some(1.0));
    // Seen from both sides it is the same, but for a call or two that kill the caller.
    let apart = |target| (calls(target) - first(target, "answered").unwrap()).abs();
    assert!(apart("process") <= 4.0, "{}", apart("process"));
    if can_run("container") {
        assert!(calls("container") < calls("process") && apart("container") <= 4.0);
        assert!(first("container", "refused") > Some(50.0));
        assert_eq!(first("container", "host-kernel"), Some(1.0));
    }
    if can_run("microvm-bare") {
        assert!((1.0..30.0).contains(&calls("microvm-bare")));
        assert_eq!(first("microvm-bare", "host-kernel"), Some(0.0));
        assert_eq!(first("microvm-bare", "exit-reasons"), Some(1.0));
        assert!(first("microvm-bare", "exits") > Some(500.0));
    }
}
