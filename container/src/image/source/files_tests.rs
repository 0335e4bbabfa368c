//! Files of directories and archives, and what is neither.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;

use super::*;

/// Opens an image for which no scratch file is needed.
fn open(path: &Path) -> Result<Source, ImageError> {
    Source::open(path, || {
        unreachable!("the archive can be read in any order")
    })
}

fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    builder
        .append_data(&mut header, "a/layer.tar", &b"text"[..])
        .unwrap();
    for (name, content) in [
        ("b/layer.tar", "../a/layer.tar"),
        ("c/layer.tar", "../../a/layer.tar"),
        ("loop", "loop"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_entry_type(tar::EntryType::Symlink);
        builder.append_link(&mut header, name, content).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_entry_type(tar::EntryType::Link);
    builder
        .append_link(&mut header, "hard/layer.tar", "./a/layer.tar")
        .unwrap();
    builder.into_inner().unwrap()
}

#[test]
fn an_archive_that_is_compressed_or_comes_through_a_pipe_is_copied() {
    let directory = tempfile::tempdir().unwrap();
    let scratch = || {
        let free = bytesize::ByteSize::mib(2);
        Ok((tempfile::tempfile().unwrap(), Meter::half_of(free)))
    };
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&archive()).unwrap();
    let path = directory.path().join("image.tar.gz");
    fs::write(&path, encoder.finish().unwrap()).unwrap();
    let source = Source::open(&path, scratch).unwrap();
    assert_eq!(source.bytes("a/layer.tar").unwrap(), b"text");

    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let writer = pipe.clone();
    let writing = std::thread::spawn(move || fs::write(writer, archive()).unwrap());
    let source = Source::open(&pipe, scratch).unwrap();
    writing.join().unwrap();
    assert_eq!(source.bytes("a/layer.tar").unwrap(), b"text");
}

#[test]
fn files_of_an_archive_are_found_also_behind_links_that_stay_inside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("image.tar");
    fs::write(&path, archive()).unwrap();
    let source = open(&path).unwrap();
    for name in [
        "a/layer.tar",
        "./a//layer.tar",
        "/a/layer.tar",
        "b/layer.tar",
        "hard/layer.tar",
    ] {
        assert_eq!(source.bytes(name).unwrap(), b"text", "{name}");
    }
    for name in ["c/layer.tar", "loop", "no/such", "../a/layer.tar"] {
        assert!(!source.has(name).unwrap(), "{name}");
    }
}

#[test]
fn files_of_a_directory_are_found_only_below_it() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    fs::create_dir_all(image.join("blobs")).unwrap();
    fs::write(image.join("blobs/a"), "text").unwrap();
    fs::write(directory.path().join("secret"), "secret").unwrap();
    symlink("blobs/a", image.join("inside")).unwrap();
    symlink("../secret", image.join("outside")).unwrap();
    let source = open(&image).unwrap();
    assert_eq!(source.bytes("inside").unwrap(), b"text");
    assert!(source.bytes("outside").is_err());
    assert!(!source.has("blobs").unwrap());
    assert!(!source.has("../secret").unwrap());
}

#[test]
fn a_file_that_is_no_archive_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |name: &str, content: &[u8]| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        open(&path).unwrap_err().to_string()
    };
    assert!(refused("text", &[b'x'; 2000]).contains("is no OCI image layout"));
    assert!(refused("cut", &archive()[..1300]).contains("cannot read the archive"));
    let error = open(Path::new("/dev/null")).unwrap_err();
    assert!(matches!(error, ImageError::Open { .. }));
}
