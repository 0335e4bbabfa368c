//! Bad images get one clear line and exit code 2, and leave the store as it is.

use std::fs;
use std::path::PathBuf;

use isobench_testing::{Need, lacks};
use serde_json::json;
use tar::EntryType;

use crate::layout::{Image, LAYER, Layer, gzip, tagged, write_index};
use crate::support::ended::Ended;
use crate::support::isobench::{ISOBENCH, WORKLOAD};
use crate::support::place::Place;

/// A place whose store holds an image, which must stay as it is.
fn place() -> Place {
    let place = Place::new();
    Image::with_workload().write(&place.path("good"));
    place.succeeds(&["image", "import", "good"]);
    place
}

/// The file of the image's only layer in the layout `name`.
fn layer_file(place: &Place, name: &str, image: &Image) -> PathBuf {
    let digest = crate::layout::digest(&image.layers[0].bytes);
    place.path(name).join("blobs/sha256").join(&digest[7..])
}

#[test]
fn what_is_corrupt_is_refused() {
    let place = place();
    let image = Image::new().gzip(Layer::new().file("f", &[7; 5000]));
    image.write(&place.path("bad"));
    let file = layer_file(&place, "bad", &image);
    let whole = fs::read(&file).unwrap();
    let import = ["image", "import", "bad"];
    let mut spoilt = whole.clone();
    let middle = spoilt.len() / 2;
    spoilt[middle] ^= 1;
    fs::write(&file, &spoilt).unwrap();
    place.refuses(&import, "should have the digest sha256:");
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    place.refuses(&import, "should have the digest sha256:");
    fs::remove_file(&file).unwrap();
    place.refuses(&import, "the image has no \"blobs/sha256/");

    // The file has the manifest's digest, but is no archive, or not the configuration's.
    let cut = Layer::new().file("f", &[7; 5000]).bytes();
    Image::new()
        .blob(gzip(&cut[..2000]), "+gzip", &cut)
        .write(&place.path("cut"));
    place.refuses(&["image", "import", "cut"], "the archive is cut off");
    let other = Layer::new().file("g", b"").bytes();
    Image::new()
        .blob(gzip(&cut), "+gzip", &other)
        .write(&place.path("other"));
    place.refuses(
        &["image", "import", "other"],
        "the unpacked layer should have the digest",
    );
    Image::new()
        .blob(b"text".to_vec(), "", b"text")
        .write(&place.path("text"));
    place.refuses(&["image", "import", "text"], "cannot unpack the layer");
}

#[test]
fn manifests_that_lie_are_refused() {
    let place = place();
    let image = Image::new().plain(Layer::new().file("f", b""));
    let manifest = image.write_blobs(&place.path("bad"));
    let digest = manifest["digest"].as_str().unwrap().to_owned();
    let file = place.path("bad/blobs/sha256").join(&digest[7..]);
    write_index(&place.path("bad"), std::slice::from_ref(&manifest));
    let whole = fs::read(&file).unwrap();
    fs::write(&file, [&whole[..], b" "].concat()).unwrap();
    place.refuses(&["image", "import", "bad"], "it is corrupt");
    for (wrong, words) in [
        (json!("sha256:../../../etc/passwd"), "is no digest"),
        (json!("md5:d41d8cd98f00b204e9800998ecf8427e"), "only sha256"),
    ] {
        let mut manifest = manifest.clone();
        manifest["digest"] = wrong;
        write_index(&place.path("bad"), &[manifest]);
        place.refuses(&["image", "import", "bad"], words);
    }
    place.write("bad/index.json", "{");
    place.refuses(
        &["image", "import", "bad"],
        "\"index.json\" of the image is no index of an OCI layout that can be read",
    );
    place.write("bad/index.json", vec![b' '; 5 << 20]);
    place.refuses(&["image", "import", "bad"], "more than 4194304 bytes");
}

#[test]
fn unknown_media_types_are_refused() {
    let place = place();
    let mut image = Image::new().plain(Layer::new().file("f", b""));
    image.layers[0].media_type = format!("{LAYER}+gzip+encrypted");
    image.write(&place.path("bad"));
    place.refuses(
        &["image", "import", "bad"],
        "unknown media type \"application/vnd.oci.image.layer.v1.tar+gzip+encrypted\"",
    );
    let mut manifest = image.write_blobs(&place.path("bad"));
    manifest["mediaType"] = json!("application/x-cake");
    write_index(&place.path("bad"), &[manifest]);
    place.refuses(
        &["image", "import", "bad"],
        "unknown media type \"application/x-cake\"",
    );
}

