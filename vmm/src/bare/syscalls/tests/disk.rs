//! The block device, on a file of the host.

use std::fs;
use std::path::PathBuf;

use isobench_testing::{Need, skip};
use nix::errno::Errno;
use nix::libc;
use tempfile::TempDir;

use super::{Machine, int};
use crate::devices::disk::{DiskError, HostDisk};

const SIZE: usize = 1 << 20;

/// A disk of which each byte depends on its place. The file lies in `/var/tmp`, which outlives a
/// reboot and so is no tmpfs.
fn disk() -> (TempDir, PathBuf, Vec<u8>) {
    let folder = tempfile::tempdir_in("/var/tmp").expect("a directory for the disk");
    let path = folder.path().join("disk");
    let bytes: Vec<u8> = (0..SIZE)
        .map(|at| u8::try_from((at / 512 + at) % 251).expect("below 251"))
        .collect();
    fs::write(&path, &bytes).expect("the disk is written");
    (folder, path, bytes)
}

fn open(machine: &mut Machine, flags: i32) -> Result<u64, Errno> {
    let path = machine.path("/dev/vda");
    machine.call(libc::SYS_open, &[path, int(flags)])
}

#[test]
fn data_goes_both_ways_and_the_disk_never_grows() {
    let (_folder, path, bytes) = disk();
    let mut machine = Machine::with_disk(Some(HostDisk::open(&path).unwrap()));
    let (data, size) = (machine.data, SIZE as u64);
    let vda = open(&mut machine, libc::O_RDWR).unwrap();
    assert_eq!(
        machine.call(libc::SYS_pread64, &[vda, data, 2 * size, 100]),
        Ok(size - 100)
    );
    assert_eq!(machine.bytes(0, SIZE - 100), bytes[100..]);
    assert_eq!(
        machine.call(libc::SYS_lseek, &[vda, 0, int(libc::SEEK_END)]),
        Ok(size)
    );
    assert_eq!(machine.call(libc::SYS_read, &[vda, data, 1]), Ok(0));
    assert_eq!(
        machine.call(libc::SYS_write, &[vda, data, 1]),
        Err(Errno::ENOSPC)
    );
    assert_eq!(
        machine.call(libc::SYS_lseek, &[vda, size + 1, 0]),
        Err(Errno::EINVAL)
    );
    machine.put(0, &[0xaa; 1024]);
    assert_eq!(
        machine.call(libc::SYS_pwrite64, &[vda, data, 1024, size - 512]),
        Ok(512)
    );
    assert_eq!(machine.call(libc::SYS_lseek, &[vda, 4096, 0]), Ok(4096));
    assert_eq!(machine.call(libc::SYS_write, &[vda, data, 1000]), Ok(1000));
    assert_eq!(
        machine.call(libc::SYS_lseek, &[vda, 0, int(libc::SEEK_CUR)]),
        Ok(5096)
    );
    assert_eq!(machine.call(libc::SYS_fsync, &[vda]), Ok(0));
    assert_eq!(machine.call(libc::SYS_fdatasync, &[vda]), Ok(0));
    let on_host = fs::read(&path).unwrap();
    assert_eq!(on_host.len(), SIZE);
    assert_eq!(
        (on_host[4096], on_host[5095], on_host[5096]),
        (0xaa, 0xaa, bytes[5096])
    );
    assert_eq!(on_host[SIZE - 512..], [0xaa; 512]);
}

