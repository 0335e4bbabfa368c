//! The files in `/tmp` and `/dev/shm`: what a comparison with Linux's own files doesn't reach.

use std::fs::File;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

use super::directories::names;
use super::files::open;
use super::{HERE, Machine, int};
use crate::memory::PAGE;

pub(super) const READ_WRITE: u64 = (libc::PROT_READ | libc::PROT_WRITE) as u64;
pub(super) const NEW: i32 = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;

/// Makes a file with these contents, and gives its descriptor.
pub(super) fn make(machine: &mut Machine, path: &str, contents: &[u8]) -> u64 {
    let file = open(machine, path, NEW).expect(path);
    let from = machine.put(0, contents);
    let length = contents.len() as u64;
    let written = machine.call(libc::SYS_write, &[file, from, length]);
    assert_eq!(written, Ok(length));
    file
}

#[test]
fn files_take_half_of_the_memory_and_give_it_back() {
    let mut machine = Machine::new();
    let file = make(&mut machine, "/tmp/large", b"");
    let (data, half) = (machine.data, 8 << 20);
    let mut written = 0;
    let failure = loop {
        match machine.call(libc::SYS_write, &[file, data, 3 << 20]) {
            Ok(count) => written += count,
            Err(errno) => break errno,
        }
    };
    // Each of the directories and the file counts for a page as well.
    assert_eq!((failure, written), (Errno::ENOSPC, half - PAGE));
    let full = machine.call(libc::SYS_fallocate, &[file, 0, 0, half]);
    assert_eq!(full, Err(Errno::ENOSPC));
    assert_eq!(open(&mut machine, "/tmp/more", NEW), Err(Errno::ENOSPC));
    // A file may be longer than what it takes.
    assert_eq!(machine.call(libc::SYS_ftruncate, &[file, 1 << 40]), Ok(0));
    assert_eq!(machine.call(libc::SYS_ftruncate, &[file, 0]), Ok(0));
    assert_eq!(
        machine.call(libc::SYS_pwrite64, &[file, data, 1, 1 << 40]),
        Ok(1)
    );
    assert_eq!(machine.call(libc::SYS_fstat, &[file, data]), Ok(0));
    assert_eq!((machine.word(48), machine.word(64)), ((1 << 40) + 1, 8));
}

#[test]
fn memory_past_the_end_stays_until_the_file_is_cut() {
    let mut machine = Machine::new();
    let data = machine.data;
    let file = make(&mut machine, "/tmp/file", b"text");
    let keep = int(libc::FALLOC_FL_KEEP_SIZE);
    assert_eq!(
        machine.call(libc::SYS_fallocate, &[file, keep, 0, 3 * PAGE]),
        Ok(0)
    );
    assert_eq!(machine.call(libc::SYS_fallocate, &[file, 0, 0, 2]), Ok(0));
    let blocks = |machine: &mut Machine| {
        assert_eq!(machine.call(libc::SYS_fstat, &[file, data]), Ok(0));
        machine.word(64)
    };
    assert_eq!(blocks(&mut machine), 24);
    assert_eq!(machine.call(libc::SYS_ftruncate, &[file, 4]), Ok(0));
    assert_eq!(blocks(&mut machine), 8);
}

