//! The archive's contents, as this code reads them back and as other programs read them.

use std::os::unix::fs::FileExt as _;
use std::process::{Command, Stdio};

use isobench_testing::{Need, lacks};
use vm_memory::{Bytes as _, GuestAddress};

use super::write::{header, index};
use super::*;
use crate::memory::map;

fn example() -> (tempfile::NamedTempFile, Initramfs) {
    let program = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(program.path(), b"12345").unwrap();
    let mut archive = Initramfs::default();
    archive.directory("/proc").unwrap();
    archive.file("/a/deep/program", program.path()).unwrap();
    archive.bytes("/empty", Vec::new()).unwrap();
    (program, archive)
}

#[test]
fn the_archive_has_its_stated_size_in_memory_and_on_disk() {
    let (_program, archive) = example();
    let stored = tempfile::tempfile().unwrap();
    archive.save(&stored).unwrap();
    let size = stored.metadata().unwrap().len();
    assert_eq!(size, archive.size());

    let memory = map(&[(0, 16 << 20)]).unwrap();
    archive.load(&memory, 0x1000).unwrap();
    let mut loaded = vec![0; index(size)];
    memory
        .read_slice(&mut loaded, GuestAddress(0x1000))
        .unwrap();
    let mut saved = vec![0; index(size)];
    stored.read_exact_at(&mut saved, 0).unwrap();
    assert_eq!(loaded, saved);
    assert!(archive.load(&memory, (16 << 20) - size + 1).is_err());
}

#[test]
fn cpio_lists_what_was_put_in() {
    if lacks(Need::Program("cpio")) {
        return;
    }
    let (_program, archive) = example();
    let stored = tempfile::NamedTempFile::new().unwrap();
    archive.save(stored.as_file()).unwrap();
    let listed = Command::new("cpio")
        .args(["-it", "--quiet"])
        .stdin(Stdio::from(File::open(stored.path()).unwrap()))
        .output()
        .unwrap();
    let names = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(names, "proc\na\na/deep\na/deep/program\nempty\n");
    assert!(listed.status.success());
}

#[test]
fn a_file_of_some_size_begins_on_a_page() {
    let (_small, mut archive) = example();
    let program = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(program.path(), vec![0x5a; 20_000]).unwrap();
    archive.file("/large", program.path()).unwrap();
    let stored = tempfile::tempfile().unwrap();
    archive.save(&stored).unwrap();
    let mut saved = vec![0; index(archive.size())];
    stored.read_exact_at(&mut saved, 0).unwrap();
    let content = saved.iter().position(|&byte| byte == 0x5a).unwrap();
    assert_eq!(content % index(PAGE), 0);
    assert!(saved[content..][..20_000].iter().all(|&byte| byte == 0x5a));
}

#[test]
fn a_large_archive_has_the_same_bytes_when_mapped() {
    let (_small, mut archive) = example();
    let content: Vec<u8> = (0..WORTH_MAPPING).map(|at| (at % 251) as u8).collect();
    let large = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(large.path(), content).unwrap();
    archive.file("/large", large.path()).unwrap();
    let stored = tempfile::tempfile().unwrap();
    archive.save(&stored).unwrap();
    let memory = map(&[(0, 64 << 20)]).unwrap();
    archive.load(&memory, PAGE).unwrap();
    let mut saved = vec![0; index(archive.size())];
    stored.read_exact_at(&mut saved, 0).unwrap();
    let mut loaded = vec![0; saved.len()];
    memory.read_slice(&mut loaded, GuestAddress(PAGE)).unwrap();
    assert!(loaded == saved, "they differ");
}

#[test]
fn no_name_is_longer_than_a_kernel_takes() {
    let content = |size| Content::File {
        host: PathBuf::new(),
        file: None,
        size,
    };
    for start in (0..PAGE).step_by(4) {
        let taken = name_size(5, Some(&content(WORTH_A_PAGE)), start);
        let is_aligned = (start + HEADER + taken).is_multiple_of(PAGE);
        assert!(
            taken <= LONGEST_NAME && (is_aligned || taken == 5),
            "{start}: {taken}"
        );
    }
    assert_eq!(name_size(5, Some(&content(WORTH_A_PAGE - 1)), 0), 5);
}

#[test]
fn a_file_with_two_names_is_stored_once() {
    let (program, mut archive) = example();
    let before = archive.size();
    archive.file("/b/again", program.path()).unwrap();
    let headers = padded(HEADER + 2) + padded(HEADER + 8);
    assert_eq!(archive.size(), before + headers);
    let entries = &archive.entries;
    let (first, second) = (&entries[3], entries.last().unwrap());
    assert_eq!(first.inode, second.inode);
    assert_eq!(
        (archive.name_count(first), archive.name_count(second)),
        (2, 2)
    );
    assert_eq!(&header(second, 2)[38..46], b"00000002");
}

