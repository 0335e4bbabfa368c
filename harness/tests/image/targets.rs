//! Programs of images in every target that runs them.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use isobench::host::accounting::{Accounting, InstanceGroup};
use isobench::host::programs::Programs;
use isobench::host::session::{PlaceNeeds, Session};
use isobench::instance::bounded_command;
use isobench::targets::{
    self, Capability, Contents, Daemons, Image as Files, Launch, PrepareContext, Target,
};
use isobench_container::image::{Program, Store};
use isobench_testing::{Need, lacks};
use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid};
use serde_json::json;
use tar::EntryType;

use crate::commands::can_run_images;
use crate::layout::{Image, Layer};
use crate::support::isobench::ISOBENCH;
use crate::support::needs::can_run;
use crate::support::place::Place;
use crate::support::traces;

/// Begins each line of [`inside`], to tell it from the test framework's own lines.
const MARK: &str = "inside: ";
/// What [`inside`] finds in the root of an image whose programs have this user.
const EXPECTED: [&str; 9] = [
    "directory /work",
    "below and above",
    "gone false",
    "owns program false, work true",
    "written before false",
    "wrote true",
    "owns written true",
    "opens its streams true",
    "devices and processes true",
];

/// The line of [`EXPECTED`] about standard streams.
const STREAMS: usize = 7;

/// Tells what a program of an image finds. The other tests start this test program, which is
/// static, in their targets, with this test alone.
#[test]
#[ignore = "runs inside a target"]
fn inside() {
    let say = |text: String| println!("{MARK}{text}");
    let owns = |path: &str| {
        let owner = fs::metadata(path).map(|found| (found.uid(), found.gid()));
        owner.ok() == Some((geteuid().as_raw(), getegid().as_raw()))
    };
    let directory = std::env::current_dir().unwrap();
    say(format!("directory {}", directory.display()));
    let text = |path: &str| fs::read_to_string(path).unwrap();
    say(format!("{} and {}", text("/below"), text("/above")));
    say(format!("gone {}", Path::new("/gone").exists()));
    let (program, work) = (owns("/bin/inside"), owns("/work"));
    say(format!("owns program {program}, work {work}"));
    say(format!(
        "written before {}",
        Path::new("/work/new").exists()
    ));
    // The first file is new, and the second one is copied up from its layer.
    let appended = OpenOptions::new().append(true).open("/work/kept");
    let wrote = fs::write("new", "x").is_ok() && appended.unwrap().write_all(b"more").is_ok();
    say(format!("wrote {wrote}"));
    say(format!(
        "owns written {}",
        owns("/work/new") && owns("/work/kept")
    ));
    let opens = |path: &str| OpenOptions::new().write(true).open(path).is_ok();
    let streams = opens("/dev/stdout") && opens("/dev/stderr");
    say(format!("opens its streams {streams}"));
    let devices = fs::write("/dev/null", "x").is_ok() && Path::new("/dev/urandom").exists();
    let processes = fs::read_to_string("/proc/self/status").is_ok();
    say(format!("devices and processes {}", devices && processes));
}

/// The command line of [`inside`] in an image.
const INSIDE: [&str; 5] = [
    "/bin/inside",
    "--exact",
    "targets::inside",
    "--ignored",
    "--nocapture",
];

/// What [`inside`] said.
fn said(stdout: &str) -> Vec<&str> {
    let lines = stdout.lines();
    // A test program that has one processor prints the test's name first, in the same line.
    let told = lines.filter_map(|line| line.split_once(MARK));
    told.map(|(_, told)| told).collect()
}