#[test]
fn files_take_no_memory_that_the_program_has() {
    let mut machine = Machine::new();
    let file = make(&mut machine, "/tmp/large", b"");
    let private = int(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let arguments = [0, 9 << 20, READ_WRITE, private, u64::MAX, 0];
    let at = machine.call(libc::SYS_mmap, &arguments).unwrap();
    for page in 0..(9 << 20) / PAGE {
        machine.memory.write(at + page * PAGE, b"x").unwrap();
    }
    let full = machine.call(libc::SYS_fallocate, &[file, 0, 0, 7 << 20]);
    assert_eq!(full, Err(Errno::ENOSPC));
}

#[test]
fn a_directory_can_be_emptied_while_it_is_listed() {
    let mut machine = Machine::new();
    for number in 0..50 {
        let file = make(&mut machine, &format!("/tmp/{number}"), b"");
        assert_eq!(machine.call(libc::SYS_close, &[file]), Ok(0));
    }
    let directory = open(&mut machine, "/tmp", libc::O_RDONLY).unwrap();
    let mut removed = 0;
    loop {
        let data = machine.data;
        let length = machine
            .call(libc::SYS_getdents64, &[directory, data, 200])
            .unwrap();
        if length == 0 {
            break;
        }
        let listed = names(&machine.bytes(0, usize::try_from(length).unwrap()));
        for name in listed.iter().filter(|name| !name.starts_with('.')) {
            let name = machine.path(name);
            assert_eq!(
                machine.call(libc::SYS_unlinkat, &[directory, name, 0]),
                Ok(0)
            );
            removed += 1;
        }
    }
    assert_eq!(removed, 50);
}

#[test]
fn a_given_file_in_tmp_shows_through_and_stays() {
    let mut machine = Machine::new();
    let given = machine
        .personality
        .tree
        .add_file(Path::new("/tmp/given/text"), &machine.given());
    given.unwrap();
    assert!(open(&mut machine, "/tmp/given/text", libc::O_RDONLY).is_ok());
    make(&mut machine, "/tmp/own", b"");
    let directory = open(&mut machine, "/tmp", libc::O_RDONLY).unwrap();
    let data = machine.data;
    let length = machine
        .call(libc::SYS_getdents64, &[directory, data, 4096])
        .unwrap();
    let listed = names(&machine.bytes(0, usize::try_from(length).unwrap()));
    assert_eq!(listed, [".", "..", "given", "own"]);
    for (path, flags, errno) in [
        ("/tmp/given/text", libc::O_RDWR, Errno::EROFS),
        ("/tmp/given/new", NEW, Errno::EROFS),
        ("/tmp/given", NEW, Errno::EEXIST),
        ("/tmp/given/../none", libc::O_RDONLY, Errno::ENOENT),
    ] {
        assert_eq!(open(&mut machine, path, flags), Err(errno), "{path}");
    }
    let (given, own) = (machine.path("/tmp/given"), machine.put(0, b"/tmp/own\0"));
    for (number, arguments, errno) in [
        (libc::SYS_rmdir, [given, 0], Errno::EROFS),
        (libc::SYS_mkdir, [given, 0], Errno::EEXIST),
        (libc::SYS_rename, [own, given], Errno::EROFS),
        (libc::SYS_link, [given, own], Errno::EEXIST),
    ] {
        assert_eq!(
            machine.call(number, &arguments),
            Err(errno),
            "call {number}"
        );
    }
}

#[test]
fn nothing_is_moved_between_the_tree_and_the_programs_own_files() {
    let mut machine = Machine::new();
    make(&mut machine, "/tmp/own", b"");
    let own = machine.put(0, b"/tmp/own\0");
    let new = machine.put(100, b"/tmp/new\0");
    let text = machine.path("/data/text");
    for (number, from, to, errno) in [
        (libc::SYS_rename, text, new, Errno::EXDEV),
        (libc::SYS_rename, own, text, Errno::EXDEV),
        (libc::SYS_link, text, new, Errno::EXDEV),
    ] {
        assert_eq!(machine.call(number, &[from, to]), Err(errno));
    }
    let root = machine.path("/new");
    assert_eq!(
        machine.call(libc::SYS_link, &[own, root]),
        Err(Errno::EROFS)
    );
    let (tmp, shm) = (machine.path("/tmp"), machine.put(200, b"/dev/shm/x\0"));
    assert_eq!(machine.call(libc::SYS_rmdir, &[tmp]), Err(Errno::EROFS));
    // Both places are one file system.
    assert_eq!(machine.call(libc::SYS_rename, &[own, shm]), Ok(0));
    assert!(open(&mut machine, "/dev/shm/x", libc::O_RDONLY).is_ok());
}

#[test]
fn permissions_owner_and_times_are_kept() {
    let mut machine = Machine::new();
    let data = machine.data;
    assert_eq!(machine.call(libc::SYS_umask, &[0o77]), Ok(0o22));
    let path = machine.path("/tmp/file");
    let arguments = [HERE, path, int(NEW), 0o666];
    let file = machine.call(libc::SYS_openat, &arguments).unwrap();
    let mode = |machine: &mut Machine| {
        assert_eq!(machine.call(libc::SYS_fstat, &[file, data]), Ok(0));
        machine.word(24) & 0o177_777
    };
    assert_eq!(mode(&mut machine), u64::from(libc::S_IFREG | 0o600));
    assert_eq!(machine.call(libc::SYS_fchmod, &[file, 0o4755]), Ok(0));
    assert_eq!(mode(&mut machine), u64::from(libc::S_IFREG | 0o4755));
    assert_eq!(machine.call(libc::SYS_chown, &[path, 7, int(-1)]), Ok(0));
    assert_eq!(machine.call(libc::SYS_chown, &[path, int(-1), 8]), Ok(0));
    let times: Vec<_> = [1_000, 5, 2_000, 1_i64 << 30]
        .map(i64::to_le_bytes)
        .concat();
    let times = machine.put(4096, &times);
    let bad = machine.call(libc::SYS_utimensat, &[HERE, path, times, 0]);
    assert_eq!(bad, Err(Errno::EINVAL));
    let times = [1_000, 5, 2_000, 6_i64].map(i64::to_le_bytes).concat();
    let times = machine.put(4096, &times);
    assert_eq!(
        machine.call(libc::SYS_utimensat, &[HERE, path, times, 0]),
        Ok(0)
    );
    assert_eq!(machine.call(libc::SYS_stat, &[path, data]), Ok(0));
    assert_eq!(machine.word(28), 7 | 8 << 32);
    let [accessed, _, modified, nanoseconds] = [72, 80, 88, 96].map(|at| machine.word(at));
    assert_eq!((accessed, modified, nanoseconds), (1_000, 2_000, 6));
    assert_eq!(machine.call(libc::SYS_write, &[file, data, 1]), Ok(1));
    assert_eq!(machine.call(libc::SYS_stat, &[path, data]), Ok(0));
    assert!(machine.word(88) > 1_700_000_000);
}

#[test]
fn locks_are_free_for_the_only_process() {
    let mut machine = Machine::new();
    let file = make(&mut machine, "/tmp/file", b"");
    let kind = |kind: i32| u16::try_from(kind).unwrap().to_le_bytes();
    let lock = machine.put(0, &kind(libc::F_WRLCK));
    for (command, result) in [
        (libc::F_SETLK, Ok(0)),
        (libc::F_SETLKW, Ok(0)),
        (libc::F_GETLK, Ok(0)),
    ] {
        assert_eq!(
            machine.call(libc::SYS_fcntl, &[file, int(command), lock]),
            result
        );
    }
    assert_eq!(machine.bytes(0, 2), kind(libc::F_UNLCK));
    let reads = open(&mut machine, "/tmp/file", libc::O_RDONLY).unwrap();
    let lock = machine.put(0, &kind(libc::F_WRLCK));
    let refused = machine.call(libc::SYS_fcntl, &[reads, int(libc::F_SETLK), lock]);
    assert_eq!(refused, Err(Errno::EBADF));
}

#[test]
fn the_working_directory_may_be_removed() {
    let mut machine = Machine::new();
    let (data, path) = (machine.data, machine.path("/tmp/here"));
    assert_eq!(machine.call(libc::SYS_mkdir, &[path, 0o700]), Ok(0));
    assert_eq!(machine.call(libc::SYS_chdir, &[path]), Ok(0));
    assert_eq!(machine.call(libc::SYS_getcwd, &[data, 100]), Ok(10));
    assert_eq!(machine.bytes(0, 10), b"/tmp/here\0");
    let path = machine.path("/tmp/here");
    assert_eq!(machine.call(libc::SYS_rmdir, &[path]), Ok(0));
    assert_eq!(
        machine.call(libc::SYS_getcwd, &[data, 100]),
        Err(Errno::ENOENT)
    );
    assert_eq!(open(&mut machine, "new", NEW), Err(Errno::ENOENT));
    assert!(open(&mut machine, ".", libc::O_RDONLY).is_ok());
    let root = machine.path("/");
    assert_eq!(machine.call(libc::SYS_chdir, &[root]), Ok(0));
}

#[test]
fn a_descriptors_link_leads_to_a_file_without_a_name() {
    let mut machine = Machine::new();
    let (data, path) = (machine.data, machine.path("/tmp/text"));
    make(&mut machine, "/tmp/text", b"text");
    let link = machine.put(8192, b"/proc/self/fd/3\0");
    let length = machine.call(libc::SYS_readlink, &[link, data, 100]);
    assert_eq!(
        (length, machine.bytes(0, 9)),
        (Ok(9), b"/tmp/text".to_vec())
    );
    assert_eq!(machine.call(libc::SYS_unlink, &[path]), Ok(0));
    let again = open(&mut machine, "/proc/self/fd/3", libc::O_RDONLY).unwrap();
    assert_eq!(machine.call(libc::SYS_read, &[again, data, 10]), Ok(4));
}

#[test]
fn no_file_is_made_without_a_number_for_its_descriptor() {
    let mut machine = Machine::new();
    for _ in 3..1024 {
        open(&mut machine, "/dev/null", libc::O_RDONLY).unwrap();
    }
    assert_eq!(open(&mut machine, "/tmp/new", NEW), Err(Errno::EMFILE));
    assert_eq!(machine.call(libc::SYS_close, &[3]), Ok(0));
    assert_eq!(
        open(&mut machine, "/tmp/new", libc::O_RDONLY),
        Err(Errno::ENOENT)
    );
}

#[test]
fn a_program_in_tmp_is_there_and_read_only() {
    let program = File::open("/proc/self/exe").unwrap();
    let mut machine = Machine::new();
    machine.personality.tree = super::FileTree::new(Path::new("/tmp/program"), program).unwrap();
    assert!(open(&mut machine, "/tmp/program", libc::O_RDONLY).is_ok());
    let changed = open(&mut machine, "/tmp/program", libc::O_RDWR);
    assert_eq!(changed, Err(Errno::EROFS));
    assert!(open(&mut machine, "/tmp/new", NEW).is_ok());
}
