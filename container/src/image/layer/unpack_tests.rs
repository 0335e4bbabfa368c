//! Layers as tools make them, and layers that attack.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use bytesize::ByteSize;
use isobench_testing::{Need, skip};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::*;
use crate::image::layer::extended;
use crate::image::layer::meter::TooMuch;
use crate::privilege::Privilege;

/// A layer that is being written.
pub struct Layer {
    builder: Builder<Vec<u8>>,
}

impl Layer {
    pub fn new() -> Self {
        let builder = Builder::new(Vec::new());
        Self { builder }
    }

    /// Adds a member with any name. The builder's own functions refuse names that attackers write.
    pub fn add(mut self, name: &str, kind: EntryType, link: &str, content: &[u8]) -> Self {
        let mut header = header(kind, content.len() as u64, 0o644);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.builder.append(&header, content).unwrap();
        self
    }

    pub fn file(self, name: &str, content: &str) -> Self {
        self.add(name, EntryType::Regular, "", content.as_bytes())
    }

    pub fn directory(mut self, name: &str, mode: u32) -> Self {
        let mut header = header(EntryType::Directory, 0, mode);
        self.builder
            .append_data(&mut header, name, &b""[..])
            .unwrap();
        self
    }

    pub fn link(self, name: &str, content: &str) -> Self {
        self.add(name, EntryType::Symlink, content, b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.add(name, EntryType::Link, target, b"")
    }

    pub fn attribute(mut self, name: &str, value: &[u8]) -> Self {
        let key = format!("SCHILY.xattr.{name}");
        let records = [(key.as_str(), value)];
        self.builder.append_pax_extensions(records).unwrap();
        self
    }

    /// Writes an extended header for the next member.
    pub fn extension(mut self, records: &[(&str, &str)]) -> Self {
        let records = records.iter().map(|(key, value)| (*key, value.as_bytes()));
        self.builder.append_pax_extensions(records).unwrap();
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        self.builder.into_inner().unwrap()
    }
}

fn header(kind: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(3);
    header.set_gid(4);
    header.set_mtime(1_000_000_000);
    header
}

fn ids() -> IdMap {
    IdMap::of_user_namespace(Privilege::of_this_process())
}

fn meter() -> Meter {
    Meter::half_of(ByteSize::gib(1))
}

/// Unpacks `layer` into the directory `root` of a temporary directory, which has a file `secret`
/// too.
pub fn unpacked(layer: Layer) -> (TempDir, Result<LayerFacts, LayerFault>) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("secret"), "secret").unwrap();
    let root = directory.path().join("root");
    fs::create_dir(&root).unwrap();
    let root = Directory::open_root(&root).unwrap();
    let result = unpack(&layer.bytes()[..], root, ids(), &meter());
    (directory, result)
}

pub fn at_root(directory: &TempDir, path: &str) -> std::path::PathBuf {
    directory.path().join("root").join(path)
}

#[test]
fn files_have_their_content_owner_mode_time_and_attributes() {
    let layer = Layer::new()
        .directory("d", 0o1777)
        .attribute("user.a", b"1\n2")
        .file("d/f", "text")
        .hard_link("d/hard", "d/f")
        .link("d/link", "/etc/passwd")
        .add("d/pipe", EntryType::Fifo, "", b"");
    let (directory, facts) = unpacked(layer);
    let facts = facts.unwrap();
    assert_eq!((facts.bytes, facts.attributes_left_out), (4, 0));
    let file = fs::metadata(at_root(&directory, "d/f")).unwrap();
    assert_eq!(
        (file.mode() & 0o7777, file.mtime(), file.nlink()),
        (0o644, 1_000_000_000, 2)
    );
    let ids = ids();
    if ids.changes_user() {
        assert_eq!((file.uid(), file.gid()), (100_003, 100_004));
    } else {
        assert_eq!((file.uid(), file.gid()), ids.root());
    }
    let hard = fs::File::open(at_root(&directory, "d/hard")).unwrap();
    let value = extended::read(hard, b"user.a").unwrap();
    assert_eq!(value.as_deref(), Some(&b"1\n2"[..]));
    let made = fs::metadata(at_root(&directory, "d")).unwrap();
    assert_eq!(
        (made.mode() & 0o7777, made.mtime()),
        (0o1777, 1_000_000_000)
    );
    let link = fs::symlink_metadata(at_root(&directory, "d/link")).unwrap();
    assert_eq!((link.mtime(), link.uid()), (1_000_000_000, file.uid()));
    assert_eq!(
        fs::read_link(at_root(&directory, "d/link")).unwrap(),
        Path::new("/etc/passwd")
    );
    let pipe = fs::symlink_metadata(at_root(&directory, "d/pipe")).unwrap();
    assert!(pipe.file_type().is_fifo());
}

