//! The file tree, as a program sees it through calls.

use std::path::Path;

use nix::errno::Errno;
use nix::libc;

use super::super::{FileTree, FileTreeError};
use super::{HERE, Machine, TEXT, int};

pub(super) fn open(machine: &mut Machine, path: &str, flags: i32) -> Result<u64, Errno> {
    let path = machine.path(path);
    machine.call(libc::SYS_openat, &[HERE, path, int(flags), 0o644])
}

#[test]
fn a_file_is_read_to_its_end_and_again_from_any_place() {
    let mut machine = Machine::new();
    let file = open(&mut machine, "/data/text", libc::O_RDONLY).unwrap();
    assert_eq!(file, 3);
    let data = machine.data;
    assert_eq!(machine.call(libc::SYS_read, &[file, data, 9]), Ok(9));
    assert_eq!(
        machine.call(libc::SYS_read, &[file, data + 9, 4096]),
        Ok(10)
    );
    assert_eq!(machine.bytes(0, TEXT.len()), TEXT);
    assert_eq!(machine.call(libc::SYS_read, &[file, data, 4096]), Ok(0));
    assert_eq!(machine.call(libc::SYS_pread64, &[file, data, 5, 4]), Ok(5));
    assert_eq!(machine.bytes(0, 5), b"quick");
    assert_eq!(
        machine.call(
            libc::SYS_lseek,
            &[file, (-3_i64).cast_unsigned(), int(libc::SEEK_END)]
        ),
        Ok(16)
    );
    assert_eq!(machine.call(libc::SYS_read, &[file, data, 4096]), Ok(3));
    assert_eq!(
        machine.call(libc::SYS_lseek, &[file, 1 << 40, int(libc::SEEK_SET)]),
        Ok(1 << 40)
    );
    assert_eq!(machine.call(libc::SYS_read, &[file, data, 4096]), Ok(0));
    assert_eq!(machine.call(libc::SYS_close, &[file]), Ok(0));
    assert_eq!(
        machine.call(libc::SYS_read, &[file, data, 1]),
        Err(Errno::EBADF)
    );
}