#[test]
fn an_impossible_name_is_refused() {
    let mut archive = Initramfs::default();
    for name in ["", "/", "relative", "/nul\0"] {
        assert!(archive.directory(name).is_err(), "{name:?}");
    }
    assert!(archive.file("/x", Path::new("/nonexistent")).is_err());
    assert!(archive.file("/x", Path::new("/")).is_err());
}

/// An archive of links, a named pipe, owners and modes that only images have.
fn unusual(host: &Path) -> Initramfs {
    let mut archive = Initramfs::default();
    let of = |mode, uid, gid| Attributes { mode, uid, gid };
    let metadata = std::fs::metadata(host).unwrap();
    let file = Node::File {
        host,
        size: metadata.len(),
        identity: (metadata.dev(), metadata.ino()),
    };
    let odd = OsStr::from_bytes(b"/d/\xff\n TRAILER!!!");
    for (name, attributes, node) in [
        (Path::new("/d"), of(0o1700, 7, 8), &Node::Directory),
        (Path::new("/d/first"), of(0o4750, 1000, 65_535), &file),
        (Path::new(odd), of(0o777, 1, 2), &Node::SymbolicLink(odd)),
        (Path::new("/d/TRAILER!!!"), of(0o000, 3, 4), &Node::Fifo),
        (Path::new("/second"), of(0o4750, 1000, 65_535), &file),
    ] {
        archive.node(name, attributes, node).unwrap();
    }
    archive
}

#[test]
fn cpio_unpacks_links_pipes_owners_and_modes_as_they_were_put_in() {
    // Only root can unpack owners.
    if lacks(Need::Program("cpio")) || lacks(Need::Root) {
        return;
    }
    let host = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(host.path(), vec![0x5a; 20_000]).unwrap();
    let stored = tempfile::NamedTempFile::new().unwrap();
    unusual(host.path()).save(stored.as_file()).unwrap();
    let place = tempfile::tempdir().unwrap();
    let unpacked = Command::new("cpio")
        .args(["-idm", "--quiet"])
        .current_dir(place.path())
        .stdin(Stdio::from(File::open(stored.path()).unwrap()))
        .status()
        .unwrap();
    assert!(unpacked.success());
    let found = |name: &[u8]| {
        let path = place.path().join(OsStr::from_bytes(name));
        let metadata = std::fs::symlink_metadata(path).unwrap();
        (metadata.mode(), metadata.uid(), metadata.gid())
    };
    let odd = b"d/\xff\n TRAILER!!!";
    assert_eq!(found(b"d"), (DIRECTORY | 0o1700, 7, 8));
    assert_eq!(found(b"d/first"), (REGULAR | 0o4750, 1000, 65_535));
    assert_eq!(found(odd), (SYMBOLIC_LINK | 0o777, 1, 2));
    assert_eq!(found(b"d/TRAILER!!!"), (FIFO, 3, 4));
    let target = std::fs::read_link(place.path().join(OsStr::from_bytes(odd))).unwrap();
    assert_eq!(target.as_os_str().as_bytes(), b"/d/\xff\n TRAILER!!!");
    let [first, second] = ["d/first", "second"].map(|name| place.path().join(name));
    let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&first), inode(&second));
    assert_eq!(std::fs::read(second).unwrap(), vec![0x5a; 20_000]);
}

#[test]
fn a_guest_needs_the_archive_and_twice_its_files() {
    let host = tempfile::NamedTempFile::new().unwrap();
    host.as_file().set_len(100 << 20).unwrap();
    let least = unusual(host.path()).least_memory();
    assert!(
        ByteSize::mib(340) < least && least < ByteSize::mib(350),
        "{least}"
    );
    assert_eq!(least.as_u64() % (1 << 20), 0);
}

#[test]
fn an_entry_that_a_kernel_would_not_unpack_is_refused() {
    let mut archive = Initramfs::default();
    let mut add =
        |name: &str, node: Node<'_>| archive.node(name.as_ref(), Attributes::PUBLIC, &node);
    let (longest, longer) = ("x".repeat(4095), "x".repeat(4096));
    add("/l", Node::SymbolicLink(longest.as_ref())).unwrap();
    add("/m", Node::SymbolicLink(longer.as_ref())).unwrap_err();
    add(&format!("/{longest}"), Node::Fifo).unwrap();
    add(&format!("/{longer}"), Node::Fifo).unwrap_err();
    let huge = Node::File {
        host: Path::new("/nonexistent"),
        size: 1 << 32,
        identity: (0, 0),
    };
    add("/huge", huge).unwrap_err();
}
