//! Mappings of the files in `/tmp` and `/dev/shm`, and of files without a name.

use nix::errno::Errno;
use nix::libc;

use super::files::open;
use super::scratch::{READ_WRITE, make};
use super::{Machine, int};
use crate::memory::PAGE;

fn map(machine: &mut Machine, file: u64, length: u64, flags: i32) -> Result<u64, Errno> {
    machine.call(
        libc::SYS_mmap,
        &[0, length, READ_WRITE, int(flags), file, 0],
    )
}

/// The bytes of free guest memory.
fn free(machine: &Machine) -> u64 {
    machine.memory.free_bytes()
}

/// Maps and unmaps a file, so that page tables are there.
fn warm(machine: &mut Machine) {
    machine.put(0, &[1; 8192]);
    let file = open(machine, "/dev/shm", libc::O_TMPFILE | libc::O_RDWR).unwrap();
    let at = map(machine, file, 3 * PAGE, libc::MAP_SHARED).unwrap();
    assert_eq!(machine.call(libc::SYS_munmap, &[at, 3 * PAGE]), Ok(0));
    assert_eq!(machine.call(libc::SYS_close, &[3]), Ok(0));
}

fn byte_at(machine: &Machine, address: u64) -> u8 {
    let mut byte = [0];
    machine.memory.read(address, &mut byte).unwrap();
    byte[0]
}

#[test]
fn a_shared_mapping_shows_the_file_and_changes_it() {
    let mut machine = Machine::new();
    let file = make(&mut machine, "/dev/shm/area", b"first");
    let again = open(&mut machine, "/dev/shm/area", libc::O_RDWR).unwrap();
    let at = map(&mut machine, file, 2 * PAGE, libc::MAP_SHARED).unwrap();
    let other = map(&mut machine, again, PAGE, libc::MAP_SHARED).unwrap();
    assert_eq!(byte_at(&machine, at), b'f');
    machine.memory.write(at, b"F").unwrap();
    assert_eq!(byte_at(&machine, other), b'F');
    let data = machine.data;
    assert_eq!(machine.call(libc::SYS_pread64, &[again, data, 9, 0]), Ok(5));
    assert_eq!(machine.bytes(0, 5), b"First");
    let text = machine.put(0, b"x");
    assert_eq!(
        machine.call(libc::SYS_pwrite64, &[again, text, 1, 4]),
        Ok(1)
    );
    assert_eq!(byte_at(&machine, at + 4), b'x');
    // The second page lies past the end of the file.
    machine.memory.write(at + PAGE, b"own").unwrap();
    assert_eq!(
        machine.call(libc::SYS_lseek, &[file, 0, int(libc::SEEK_END)]),
        Ok(5)
    );
}

#[test]
fn a_private_mapping_is_a_copy() {
    let mut machine = Machine::new();
    let file = make(&mut machine, "/tmp/text", b"text");
    let at = map(&mut machine, file, PAGE, libc::MAP_PRIVATE).unwrap();
    machine.memory.write(at, b"T").unwrap();
    let data = machine.data;
    assert_eq!(machine.call(libc::SYS_pread64, &[file, data, 4, 0]), Ok(4));
    assert_eq!(machine.bytes(0, 4), b"text");
    assert_eq!(byte_at(&machine, at + 1), b'e');
}

#[test]
fn a_mapping_needs_the_descriptors_permission() {
    let mut machine = Machine::new();
    make(&mut machine, "/tmp/text", b"text");
    let reads = open(&mut machine, "/tmp/text", libc::O_RDONLY).unwrap();
    let writes = open(&mut machine, "/tmp/text", libc::O_WRONLY).unwrap();
    let shared = map(&mut machine, reads, PAGE, libc::MAP_SHARED);
    assert_eq!(shared, Err(Errno::EACCES));
    assert!(map(&mut machine, reads, PAGE, libc::MAP_PRIVATE).is_ok());
    let unreadable = map(&mut machine, writes, PAGE, libc::MAP_PRIVATE);
    assert_eq!(unreadable, Err(Errno::EACCES));
}

#[test]
fn a_removed_file_lasts_while_it_is_open_or_mapped() {
    let mut machine = Machine::new();
    let path = machine.path("/tmp/text");
    // Page tables and the test's own data take their memory once.
    warm(&mut machine);
    let before = free(&machine);
    let file = make(&mut machine, "/tmp/text", b"text");
    let at = map(&mut machine, file, PAGE, libc::MAP_SHARED).unwrap();
    assert_eq!(machine.call(libc::SYS_unlink, &[path]), Ok(0));
    assert_eq!(
        open(&mut machine, "/tmp/text", libc::O_RDONLY),
        Err(Errno::ENOENT)
    );
    let data = machine.data;
    assert_eq!(machine.call(libc::SYS_fstat, &[file, data]), Ok(0));
    assert_eq!(machine.word(16), 0);
    assert_eq!(machine.call(libc::SYS_close, &[file]), Ok(0));
    assert_eq!(byte_at(&machine, at), b't');
    assert_eq!(machine.call(libc::SYS_munmap, &[at, PAGE]), Ok(0));
    assert_eq!(free(&machine), before);
}

#[test]
fn a_file_without_a_name_ends_with_its_last_descriptor() {
    let mut machine = Machine::new();
    warm(&mut machine);
    let name = machine.put(0, b"name\0");
    let before = free(&machine);
    let arguments = [name, u64::from(libc::MFD_CLOEXEC)];
    let file = machine.call(libc::SYS_memfd_create, &arguments).unwrap();
    assert_eq!(
        machine.call(libc::SYS_fcntl, &[file, int(libc::F_GETFD)]),
        Ok(1)
    );
    assert_eq!(machine.call(libc::SYS_ftruncate, &[file, 3 * PAGE]), Ok(0));
    let at = map(&mut machine, file, 3 * PAGE, libc::MAP_SHARED).unwrap();
    machine.memory.write(at + 2 * PAGE, b"x").unwrap();
    let temporary = libc::O_TMPFILE | libc::O_RDWR;
    let nameless = open(&mut machine, "/tmp", temporary).unwrap();
    let data = machine.data;
    assert_eq!(machine.call(libc::SYS_write, &[nameless, data, 10]), Ok(10));
    assert_eq!(
        machine.call(libc::SYS_dup2, &[file, nameless]),
        Ok(nameless)
    );
    assert_eq!(machine.call(libc::SYS_close, &[file]), Ok(0));
    let arguments = [nameless, data, 1, 2 * PAGE];
    assert_eq!(machine.call(libc::SYS_pread64, &arguments), Ok(1));
    assert_eq!(machine.bytes(0, 1), b"x");
    assert_eq!(machine.call(libc::SYS_munmap, &[at, 3 * PAGE]), Ok(0));
    assert_eq!(machine.call(libc::SYS_close_range, &[3, 100, 0]), Ok(0));
    assert_eq!(free(&machine), before);
    let sealed = machine.call(
        libc::SYS_memfd_create,
        &[name, u64::from(libc::MFD_ALLOW_SEALING)],
    );
    assert_eq!(sealed, Err(Errno::EINVAL));
}