#[test]
fn archives_that_reach_outside_are_refused() {
    let place = place();
    place.write("secret", "secret");
    for (number, (layer, words)) in [
        (
            Layer::new().file("a/../../secret", b"x"),
            "leads out of the image by `..`",
        ),
        (
            Layer::new().link("etc", "/etc").file("etc/passwd", b"x"),
            "\"etc\" leads through \"etc\"",
        ),
        (
            Layer::new().add("h", EntryType::Link, "/etc/passwd", 0, b""),
            "hard link \"h\" leads to \"etc/passwd\"",
        ),
        (
            Layer::new().add("h", EntryType::Link, "../x", 0, b""),
            "hard link \"h\" leads to \"../x\"",
        ),
        (
            Layer::new().add("s", EntryType::GNUSparse, "", 0, b""),
            "\"s\" is a sparse file",
        ),
        (
            Layer::new().add("q", EntryType::new(b'Q'), "", 0, b""),
            "unknown type 'Q'",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("bad{number}");
        Image::new()
            .gzip(Layer::new().file("f", b""))
            .gzip(layer)
            .write(&place.path(&name));
        place.refuses(&["image", "import", &name], words);
    }
    assert_eq!(place.read("secret"), "secret");
}

#[test]
fn what_is_no_image_or_one_of_many_is_refused() {
    let place = place();
    place.refuses(&["image", "import", "no/such"], "\"no/such\": No such file");
    place.write("text", "text ".repeat(200));
    place.refuses(&["image", "import", "text"], "is no OCI image layout");
    place.refuses(&["image", "import", "tmp"], "is no OCI image layout");
    place.refuses(
        &["image", "import", "/dev/zero"],
        "neither a file, a directory nor a pipe",
    );
    place.write("image.tar.gz", gzip(b"x"));
    place.refuses(
        &["image", "import", "image.tar.gz"],
        "cannot read the archive \"image.tar.gz\": the archive is cut off",
    );
    place.refuses(
        &["image", "import", "good", "--name", "a b"],
        "\"a b\" is no name",
    );

    let one = Image::new()
        .plain(Layer::new().file("one", b""))
        .write_blobs(&place.path("many"));
    let two = Image::new()
        .plain(Layer::new().file("two", b""))
        .write_blobs(&place.path("many"));
    write_index(
        &place.path("many"),
        &[tagged(one.clone(), "one"), tagged(two, "two")],
    );
    place.refuses(
        &["image", "import", "many"],
        "holds 2 images; choose one with --ref: one, two",
    );
    place.refuses(
        &["image", "import", "many", "--ref", "three"],
        "holds no image \"three\", but one, two",
    );
    let mut foreign = one;
    foreign["platform"] = json!({"architecture": "arm64", "os": "linux"});
    write_index(&place.path("many"), &[foreign]);
    place.refuses(
        &["image", "import", "many"],
        "no image for linux/amd64, but linux/arm64",
    );
    let mut foreign = Image::new();
    foreign.architecture = "arm64";
    foreign.write(&place.path("arm"));
    place.refuses(
        &["image", "import", "arm"],
        "no image for linux/amd64, but linux/arm64",
    );
    let mut deep = Image::new();
    for number in 0..257 {
        deep = deep.plain(Layer::new().file(&number.to_string(), b""));
    }
    deep.write(&place.path("deep"));
    place.refuses(&["image", "import", "deep"], "257 layers; at most 256");
}

#[test]
fn an_image_without_the_program_is_refused() {
    let place = place();
    let exec = |command: &[&'static str]| {
        let start = ["exec", "--target", "container", "--image", "good", "--"];
        [&start[..], command].concat()
    };
    place.refuses(
        &exec(&["nope"]),
        "there is no program \"nope\" in good:latest (its PATH is /usr/local/sbin:",
    );
    place.refuses(
        &exec(&["/bin/nope"]),
        "there is no program \"/bin/nope\" in good:latest",
    );
    place.refuses(
        &exec(&["/bin"]),
        "\"/bin\" in good:latest is no regular file",
    );
    place.refuses(&exec(&[]), "names no program to run");
    let unknown = [
        "exec",
        "--target",
        "container",
        "--image",
        "unknown",
        "--",
        "x",
    ];
    place.refuses(&unknown, "no image unknown:latest");
    let bare = ["exec", "--target", "microvm-bare", "--image", "good"];
    let words = "microvm-bare runs no image: isobench gives it a static program alone, no image; \
                 leave --image out, or choose among process, container, uml, microvm-linux";
    place.refuses(&[&bare[..], &["--", WORKLOAD]].concat(), words);
    place.refuses(&["image", "rm", "unknown"], "no image unknown:latest");
}

#[test]
fn an_image_whose_user_or_directory_is_unknown_is_refused() {
    let place = place();
    for (config, words) in [
        (
            json!({"User": "nobody"}),
            "wants to run as \"nobody\", whom its /etc/passwd doesn't know",
        ),
        (
            json!({"WorkingDir": "/bin/workload"}),
            "wants to start in \"/bin/workload\", which is no directory of the image",
        ),
    ] {
        Image::with_workload()
            .config(config)
            .write(&place.path("other"));
        place.succeeds(&["image", "import", "other"]);
        let exec = [
            "exec",
            "--target",
            "container",
            "--image",
            "other",
            "--",
            "/bin/workload",
        ];
        place.refuses(&exec, words);
    }
}

#[test]
fn a_full_disk_and_a_bomb_leave_the_store_as_it_is() {
    // Mounting a small file system takes root.
    if lacks(Need::Root) {
        return;
    }
    let place = place();
    let mut many = Layer::new();
    for number in 0..200 {
        many = many.file(&number.to_string(), b"x");
    }
    Image::new()
        .plain(Layer::new().file("before", b"x"))
        .plain(many)
        .write(&place.path("many"));
    let zeros = Layer::new().file("zeros", &vec![0; 64 << 20]);
    Image::new().gzip(zeros).write(&place.path("bomb"));
    fs::create_dir(place.path("disk")).unwrap();
    // The kernel unmounts the file system with the namespace that `unshare` made.
    let script = "mount -t tmpfs -o size=32m,nr_inodes=100 none disk; ISOBENCH_STORE=$PWD/disk/store; \
                  export ISOBENCH_STORE; $0 image import good; find disk | sort >before; $0 image import \"$1\"; \
                  code=$?; find disk | sort | diff before - >&2; exit $code";
    for (image, words) in [
        ("many", "No space left on device"),
        ("bomb", "the image unpacks to more than"),
    ] {
        let shell = ["--mount", "sh", "-c", script, ISOBENCH, image];
        let mut ended = Ended::of(&mut place.command("unshare", &shell));
        assert!(ended.stdout.starts_with("imported good"), "{ended:?}");
        ended.stdout.clear();
        ended.is_refused_by("isobench", words);
    }
}
