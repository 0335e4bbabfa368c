//! Programs of images in a virtual machine with a Linux kernel. That needs hardware KVM and a
//! kernel for the guest: the lab has both. Any host can compare the files that a guest gets with
//! those that a container shows.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use isobench::targets::guest::files::{GuestFiles, GuestImage};
use isobench_container::User;
use isobench_container::image::Store;
use isobench_testing::{Need, find_program, lacks, skip};
use isobench_workloads::guest_init::Orders;
use serde_json::json;
use tar::EntryType;

use crate::commands::can_run_images;
use crate::layout::{Image, Layer};
use crate::support::ended::Ended;
use crate::support::isobench::{Isobench, WORKLOAD};
use crate::support::needs::can_run;
use crate::support::place::Place;

const LAUNCHER: &str = env!("CARGO_BIN_EXE_isobench-vmm");
/// Lists the files below `/`, without other mounts: name, mode and owners, and of all but
/// directories also the number of names, the size and the target of a link.
const LIST: &str = "cd /; list() { busybox find . ! -path ./dev ! -path './dev/*' ! -path ./proc ! -path './proc/*' ! -path ./sys \
                    ! -path './sys/*' ! -path . \"$@\" '{}' ';'; }
                    { list -type d -exec busybox stat -c '%n %f %u %g'; list ! -type d -exec busybox stat -c '%n %f %h %u %g %s %N'; } \
                    2>/dev/null | busybox sort";

/// Two layers. The second hides files of the first, and there are links, owners, modes, and the
/// name that ends an archive.
fn stacked() -> Image {
    let busybox = find_program("busybox").unwrap();
    let below = Layer::new()
        .program("bin/busybox", busybox.to_str().unwrap())
        .add("gone", EntryType::Directory, "", 0o755, b"")
        .file("gone/file", b"x")
        .add("opaque", EntryType::Directory, "", 0o755, b"")
        .file("opaque/old", b"x")
        .file("kept", b"below")
        .file("TRAILER!!!", b"no end")
        .add("tmp", EntryType::Directory, "", 0o1777, b"");
    let above = Layer::new()
        .file(".wh.gone", b"")
        .file("opaque/.wh..wh..opq", b"")
        .add("opaque/suid", EntryType::Regular, "", 0o4711, b"odd")
        .add("opaque/link", EntryType::Link, "opaque/suid", 0o4711, b"")
        .add("opaque/pipe", EntryType::Fifo, "", 0o620, b"")
        .add("shut", EntryType::Directory, "", 0o000, b"")
        .file("kept", b"above, and larger")
        .link("bin/sh", "busybox")
        .link("absolute", "/kept")
        .link("away", "../../../etc")
        .link("proc", "/kept")
        .file("odd \u{1}\u{e9} name", b"");
    Image::new().plain(below).plain(above)
}

/// Unpacks the archive that a guest of `image` gets, and gives the directory with the image's root.
fn unpacked(place: &Place, image: &str) -> PathBuf {
    let store = Store::open(&place.path("store")).unwrap();
    let found = store.image(&image.parse().unwrap()).unwrap();
    let layers = store.hold(&found).unwrap();
    let files = GuestFiles {
        init: Path::new(WORKLOAD),
        program: Path::new("/bin/sh"),
        image: Some(GuestImage {
            layers: &layers.paths,
            working_directory: Path::new("/"),
            user: &User::default(),
        }),
        files: &[],
        modules: &[],
    };
    let archive = place.path("archive");
    let written = File::create_new(&archive).unwrap();
    files
        .archive(Orders::default())
        .unwrap()
        .save(&written)
        .unwrap();
    let root = place.path("unpacked");
    fs::create_dir(&root).unwrap();
    let unpacked = Command::new("cpio")
        .args(["-idm", "--quiet"])
        .current_dir(&root)
        .stdin(Stdio::from(File::open(&archive).unwrap()))
        .status()
        .unwrap();
    assert!(unpacked.success());
    root.join("image")
}

#[test]
fn a_guest_is_given_what_a_container_shows() {
    // Only root can unpack owners.
    for need in [Need::Program("busybox"), Need::Program("cpio"), Need::Root] {
        if lacks(need) {
            return;
        }
    }
    if !can_run_images() {
        return;
    }
    let place = Place::new();
    stacked().write(&place.path("stacked"));
    place.succeeds(&["image", "import", "stacked"]);
    let root = unpacked(&place, "stacked");
    let mut busybox = Command::new("busybox");
    busybox.arg("chroot").arg(&root);
    let of_guest = Ended::of(busybox.args(["/bin/sh", "-c", LIST])).stdout;
    let of_container = place.prints("stacked", &["sh", "-c", LIST]);
    assert_eq!(of_guest, of_container);
    for shown in [
        "./opaque/suid 89c9 2 0 0 3 ",
        "./shut 4000 0 0",
        "./TRAILER!!! 81a4",
        "./away a1ff",
    ] {
        assert!(of_guest.contains(shown), "{shown}: {of_guest}");
    }
    for hidden in ["./gone", "./opaque/old"] {
        assert!(!of_guest.contains(hidden), "{hidden}: {of_guest}");
    }
}

#[test]
fn too_little_memory_for_an_image_is_said_with_how_much_it_takes() {
    let place = Place::new();
    Image::with_workload().write(&place.path("one"));
    place.succeeds(&["image", "import", "one"]);
    let store = Store::open(&place.path("store")).unwrap();
    let layers = store
        .hold(&store.image(&"one".parse().unwrap()).unwrap())
        .unwrap();
    let mut launcher = Command::new(LAUNCHER);
    launcher
        .args(["run", "--guest", "linux", "--kernel", "/nonexistent"])
        .args(["--memory", "16MiB", "--layer"])
        .arg(&layers.paths[0])
        .args(["--", "/bin/workload", "ready"]);
    let words = "guest memory of 16.0 MiB is too small for the image";
    let ended = Ended::of(&mut launcher);
    ended
        .is_refused_by("isobench-vmm", words)
        .says("use at least --memory ");
}