/// An image of two layers. The second hides a file of the first. Only the user 1000 may write to
/// the working directory.
fn image() -> Image {
    let own = std::env::current_exe().unwrap();
    let directory = EntryType::Directory;
    let below = Layer::new()
        .program("bin/inside", own.to_str().unwrap())
        .file("gone", b"x")
        .file("below", b"below")
        .file("above", b"hidden")
        .owned(1000)
        .add("work", directory, "", 0o755, b"")
        .file("work/kept", b"kept");
    let above = Layer::new().file(".wh.gone", b"").file("above", b"above");
    let config = json!({"User": "1000:1000", "WorkingDir": "/work"});
    Image::new().plain(below).plain(above).config(config)
}

/// All targets that run images, but for virtual machines, which have tests of their own.
fn targets_of_images(daemons: Daemons) -> Vec<Box<dyn Target>> {
    let directory = Path::new(ISOBENCH).parent().unwrap();
    let programs = Programs::in_directory(directory).unwrap();
    let mut all = targets::all(&programs, daemons);
    all.retain(|target| {
        target.info().can(Capability::RunImages) && !target.info().family.is_machine()
    });
    all
}

/// The names of the targets that `isobench exec` can run images in here.
fn names() -> Vec<&'static str> {
    let all = targets_of_images(Daemons::UseRunning);
    let names = all.iter().map(|target| target.info().name);
    // A containerd that ran before doesn't see an image's roots.
    let names = names.filter(|name| *name != "containerd" && can_run(name));
    names.collect()
}

#[test]
fn a_program_of_an_image_finds_the_same_in_every_target() {
    if !can_run_images() || lacks(Need::Root) {
        return;
    }
    let place = Place::new();
    image().write(&place.path("one"));
    place.succeeds(&["image", "import", "one"]);
    let stored = place.stored();
    for target in names() {
        let start = ["exec", "--target", target, "--image", "one", "--"];
        let finished = place.isobench(&[&start[..], &INSIDE].concat()).ends();
        finished.leaves_nothing();
        if target == "systemd-nspawn" {
            // nspawn looks for the user with a program of the image that is not there.
            finished.says("Failed to resolve user 1000");
        } else {
            assert_eq!(said(&finished.stdout), EXPECTED, "{target}: {finished:?}");
            finished.has_code(0);
        }
        let failed = place.isobench(&[&start[..], &["/bin/inside", "--nonsense"]].concat());
        let failed = failed.ends();
        failed.leaves_nothing();
        assert_ne!(failed.code, Some(0), "{target}: {failed:?}");
        assert_eq!(place.stored(), stored, "{target}");
    }
}

#[test]
fn a_disk_of_the_host_is_where_a_target_without_images_has_it() {
    if !can_run_images() || lacks(Need::Root) {
        return;
    }
    let place = Place::new();
    Image::with_workload().write(&place.path("one"));
    place.succeeds(&["image", "import", "one"]);
    place.write("disk", vec![7_u8; 1 << 20]);
    let on_host = place.path("disk");
    for target in names().into_iter().filter(|name| *name != "unshare") {
        let inside = match target {
            "process" => on_host.to_str().unwrap(),
            "uml" => "/dev/ubda",
            _ => "/disk",
        };
        let start = [
            "exec", "--target", target, "--image", "one", "--disk", "disk", "--",
        ];
        let read = ["workload", "disk", "--op", "seq-read", "--path", inside];
        let size = ["--block", "64KiB", "--bytes", "1MiB"];
        let finished = place.isobench(&[&start[..], &read, &size].concat()).ends();
        finished
            .prints("end operations=16 bytes=1048576")
            .has_code(0);
        finished.leaves_nothing();
    }
}

#[test]
fn nothing_stays_of_a_program_of_an_image_when_isobench_is_killed() {
    if !can_run_images() || lacks(Need::Root) {
        return;
    }
    let place = Place::new();
    Image::with_workload().write(&place.path("one"));
    place.succeeds(&["image", "import", "one"]);
    for target in names() {
        let start = [
            "exec", "--target", target, "--image", "one", "--", "workload",
        ];
        let idle = place.isobench(&[&start[..], &["idle", "--touch", "1MiB"]].concat());
        let mut running = idle.starts_with_input();
        let stdout = running.child.stdout.take().unwrap();
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "isobench/1 ready\n", "{target}");
        running.send(Signal::SIGKILL);
        let pid = running.child.id();
        running.ends();
        let next = place.isobench(&[&start[..], &["ready"]].concat());
        assert_eq!(next.succeeds().stdout, "isobench/1 ready\n", "{target}");
        traces::assert_none(pid, &place, target);
    }
}

