//! The calls on directories.

use nix::errno::Errno;
use nix::libc;

use super::files::open;
use super::{HERE, Machine};

/// The names in a buffer of `linux_dirent64`s.
pub(super) fn names(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut left = bytes;
    while let [
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        low,
        high,
        _,
        name @ ..,
    ] = left
    {
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let end = name.iter().position(|&byte| byte == 0).expect("a NUL");
        names.push(String::from_utf8_lossy(&name[..end]).into_owned());
        left = &left[length..];
    }
    names
}

#[test]
fn a_directory_is_listed_in_parts() {
    let mut machine = Machine::new();
    let directory = open(&mut machine, "/dev", libc::O_RDONLY | libc::O_DIRECTORY).unwrap();
    let data = machine.data;
    assert_eq!(
        machine.call(libc::SYS_getdents64, &[directory, data, 16]),
        Err(Errno::EINVAL)
    );
    let mut all = Vec::new();
    loop {
        let length = machine
            .call(libc::SYS_getdents64, &[directory, data, 60])
            .unwrap();
        if length == 0 {
            break;
        }
        all.extend(names(&machine.bytes(0, usize::try_from(length).unwrap())));
    }
    let expected = [
        ".", "..", "fd", "null", "random", "shm", "stderr", "stdin", "stdout", "urandom", "zero",
    ];
    assert_eq!(all, expected);
    assert_eq!(machine.call(libc::SYS_lseek, &[directory, 0, 0]), Ok(0));
    assert_eq!(
        machine.call(libc::SYS_getdents64, &[directory, data, 4096]),
        Ok(6 * 24 + 5 * 32)
    );
    let file = open(&mut machine, "/dev/null", libc::O_RDONLY).unwrap();
    assert_eq!(
        machine.call(libc::SYS_getdents64, &[file, data, 4096]),
        Err(Errno::ENOTDIR)
    );
    assert_eq!(
        machine.call(libc::SYS_read, &[directory, data, 1]),
        Err(Errno::EISDIR)
    );
}

#[test]
fn relative_paths_start_at_the_working_directory_or_a_descriptor() {
    let mut machine = Machine::new();
    let data = machine.data;
    let directory = open(&mut machine, "/data", libc::O_RDONLY).unwrap();
    let text = machine.path("text");
    assert_eq!(
        machine.call(libc::SYS_openat, &[HERE, text, 0]),
        Err(Errno::ENOENT)
    );
    assert!(
        machine
            .call(libc::SYS_openat, &[directory, text, 0])
            .is_ok()
    );
    assert_eq!(
        machine.call(libc::SYS_openat, &[0, text, 0]),
        Err(Errno::ENOTDIR)
    );
    assert_eq!(
        machine.call(libc::SYS_openat, &[77, text, 0]),
        Err(Errno::EBADF)
    );
    let path = machine.path("data");
    assert_eq!(machine.call(libc::SYS_chdir, &[path]), Ok(0));
    assert!(open(&mut machine, "text", libc::O_RDONLY).is_ok());
    assert_eq!(machine.call(libc::SYS_getcwd, &[data, 100]), Ok(6));
    assert_eq!(machine.bytes(0, 6), b"/data\0");
    assert_eq!(
        machine.call(libc::SYS_getcwd, &[data, 5]),
        Err(Errno::ERANGE)
    );
    let file = machine.path("text");
    assert_eq!(machine.call(libc::SYS_chdir, &[file]), Err(Errno::ENOTDIR));
}