/// A layer with the host's shell as `/bin/dynamic`, and the shell's libraries. `None` if it has
/// none.
fn dynamic(layer: Layer) -> Option<Layer> {
    let shell = fs::canonicalize("/bin/sh").ok()?;
    let loader = "/lib64/ld-linux-x86-64.so.2";
    let listed = Command::new(loader).arg("--list").arg(&shell).output();
    let listed = Ended::from(listed.ok()?);
    let libraries: Vec<_> = listed
        .stdout
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .collect();
    if libraries.is_empty() {
        skip(Need::DynamicShell, "the host's shell has no libraries");
        return None;
    }
    let layer = layer.program("bin/dynamic", shell.to_str()?);
    let added = libraries.iter().fold(layer, |layer, library| {
        layer.program(&library[1..], library)
    });
    Some(added)
}

#[test]
fn a_program_of_an_image_runs_in_a_virtual_machine_as_in_a_container() {
    let place = Place::new();
    Image::with_workload().write(&place.path("one"));
    place.succeeds(&["image", "import", "one"]);
    let exec = |image| place.isobench(&["exec", "--target", "microvm-linux", "--image", image]);
    let ready = exec("one").program(&["workload", "ready"]);
    if !can_run("microvm-linux") {
        ready.refuses("microvm-linux can't run here: ");
        return;
    }
    assert_eq!(ready.succeeds().stdout, "isobench/1 ready\n");
    if lacks(Need::Program("busybox")) {
        return;
    }
    stacked().write(&place.path("stacked"));
    place.succeeds(&["image", "import", "stacked"]);
    let of_guest = exec("stacked").program(&["sh", "-c", LIST]).succeeds();
    of_guest.prints("./opaque/suid 89c9 2 0 0 3 ");
    if can_run_images() {
        let of_container = place.prints("stacked", &["sh", "-c", LIST]);
        assert_eq!(of_guest.stdout, of_container);
    }
    let Some(layer) = dynamic(Layer::new()) else {
        return;
    };
    let program = "echo $GREETING $PWD $(busybox id -u) $(busybox id -g) $1; busybox readlink /dev/stdout; echo again >/dev/stdout; exit 3";
    let config = json!({
        "Env": ["GREETING=hello"], "WorkingDir": "/opaque", "User": "7:8",
        "Entrypoint": ["/bin/dynamic", "-c", program, "dynamic"], "Cmd": ["end"],
    });
    stacked()
        .plain(layer)
        .config(config)
        .write(&place.path("dynamic"));
    place.succeeds(&["image", "import", "dynamic"]);
    let ended = exec("dynamic").ends();
    let expected = "hello /opaque 7 8 end\n/proc/self/fd/1\nagain\n";
    assert_eq!(ended.stdout, expected, "{ended:?}");
    ended.has_code(3);
}

/// One sample of `program`, of the image `image`, whose results go to the directory `out`.
fn timed(place: &Place, out: &str, image: &str, options: &[&str], program: &[&str]) -> Isobench {
    let isobench = place.isobench(&["time", "--out", out, "--runs", "1", "--warmup", "0"]);
    let isobench = isobench.writes_to(out).options(&["--image", image]);
    isobench.options(options).program(program)
}

#[test]
fn a_command_of_an_image_is_timed_in_virtual_machines() {
    let machines = ["microvm-linux", "qemu-microvm", "qemu-pc"];
    let place = Place::new();
    Image::with_workload().write(&place.path("one"));
    place.succeeds(&["image", "import", "one"]);
    let runnable: Vec<_> = machines.into_iter().filter(|name| can_run(name)).collect();
    if runnable.is_empty() {
        return;
    }
    let targets = ["--targets", &runnable.join(",")];
    let good = timed(&place, "good", "one", &targets, &["workload", "ready"]).succeeds();
    good.leaves_nothing();
    good.has_rows("time", "end", &machines);
    let failing = timed(
        &place,
        "failing",
        "one",
        &targets,
        &["workload", "nonsense"],
    );
    failing.ends().has_code(1).prints("unknown workload");
}

#[test]
fn a_port_of_a_virtual_machine_is_reached_by_the_link_to_it() {
    let place = Place::new();
    if lacks(Need::Program("busybox")) {
        return;
    }
    stacked().write(&place.path("stacked"));
    place.succeeds(&["image", "import", "stacked"]);
    if !can_run("microvm-linux") {
        return;
    }
    let server = ["busybox", "httpd", "-f", "-p", "8000", "-h", "/"];
    for (out, condition) in [("tcp", "tcp=8000"), ("http", "http=8000/kept")] {
        let options = ["--targets", "microvm-linux", "--ready", condition];
        let finished = timed(&place, out, "stacked", &options, &server).succeeds();
        finished.leaves_nothing();
        let run = finished.results();
        let ready = finished.values("microvm-linux", "ready");
        assert_eq!(ready.len(), 1, "{finished:?}");
        let network = run.samples.iter().find(|row| row.part == "network");
        assert!(network.is_some(), "the network has no phase of its own");
    }
    let options = [
        "--targets",
        "microvm-linux",
        "--net",
        "none",
        "--ready",
        "tcp=8000",
    ];
    let shut = timed(&place, "none", "stacked", &options, &server).ends();
    shut.has_code(2).says("leave --net none out");
}