#[test]
fn whiteouts_and_opaque_directories_are_made_for_overlayfs() {
    let layer = Layer::new()
        .file("d/.wh.gone", "")
        .file("o/.wh..wh..opq", "")
        .file("o/new", "")
        .file(".wh.again", "")
        .file("again/file", "")
        .file("later/file", "")
        .file(".wh.later", "")
        .file("kept", "")
        .file(".wh.kept", "")
        .file(".wh..wh.aufs", "");
    let (directory, facts) = unpacked(layer);
    let is_whiteout = |path: &str| {
        let found = fs::symlink_metadata(at_root(&directory, path)).unwrap();
        found.file_type().is_char_device() && found.rdev() == 0
    };
    let is_opaque = |path: &str| {
        let opened = fs::File::open(at_root(&directory, path)).unwrap();
        let value = extended::read(opened, b"user.overlay.opaque").unwrap();
        value.as_deref() == Some(b"y")
    };
    assert!(is_whiteout("d/gone") && !is_opaque("d"));
    assert!(is_opaque("o") && is_opaque("again") && is_opaque("later"));
    assert!(at_root(&directory, "kept").is_file());
    assert!(!at_root(&directory, ".wh..wh.aufs").exists());
    let facts = facts.unwrap();
    assert!(!facts.hides_all_below);
    let implied = ["d", "o"].map(|path| SafePath::parse(path.as_bytes()).unwrap());
    assert_eq!(facts.implied, BTreeSet::from(implied));
    let (_, facts) = unpacked(Layer::new().file(".wh..wh..opq", ""));
    assert!(facts.unwrap().hides_all_below);
}

#[test]
fn a_link_that_another_member_replaces_is_not_followed() {
    let layer = Layer::new()
        .link("a", "../secret")
        .file("a", "mine")
        .link("d", "..")
        .directory("d", 0o700)
        .file("d/secret", "mine");
    let (directory, result) = unpacked(layer);
    result.unwrap();
    for path in ["a", "d/secret"] {
        assert_eq!(fs::read(at_root(&directory, path)).unwrap(), b"mine");
    }
    assert_eq!(
        fs::read(directory.path().join("secret")).unwrap(),
        b"secret"
    );
}

#[test]
fn a_directory_that_may_not_be_entered_is_filled_before() {
    let layer = Layer::new()
        .directory("d", 0)
        .directory("d/e", 0o555)
        .file("d/e/f", "x");
    let (directory, result) = unpacked(layer);
    result.unwrap();
    let mode = |path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(at_root(&directory, "d")), 0);
    crate::image::store::remove::remove_tree(&directory.path().join("root")).unwrap();
}

#[test]
fn devices_and_forbidden_attributes_are_left_out_and_counted() {
    let layer = Layer::new()
        .add("null", EntryType::Char, "", b"")
        .add("disk", EntryType::Block, "", b"")
        .attribute("user.overlay.redirect", b"/etc")
        .directory("d", 0o755)
        .attribute("security.capability", b"x")
        .file("f", "");
    let (directory, facts) = unpacked(layer);
    let facts = facts.unwrap();
    assert_eq!((facts.devices_left_out, facts.attributes_left_out), (2, 2));
    for name in ["null", "disk"] {
        let made = fs::symlink_metadata(at_root(&directory, name)).unwrap();
        assert!(
            made.file_type().is_char_device() && made.rdev() == 0,
            "{name}"
        );
    }
    let opened = fs::File::open(at_root(&directory, "d")).unwrap();
    let attributes = extended::read_all(opened, |_| true);
    assert_eq!(attributes, Ok(Vec::new()));
}

