//! Images as builders make them: untidy, but of a meaning on which docker, containerd, podman and
//! umoci agree.

use std::fs;
use std::io::Write as _;

use isobench_testing::{Need, find_program, lacks};
use serde_json::{Value, json};
use tar::EntryType;

use crate::commands::{can_run_images, is_root};
use crate::layout::{Image, Layer, gzip, tagged, write_index};
use crate::support::ended::Ended;
use crate::support::isobench::ISOBENCH;
use crate::support::place::Place;

const ARTIFACT: &str = "application/vnd.cyclonedx+json";

/// A layer with busybox. `None` if no program of an image can run here.
pub fn busybox() -> Option<Layer> {
    if !can_run_images() || lacks(Need::Program("busybox")) {
        return None;
    }
    let program = find_program("busybox").unwrap();
    Some(Layer::new().program("bin/busybox", program.to_str().unwrap()))
}

/// Imports the image at `path` as `x`, and gives what a script in a container of it prints.
fn shows(place: &Place, path: &str, script: &str) -> String {
    place.succeeds(&["image", "import", path, "--name", "x"]);
    place.prints("x", &["busybox", "sh", "-c", script])
}

#[test]
fn names_are_absolute_behind_links_and_twice() {
    let Some(base) = busybox() else { return };
    let place = Place::new();
    let layer = Layer::new()
        .add("/", EntryType::Directory, "", 0o755, b"")
        .file("/opt/hello", b"hello\n")
        .add("opt/h2", EntryType::Link, "/opt/hello", 0o644, b"")
        .file("usr/lib/first", b"")
        .link("lib", "../../usr/lib")
        .file("lib/x", b"behind\n")
        .add("y", EntryType::Link, "/lib/x", 0o644, b"")
        .file("twice/below", b"first")
        .file("twice", b"last\n");
    Image::new()
        .plain(base)
        .plain(layer)
        .write(&place.path("one"));
    let script = "busybox cat /opt/h2 /usr/lib/x /y /twice; busybox readlink /lib";
    assert_eq!(
        shows(&place, "one", script),
        "hello\nbehind\nbehind\nlast\n../../usr/lib\n"
    );
}

#[test]
fn a_directory_over_a_lower_layer_s_link_is_the_directory_and_said() {
    let Some(base) = busybox() else { return };
    let place = Place::new();
    let lower = base.file("usr/lib/x", b"").link("lib", "usr/lib");
    Image::new()
        .plain(lower)
        .plain(Layer::new().file("lib/y/z", b""))
        .write(&place.path("one"));
    let said = place.succeeds(&["image", "import", "one"]);
    let warning = "/lib is a link in one layer and a directory in a higher one";
    assert_eq!(said.matches(warning).count(), 1, "{said}");
    let found = shows(&place, "one", "busybox find /lib | busybox sort");
    assert_eq!(found, "/lib\n/lib/y\n/lib/y/z\n");
}

#[test]
fn owners_that_no_container_has_become_the_overflow_id() {
    let Some(base) = busybox() else { return };
    if !is_root() {
        return;
    }
    let place = Place::new();
    let layer = Layer::new().owned(197_609).file("f", b"").file("g", b"");
    Image::new()
        .plain(base)
        .plain(layer)
        .write(&place.path("one"));
    let said = place.succeeds(&["image", "import", "one"]);
    let once = "files of ids above 65535, which belong to 65534 inside: 2";
    assert_eq!(said.matches(once).count(), 1, "{said}");
    let owners = shows(&place, "one", "busybox stat -c %u:%g /f");
    assert_eq!(owners, "65534:65534\n");
}

#[test]
fn an_environment_entry_without_a_value_is_left_out_and_said() {
    let Some(base) = busybox() else { return };
    let place = Place::new();
    let image = Image::new().plain(base);
    let image = image.config(json!({"Env": ["A=1", "ALONE", "", "B==2"]}));
    image.write(&place.path("one"));
    let said = place.succeeds(&["image", "import", "one"]);
    let left_out = "environment entries without a value left out: 2";
    assert_eq!(said.matches(left_out).count(), 1, "{said}");
    let found = shows(&place, "one", "busybox env | busybox grep -E '^(A|B|$)'");
    assert_eq!(found, "A=1\nB==2\n");
}

