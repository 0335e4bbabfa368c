//! Random layers are stacked, and compared with a model of the image specification that applies
//! them in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use proptest::collection::vec;
use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use crate::image::digest::Digest;
use crate::image::layer::meter::Meter;
use crate::image::layer::path::SafePath;
use crate::image::layer::tree::Directory;
use crate::image::layer::unpack::{LayerFacts, unpack};
use crate::image::store::record::stacked;
use crate::image::view::lookup::View;
use crate::image::view::merged::{Entry, EntryKind, merged};
use crate::image::view::own_layer::OwnLayer;
use crate::isolation::id_map::IdMap;
use crate::privilege::Privilege;

/// What one member of a layer says about its path.
#[derive(Debug, Clone)]
enum Says {
    Directory(u32),
    File(u8),
    Whiteout,
    Opaque,
}

/// The components of a path.
type Names = Vec<&'static str>;
type Change = (Names, Says);

/// A directory with its permissions, or a file with its content.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Directory(u32),
    File(u8),
}

/// An image's whole tree, without its root.
type Tree = BTreeMap<Names, Node>;

const PLAIN: Node = Node::Directory(0o755);

fn change() -> impl Strategy<Value = Change> {
    let names = vec(prop::sample::select(vec!["a", "b"]), 0..4);
    let says = prop_oneof![
        prop::sample::select(vec![0o700, 0o711, 0o777]).prop_map(Says::Directory),
        any::<u8>().prop_map(Says::File),
        Just(Says::Whiteout),
        Just(Says::Opaque),
    ];
    (names, says)
}

/// Leaves out changes that contradict an earlier change of the same layer.
fn consistent(changes: Vec<Change>) -> Vec<Change> {
    let mut kept: Vec<Change> = Vec::new();
    for (names, says) in changes {
        let is_file = |(other, says): &Change| {
            matches!(says, Says::File(_)) && (names.starts_with(other) || *other == names)
        };
        let is_needed = |(other, _): &Change| other.starts_with(&names);
        let fits = match says {
            Says::Opaque => !kept.iter().any(is_file),
            _ if names.is_empty() => false,
            Says::Directory(_) => !kept.iter().any(is_file),
            Says::File(_) => {
                !kept
                    .iter()
                    .any(|c| is_needed(c) && !matches!(c.1, Says::Whiteout) || is_file(c))
                    && !kept
                        .iter()
                        .any(|(other, _)| *other != names && other.starts_with(&names))
            }
            Says::Whiteout => !kept.iter().any(|c| c.0 != names && is_file(c)),
        };
        if fits {
            kept.push((names, says));
        }
    }
    kept
}

