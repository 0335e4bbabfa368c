//! `/proc/self/fd`.

use nix::errno::Errno;
use nix::libc;

use super::directories::names;
use super::files::open;
use super::{HERE, Machine, TEXT, int};

/// The text of the link at `path`.
fn link(machine: &mut Machine, path: &str) -> Result<String, Errno> {
    let (path, data) = (machine.path(path), machine.data);
    let length = machine.call(libc::SYS_readlink, &[path, data, 100])?;
    let bytes = machine.bytes(0, usize::try_from(length).unwrap());
    Ok(String::from_utf8(bytes).unwrap())
}

#[test]
fn each_descriptor_is_a_link_to_its_file() {
    let mut machine = Machine::new();
    assert_eq!(open(&mut machine, "/data/text", libc::O_RDONLY), Ok(3));
    assert_eq!(open(&mut machine, "/data", libc::O_RDONLY), Ok(4));
    assert_eq!(machine.call(libc::SYS_dup2, &[3, 900]), Ok(900));
    for (path, text) in [
        ("/proc/self/fd/0", Ok("pipe:[1]")),
        ("/proc/self/fd/3", Ok("/data/text")),
        ("/dev/fd/4", Ok("/data")),
        ("/dev/fd/900", Ok("/data/text")),
        ("/dev/fd", Ok("/proc/self/fd")),
        ("/proc/self/fd/5", Err(Errno::ENOENT)),
        ("/proc/self/fd/03", Err(Errno::ENOENT)),
        ("/proc/self/fd/+3", Err(Errno::ENOENT)),
        ("/proc/self/fd/x", Err(Errno::ENOENT)),
        ("/proc/self/fd/4294967299", Err(Errno::ENOENT)),
    ] {
        assert_eq!(
            link(&mut machine, path).as_deref(),
            text.as_deref(),
            "{path}"
        );
    }
    assert_eq!(machine.call(libc::SYS_close, &[3]), Ok(0));
    assert_eq!(link(&mut machine, "/proc/self/fd/3"), Err(Errno::ENOENT));
}

#[test]
fn the_directory_of_descriptors_is_listed_in_parts() {
    let mut machine = Machine::new();
    let directory = open(&mut machine, "/proc/self/fd", libc::O_RDONLY).unwrap();
    let data = machine.data;
    assert_eq!(machine.call(libc::SYS_dup2, &[0, 1000]), Ok(1000));
    let mut all = Vec::new();
    loop {
        let arguments = [directory, data, 50];
        let length = machine.call(libc::SYS_getdents64, &arguments).unwrap();
        if length == 0 {
            break;
        }
        all.extend(names(&machine.bytes(0, usize::try_from(length).unwrap())));
    }
    assert_eq!(all, [".", "..", "0", "1", "2", "3", "1000"]);
}

#[test]
fn a_file_is_opened_anew_by_its_descriptor() {
    let mut machine = Machine::new();
    let data = machine.data;
    let first = open(&mut machine, "/data/text", libc::O_RDONLY).unwrap();
    assert_eq!(machine.call(libc::SYS_read, &[first, data, 10]), Ok(10));
    let again = open(&mut machine, "/dev/fd/3", libc::O_RDONLY).unwrap();
    let whole = TEXT.len() as u64;
    assert_eq!(machine.call(libc::SYS_read, &[again, data, 100]), Ok(whole));
    let kept = open(&mut machine, "/dev/fd/3", libc::O_RDONLY | libc::O_NOFOLLOW);
    assert_eq!(kept, Err(Errno::ELOOP));
    // A directory may stand in the middle of a path.
    assert_eq!(open(&mut machine, "/data", libc::O_RDONLY), Ok(5));
    assert!(open(&mut machine, "/dev/fd/5/text", libc::O_RDONLY).is_ok());
    assert!(open(&mut machine, "/dev/fd/5/../data/text", libc::O_RDONLY).is_ok());
    let beside = open(&mut machine, "/dev/fd/3/text", libc::O_RDONLY);
    assert_eq!(beside, Err(Errno::ENOTDIR));
    // The console's streams have their devices.
    let output = open(&mut machine, "/proc/self/fd/1", libc::O_WRONLY).unwrap();
    let text = machine.put(0, b"said");
    assert_eq!(machine.call(libc::SYS_write, &[output, text, 4]), Ok(4));
}

#[test]
fn a_link_of_a_descriptor_is_seen_as_link_or_as_file() {
    let mut machine = Machine::new();
    open(&mut machine, "/data/text", libc::O_RDONLY).unwrap();
    let (path, data) = (machine.path("/proc/self/fd/3"), machine.data);
    let mut mode = |flags| {
        let arguments = [HERE, path, data, int(flags)];
        assert_eq!(machine.call(libc::SYS_newfstatat, &arguments), Ok(0));
        machine.word(24) & 0xffff_ffff
    };
    let (link, file) = (libc::S_IFLNK | 0o700, libc::S_IFREG | 0o444);
    assert_eq!(mode(libc::AT_SYMLINK_NOFOLLOW), u64::from(link));
    assert_eq!(mode(0), u64::from(file));
}
