//! What is around an image: the file system that its store is on, and its container's network.

use std::fs;

use isobench_testing::{Need, lacks};

use crate::builders::busybox;
use crate::commands::is_root;
use crate::layout::{Image, Layer};
use crate::support::ended::Ended;
use crate::support::isobench::ISOBENCH;
use crate::support::place::Place;

#[test]
fn names_of_the_host_s_network_are_found_where_there_is_one() {
    let Some(base) = busybox() else { return };
    let place = Place::new();
    let image = Image::new().plain(base.file("etc/hostname", b"of the image\n"));
    image.write(&place.path("one"));
    place.succeeds(&["image", "import", "one"]);
    let script = "busybox cat /etc/hostname; busybox cat /etc/resolv.conf || true";
    let shown = |options: &[&str]| {
        let program = ["--image", "one", "--", "busybox", "sh", "-c", script];
        place.succeeds(&[&["exec"], options, &program].concat())
    };
    let resolver = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let in_container = shown(&["--target", "container", "--net", "host"]);
    assert_eq!(in_container, format!("isobench\n{resolver}"));
    let without = shown(&["--target", "container"]);
    assert_eq!(without, "of the image\n");
    if is_root() {
        let host = nix::unistd::gethostname().unwrap();
        let beside = shown(&["--target", "process"]);
        assert_eq!(beside, format!("{}\n{resolver}", host.display()));
    }
    // A link of the image's stays as it is.
    let image = image.plain(Layer::new().link("etc/resolv.conf", "../run/none"));
    image.write(&place.path("one"));
    place.succeeds(&["image", "import", "one"]);
    let linked = shown(&["--target", "container", "--net", "host"]);
    assert_eq!(linked, "isobench\n");
}

#[test]
fn a_store_in_memory_or_mounted_noexec_holds_images() {
    if lacks(Need::Root) {
        return;
    }
    for (mount, whiteouts) in [
        ("mount -t tmpfs none store", true),
        ("mount -t tmpfs -o noexec,nosuid,nodev none store", true),
        (
            "mkdir l u w; mount -t overlay -o lowerdir=l,upperdir=u,workdir=w none store",
            false,
        ),
    ] {
        let place = Place::new();
        fs::create_dir_all(place.path("store")).unwrap();
        let Some(base) = busybox() else { return };
        let mut image = Image::new().plain(base.file("d/gone", b"x"));
        if whiteouts {
            image = image.plain(Layer::new().file("d/.wh.gone", b""));
        }
        image
            .plain(Layer::new().file("d/f", b"x"))
            .write(&place.path("one"));
        let script = format!(
            "set -e; {mount}; chmod 755 store; \"$0\" image import one >/dev/null; \
             for t in container process; do \
             \"$0\" exec --target $t --image one -- busybox ls /d; done"
        );
        let shell = ["--mount", "sh", "-c", &script, ISOBENCH];
        let ended = Ended::of(&mut place.command("unshare", &shell));
        let listed = if whiteouts { "f\n" } else { "f\ngone\n" };
        assert_eq!(ended.stdout, listed.repeat(2), "{mount}: {ended:?}");
    }
}