#[test]
fn an_owner_that_no_container_has_is_nobody_and_counted() {
    if !ids().changes_user() {
        skip(Need::Root, "only root keeps owners");
        return;
    }
    let layer = Layer::new()
        .extension(&[("uid", "65536")])
        .file("f", "")
        .extension(&[("uid", "-2"), ("gid", "4294967296")])
        .link("l", "f")
        .file("own", "");
    let (directory, facts) = unpacked(layer);
    assert_eq!(facts.unwrap().owners_changed, 2);
    for (name, owner) in [
        ("f", (165_534, 100_004)),
        ("l", (165_534, 165_534)),
        ("own", (100_003, 100_004)),
    ] {
        let found = fs::symlink_metadata(at_root(&directory, name)).unwrap();
        assert_eq!((found.uid(), found.gid()), owner, "{name}");
    }
}

#[test]
fn times_before_1970_with_fractions_and_beyond_the_disk_s_are_taken() {
    let layer = Layer::new()
        .extension(&[("mtime", "-1.25")])
        .file("early", "")
        .extension(&[("mtime", "1.999999999999")])
        .directory("d", 0o755)
        .extension(&[("mtime", "99999999999999999999")])
        .link("late", "x")
        .extension(&[("mtime", "-9223372036854775808.5")])
        .file("earliest", "");
    let (directory, result) = unpacked(layer);
    result.unwrap();
    let time = |name: &str| {
        let found = fs::symlink_metadata(at_root(&directory, name)).unwrap();
        (found.mtime(), found.mtime_nsec())
    };
    assert_eq!(time("early"), (-2, 750_000_000));
    assert_eq!(time("d"), (1, 999_999_999));
    assert!(time("late").0 > 1 << 31, "{:?}", time("late"));
    assert!(time("earliest").0 < 0, "{:?}", time("earliest"));
}

#[test]
fn a_sparse_file_is_whole_and_counts_as_whole() {
    let map = [
        ("GNU.sparse.size", "1048576"),
        ("GNU.sparse.map", "0,1,4096,2,1048576,0"),
    ];
    let name = ("GNU.sparse.name", "d/sparse");
    let packed = || {
        Layer::new()
            .extension(&[map[0], map[1], name])
            .file("GNUSparseFile.0/sparse", "abc")
    };
    let (directory, facts) = unpacked(packed().file("next", ""));
    assert_eq!(facts.unwrap().bytes, 1 << 20);
    let mut expected = vec![0; 1 << 20];
    (expected[0], expected[4096], expected[4097]) = (b'a', b'b', b'c');
    assert_eq!(fs::read(at_root(&directory, "d/sparse")).unwrap(), expected);
    assert!(at_root(&directory, "next").exists());

    let empty = tempfile::tempdir().unwrap();
    let root = Directory::open_root(empty.path()).unwrap();
    let meter = Meter::half_of(ByteSize::mib(1));
    let fault = unpack(&packed().bytes()[..], root, ids(), &meter).unwrap_err();
    assert!(matches!(fault, LayerFault::TooMuch(_)), "{fault}");
}

#[test]
fn a_layer_larger_than_its_allowance_is_stopped() {
    let layer = Layer::new().add("zeros", EntryType::Regular, "", &vec![0; 3 << 20]);
    let directory = tempfile::tempdir().unwrap();
    let root = Directory::open_root(directory.path()).unwrap();
    let meter = Meter::half_of(ByteSize::mib(2));
    let fault = unpack(&layer.bytes()[..], root, ids(), &meter).unwrap_err();
    let LayerFault::Read { source } = fault else {
        panic!("{fault}");
    };
    assert!(source.get_ref().unwrap().is::<TooMuch>());
    let size = fs::metadata(directory.path().join("zeros")).unwrap().len();
    assert!(size <= 1 << 20, "{size}");
}
