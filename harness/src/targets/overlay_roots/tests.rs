use std::os::unix::fs::MetadataExt as _;

use isobench_testing::{Need, lacks};
use nix::sys::stat::{SFlag, mknod};
use tempfile::TempDir;

use super::*;

/// Two layers: the upper one hides the file `gone` of the lower one, and has links in the way of
/// what isobench mounts.
fn layers() -> [TempDir; 2] {
    let [low, high] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for name in ["gone", "kept"] {
        fs::write(low.path().join(name), name).unwrap();
    }
    fs::create_dir(low.path().join("outside")).unwrap();
    mknod(&high.path().join("gone"), SFlag::S_IFCHR, Mode::empty(), 0).unwrap();
    for name in ["proc", "dev", "disk"] {
        symlink("/outside", high.path().join(name)).unwrap();
    }
    [low, high]
}

fn roots(layers: &[TempDir; 2], mounter: Mounter) -> OverlayRoots {
    let namespace = MountNamespace::new(&["/run".into()]).unwrap();
    let paths = layers.each_ref().map(|layer| layer.path().to_owned());
    OverlayRoots::new(namespace, &paths, mounter).unwrap()
}

#[test]
fn each_root_has_the_image_s_files_and_nothing_that_was_written_to_another() {
    if lacks(Need::Root) {
        return;
    }
    let layers = layers();
    let roots = roots(&layers, Mounter::Runtime);
    let [first, second] = [(); 2].map(|()| roots.mount(&[], &["usr"]).unwrap());
    let seen = roots.namespace().run_inside(|| {
        let [first, second] = [&first.directory, &second.directory];
        fs::write(first.join("new"), "x")?;
        fs::write(first.join("kept"), "changed")?;
        let root = fs::metadata(second)?;
        assert_eq!((root.uid(), root.mode() & 0o7777), (FIRST_HOST_ID, 0o755));
        for (name, is_there) in [("new", false), ("gone", false), ("usr", true)] {
            assert_eq!(second.join(name).exists(), is_there, "{name}");
        }
        for name in ["proc", "dev"] {
            assert!(fs::symlink_metadata(second.join(name))?.is_dir(), "{name}");
        }
        fs::read_to_string(second.join("kept"))
    });
    assert_eq!(seen.unwrap(), "kept");
    let [low, _] = &layers;
    assert_eq!(fs::read(low.path().join("kept")).unwrap(), b"kept");
}

#[test]
fn an_unmounted_root_leaves_nothing_and_the_host_sees_no_root() {
    if lacks(Need::Root) {
        return;
    }
    let layers = layers();
    let roots = roots(&layers, Mounter::Isobench);
    let root = roots.mount(&[], &[]).unwrap();
    assert!(!root.directory.exists());
    let mounts = || {
        let mounts = roots.namespace().run_inside(|| {
            assert_eq!(Path::new(BASE).join("0").exists(), root.directory.exists());
            fs::read_to_string("/proc/thread-self/mountinfo")
        });
        mounts.unwrap().matches(" /run/isobench/0").count()
    };
    // The tmpfs, the overlayfs, /proc, devpts and the devices.
    assert_eq!(mounts(), 4 + DEVICES.len());
    root.mounted.unmount().unwrap();
    assert_eq!(mounts(), 0);
    assert!(root.mounted.unmount().is_err());
}

#[test]
fn what_is_bound_stays_inside_whatever_links_the_image_has() {
    if lacks(Need::Root) {
        return;
    }
    let layers = layers();
    let host = tempfile::tempdir().unwrap();
    fs::write(host.path().join("source"), "of the host").unwrap();
    let source = host.path().join("source");
    let roots = roots(&layers, Mounter::Isobench);
    let root = roots.mount(&[(&source, "/disk/file".into())], &[]).unwrap();
    assert!(!Path::new("/outside").exists());
    let read = roots
        .namespace()
        .run_inside(|| fs::read_to_string(root.directory.join("outside/file")));
    assert_eq!(read.unwrap(), "of the host");
    // A place that can't be made is an error, and nothing stays mounted.
    let error = roots.mount(&[(&source, "/kept/file".into())], &[]);
    let text = error.unwrap_err().to_string();
    let words = "cannot make in the image's root /kept/file: ";
    assert!(text.starts_with(words), "{text}");
    let left = roots
        .namespace()
        .run_inside(|| Ok(Path::new(BASE).join("1").exists()));
    assert!(!left.unwrap());
}
