//! What other tools write that is unlike the rest: their files are made here, by the tools.

use std::fs;
use std::path::Path;

use isobench_testing::{Need, find_program, lacks};

use crate::commands::{has_tools, run_tool};
use crate::layout::{Image, Layer};
use crate::support::place::Place;

/// An image with busybox at `path`.
fn write_busybox(path: &Path) -> Image {
    let program = find_program("busybox").unwrap();
    let layer = Layer::new().program("bin/busybox", program.to_str().unwrap());
    let image = Image::new().plain(layer);
    image.write(path);
    image
}

#[test]
fn layers_that_umoci_inserts_are_taken() {
    if !has_tools(&["umoci", "busybox"]) {
        return;
    }
    let place = Place::new();
    let image = write_busybox(&place.path("image"));
    let manifest = image.write_blobs(&place.path("image"));
    let manifest = crate::layout::tagged(manifest, "v1");
    crate::layout::write_index(&place.path("image"), &[manifest]);
    fs::create_dir_all(place.path("tree/d")).unwrap();
    place.write("tree/d/f", "of a tree\n");
    place.write("one", "alone");
    // These archives end with the last byte of the last content, the opaque marker comes before its
    // directory, and the last has `/` as a name.
    for arguments in [
        &["one", "/opt/one"][..],
        &["--opaque", "tree/d", "/opt/d"],
        &["tree", "/"],
    ] {
        let start = ["insert", "--image", "image:v1"];
        run_tool(&place, "umoci", &[&start[..], arguments].concat());
    }
    place.succeeds(&["image", "import", "image"]);
    let script = "busybox cat /opt/d/f /d/f /opt/one";
    let said = place.prints("image:v1", &["busybox", "sh", "-c", script]);
    assert_eq!(said, "of a tree\nof a tree\nalone");
}

#[test]
fn sparse_files_of_gnu_tar_are_whole() {
    if !has_tools(&["tar", "busybox"]) {
        return;
    }
    let place = Place::new();
    let mut content = vec![0; 3 << 20];
    content[1_000_000..1_000_003].copy_from_slice(b"abc");
    let file = fs::File::create(place.path("f")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"abc", 1_000_000).unwrap();
    file.set_len(3 << 20).unwrap();
    let pack = |options: &[&str]| {
        let rest = ["--sparse", "-cf", "f.tar", "f"];
        run_tool(&place, "tar", &[options, &rest].concat());
        let layer = fs::read(place.path("f.tar")).unwrap();
        assert!(layer.len() < 1 << 20, "the file has no holes");
        let image = write_busybox(&place.path("image"));
        let image = image.blob(layer.clone(), "", &layer);
        image.write(&place.path("image"));
    };
    for version in ["0.0", "0.1", "1.0"] {
        pack(&["--format=posix", &format!("--sparse-version={version}")]);
        place.succeeds(&["image", "import", "image"]);
        let found = place.prints("image", &["busybox", "md5sum", "/f"]);
        let expected = run_tool(&place, "busybox", &["md5sum", "f"]);
        assert_eq!(
            found.split(' ').next(),
            expected.split(' ').next(),
            "{version}"
        );
    }
    pack(&["--format=gnu"]);
    let words = "\"f\" is a sparse file in GNU tar's old format";
    place.refuses(&["image", "import", "image"], words);
}

#[test]
fn archives_compressed_by_any_tool_are_taken() {
    let place = Place::new();
    let image = Image::new().plain(Layer::new().file("f", b"x"));
    for (program, end) in [
        ("xz", "xz"),
        ("bzip2", "bz2"),
        ("zstd", "zst"),
        ("gzip", "gz"),
    ] {
        if lacks(Need::Program(program)) {
            continue;
        }
        place.write("image.tar", image.docker_save("saved:1"));
        run_tool(&place, program, &["-q", "image.tar"]);
        let _ = fs::remove_file(place.path("image.tar"));
        place.succeeds(&["image", "import", &format!("image.tar.{end}")]);
    }
}
