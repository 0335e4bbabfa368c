//! Programs of images in containers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use isobench_testing::{Need, skip};
use serde_json::json;
use tar::EntryType;
use tempfile::TempDir;

use crate::commands::{can_run_images, is_root};
use crate::layout::{Image, Layer};
use crate::support::ended::Ended;
use crate::support::isobench::ISOBENCH;
use crate::support::place::Place;

#[test]
fn the_program_is_the_image_s_own_or_one_on_its_path() {
    if !can_run_images() {
        return;
    }
    let place = Place::new();
    let config = json!({"Entrypoint": ["/bin/workload"], "Cmd": ["ready"]});
    let image = Image::with_workload().config(config);
    image
        .plain(Layer::new().link("usr/bin/linked", "../../bin/workload"))
        .write(&place.path("one"));
    place.succeeds(&["image", "import", "one"]);
    for command in [
        &[][..],
        &["workload", "ready"],
        &["linked", "ready"],
        &["bin/workload", "ready"],
    ] {
        assert_eq!(
            place.prints("one", command),
            "isobench/1 ready\n",
            "{command:?}"
        );
    }
    let exec = ["exec", "--target", "container", "--image", "one"];
    assert_eq!(place.succeeds(&exec), "isobench/1 ready\n");
}

#[test]
fn as_many_layers_as_are_taken_can_be_stacked() {
    if !can_run_images() {
        return;
    }
    let place = Place::new();
    let mut image = Image::with_workload();
    for number in 1..127 {
        image = image.plain(Layer::new().file(&number.to_string(), b""));
    }
    image.write(&place.path("deep"));
    place.succeeds(&["image", "import", "deep"]);
    assert_eq!(
        place.prints("deep", &["workload", "ready"]),
        "isobench/1 ready\n"
    );
}

#[test]
fn an_image_may_have_the_same_layer_twice() {
    if !can_run_images() {
        return;
    }
    let place = Place::new();
    let gone = || Layer::new().file(".wh.a", b"");
    let image = Image::with_workload().plain(gone());
    image
        .plain(Layer::new().file("a", b""))
        .plain(gone())
        .write(&place.path("twice"));
    place.succeeds(&["image", "import", "twice"]);
    assert_eq!(
        place.prints("twice", &["workload", "ready"]),
        "isobench/1 ready\n"
    );
}

/// Runs the `isobench` in `directory` as an ordinary user, whoever runs the test.
fn as_ordinary_user(directory: &Path, arguments: &[&str]) -> Ended {
    let isobench = directory.join("isobench");
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(isobench);
        command
    } else {
        Command::new(isobench)
    };
    command
        .args(arguments)
        .current_dir(directory)
        .env("ISOBENCH_STORE", directory.join("store"))
        .env("TMPDIR", directory)
        .env_remove("CARGO")
        .stdin(Stdio::null());
    Ended::of(&mut command)
}

/// A directory with isobench's programs. Any user may write to it.
fn common_ground() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let programs = Path::new(ISOBENCH).parent().unwrap();
    for name in [
        "isobench",
        "isobench-container",
        "isobench-vmm",
        "isobench-floor",
        "isobench-tracer",
        "isobench-workload",
    ] {
        let place = directory.path().join(name);
        fs::hard_link(programs.join(name), &place)
            .or_else(|_| fs::copy(programs.join(name), &place).map(drop))
            .unwrap();
    }
    directory
}

#[test]
fn an_ordinary_user_has_images_too_but_user_0_alone() {
    if !can_run_images() {
        return;
    }
    let directory = common_ground();
    let isobench = |arguments: &[&str]| as_ordinary_user(directory.path(), arguments);
    let run_in = |target, image| {
        let start = ["exec", "--target", target, "--image", image];
        isobench(&[&start[..], &["--", "workload", "ready"]].concat())
    };
    let run = |image| run_in("container", image);
    Image::with_workload()
        .plain(
            Layer::new()
                .file(".wh.gone", b"")
                .add("d", EntryType::Directory, "", 0, b""),
        )
        .write(&directory.path().join("one"));
    let import = isobench(&["image", "import", "one"]);
    import.prints("only root can keep other owners");
    let ended = run("one");
    if ended.stderr.contains("user namespaces are forbidden") {
        skip(Need::UserNamespaces, &ended.stderr);
        return;
    }
    assert_eq!(ended.stdout, "isobench/1 ready\n", "{ended:?}");
    let why = "only root can mount an image's layers outside of a container";
    run_in("process", "one").is_refused_by("isobench", why);
    Image::with_workload()
        .config(json!({"User": "7"}))
        .write(&directory.path().join("two"));
    isobench(&["image", "import", "two"]).has_code(0);
    let why = "only root can start a container with more users than 0";
    run("two").is_refused_by("isobench", why);
    isobench(&["image", "rm", "one", "two"]).has_code(0);
}