#[test]
fn readv_fills_buffers_in_order_and_stops_at_a_bad_one() {
    let mut machine = Machine::new();
    let file = open(&mut machine, "/data/text", libc::O_RDONLY).unwrap();
    let data = machine.data;
    let vectors = |buffers: &[(u64, u64)]| -> Vec<u8> {
        buffers
            .iter()
            .flat_map(|(at, length)| [at.to_le_bytes(), length.to_le_bytes()])
            .flatten()
            .collect()
    };
    let good = machine.put(
        4096,
        &vectors(&[(data, 3), (data + 100, 0), (data + 200, 6)]),
    );
    assert_eq!(machine.call(libc::SYS_readv, &[file, good, 3]), Ok(9));
    assert_eq!(
        (machine.bytes(0, 3), machine.bytes(200, 6)),
        (b"the".to_vec(), b" quick".to_vec())
    );
    let half_bad = machine.put(4096, &vectors(&[(data, 2), (8, 4)]));
    assert_eq!(machine.call(libc::SYS_readv, &[file, half_bad, 2]), Ok(2));
    let bad = machine.put(4096, &vectors(&[(8, 4)]));
    assert_eq!(
        machine.call(libc::SYS_readv, &[file, bad, 1]),
        Err(Errno::EFAULT)
    );
    let endless = machine.put(4096, &vectors(&[(data, u64::MAX)]));
    assert_eq!(
        machine.call(libc::SYS_readv, &[file, endless, 1]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        machine.call(libc::SYS_readv, &[file, good, 1025]),
        Err(Errno::EINVAL)
    );
}

#[test]
fn opening_refuses_as_linux_does() {
    let mut machine = Machine::new();
    let long_name = format!("/{}", "n".repeat(256));
    let long_path = "/a".repeat(2048);
    for (path, flags, errno) in [
        ("", libc::O_RDONLY, Errno::ENOENT),
        ("/none", libc::O_RDONLY, Errno::ENOENT),
        ("/data/text/", libc::O_RDONLY, Errno::ENOTDIR),
        ("/data/text/more", libc::O_RDONLY, Errno::ENOTDIR),
        (
            "/data/text",
            libc::O_RDONLY | libc::O_DIRECTORY,
            Errno::ENOTDIR,
        ),
        ("/data/text", libc::O_WRONLY, Errno::EROFS),
        ("/data/text", libc::O_RDONLY | libc::O_TRUNC, Errno::EROFS),
        (
            "/data/text",
            libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
            Errno::EEXIST,
        ),
        ("/data/text", libc::O_RDONLY | libc::O_DIRECT, Errno::EINVAL),
        ("/data/new", libc::O_WRONLY | libc::O_CREAT, Errno::EROFS),
        ("/none/new", libc::O_WRONLY | libc::O_CREAT, Errno::ENOENT),
        ("/data", libc::O_RDWR, Errno::EISDIR),
        ("/data", libc::O_RDWR | libc::O_TMPFILE, Errno::EROFS),
        (
            "/proc/self/exe",
            libc::O_RDONLY | libc::O_NOFOLLOW,
            Errno::ELOOP,
        ),
        ("/dev/vda", libc::O_RDWR, Errno::ENOENT),
        (long_name.as_str(), libc::O_RDONLY, Errno::ENAMETOOLONG),
        (long_path.as_str(), libc::O_RDONLY, Errno::ENAMETOOLONG),
    ] {
        assert_eq!(
            open(&mut machine, path, flags),
            Err(errno),
            "{path} {flags:o}"
        );
    }
    assert_eq!(
        machine.call(libc::SYS_openat, &[HERE, 0, 0]),
        Err(Errno::EFAULT)
    );
}

#[test]
fn descriptors_run_out_at_the_limit() {
    let mut machine = Machine::new();
    for expected in 3..1024 {
        assert_eq!(
            open(&mut machine, "/dev/null", libc::O_RDONLY),
            Ok(expected)
        );
    }
    assert_eq!(
        open(&mut machine, "/dev/null", libc::O_RDONLY),
        Err(Errno::EMFILE)
    );
    assert_eq!(machine.call(libc::SYS_close, &[500]), Ok(0));
    assert_eq!(open(&mut machine, "/dev/null", libc::O_RDONLY), Ok(500));
}

#[test]
fn stat_tells_kind_size_and_permissions() {
    let mut machine = Machine::new();
    let data = machine.data;
    for (path, mode) in [
        ("/", libc::S_IFDIR | 0o555),
        ("/data", libc::S_IFDIR | 0o555),
        ("/data/text", libc::S_IFREG | 0o444),
        ("/dev/null", libc::S_IFCHR | 0o666),
        ("/proc/self/../../data/./text", libc::S_IFREG | 0o444),
    ] {
        let path = machine.path(path);
        assert_eq!(machine.call(libc::SYS_stat, &[path, data]), Ok(0));
        assert_eq!(machine.word(24) & 0xffff_ffff, u64::from(mode));
        assert_eq!(
            machine.call(libc::SYS_statx, &[HERE, path, 0, 0xfff, data]),
            Ok(0)
        );
        assert_eq!(machine.word(28) & 0xffff, u64::from(mode));
    }
    let text = machine.path("/data/text");
    assert_eq!(
        machine.call(libc::SYS_newfstatat, &[HERE, text, data, 0]),
        Ok(0)
    );
    assert_eq!(machine.word(48), TEXT.len() as u64);
    let link = machine.path("/proc/self/exe");
    assert_eq!(machine.call(libc::SYS_lstat, &[link, data]), Ok(0));
    assert_eq!(
        machine.word(24) & u64::from(libc::S_IFMT),
        u64::from(libc::S_IFLNK)
    );
    assert_eq!(machine.call(libc::SYS_fstat, &[1, data]), Ok(0));
    assert_eq!(
        machine.word(24) & u64::from(libc::S_IFMT),
        u64::from(libc::S_IFIFO)
    );
    let empty = machine.path("");
    assert_eq!(
        machine.call(
            libc::SYS_newfstatat,
            &[0, empty, data, int(libc::AT_EMPTY_PATH)]
        ),
        Ok(0)
    );
    assert_eq!(
        machine.call(
            libc::SYS_newfstatat,
            &[9, empty, data, int(libc::AT_EMPTY_PATH)]
        ),
        Err(Errno::EBADF)
    );
}

#[test]
fn the_program_finds_itself() {
    let mut machine = Machine::new();
    let (data, link) = (machine.data, machine.path("/proc/self/exe"));
    assert_eq!(machine.call(libc::SYS_readlink, &[link, data, 100]), Ok(12));
    assert_eq!(machine.bytes(0, 12), b"/bin/program");
    assert_eq!(
        machine.call(libc::SYS_readlinkat, &[HERE, link, data, 4]),
        Ok(4)
    );
    assert_eq!(
        machine.call(libc::SYS_readlink, &[link, data, 0]),
        Err(Errno::EINVAL)
    );
    let file = open(&mut machine, "/proc/self/exe", libc::O_RDONLY).unwrap();
    assert_eq!(machine.call(libc::SYS_read, &[file, data, 4]), Ok(4));
    assert_eq!(machine.bytes(0, 4), b"\x7fELF");
}

#[test]
fn access_knows_what_root_may_on_a_read_only_tree() {
    let mut machine = Machine::new();
    for (path, wanted, expected) in [
        ("/data/text", libc::R_OK, Ok(0)),
        ("/data/text", libc::W_OK, Err(Errno::EROFS)),
        ("/data/text", libc::X_OK, Err(Errno::EACCES)),
        ("/bin/program", libc::X_OK, Ok(0)),
        ("/dev/null", libc::W_OK, Ok(0)),
        ("/none", libc::F_OK, Err(Errno::ENOENT)),
        ("/data", 8, Err(Errno::EINVAL)),
    ] {
        let at = machine.path(path);
        assert_eq!(
            machine.call(libc::SYS_access, &[at, int(wanted)]),
            expected,
            "{path}"
        );
    }
}

#[test]
fn nothing_in_the_tree_can_be_changed() {
    let mut machine = Machine::new();
    for (number, path, errno) in [
        (libc::SYS_mkdir, "/new", Errno::EROFS),
        (libc::SYS_mkdir, "/data", Errno::EEXIST),
        (libc::SYS_mkdir, "/none/new", Errno::ENOENT),
        (libc::SYS_unlink, "/data/text", Errno::EROFS),
        (libc::SYS_unlink, "/none/text", Errno::ENOENT),
        (libc::SYS_chmod, "/data/text", Errno::EROFS),
        (libc::SYS_chmod, "/none", Errno::ENOENT),
        (libc::SYS_truncate, "/data/text", Errno::EROFS),
    ] {
        let at = machine.path(path);
        assert_eq!(machine.call(number, &[at, 0]), Err(errno), "{path}");
    }
    let file = open(&mut machine, "/data/text", libc::O_RDONLY).unwrap();
    let data = machine.data;
    assert_eq!(
        machine.call(libc::SYS_write, &[file, data, 1]),
        Err(Errno::EBADF)
    );
    assert_eq!(
        machine.call(libc::SYS_ftruncate, &[file, 0]),
        Err(Errno::EINVAL)
    );
}

#[test]
fn bad_files_are_refused_before_the_start() {
    let program = || std::fs::File::open("/proc/self/exe").unwrap();
    let mut tree = FileTree::new(Path::new("/bin/program"), program()).unwrap();
    let mut add = |guest: &str, host: &str| {
        tree.add_file(Path::new(guest), Path::new(host))
            .unwrap_err()
    };
    assert!(matches!(
        add("/x", "/no/such/file"),
        FileTreeError::Open { .. }
    ));
    assert!(matches!(add("/x", "/"), FileTreeError::NotRegular { .. }));
    assert!(matches!(
        add("/x", "/dev/null"),
        FileTreeError::NotRegular { .. }
    ));
    for bad in ["x", "", "/", "/x/", "/a/../x"] {
        assert!(
            matches!(
                add(bad, "/proc/self/exe"),
                FileTreeError::NotRegular { .. } | FileTreeError::BadGuestPath { .. }
            ),
            "{bad}"
        );
    }
    assert!(matches!(
        add("/bin/program", "/proc/self/exe"),
        FileTreeError::Occupied { .. }
    ));
    assert!(matches!(
        add("/bin/program/x", "/proc/self/exe"),
        FileTreeError::Occupied { .. }
    ));
    assert!(FileTree::new(Path::new("program"), program()).is_err());
}
