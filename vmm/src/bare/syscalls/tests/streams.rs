//! The standard streams, the character devices, and waiting for them.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;

use super::super::CallEffect;
use super::{Machine, int};

#[test]
fn standard_input_from_a_file_is_that_file() {
    let mut machine = Machine::new();
    let data = machine.data;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    file.seek(SeekFrom::Start(2)).unwrap();
    machine.personality = machine.personality.with_input(file).unwrap();
    assert_eq!(machine.call(libc::SYS_read, &[0, data, 3]), Ok(3));
    assert_eq!(machine.bytes(0, 3), b"234");
    assert_eq!(machine.call(libc::SYS_lseek, &[0, u64::MAX, 2]), Ok(9));
    assert_eq!(machine.call(libc::SYS_pread64, &[0, data, 100, 7]), Ok(3));
    assert_eq!(machine.bytes(0, 3), b"789");
    assert_eq!(machine.call(libc::SYS_fstat, &[0, data]), Ok(0));
    // The size is at 48 of `struct stat`.
    assert_eq!(machine.word(48), 10);
    assert_eq!(
        machine.call(libc::SYS_write, &[0, data, 1]),
        Err(Errno::EBADF)
    );
}

#[test]
fn standard_input_is_read_as_it_comes() {
    let mut machine = Machine::new();
    let data = machine.data;
    machine.input.as_mut().unwrap().write_all(b"line").unwrap();
    assert_eq!(machine.call(libc::SYS_read, &[0, data, 1 << 20]), Ok(4));
    assert_eq!(machine.bytes(0, 4), b"line");
    drop(machine.input.take());
    assert_eq!(machine.call(libc::SYS_read, &[0, data, 100]), Ok(0));
    assert_eq!(
        machine.call(libc::SYS_pread64, &[0, data, 100, 0]),
        Err(Errno::ESPIPE)
    );
    assert_eq!(
        machine.call(libc::SYS_lseek, &[0, 0, 0]),
        Err(Errno::ESPIPE)
    );
    assert_eq!(
        machine.call(libc::SYS_write, &[0, data, 1]),
        Err(Errno::EBADF)
    );
    assert_eq!(
        machine.call(libc::SYS_read, &[1, data, 1]),
        Err(Errno::EBADF)
    );
}

#[test]
fn non_blocking_input_says_so_when_there_is_nothing() {
    let mut machine = Machine::new();
    let data = machine.data;
    let flags = int(libc::O_NONBLOCK);
    assert_eq!(
        machine.call(libc::SYS_fcntl, &[0, int(libc::F_SETFL), flags]),
        Ok(0)
    );
    assert_eq!(
        machine.call(libc::SYS_fcntl, &[0, int(libc::F_GETFL)]),
        Ok(flags)
    );
    assert_eq!(
        machine.call(libc::SYS_read, &[0, data, 100]),
        Err(Errno::EAGAIN)
    );
}

#[test]
fn output_larger_than_a_pipe_is_written_whole() {
    let mut machine = Machine::new();
    let mut output = machine.output.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        output.read_to_end(&mut bytes).map(|_| bytes)
    });
    let pattern: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    let at = machine.put(0, &pattern);
    assert!(!machine.personality.has_written_output());
    assert_eq!(
        machine.call(libc::SYS_write, &[1, at, 1_000_000]),
        Ok(1_000_000)
    );
    assert!(machine.personality.has_written_output());
    drop(machine);
    assert_eq!(reader.join().unwrap().unwrap(), pattern);
}

#[test]
fn a_reader_that_has_gone_kills_unless_the_signal_is_ignored() {
    let mut machine = Machine::new();
    drop(machine.output.take());
    let data = machine.data;
    assert_eq!(
        machine.outcome(libc::SYS_write, &[1, data, 1]),
        CallEffect::Signal(13)
    );
    let ignore = machine.put(0, &1_u64.to_le_bytes());
    assert_eq!(
        machine.call(libc::SYS_rt_sigaction, &[int(libc::SIGPIPE), ignore, 0, 8]),
        Ok(0)
    );
    assert_eq!(
        machine.call(libc::SYS_write, &[1, data, 1]),
        Err(Errno::EPIPE)
    );
}