/// An image in a store, and what is needed to prepare targets with the image.
struct Prepared {
    place: Place,
    program: Program,
    layers: Vec<PathBuf>,
}

impl Prepared {
    fn new() -> Self {
        let place = Place::new();
        image().write(&place.path("one"));
        place.succeeds(&["image", "import", "one"]);
        let store = Store::open(&place.path("store")).unwrap();
        let image = store.image(&"one".parse().unwrap()).unwrap();
        let layers = store.hold(&image).unwrap();
        let command = INSIDE.map(Into::into);
        let found = isobench_container::image::program(&image, &layers, store.ids(), &command, &[]);
        Self {
            place,
            program: found.unwrap(),
            layers: layers.paths.clone(),
        }
    }

    /// Runs [`inside`] twice in one prepared target, and gives what both said.
    fn run_twice(&self, target: &dyn Target) -> [String; 2] {
        let session = Session::open(&PlaceNeeds::OF_PROGRAMS).unwrap();
        let accounting = Accounting::open(session.name()).ok();
        let directory = session.scratch().join("root");
        fs::create_dir(&directory).unwrap();
        let prepared = target.prepare(&PrepareContext {
            contents: Contents::Image(Files {
                layers: &self.layers,
                working_directory: &self.program.working_directory,
                user: &self.program.user,
            }),
            directory: &directory,
            session: session.name(),
            accounting: accounting.as_ref(),
        });
        let prepared = prepared.unwrap_or_else(|e| panic!("{}: {e}", target.info().name));
        [(); 2].map(|()| {
            let group = accounting
                .as_ref()
                .map(|cgroups| cgroups.new_group().unwrap());
            let cgroups = group.as_ref().map(InstanceGroup::limit_directories);
            let launch = Launch {
                cgroups: cgroups.unwrap_or_default(),
                environment: self.program.environment.clone(),
                ..Launch::of(&self.program.path, &self.program.arguments)
            };
            let command = prepared.command(&launch).unwrap();
            let output = bounded_command::run(&command, Duration::from_mins(1)).unwrap();
            command.leftovers.remove_after(output.result);
            assert!(output.succeeded(), "{}: {output:?}", target.info().name);
            output.stdout
        })
    }
}

#[test]
fn an_instance_does_not_see_what_another_one_has_written() {
    if !can_run_images() || lacks(Need::Root) {
        return;
    }
    let image = Prepared::new();
    let stored = image.place.stored();
    for target in targets_of_images(Daemons::StartOwn) {
        let name = target.info().name;
        let can_start = match name {
            "docker" => can_start_daemon(&["docker", "dockerd"]),
            "containerd" => can_start_daemon(&["ctr", "containerd"]),
            // nspawn wants a program of the image that is not there.
            "systemd-nspawn" => false,
            _ => can_run(name),
        };
        if can_start {
            for output in image.run_twice(&*target) {
                let mut expected = EXPECTED;
                if name == "containerd" {
                    // The named pipes of `ctr` stay root's (docs/peers.md).
                    expected[STREAMS] = "opens its streams false";
                }
                assert_eq!(said(&output), expected, "{name}");
            }
            assert_eq!(image.place.stored(), stored, "{name}");
        }
    }
}

/// Whether these programs are there, and all else that a daemon needs, which is what runc needs.
fn can_start_daemon(programs: &[&'static str]) -> bool {
    !programs.iter().any(|program| lacks(Need::Program(program))) && can_run("runc")
}
