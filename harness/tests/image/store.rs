//! Which layers the store keeps, shares and removes.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::commands::{can_run_images, is_root};
use crate::layout::{Image, Layer, tagged, write_index};
use crate::support::ended::Ended;
use crate::support::isobench::{ISOBENCH, WORKLOAD};
use crate::support::place::Place;
use crate::support::traces::entries;

/// What the workload says when it is ready.
const READY: &str = "isobench/1 ready\n";

/// The part of the store that has this user's images.
fn own_store(place: &Place) -> PathBuf {
    let part = if is_root() { "shifted" } else { "own" };
    place.path("store").join(part)
}

/// How many layers of images the store has, without those of isobench's own.
fn layers(place: &Place) -> usize {
    let layers = entries(&own_store(place).join("layers"));
    let is_own = |layer: &&PathBuf| layer.join("root/etc/hosts").exists();
    layers.len() - layers.iter().filter(is_own).count()
}

fn file(name: &str) -> Layer {
    Layer::new().file(name, name.as_bytes())
}

#[test]
fn images_are_listed_and_removed_and_layers_shared() {
    let place = Place::new();
    assert_eq!(
        place.succeeds(&["image", "ls"]),
        "NAME  LAYERS        SIZE  CREATED\n"
    );
    Image::new()
        .gzip(file("a"))
        .zstd(file("b"))
        .write(&place.path("one"));
    Image::new()
        .plain(file("a"))
        .plain(file("c"))
        .write(&place.path("two"));
    let said = place.succeeds(&["image", "import", "one"]);
    assert!(
        said.starts_with("imported one:latest: layers 2 (0 there already), 2 B\n"),
        "{said}"
    );
    let said = place.succeeds(&["image", "import", "two", "--name", "here/two:2"]);
    assert!(
        said.starts_with("imported here/two:2: layers 2 (1 there already), 2 B\n"),
        "{said}"
    );
    assert_eq!(layers(&place), 3);
    let listed = place.succeeds(&["image", "ls"]);
    let lines: Vec<&str> = listed.lines().collect();
    assert!(
        lines[1].starts_with("here/two:2       2         2 B  2024-05-06"),
        "{listed}"
    );
    for line in lines {
        assert!(line.len() <= 80, "{line}");
    }
    let listed = place.succeeds(&["image", "ls", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[1]["name"], "one:latest");
    assert_eq!(listed[1]["layers"], 2);
    assert_eq!(listed[1]["bytes"], 2);

    place.succeeds(&["image", "rm", "one"]);
    assert_eq!(layers(&place), 2);
    place.succeeds(&["image", "rm", "here/two:2"]);
    assert_eq!(layers(&place), 0);
}

#[test]
fn an_import_takes_the_name_and_the_old_image_s_layers_go() {
    let place = Place::new();
    Image::new().plain(file("a")).write(&place.path("one"));
    Image::new().plain(file("b")).write(&place.path("two"));
    place.succeeds(&["image", "import", "one", "--name", "x"]);
    place.succeeds(&["image", "import", "two", "--name", "x"]);
    place.succeeds(&["image", "import", "two", "--name", "x"]);
    assert_eq!(layers(&place), 1);
    assert_eq!(place.succeeds(&["image", "ls"]).lines().count(), 2);
}

#[test]
fn every_format_brings_the_same_layers() {
    let place = Place::new();
    let image = || {
        Image::new()
            .plain(file("a"))
            .plain(file("b"))
            .plain(file("a"))
    };
    image().write(&place.path("layout"));
    place.succeeds(&["image", "import", "layout"]);
    place.write("docker.tar", image().docker_save("saved:1"));
    let said = place.succeeds(&["image", "import", "docker.tar"]);
    assert!(
        said.starts_with("imported saved:1: layers 3 (3 there already)"),
        "{said}"
    );
    let mut tar = place.command("tar", &["cf", "oci.tar", "-C", "layout", "."]);
    Ended::of(&mut tar).has_code(0);
    let said = place.succeeds(&["image", "import", "oci.tar"]);
    assert!(
        said.starts_with("imported oci:latest: layers 3 (3 there already)"),
        "{said}"
    );
    assert_eq!(layers(&place), 2);

    // An index in an index. Its manifests are for our platform and for an unknown one.
    let manifest = image().write_blobs(&place.path("nested"));
    let mut ours = manifest.clone();
    ours["platform"] = json!({"architecture": "amd64", "os": "linux"});
    let mut unknown = manifest;
    unknown["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    let inner = json!({"schemaVersion": 2, "manifests": [unknown, ours]});
    let inner = serde_json::to_vec(&inner).unwrap();
    let digest = crate::layout::digest(&inner);
    fs::write(place.path("nested/blobs/sha256").join(&digest[7..]), &inner).unwrap();
    let outer = json!({
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": inner.len(),
    });
    write_index(&place.path("nested"), &[tagged(outer, "v1")]);
    let said = place.succeeds(&["image", "import", "nested"]);
    assert!(
        said.starts_with("imported nested:v1: layers 3 (3 there already)"),
        "{said}"
    );
}

#[test]
fn what_a_killed_import_left_is_removed_by_the_next() {
    let place = Place::new();
    Image::new().plain(file("a")).write(&place.path("one"));
    place.succeeds(&["image", "import", "one"]);
    let store = own_store(&place);
    fs::create_dir_all(store.join("new/half/root/d")).unwrap();
    fs::write(store.join("new/half/root/d/f"), "").unwrap();
    fs::create_dir_all(store.join("layers/orphan/root")).unwrap();
    place.succeeds(&["image", "import", "one"]);
    assert_eq!(layers(&place), 1);
    assert_eq!(entries(&store.join("new")), Vec::<PathBuf>::new());
}

#[test]
fn a_damaged_layer_is_mended_by_another_import() {
    let place = Place::new();
    Image::with_workload().write(&place.path("one"));
    place.succeeds(&["image", "import", "one"]);
    let store = own_store(&place);
    let layers = entries(&store.join("layers"));
    let mut layers = layers.into_iter();
    let layer = layers
        .find(|layer| layer.join("root/bin").exists())
        .unwrap();
    fs::write(layer.join("facts.json"), "{").unwrap();
    fs::remove_file(layer.join("root/bin/workload")).unwrap();
    let said = place.succeeds(&["image", "import", "one"]);
    assert!(said.contains("layers 1 (0 there already)"), "{said}");
    assert!(layer.join("root/bin/workload").exists());
    assert_eq!(entries(&store.join("new")), Vec::<PathBuf>::new());
    if !can_run_images() {
        return;
    }
    fs::remove_dir_all(&layer).unwrap();
    let start = ["exec", "--target", "container", "--image", "one"];
    let exec = [&start[..], &["--", "workload", "ready"]].concat();
    place.refuses(&exec, "the image one:latest is damaged");
    place.succeeds(&["image", "import", "one"]);
    assert_eq!(place.succeeds(&exec), READY);
}

#[test]
fn an_import_killed_at_any_moment_leaves_the_store_as_it_is_or_complete() {
    let place = Place::new();
    let mut layer = Layer::new();
    for number in 0..400 {
        layer = layer.file(&format!("d{}/{number}", number % 20), &[1; 2000]);
    }
    Image::new()
        .gzip(file("a"))
        .gzip(layer)
        .write(&place.path("one"));
    for milliseconds in [0, 5, 10, 20, 40, 80, 160] {
        let running = place.isobench(&["image", "import", "one"]).starts();
        std::thread::sleep(Duration::from_millis(milliseconds));
        running.send(Signal::SIGKILL);
        running.ends();
        let listed = place.succeeds(&["image", "ls"]);
        let images = listed.lines().count() - 1;
        if images == 1 {
            place.succeeds(&["image", "rm", "one"]);
        }
        // The next change of the store removes all that belongs to no image.
        let removal = place.isobench(&["image", "rm", "one"]);
        removal.refuses("no image one:latest");
        assert_eq!(layers(&place), 0, "killed after {milliseconds} ms");
    }
}

#[test]
fn imports_at_the_same_time_all_succeed() {
    let place = Place::new();
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        Image::new()
            .gzip(file("shared"))
            .gzip(file(name))
            .write(&place.path(name));
    }
    let imports = names.map(|name| place.isobench(&["image", "import", name]).starts());
    for import in imports {
        import.ends().has_code(0);
    }
    assert_eq!(
        place.succeeds(&["image", "ls"]).lines().count(),
        1 + names.len()
    );
    assert_eq!(layers(&place), 1 + names.len());
}

#[test]
fn an_image_in_use_is_not_removed() {
    if !can_run_images() {
        return;
    }
    let place = Place::new();
    Image::with_workload().write(&place.path("one"));
    place.succeeds(&["image", "import", "one"]);
    let exec = place.isobench(&["exec", "--target", "container", "--image", "one"]);
    let exec = exec.program(&["workload", "idle", "--touch", "1MiB"]);
    let mut running = exec.starts_with_input();
    let mut line = [0; READY.len()];
    let stdout = running.child.stdout.as_mut().unwrap();
    stdout.read_exact(&mut line).unwrap();
    assert_eq!(str::from_utf8(&line), Ok(READY));
    place.refuses(
        &["image", "rm", "one"],
        "one:latest is in use by a running container",
    );
    // Another image takes the name. The container's layer stays until the container has ended.
    Image::new()
        .plain(file("other"))
        .write(&place.path("other"));
    place.succeeds(&["image", "import", "other", "--name", "one"]);
    assert_eq!(layers(&place), 2);
    drop(running.child.stdin.take());
    running.ends().has_code(0);
    place.succeeds(&["image", "rm", "one"]);
    assert_eq!(layers(&place), 0);
}

#[test]
fn a_store_that_others_may_write_to_is_refused() {
    let place = Place::new();
    fs::create_dir(place.path("store")).unwrap();
    fs::set_permissions(place.path("store"), fs::Permissions::from_mode(0o777)).unwrap();
    let list = || place.isobench(&["image", "ls"]);
    list().refuses("belongs to another user, or others may write to it");
    let of_program = list().environment("ISOBENCH_STORE", WORKLOAD);
    of_program.refuses("cannot use the store");
    Image::new().plain(file("a")).write(&place.path("one"));
    let mut import = place.command(ISOBENCH, &["image", "import", "one"]);
    import
        .env_remove("ISOBENCH_STORE")
        .env_remove("HOME")
        .env("XDG_DATA_HOME", place.path("data"));
    Ended::of(&mut import).has_code(0);
    assert!(place.path("data/isobench").is_dir());
}