#[test]
fn hostile_offsets_and_flags_are_refused() {
    let (_folder, path, _) = disk();
    let mut machine = Machine::with_disk(Some(HostDisk::open(&path).unwrap()));
    let data = machine.data;
    let vda = open(&mut machine, libc::O_RDWR).unwrap();
    let offset = [u64::MAX, i64::MAX.cast_unsigned()];
    assert_eq!(
        machine.call(libc::SYS_pread64, &[vda, data, 1, offset[0]]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        machine.call(libc::SYS_pread64, &[vda, data, 1, offset[1]]),
        Ok(0)
    );
    assert_eq!(
        machine.call(libc::SYS_pwrite64, &[vda, data, 1, offset[1]]),
        Err(Errno::ENOSPC)
    );
    assert_eq!(
        machine.call(
            libc::SYS_pwritev2,
            &[vda, data, 0, 0, 0, int(libc::RWF_DSYNC)]
        ),
        Ok(0)
    );
    assert_eq!(
        machine.call(
            libc::SYS_pwritev2,
            &[vda, data, 0, 0, 0, int(libc::RWF_APPEND)]
        ),
        Err(Errno::EOPNOTSUPP)
    );
}

#[test]
fn to_the_guest_the_disk_is_a_block_device() {
    let (_folder, path, _) = disk();
    let mut machine = Machine::with_disk(Some(HostDisk::open(&path).unwrap()));
    let data = machine.data;
    let vda = open(&mut machine, libc::O_RDONLY).unwrap();
    assert_eq!(machine.call(libc::SYS_fstat, &[vda, data]), Ok(0));
    assert_eq!(
        machine.word(24) & u64::from(libc::S_IFMT),
        u64::from(libc::S_IFBLK)
    );
    assert_eq!(
        machine.call(libc::SYS_ioctl, &[vda, 0x8008_1272, data]),
        Ok(0)
    );
    assert_eq!(machine.word(0), SIZE as u64);
    assert_eq!(machine.call(libc::SYS_ioctl, &[vda, 0x1268, data]), Ok(0));
    assert_eq!(machine.bytes(0, 4), 512_u32.to_le_bytes());
    assert_eq!(
        machine.call(libc::SYS_ioctl, &[vda, 0x1268, 8]),
        Err(Errno::EFAULT)
    );
    assert_eq!(
        machine.call(libc::SYS_write, &[vda, data, 1]),
        Err(Errno::EBADF)
    );
    assert_eq!(
        machine.call(libc::SYS_mmap, &[0, 4096, 1, 2, vda, 0]),
        Err(Errno::ENODEV)
    );
}

#[test]
fn a_disk_that_may_only_be_read_is_shared_and_never_written() {
    let (_folder, path, bytes) = disk();
    let other = HostDisk::open_read_only(&path).unwrap();
    let mut machine = Machine::with_disk(Some(HostDisk::open_read_only(&path).unwrap()));
    for flags in [libc::O_RDWR, libc::O_WRONLY, libc::O_TRUNC] {
        assert_eq!(open(&mut machine, flags), Err(Errno::EACCES), "{flags}");
    }
    let vda = open(&mut machine, libc::O_RDONLY).unwrap();
    let data = machine.data;
    let size = SIZE as u64;
    assert_eq!(
        machine.call(libc::SYS_pread64, &[vda, data, size, 0]),
        Ok(size)
    );
    assert_eq!(machine.bytes(0, SIZE), bytes);
    assert_eq!(
        machine.call(libc::SYS_write, &[vda, data, 1]),
        Err(Errno::EBADF)
    );
    let asks_whether_it_is_read_only = [vda, 0x125e, data];
    assert_eq!(
        machine.call(libc::SYS_ioctl, &asks_whether_it_is_read_only),
        Ok(0)
    );
    assert_eq!(machine.bytes(0, 4), 1_u32.to_le_bytes());
    drop(other);
}

/// A machine with a disk on a file system that has `O_DIRECT`.
fn direct_machine() -> Option<(TempDir, Machine, Vec<u8>)> {
    let (folder, path, bytes) = disk();
    let device = HostDisk::open(&path).unwrap();
    if !device.supports_direct() {
        let why = format!("the file system of {} has no O_DIRECT", path.display());
        skip(Need::DirectIo, why);
        return None;
    }
    Some((folder, Machine::with_disk(Some(device)), bytes))
}

#[test]
fn direct_access_follows_the_descriptor_and_the_host_judges_alignment() {
    let Some((_folder, mut machine, bytes)) = direct_machine() else {
        return;
    };
    let data = machine.data;
    let vda = open(&mut machine, libc::O_RDWR | libc::O_DIRECT).unwrap();
    assert_eq!(
        machine.call(libc::SYS_pread64, &[vda, data, SIZE as u64, 0]),
        Ok(SIZE as u64)
    );
    assert_eq!(machine.bytes(0, SIZE), bytes);
    assert_eq!(
        machine.call(libc::SYS_pread64, &[vda, data + 1, 4096, 0]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        machine.call(libc::SYS_pread64, &[vda, data, 100, 0]),
        Err(Errno::EINVAL)
    );
}

#[test]
fn direct_access_is_switched_by_fcntl() {
    let Some((_folder, mut machine, _)) = direct_machine() else {
        return;
    };
    let data = machine.data;
    let vda = open(&mut machine, libc::O_RDWR | libc::O_DIRECT).unwrap();
    machine.put(0, &[0x55; 4096]);
    assert_eq!(
        machine.call(libc::SYS_pwrite64, &[vda, data, 4096, 8192]),
        Ok(4096)
    );
    let get = machine
        .call(libc::SYS_fcntl, &[vda, int(libc::F_GETFL)])
        .unwrap();
    assert_ne!(get & int(libc::O_DIRECT), 0);
    assert_eq!(
        machine.call(libc::SYS_fcntl, &[vda, int(libc::F_SETFL), 0]),
        Ok(0)
    );
    assert_eq!(
        machine.call(libc::SYS_pread64, &[vda, data + 1, 100, 8192]),
        Ok(100)
    );
    assert_eq!(machine.bytes(1, 100), [0x55; 100]);
    assert_eq!(
        machine.call(
            libc::SYS_fcntl,
            &[vda, int(libc::F_SETFL), int(libc::O_DIRECT)]
        ),
        Ok(0)
    );
    assert_eq!(
        machine.call(libc::SYS_pread64, &[vda, data + 1, 100, 8192]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        machine.call(
            libc::SYS_fcntl,
            &[1, int(libc::F_SETFL), int(libc::O_DIRECT)]
        ),
        Err(Errno::EINVAL)
    );
}

#[test]
fn large_transfers_cross_more_pieces_than_one_host_call_takes() {
    let (_folder, path, bytes) = disk();
    let mut machine = Machine::with_disk(Some(HostDisk::open(&path).unwrap()));
    let data = machine.data;
    let vda = open(&mut machine, libc::O_RDWR).unwrap();
    // The 1024 buffers lie apart, so that each is one piece. One more would be too many for a call.
    let vectors: Vec<u8> = (0..1024_u64)
        .flat_map(|index| [(data + index * 3).to_le_bytes(), 2_u64.to_le_bytes()])
        .flatten()
        .collect();
    let at = machine.put(1 << 20, &vectors);
    assert_eq!(
        machine.call(libc::SYS_preadv, &[vda, at, 1024, 512]),
        Ok(2048)
    );
    let read = machine.bytes(0, 3 * 1024);
    for (index, piece) in read.chunks(3).enumerate() {
        assert_eq!(piece[..2], bytes[512 + 2 * index..][..2]);
    }
}

#[test]
fn bad_disks_are_refused_by_name() {
    let (folder, path, _) = disk();
    let refused = |path: &std::path::Path| HostDisk::open(path).unwrap_err();
    assert!(matches!(
        refused(&folder.path().join("none")),
        DiskError::Open { .. }
    ));
    assert!(matches!(refused(folder.path()), DiskError::Open { .. }));
    assert!(matches!(
        refused(std::path::Path::new("/dev/null")),
        DiskError::Kind { .. }
    ));
    let small = folder.path().join("small");
    fs::write(&small, [0; 511]).unwrap();
    assert!(matches!(
        refused(&small),
        DiskError::TooSmall { size: 511, .. }
    ));
    let first = HostDisk::open(&path).unwrap();
    assert!(matches!(refused(&path), DiskError::Busy { .. }));
    drop(first);
    assert_eq!(HostDisk::open(&path).unwrap().size(), SIZE as u64);
}