#[test]
fn character_devices_do_what_they_do() {
    let mut machine = Machine::new();
    let data = machine.data;
    let open = |machine: &mut Machine, path: &str| {
        let path = machine.path(path);
        machine
            .call(libc::SYS_open, &[path, int(libc::O_RDWR)])
            .unwrap()
    };
    let (null, zero, random) = (
        open(&mut machine, "/dev/null"),
        open(&mut machine, "/dev/zero"),
        open(&mut machine, "/dev/urandom"),
    );
    machine.put(0, &[7; 10_000]);
    assert_eq!(machine.call(libc::SYS_write, &[null, data, 100]), Ok(100));
    assert_eq!(machine.call(libc::SYS_read, &[null, data, 100]), Ok(0));
    assert_eq!(
        machine.call(libc::SYS_read, &[random, data, 10_000]),
        Ok(10_000)
    );
    assert!(
        machine
            .bytes(0, 10_000)
            .windows(64)
            .any(|bytes| bytes != [7; 64])
    );
    assert_eq!(
        machine.call(libc::SYS_read, &[zero, data, 10_000]),
        Ok(10_000)
    );
    assert_eq!(machine.bytes(0, 10_000), vec![0; 10_000]);
    assert_eq!(machine.call(libc::SYS_getrandom, &[data, 16, 0]), Ok(16));
    assert_ne!(machine.bytes(0, 16), [0; 16]);
    assert_eq!(
        machine.call(libc::SYS_getrandom, &[data, 16, 64]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        machine.call(libc::SYS_getrandom, &[8, 16, 0]),
        Err(Errno::EFAULT)
    );
    assert_eq!(
        machine.call(libc::SYS_ioctl, &[1, libc::TIOCGWINSZ, data]),
        Err(Errno::ENOTTY)
    );
}

#[test]
fn poll_knows_what_is_ready() {
    let mut machine = Machine::new();
    let entry = |descriptor: i32, events: i16| {
        let mut bytes = descriptor.to_le_bytes().to_vec();
        bytes.extend([events.to_le_bytes(), [0xff; 2]].concat());
        bytes
    };
    let entries = [
        entry(0, libc::POLLIN),
        entry(1, libc::POLLOUT),
        entry(-1, libc::POLLIN),
        entry(40, libc::POLLIN),
    ]
    .concat();
    let at = machine.put(0, &entries);
    let answer = |machine: &Machine, index: u64| machine.bytes(8 * index + 6, 2)[0];
    assert_eq!(machine.call(libc::SYS_poll, &[at, 4, int(1000)]), Ok(2));
    let answers: Vec<u8> = (0..4).map(|index| answer(&machine, index)).collect();
    assert_eq!(answers, [0, 4, 0, 0x20]);
    assert_eq!(machine.call(libc::SYS_poll, &[at, 1, 1]), Ok(0));
    machine.input.as_mut().unwrap().write_all(b"x").unwrap();
    assert_eq!(machine.call(libc::SYS_poll, &[at, 1, int(-1)]), Ok(1));
    assert_eq!(
        machine.call(libc::SYS_poll, &[at, 1025, 0]),
        Err(Errno::EINVAL)
    );
    assert_eq!(machine.call(libc::SYS_poll, &[8, 1, 0]), Err(Errno::EFAULT));
}

#[test]
fn select_marks_what_is_ready() {
    let mut machine = Machine::new();
    machine.input.as_mut().unwrap().write_all(b"x").unwrap();
    let read = machine.put(0, &0b001_u64.to_le_bytes());
    let write = machine.put(8, &0b110_u64.to_le_bytes());
    let none = machine.put(16, &[0; 16]);
    assert_eq!(
        machine.call(libc::SYS_select, &[3, read, write, 0, none]),
        Ok(3)
    );
    assert_eq!((machine.word(0), machine.word(8)), (0b001, 0b110));
    machine.put(0, &(1_u64 << 33).to_le_bytes());
    assert_eq!(
        machine.call(libc::SYS_select, &[64, read, 0, 0, none]),
        Err(Errno::EBADF)
    );
    assert_eq!(
        machine.call(libc::SYS_select, &[int(-1), read, 0, 0, none]),
        Err(Errno::EINVAL)
    );
}

#[test]
fn sleeping_and_clocks_agree() {
    let mut machine = Machine::new();
    let time = |seconds: u64, nanoseconds: u64| {
        [seconds.to_le_bytes(), nanoseconds.to_le_bytes()].concat()
    };
    let at = machine.put(0, &time(0, 3_000_000));
    let before = Instant::now();
    assert_eq!(machine.call(libc::SYS_nanosleep, &[at, 0]), Ok(0));
    assert!(before.elapsed() >= Duration::from_millis(3));
    let clock = int(libc::CLOCK_MONOTONIC);
    assert_eq!(machine.call(libc::SYS_clock_gettime, &[clock, at]), Ok(0));
    let (seconds, nanoseconds) = (machine.word(0), machine.word(8));
    // A sleep until a time that has passed returns at once.
    assert_eq!(
        machine.call(libc::SYS_clock_nanosleep, &[clock, 1, at, 0]),
        Ok(0)
    );
    let far = machine.put(0, &time(0, 1_000_000_000));
    assert_eq!(
        machine.call(libc::SYS_nanosleep, &[far, 0]),
        Err(Errno::EINVAL)
    );
    assert_eq!(machine.call(libc::SYS_clock_gettime, &[clock, at]), Ok(0));
    assert!((machine.word(0), machine.word(8)) >= (seconds, nanoseconds));
    assert_eq!(
        machine.call(libc::SYS_clock_gettime, &[99, at]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        machine.call(libc::SYS_clock_gettime, &[clock, 8]),
        Err(Errno::EFAULT)
    );
    assert_eq!(machine.call(libc::SYS_clock_getres, &[clock, 0]), Ok(0));
    assert_eq!(machine.call(libc::SYS_gettimeofday, &[at, 0]), Ok(0));
    assert!(machine.call(libc::SYS_time, &[0]).unwrap() - machine.word(0) <= 1);
}
