//! Images that other tools made from a distribution's own files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use isobench_testing::{Need, find_program, lacks};
use serde_json::json;
use tar::EntryType;

use crate::commands::{has_tools, run_tool};
use crate::layout::{Image, Layer};
use crate::support::place::Place;

fn write(path: PathBuf, content: &str, mode: u32) {
    fs::write(&path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn busybox() -> PathBuf {
    find_program("busybox").unwrap()
}

/// A root file system of busybox.
fn fill(root: &Path) {
    for (directory, mode) in [
        ("bin", 0o755),
        ("etc", 0o755),
        ("data/sub", 0o750),
        ("home/user", 0o700),
        ("tmp", 0o1777),
    ] {
        fs::create_dir_all(root.join(directory)).unwrap();
        fs::set_permissions(root.join(directory), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::copy(busybox(), root.join("bin/busybox")).unwrap();
    for name in ["sh", "cat", "find", "id", "stat"] {
        fs::hard_link(root.join("bin/busybox"), root.join("bin").join(name)).unwrap();
    }
    write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1001:user:/home/user:/bin/sh\n",
        0o644,
    );
    write(
        root.join("etc/group"),
        "root:x:0:\nuser:x:1001:\nfurther:x:1005:user\n",
        0o644,
    );
    write(root.join("data/one"), "one\n", 0o640);
    write(root.join("data/two"), "two\n", 0o4755);
    write(root.join("data/sub/three"), "three\n", 0o644);
    write(root.join("home/user/own"), "own\n", 0o600);
    fs::hard_link(root.join("data/one"), root.join("data/hard")).unwrap();
    symlink("../etc/passwd", root.join("data/link")).unwrap();
    for path in ["home/user", "home/user/own", "data/sub"] {
        chown(root.join(path), Some(1000), Some(1001)).unwrap();
    }
}

/// Changes the root file system to that of the second layer.
fn change(root: &Path) {
    fs::remove_file(root.join("data/two")).unwrap();
    fs::remove_dir_all(root.join("data/sub")).unwrap();
    write(root.join("data/one"), "changed\n", 0o604);
    write(root.join("home/user/new"), "new\n", 0o644);
    chown(root.join("home/user/new"), Some(1000), Some(1001)).unwrap();
    write(root.join("tmp/new"), "new\n", 0o644);
}

/// Changes the root file system to that of the third layer.
fn change_again(root: &Path) {
    fs::create_dir(root.join("data/sub")).unwrap();
    write(root.join("data/sub/four"), "four\n", 0o644);
    write(root.join("home/user/own"), "again\n", 0o600);
}

/// Makes an OCI layout `image:v3` of three layers. Its root file system is left in `bundle/rootfs`.
fn make(place: &Place) -> PathBuf {
    let root = place.path("bundle/rootfs");
    run_tool(place, "umoci", &["init", "--layout", "image"]);
    run_tool(place, "umoci", &["new", "--image", "image:v0"]);
    for (number, step) in [fill as fn(&Path), change, change_again]
        .into_iter()
        .enumerate()
    {
        let (old, new) = (format!("image:v{number}"), format!("image:v{}", number + 1));
        let _ = fs::remove_dir_all(place.path("bundle"));
        run_tool(place, "umoci", &["unpack", "--image", &old, "bundle"]);
        step(&root);
        run_tool(place, "umoci", &["repack", "--image", &new, "bundle"]);
    }
    run_tool(
        place,
        "umoci",
        &[
            "config",
            "--image",
            "image:v3",
            "--config.user",
            "user",
            "--config.workingdir",
            "/data",
            "--config.env",
            "GREETING=hello",
            "--config.entrypoint",
            "/bin/sh",
            "--config.entrypoint",
            "-c",
            "--config.cmd",
            "id; pwd; echo $GREETING $HOME",
        ],
    );
    let _ = fs::remove_dir_all(place.path("bundle"));
    run_tool(place, "umoci", &["unpack", "--image", "image:v3", "bundle"]);
    root
}

/// Lists every path with its kind, permissions, owner, size, time and links. Directories are listed
/// without sizes, which depend on the file system, and the root, which is the container's, and the
/// host names, which isobench adds, not at all.
const LIST: &str = "cd \"$1\"; for p in $(busybox find . -path ./proc -prune -o -path ./dev -prune -o -path ./sys -prune -o -path ./etc/hosts -o -print); do \
    if [ $p = . ]; then :; elif [ -h $p ]; then busybox stat -c '%n link %u %g %Y' $p; busybox readlink $p; \
    elif [ -d $p ]; then busybox stat -c '%n directory %a %u %g %Y' $p; \
    else busybox stat -c '%n file %a %u %g %Y %s %h' $p; fi; done | busybox sort";

#[test]
fn an_image_by_umoci_is_inside_what_umoci_unpacks() {
    if !has_tools(&["umoci", "busybox"]) {
        return;
    }
    let place = Place::new();
    let root = make(&place);
    let said = place.succeeds(&["image", "import", "image", "--ref", "v3"]);
    assert!(
        said.starts_with("imported image:v3: layers 3 (0 there already)"),
        "{said}"
    );
    // The container's user 0 has no capabilities, so both list only what that user may read.
    let list = ["sh", "-c", LIST, "sh", root.to_str().unwrap()];
    let expected = run_tool(&place, "busybox", &list);
    let inside = place.prints("image:v3", &["busybox", "sh", "-c", LIST, "sh", "/"]);
    let (expected, inside): (Vec<_>, Vec<_>) =
        (expected.lines().collect(), inside.lines().collect());
    assert!(inside.len() > 20, "{inside:#?}");
    assert_eq!(inside, expected);
    assert_eq!(
        place.prints("image:v3", &["cat", "one", "hard", "sub/four"]),
        "changed\nchanged\nfour\n"
    );
    assert_eq!(
        place.prints(
            "image:v3",
            &["sh", "-c", "cat /home/user/own; stat -c %u:%g /etc/passwd"]
        ),
        "again\n0:0\n"
    );
}

#[test]
fn a_whiteout_of_nothing_is_not_seen() {
    if !has_tools(&["busybox"]) {
        return;
    }
    let place = Place::new();
    let layer = Layer::new()
        .program("bin/busybox", busybox().to_str().unwrap())
        .file("d/.wh.gone", b"")
        .file("d/e/.wh.gone", b"")
        .add("d/e/null", EntryType::Char, "", 0o666, b"")
        .file("d/e/here", b"");
    Image::new().gzip(layer).write(&place.path("one"));
    let said = place.succeeds(&["image", "import", "one"]);
    assert!(said.ends_with("\ndevice nodes left out: 1\n"), "{said}");
    // To hide a directory of a layer, overlayfs sets an attribute in the tmpfs that covers it.
    if lacks(Need::TmpfsAttributes) {
        return;
    }
    let script = "busybox find /d | busybox sort; busybox rm -r /d && busybox ls /";
    let said = place.prints("one", &["busybox", "sh", "-c", script]);
    // Where a container has cgroups, it sees its own in /sys.
    let said = said.replace("\nsys\n", "\n");
    assert_eq!(said, "/d\n/d/e\n/d/e/here\nbin\ndev\netc\nproc\n");
}

#[test]
fn an_image_s_program_is_called_as_it_was_typed() {
    if !has_tools(&["busybox"]) {
        return;
    }
    let place = Place::new();
    let layer = Layer::new()
        .program("bin/busybox", busybox().to_str().unwrap())
        .link("bin/sh", "busybox");
    let config = json!({"Entrypoint": ["sh"], "Cmd": ["-c", "echo $0"]});
    Image::new()
        .gzip(layer)
        .config(config)
        .write(&place.path("one"));
    place.succeeds(&["image", "import", "one"]);
    assert_eq!(place.prints("one", &[]), "sh\n");
    assert_eq!(
        place.prints("one", &["bin/sh", "-c", "echo $0"]),
        "bin/sh\n"
    );
}

#[test]
fn an_image_s_user_directory_environment_and_command_are_its_programs() {
    if !has_tools(&["umoci", "busybox"]) {
        return;
    }
    let place = Place::new();
    make(&place);
    place.succeeds(&["image", "import", "image", "--ref", "v3"]);
    let start = ["exec", "--target", "container", "--image", "image:v3"];
    let user = "uid=1000(user) gid=1001(user) groups=1005(further)\n/data\n";
    assert_eq!(place.succeeds(&start), format!("{user}hello /home/user\n"));
    let own = [
        &start[..],
        &["--env", "GREETING=good day", "--env", "HOME=/"],
    ]
    .concat();
    assert_eq!(place.succeeds(&own), format!("{user}good day /\n"));
    let script = "echo $$; echo x >/data/x || echo no; echo x >/tmp/x && cat /tmp/x; grep Cap /proc/self/status";
    let said = place.prints("image:v3", &["busybox", "sh", "-c", script]);
    // PID 1 is isobench's own. The user may write to /tmp, but not to /data.
    assert!(said.starts_with("2\nno\nx\n"), "{said}");
    let capabilities: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("Cap"))
        .collect();
    assert_eq!(capabilities.len(), 5, "{said}");
    for set in capabilities {
        assert!(set.ends_with("\t0000000000000000"), "{set}");
    }
}

#[test]
fn skopeo_s_copies_bring_the_same_layers() {
    if !has_tools(&["umoci", "skopeo", "busybox"]) {
        return;
    }
    let place = Place::new();
    make(&place);
    place.succeeds(&["image", "import", "image", "--ref", "v3"]);
    for (copy, name) in [
        ("docker-archive:docker.tar:copies/docker:1", "docker.tar"),
        ("oci-archive:archive.tar:v3", "archive.tar"),
        ("oci:again:v3", "again"),
    ] {
        run_tool(&place, "skopeo", &["copy", "--quiet", "oci:image:v3", copy]);
        let said = place.succeeds(&["image", "import", name]);
        assert!(
            said.contains("layers 3 (3 there already)"),
            "{name}: {said}"
        );
    }
    let zstd = [
        "copy",
        "--quiet",
        "--dest-compress-format",
        "zstd",
        "oci:image:v3",
        "oci:zstd:v3",
    ];
    run_tool(&place, "skopeo", &zstd);
    place.succeeds(&[
        "image",
        "rm",
        "image:v3",
        "archive:v3",
        "again:v3",
        "docker.io/copies/docker:1",
    ]);
    let said = place.succeeds(&["image", "import", "zstd"]);
    assert!(said.contains("layers 3 (0 there already)"), "{said}");
    assert_eq!(place.prints("zstd:v3", &["cat", "one"]), "changed\n");
}

#[test]
fn a_dynamic_program_by_buildah_runs_with_the_image_s_own_loader() {
    if !has_tools(&["buildah"]) {
        return;
    }
    let place = Place::new();
    let files = place.path("files");
    // The distribution's own program, loader and libraries.
    let needs = run_tool(&place, "ldd", &["/bin/ls"]);
    let libraries = needs
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    for path in libraries.chain(["/bin/ls"]) {
        let copy = files.join(&path[1..]);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(path, copy).unwrap();
    }
    let storage = place.path("storage");
    let (root, state) = (storage.join("root"), storage.join("run"));
    let own = [
        "--storage-driver",
        "vfs",
        "--root",
        root.to_str().unwrap(),
        "--runroot",
        state.to_str().unwrap(),
    ];
    let buildah = |arguments: &[&str]| run_tool(&place, "buildah", &[&own[..], arguments].concat());
    let container = buildah(&["from", "scratch"]).trim().to_owned();
    buildah(&["copy", "--quiet", &container, files.to_str().unwrap(), "/"]);
    buildah(&["config", "--cmd", "ls -d /bin/ls", &container]);
    for (format, target, name) in [
        ("oci", "oci-archive:oci.tar:dynamic", "oci.tar"),
        (
            "docker",
            "docker-archive:docker.tar:dynamic:docker",
            "docker.tar",
        ),
    ] {
        buildah(&["commit", "--quiet", "--format", format, &container, target]);
        place.succeeds(&["image", "import", name, "--name", format]);
        let exec = ["exec", "--target", "container", "--image", format];
        assert_eq!(place.succeeds(&exec), "/bin/ls\n", "{format}");
    }
}