/// Makes plain directories at `names` and on the way there, unless directories are there.
fn enter(tree: &mut Tree, names: &[&'static str]) {
    for depth in 1..=names.len() {
        let step = names[..depth].to_vec();
        if !matches!(tree.get(&step), Some(Node::Directory(_))) {
            tree.insert(step, PLAIN);
        }
    }
}

/// Applies a layer. Whiteouts come first, because they hide things of the layers below only.
fn apply(tree: &mut Tree, layer: &[Change]) {
    for (names, says) in layer {
        match says {
            Says::Whiteout => tree.retain(|path, _| !path.starts_with(names)),
            Says::Opaque => tree.retain(|path, _| path == names || !path.starts_with(names)),
            _ => {}
        }
    }
    for (names, says) in layer {
        let (parent, all) = (&names[..names.len().saturating_sub(1)], &names[..]);
        match says {
            Says::Whiteout => enter(tree, parent),
            Says::Opaque => enter(tree, all),
            Says::Directory(mode) => {
                enter(tree, parent);
                tree.insert(names.clone(), Node::Directory(*mode));
            }
            Says::File(content) => {
                enter(tree, parent);
                tree.retain(|path, _| !path.starts_with(names));
                tree.insert(names.clone(), Node::File(*content));
            }
        }
    }
}

fn archive(layer: &[Change]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (names, says) in layer {
        let (parent, last) = names.split_at(names.len().saturating_sub(1));
        let (names, kind, mode, content) = match says {
            Says::Directory(mode) => (names.clone(), EntryType::Directory, *mode, vec![]),
            Says::File(content) => (names.clone(), EntryType::Regular, 0o644, vec![*content]),
            Says::Whiteout => {
                let name: &'static str = if last == ["a"] { ".wh.a" } else { ".wh.b" };
                ([parent, &[name]].concat(), EntryType::Regular, 0, vec![])
            }
            Says::Opaque => (
                [names, &[".wh..wh..opq"][..]].concat(),
                EntryType::Regular,
                0,
                vec![],
            ),
        };
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        builder
            .append_data(&mut header, names.join("/"), &content[..])
            .unwrap();
    }
    builder.into_inner().unwrap()
}

/// All paths that random changes can name.
fn universe() -> Vec<Names> {
    let mut all: Vec<Names> = vec![vec![]];
    let mut last = all.clone();
    for _ in 0..4 {
        last = last
            .iter()
            .flat_map(|p| ["a", "b"].map(|n| [&p[..], &[n]].concat()))
            .collect();
        all.extend(last.clone());
    }
    all.remove(0);
    all
}

fn seen(view: &View) -> Tree {
    let mut tree = Tree::new();
    for names in universe() {
        let path = Path::new("/").join(names.join("/"));
        let Some(found) = view.find(&path).unwrap() else {
            continue;
        };
        let node = if found.is_directory() {
            Node::Directory(found.mode() & 0o7777)
        } else {
            Node::File(view.read(&path).unwrap().unwrap()[0])
        };
        tree.insert(names, node);
    }
    tree
}

fn ids() -> IdMap {
    IdMap::of_user_namespace(Privilege::of_this_process())
}

/// The tree that a guest with these layers would get.
fn listed(layers: &[PathBuf]) -> Tree {
    let entries = merged(
        layers,
        IdMap::of_user_namespace(Privilege::of_this_process()),
    )
    .unwrap();
    let node = |entry: &Entry| match &entry.kind {
        EntryKind::Directory => Node::Directory(entry.mode),
        EntryKind::File { host, size: 1, .. } => Node::File(std::fs::read(host).unwrap()[0]),
        other => panic!("{other:?}"),
    };
    let mut tree = Tree::new();
    for entry in &entries {
        let names = entry.path.iter().skip(1);
        let names: Names = names
            .map(|name| if name == "a" { "a" } else { "b" })
            .collect();
        let parent = &names[..names.len() - 1];
        if !parent.is_empty() {
            assert!(tree.contains_key(parent), "{names:?}");
        }
        assert_eq!((entry.uid, entry.gid), (0, 0));
        tree.insert(names, node(entry));
    }
    assert_eq!(tree.len(), entries.len());
    tree
}

/// Imports an image of these layers into `base`, and gives the directories that are stacked.
fn unpacked(layers: &[Vec<Change>], base: &Path) -> Vec<PathBuf> {
    let ids = ids();
    let meter = Meter::half_of(ByteSize::gib(1));
    let mut all: Vec<(Digest, LayerFacts)> = Vec::new();
    for layer in layers {
        let bytes = archive(layer);
        let digest = Digest::of(&bytes);
        let path = base.join(digest.hex());
        let known = all.iter().find(|(other, _)| *other == digest);
        let facts = if let Some((_, facts)) = known {
            facts.clone()
        } else {
            std::fs::create_dir(&path).unwrap();
            let root = Directory::open_root(&path).unwrap();
            unpack(&bytes[..], root, ids, &meter).unwrap()
        };
        all.push((digest, facts));
    }
    let hiding: Vec<_> = all
        .iter()
        .map(|(d, f)| (d.clone(), f.hides_all_below))
        .collect();
    let stack = stacked(&hiding);
    let facts = |digest: &Digest| &all.iter().find(|(other, _)| other == digest).unwrap().1;
    let known: Vec<&LayerFacts> = stack.iter().rev().map(facts).collect();
    let mut paths: Vec<_> = stack.iter().map(|digest| base.join(digest.hex())).collect();
    let view = View::open(paths.iter().map(PathBuf::as_path)).unwrap();
    let own = OwnLayer::of(&view, &known).unwrap();
    if own.is_empty() {
        return paths;
    }
    paths.push(base.join("own"));
    std::fs::create_dir(base.join("own")).unwrap();
    let root = Directory::open_root(&base.join("own")).unwrap();
    own.make(&root, ids).unwrap();
    paths
}

proptest! {
    #[test]
    fn layers_are_stacked_as_the_model_applies_them(
        mut layers in vec(vec(change(), 0..6).prop_map(consistent), 1..5),
        repeated: Option<prop::sample::Index>,
    ) {
        if let Some(index) = repeated {
            layers.push(layers[index.index(layers.len())].clone());
        }
        let mut model = Tree::new();
        for layer in &layers {
            apply(&mut model, layer);
        }
        let base = tempfile::tempdir().unwrap();
        let paths = unpacked(&layers, base.path());
        let view = View::open(paths.iter().map(PathBuf::as_path)).unwrap();
        prop_assert_eq!(seen(&view), model.clone());
        prop_assert_eq!(listed(&paths), model);
    }
}

#[test]
fn links_are_followed_only_inside_the_image() {
    let base = tempfile::tempdir().unwrap();
    let root = base.path().join("root");
    std::fs::create_dir_all(root.join("usr/bin")).unwrap();
    std::fs::write(root.join("usr/bin/program"), "x").unwrap();
    std::fs::write(base.path().join("secret"), "x").unwrap();
    for (name, content) in [
        ("bin", "usr/bin"),
        ("usr/absolute", "/bin/program"),
        ("out", "../secret"),
        ("usr/up", "../../../usr/bin/.."),
        ("loop", "loop"),
        ("to-root", "/"),
    ] {
        std::os::unix::fs::symlink(content, root.join(name)).unwrap();
    }
    let view = View::open([root.as_path()].into_iter()).unwrap();
    let found = |path: &str| view.find(Path::new(path)).unwrap().is_some();
    for path in [
        "/bin/program",
        "/usr/absolute",
        "/usr/up/absolute",
        "/to-root/bin",
        "/",
        "/../bin",
    ] {
        assert!(found(path), "{path}");
    }
    for path in [
        "/out",
        "/loop",
        "/bin/program/x",
        "/bin/program/..",
        "/secret",
        "/no/..",
    ] {
        assert!(!found(path), "{path}");
    }
    assert_eq!(view.read(Path::new("/bin/program")).unwrap().unwrap(), b"x");
    assert!(
        SafePath::parse(b"bin").is_ok_and(|bin| view.parts(&bin, |_| false).unwrap().is_empty())
    );
}