#[test]
fn a_working_directory_that_no_layer_has_is_made_and_a_relative_one_refused() {
    let Some(base) = busybox() else { return };
    let place = Place::new();
    let base = base.link("work", "/srv");
    let image = Image::new().plain(base);
    let image = image.config(json!({"WorkingDir": "/work/new/../own"}));
    image.write(&place.path("one"));
    let script = "busybox pwd -P; busybox stat -c '%u %g %a' .";
    assert_eq!(shows(&place, "one", script), "/srv/own\n0 0 755\n");

    let image = image.config(json!({"WorkingDir": "work/new"}));
    image.write(&place.path("relative"));
    place.succeeds(&["image", "import", "relative"]);
    let exec = [
        "exec",
        "--target",
        "container",
        "--image",
        "relative",
        "--",
        "busybox",
    ];
    place.refuses(
        &exec,
        "wants to start in \"work/new\", which is no absolute path",
    );
}

#[test]
fn localhost_has_an_address_unless_the_image_says_otherwise() {
    let Some(base) = busybox() else { return };
    let place = Place::new();
    let image = Image::new().plain(base);
    image.write(&place.path("none"));
    let ours = "127.0.0.1\tlocalhost isobench\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    assert_eq!(shows(&place, "none", "busybox cat /etc/hosts"), ours);
    let image = image.plain(Layer::new().file("real/hosts", b"").link("etc", "real"));
    image.write(&place.path("empty"));
    assert_eq!(shows(&place, "empty", "busybox cat /etc/hosts"), ours);
    let image = image.plain(Layer::new().file("real/hosts", b"own\n"));
    image.write(&place.path("own"));
    assert_eq!(shows(&place, "own", "busybox cat /etc/hosts"), "own\n");
}

#[test]
fn the_bytes_tell_how_a_layer_is_compressed() {
    let place = Place::new();
    let plain = || Layer::new().file("f", &[7; 3000]).bytes();
    for label in ["", "+gzip", "+zstd", "+xz"] {
        for zipped in [false, true] {
            let bytes = if zipped { gzip(&plain()) } else { plain() };
            let name = format!("one{label}{zipped}");
            Image::new()
                .blob(bytes, label, &plain())
                .write(&place.path(&name));
            place.succeeds(&["image", "import", &name]);
        }
        Image::new()
            .zstd(Layer::new().file("f", &[7; 3000]))
            .write(&place.path("zstd"));
        place.succeeds(&["image", "import", "zstd"]);
    }
}

#[test]
fn an_archive_may_be_compressed_or_come_through_a_pipe() {
    let place = Place::new();
    let image = Image::new().plain(Layer::new().file("f", b"x"));
    let archive = image.docker_save("saved:1");
    place.write("image.tar.gz", gzip(&archive));
    let said = place.succeeds(&["image", "import", "image.tar.gz"]);
    assert!(said.starts_with("imported saved:1:"), "{said}");
    place.succeeds(&["image", "rm", "saved:1"]);
    for bytes in [archive.clone(), gzip(&archive)] {
        let import = place.isobench(&["image", "import", "-"]);
        let mut running = import.starts_with_input();
        let mut input = running.child.stdin.take().unwrap();
        input.write_all(&bytes).unwrap();
        drop(input);
        let ended = running.ends();
        ended.has_code(0);
        assert!(ended.stdout.starts_with("imported saved:1:"), "{ended:?}");
    }
    place.write("cut.tar.gz", &gzip(&archive)[..100]);
    place.refuses(
        &["image", "import", "cut.tar.gz"],
        "cannot read \"cut.tar.gz\"",
    );
    place.refuses(&["image", "import", "-"], "cannot read \"-\"");
}

