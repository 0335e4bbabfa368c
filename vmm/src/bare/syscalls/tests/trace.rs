//! The lines of `--trace`.

use nix::libc::{self, c_long};

use super::super::trace::Line;
use super::super::{CallEffect, SystemCall, ThreadId};
use super::{HERE, Machine, int};

fn line(machine: &Machine, number: c_long, arguments: [u64; 6], effect: CallEffect) -> String {
    let call = SystemCall {
        number: number.cast_unsigned(),
        arguments,
    };
    Line::new(&call, &machine.memory, None).finish(&call, effect)
}

#[test]
fn a_line_looks_as_strace_writes_it() {
    let mut machine = Machine::new();
    let path = machine.path("/proc/self/maps");
    let text = machine.put(0, b"isobench/1 ready\n");
    let cases = [
        (
            libc::SYS_openat,
            [HERE, path, int(libc::O_CLOEXEC), 0, 0, 0],
            CallEffect::Return(-2),
            r#"openat(AT_FDCWD, "/proc/self/maps", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)"#,
        ),
        (
            libc::SYS_openat,
            [HERE, path, int(libc::O_RDWR | libc::O_CREAT), 0o644, 0, 0],
            CallEffect::Return(3),
            r#"openat(AT_FDCWD, "/proc/self/maps", O_RDWR|O_CREAT, 0o644) = 3"#,
        ),
        (
            libc::SYS_write,
            [1, text, 17, 0, 0, 0],
            CallEffect::Return(17),
            r#"write(1, "isobench/1 ready\n", 17) = 17"#,
        ),
        (
            libc::SYS_mmap,
            [0, 4096, 3, 0x22, u64::MAX, 0],
            CallEffect::Return(0x7fff_f000_0000),
            "mmap(0, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7ffff0000000",
        ),
        (
            libc::SYS_rt_sigaction,
            [int(libc::SIGPIPE), 0, 0, 8, 0, 0],
            CallEffect::Return(0),
            "rt_sigaction(SIGPIPE, 0, 0, 8) = 0",
        ),
        (
            999,
            [1, 0, 0, 0, 0, 0],
            CallEffect::Return(-38),
            "syscall_999(0x1, 0, 0, 0, 0, 0) = -1 ENOSYS (Function not implemented)",
        ),
    ];
    for (number, arguments, effect, expected) in cases {
        let shown = line(&machine, number, arguments, effect);
        assert_eq!(shown, format!("{expected}\n"));
    }
}

#[test]
fn the_last_line_shows_how_the_program_ended() {
    let machine = Machine::new();
    let cases = [
        (
            libc::SYS_exit_group,
            [3, 0, 0, 0, 0, 0],
            CallEffect::Exit(3),
            "exit_group(3) = ?\n+++ exited with 3 +++",
        ),
        (
            libc::SYS_tgkill,
            [2, 2, 6, 0, 0, 0],
            CallEffect::Signal(6),
            "tgkill(2, 2, SIGABRT) = ?\n+++ killed by SIGABRT +++",
        ),
    ];
    for (number, arguments, effect, expected) in cases {
        let shown = line(&machine, number, arguments, effect);
        assert_eq!(shown, format!("{expected}\n"));
    }
}

#[test]
fn long_and_unreadable_data_is_cut_or_shown_as_its_address() {
    let mut machine = Machine::new();
    let text = machine.put(0, &[b'x'; 100]);
    let long = line(
        &machine,
        libc::SYS_write,
        [1, text, 100, 0, 0, 0],
        CallEffect::Return(100),
    );
    assert_eq!(
        long,
        format!("write(1, \"{}\"..., 100) = 100\n", "x".repeat(48))
    );
    let bad = line(
        &machine,
        libc::SYS_write,
        [1, 8, u64::MAX, 0, 0, 0],
        CallEffect::Return(-14),
    );
    assert_eq!(
        bad,
        "write(1, 0x8, 18446744073709551615) = -1 EFAULT (Bad address)\n"
    );
}

#[test]
fn a_line_names_its_thread_and_says_why_a_call_is_refused() {
    let machine = Machine::new();
    let call = SystemCall {
        number: libc::SYS_fork.cast_unsigned(),
        arguments: [0; 6],
    };
    let of_thread = Line::new(&call, &machine.memory, Some(ThreadId::FIRST));
    assert_eq!(
        of_thread.finish(&call, CallEffect::Return(-38)),
        "[pid 2] fork(0, 0, 0, 0, 0, 0) = -1 ENOSYS (Function not implemented) /* refused: a second \
         process needs a second address space: `microvm-linux` has that */\n"
    );
    // A clone is refused if it would be a fork.
    let refused = CallEffect::Return(-38);
    let clone = line(&machine, libc::SYS_clone, [17, 0, 0, 0, 0, 0], refused);
    assert!(clone.contains("a second process needs"), "{clone}");
}
