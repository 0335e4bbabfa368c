//! Names of members: absolute, behind links, twice, and leading out.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use nix::fcntl::{OpenHow, ResolveFlag, openat2};
use proptest::prelude::*;
use tar::EntryType;
use tempfile::TempDir;

use super::tests::{Layer, at_root, unpacked};
use super::*;

/// Nothing but the layer's root and the secret is in `directory`, and the secret is as it was.
fn nothing_outside_is_touched(directory: &TempDir) {
    let secret = fs::read(directory.path().join("secret")).unwrap();
    assert_eq!(secret, b"secret");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[test]
fn what_leads_out_or_nowhere_is_refused() {
    let refused = [
        Layer::new().file("../secret", "x"),
        Layer::new().file("a/../../secret", "x"),
        Layer::new().hard_link("a", "/etc/passwd"),
        Layer::new().hard_link("a", "../secret"),
        Layer::new().hard_link("a", "missing"),
        Layer::new().link("a", "..").hard_link("b", "a/secret"),
        Layer::new().directory("d", 0o755).hard_link("a", "d"),
        Layer::new().hard_link("a", ""),
        Layer::new().file(".wh.x", "").hard_link("a", "x"),
        Layer::new().file("a", "x").file("a/b", "x"),
        Layer::new().link("etc", "/etc").file("etc/passwd", "x"),
        Layer::new().link("a", "b").link("b", "/a").file("a/b", "x"),
        Layer::new().file(".", "x"),
        Layer::new().file(".wh...", "x"),
    ];
    for (number, layer) in refused.into_iter().enumerate() {
        let (directory, result) = unpacked(layer);
        let fault = result.err().map(|fault| fault.to_string());
        assert!(fault.is_some(), "layer {number} was taken");
        nothing_outside_is_touched(&directory);
    }
}

#[test]
fn a_name_is_resolved_inside_the_root() {
    let usr = || {
        Layer::new()
            .directory("usr", 0o755)
            .directory("usr/lib", 0o755)
    };
    for (number, (layer, path)) in [
        (Layer::new().file("/absolute", "x"), "absolute"),
        (
            Layer::new()
                .add("/", EntryType::Directory, "", b"")
                .file("//a/../b", "x"),
            "b",
        ),
        (Layer::new().file("/../up", "x"), "up"),
        (Layer::new().file("a", "x").hard_link("h", "/a"), "h"),
        (usr().link("lib", "usr/lib").file("lib/x", "x"), "usr/lib/x"),
        (
            usr().link("lib", "/usr/lib").file("lib/x", "x"),
            "usr/lib/x",
        ),
        (
            usr().link("lib", "../../usr/lib").file("lib/x", "x"),
            "usr/lib/x",
        ),
        (usr().link("usr/to", "../..").file("usr/to/x", "x"), "x"),
        (
            usr()
                .link("lib", "usr/lib")
                .directory("lib/d", 0o755)
                .file("lib/d/x", "x"),
            "usr/lib/d/x",
        ),
        (
            usr()
                .link("lib", "usr/lib")
                .file("usr/lib/y", "x")
                .hard_link("x", "lib/y"),
            "x",
        ),
        // The link's directory comes later, or never.
        (
            Layer::new().link("lib", "usr/lib").file("lib/x", "x"),
            "usr/lib/x",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (directory, result) = unpacked(layer);
        result.unwrap();
        let found = fs::read(at_root(&directory, path)).unwrap();
        assert_eq!(found, b"x", "layer {number}");
        nothing_outside_is_touched(&directory);
    }
    assert!(!Path::new("/absolute").exists() && !Path::new("/usr/lib/x").exists());
}

#[test]
fn whiteouts_behind_a_link_are_where_the_link_leads() {
    let layer = Layer::new()
        .directory("usr/lib", 0o755)
        .link("lib", "usr/lib")
        .file("lib/.wh.gone", "")
        .file("lib/o/.wh..wh..opq", "");
    let (directory, facts) = unpacked(layer);
    let path = |text: &str| SafePath::parse(text.as_bytes()).unwrap();
    assert_eq!(facts.unwrap().hiding, BTreeSet::from([path("usr/lib")]));
    let gone = fs::symlink_metadata(at_root(&directory, "usr/lib/gone")).unwrap();
    assert!(gone.file_type().is_char_device());
    assert!(at_root(&directory, "usr/lib/o").is_dir());
}

#[test]
fn of_members_with_one_name_the_last_counts_and_what_was_below_goes() {
    let layer = Layer::new()
        .file("d/e/f", "x")
        .file("d/.wh.gone", "")
        .link("d/link", "/etc")
        .file("d", "file")
        .directory("to-link", 0o700)
        .file("to-link/f", "x")
        .link("to-link", "d")
        .file("to-directory", "x")
        .directory("to-directory", 0o700)
        .file("twice", "first")
        .file("twice", "last")
        .directory("linked", 0o700)
        .file("linked/f", "x")
        .hard_link("linked", "d");
    let (directory, facts) = unpacked(layer);
    let facts = facts.unwrap();
    assert_eq!(
        (facts.implied.len(), facts.hiding.len()),
        (0, 0),
        "{facts:?}"
    );
    let content = |path| fs::read_to_string(at_root(&directory, path)).unwrap();
    assert_eq!(content("d"), "file");
    assert_eq!(content("linked"), "file");
    assert_eq!(content("twice"), "last");
    assert_eq!(
        fs::read_link(at_root(&directory, "to-link")).unwrap(),
        Path::new("d")
    );
    assert!(at_root(&directory, "to-directory").is_dir());
}

/// A member of few names, of which some are links.
fn any_member() -> impl Strategy<Value = (String, u8, String)> {
    ("[./ab]{1,6}", 0_u8..6, "[./ab]{1,6}")
}

proptest! {
    #[test]
    fn a_file_is_where_the_kernel_finds_it_and_nothing_is_outside(
        members in proptest::collection::vec(any_member(), 0..8), last in "[./ab]{1,6}c",
    ) {
        let mut layer = Layer::new();
        for (name, kind, link) in &members {
            layer = match kind {
                0 => layer.add(name, EntryType::Directory, "", b""),
                1 => layer.file(name, "other"),
                2 => layer.hard_link(name, link),
                3 => layer.file(&format!("{name}/.wh.a"), ""),
                _ => layer.link(name, link),
            };
        }
        let (directory, result) = unpacked(layer.file(&last, "last"));
        nothing_outside_is_touched(&directory);
        if result.is_ok() {
            let root = fs::File::open(at_root(&directory, "")).unwrap();
            let how = OpenHow::new().resolve(ResolveFlag::RESOLVE_IN_ROOT);
            let path = SafePath::parse(last.as_bytes()).unwrap();
            let found = openat2(&root, path.as_path(), how).unwrap();
            prop_assert_eq!(io::read_to_string(fs::File::from(found)).unwrap(), "last");
        }
    }
}