/// The layout at `path` with `image`, and an artifact as OCI 1.1 has it. Gives their descriptors.
fn with_artifact(place: &Place, path: &str, image: &Image) -> (Value, Value) {
    let image = image.write_blobs(&place.path(path));
    let mut artifact = Image::new();
    artifact.layers.push(crate::layout::Blob {
        bytes: b"{}".to_vec(),
        media_type: ARTIFACT.to_owned(),
        diff_id: crate::layout::digest(b"{}"),
    });
    let artifact = artifact.write_blobs(&place.path(path));
    (image, artifact)
}

#[test]
fn what_is_beside_an_image_is_passed_over() {
    let place = Place::new();
    let image = Image::new().plain(Layer::new().file("f", b"x"));
    let (image, artifact) = with_artifact(&place, "many", &image);
    let mut typed = artifact.clone();
    typed["artifactType"] = json!(ARTIFACT);
    let mut foreign = image.clone();
    foreign["platform"] = json!({"architecture": "arm64", "os": "linux"});
    let mut absent = image.clone();
    absent["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
    for beside in [artifact.clone(), typed, foreign, absent] {
        for manifests in [
            [image.clone(), beside.clone()],
            [beside.clone(), image.clone()],
        ] {
            write_index(&place.path("many"), &manifests);
            place.succeeds(&["image", "import", "many"]);
        }
    }
    write_index(&place.path("many"), &[artifact]);
    let words = format!("unknown media type \"{ARTIFACT}\" of the layer sha256:");
    place.refuses(&["image", "import", "many"], &words);
}

#[test]
fn an_image_for_many_machines_has_one_for_this() {
    let place = Place::new();
    let make = |name: &str, platform: Value| {
        let image = Image::new().plain(Layer::new().file(name, b""));
        let mut manifest = image.write_blobs(&place.path("many"));
        manifest["platform"] = platform;
        manifest
    };
    let variant = |variant| json!({"architecture": "amd64", "os": "linux", "variant": variant});
    let base = make("base", json!({"architecture": "x86_64", "os": ""}));
    let other = make("other", json!({"architecture": "arm64", "os": "linux"}));
    let unknown = make("unknown", variant("v99"));
    let equal = make("equal", variant("v1"));
    write_index(
        &place.path("many"),
        &[other, unknown.clone(), base.clone(), equal.clone()],
    );
    let chosen = |reference: &[&str]| {
        place.succeeds(&[&["image", "import", "many", "--name", "x"], reference].concat());
        let listed = place.succeeds(&["image", "ls", "--json"]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        listed[0]["id"].as_str().unwrap().to_owned()
    };
    let first = chosen(&[]);
    let digest = |manifest: &Value| manifest["digest"].as_str().unwrap().to_owned();
    assert_eq!(chosen(&["--ref", &digest(&base)]), first);
    assert_ne!(chosen(&["--ref", &digest(&equal)]), first);
    assert_ne!(chosen(&["--ref", &digest(&unknown)[7..27]]), first);
}

#[test]
fn an_archive_s_untagged_images_are_chosen_by_digest() {
    let place = Place::new();
    let one = Image::new().plain(Layer::new().file("one", b""));
    let two = Image::new().plain(Layer::new().file("two", b""));
    let (one, two) = (
        one.write_blobs(&place.path("many")),
        two.write_blobs(&place.path("many")),
    );
    write_index(&place.path("many"), &[tagged(one, "one"), two.clone()]);
    let digest = two["digest"].as_str().unwrap();
    let words = format!("holds 2 images; choose one with --ref: one, {digest}");
    place.refuses(&["image", "import", "many"], &words);
    let said = place.succeeds(&["image", "import", "many", "--ref", digest]);
    assert!(said.starts_with("imported many:latest:"), "{said}");

    // The identity of an image of `docker save` is that of its configuration.
    let archive = Image::new().plain(Layer::new().file("one", b""));
    fs::create_dir(place.path("saved")).unwrap();
    place.write("saved.tar", archive.docker_save("one:1"));
    let unpack = place
        .command("tar", &["xf", "saved.tar", "-C", "saved"])
        .status();
    assert!(unpack.unwrap().success());
    let list = place.read("saved/manifest.json");
    let mut list: Value = serde_json::from_str(&list).unwrap();
    let mut untagged = list[0].clone();
    untagged["RepoTags"] = Value::Null;
    untagged["Config"] = json!("other.json");
    list.as_array_mut().unwrap().push(untagged);
    let config = list[0]["Config"].as_str().unwrap();
    let text = place.read(&format!("saved/{config}")) + " ";
    place.write("saved/other.json", &text);
    place.write("saved/manifest.json", list.to_string());
    let digest = crate::layout::digest(text.as_bytes());
    let words = format!("holds 2 images; choose one with --ref: one:1, {digest}");
    place.refuses(&["image", "import", "saved"], &words);
    let said = place.succeeds(&["image", "import", "saved", "--ref", &digest[7..19]]);
    assert!(said.starts_with("imported saved:latest:"), "{said}");
}

#[test]
fn other_forms_are_named_with_what_works() {
    let place = Place::new();
    fs::create_dir_all(place.path("copy")).unwrap();
    place.write("copy/version", "Directory Transport Version: 1.1\n");
    place.write("copy/manifest.json", r#"{"schemaVersion": 2}"#);
    let words = "skopeo copy dir:copy oci:NEW:TAG";
    place.refuses(&["image", "import", "copy"], words);
    fs::create_dir_all(place.path("engine/overlay-images")).unwrap();
    place.write("engine/overlay-images/images.json", "[]");
    let words = "podman save --format oci-dir";
    place.refuses(&["image", "import", "engine"], words);
}

#[test]
fn listing_and_a_refusal_make_no_store() {
    let place = Place::new();
    place.succeeds(&["image", "ls"]);
    place.refuses(&["image", "import", "no/such"], "No such file");
    place.refuses(&["image", "rm", "nope"], "no image nope:latest");
    assert!(!place.path("store").exists());
}

#[test]
fn many_layers_of_a_store_with_a_long_path_are_all_there() {
    let Some(base) = busybox() else { return };
    let place = Place::new();
    let mut image = Image::new().plain(base);
    for number in 1..130 {
        image = image.plain(Layer::new().file(&format!("d/{number}"), b""));
    }
    image.write(&place.path("deep"));
    let store = place.path("store").join("s".repeat(200));
    let isobench = |arguments: &[&str]| {
        let isobench = place.isobench(arguments);
        isobench
            .environment("ISOBENCH_STORE", store.to_str().unwrap())
            .succeeds()
            .ended
            .stdout
    };
    isobench(&["image", "import", "deep"]);
    let targets = if is_root() {
        &["container", "process"][..]
    } else {
        &["container"]
    };
    for target in targets {
        let start = ["exec", "--target", target, "--image", "deep", "--"];
        let script = ["busybox", "sh", "-c", "busybox ls /d | busybox wc -l"];
        assert_eq!(
            isobench(&[&start[..], &script].concat()),
            "129\n",
            "{target}"
        );
    }
}

#[test]
fn a_store_on_overlayfs_that_can_t_hold_an_image_is_named() {
    if lacks(Need::Root) || lacks(Need::Overlayfs) {
        return;
    }
    let place = Place::new();
    Image::new()
        .plain(Layer::new().file("d/gone", b"x"))
        .plain(Layer::new().file("d/.wh.gone", b""))
        .write(&place.path("one"));
    fs::create_dir_all(place.path("disk")).unwrap();
    // The kernel unmounts the file systems with the namespace that `unshare` made.
    let script = "mount -t tmpfs none disk; cd disk; mkdir l u w o; \
                  mount -t overlay -o lowerdir=l,upperdir=u,workdir=w none o; \
                  ISOBENCH_STORE=$PWD/o/store exec \"$0\" image import ../one";
    let shell = ["--mount", "sh", "-c", script, ISOBENCH];
    let ended = Ended::of(&mut place.command("unshare", &shell));
    ended.is_refused_by("isobench", "is on overlayfs");
    ended.says("set ISOBENCH_STORE to a directory on a disk");
}
