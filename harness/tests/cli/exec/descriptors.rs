//! The descriptors that a program finds open, and its standard input.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use isobench_testing::compile_c;

use crate::support::ended::Ended;
use crate::support::isobench::ISOBENCH;
use crate::support::needs::can_run;
use crate::support::place::Place;

/// Prints what can be read from each descriptor from 3 on, and what standard input is.
const SOURCE: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int words) {
    if (words > 1) {
        char letter;
        return write(3, "said", 4) != 4 || close(3) || read(0, &letter, 1) != 0;
    }
    for (int number = 3; number < 100; number++) {
        char text[20] = "";
        if (fcntl(number, F_GETFD) < 0) continue;
        long count = pread(number, text, sizeof text - 1, 0);
        printf("%d %s\n", number, count < 0 ? "unreadable" : text);
    }
    struct stat found;
    fstat(0, &found);
    printf("input %d %ld %ld\n", S_ISREG(found.st_mode), (long)found.st_size, (long)lseek(0, 2, SEEK_SET));
}"#;

/// A place with the program, and with files to open.
fn place() -> Option<Place> {
    let place = Place::new();
    for name in ["three", "four", "five"] {
        place.write(name, name);
    }
    compile_c(&place.path("program"), SOURCE, &["-static"]).then_some(place)
}

/// What the program prints when the shell starts `isobench exec` with these options and redirections.
fn exec(place: &Place, options: &str, redirections: &str) -> Ended {
    let script = format!("exec {ISOBENCH} exec --target {options} -- ./program {redirections}");
    let bash = PathBuf::from("/bin/bash");
    Ended::of(&mut place.command(bash, &["-c", &script]))
}

const THREE: &str = "3<three 4<four 5<five";

#[test]
fn a_bare_process_finds_all_descriptors() {
    let Some(place) = place() else { return };
    for options in ["process", "process --preserve-fds 2"] {
        let ended = exec(&place, options, "3<three 7<four");
        if options.contains("preserve") {
            ended.is_refused_by("isobench", "descriptor 4 isn't open");
            continue;
        }
        ended.has_code(0).prints("3 three\n7 four\n");
    }
    exec(&place, "process", "").prints("input 0");
}

#[test]
fn descriptors_are_passed_on_where_asked_for() {
    let Some(place) = place() else { return };
    for target in [
        "container",
        "unshare",
        "bwrap",
        "bwrap-0.11",
        "nsjail",
        "crun",
        "runc",
        "podman",
    ] {
        if !can_run(target) {
            continue;
        }
        let ended = exec(&place, &format!("{target} --preserve-fds 2"), THREE);
        ended.has_code(0);
        let text = ended.stdout;
        assert!(text.starts_with("3 three\n4 four\n"), "{target}: {text}");
        assert!(!text.contains("five"), "{target}: {text}");
    }
    if can_run("container") {
        let none = exec(&place, "container", THREE);
        assert_eq!(none.has_code(0).stdout, "input 0 0 0\n");
    }
}

#[test]
fn a_target_that_passes_none_on_says_so() {
    let Some(place) = place() else { return };
    for target in ["microvm-bare", "systemd-nspawn"] {
        let ended = exec(&place, &format!("{target} --preserve-fds 1"), THREE);
        ended.is_refused_by("isobench", "passes no descriptors on");
    }
}

#[test]
fn the_end_of_a_pipe_that_is_passed_on_is_seen() {
    let Some(place) = place() else { return };
    for options in ["process", "container --preserve-fds 1"] {
        if !can_run(options.split(' ').next().unwrap()) {
            continue;
        }
        // Descriptor 3 is the pipe that the test reads. The program waits for its input.
        let script = format!("exec {ISOBENCH} exec --target {options} -- ./program say 3>&1 >&2");
        let mut command = place.command("/bin/bash", &["-c", &script]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdout.take().unwrap();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            sender.send(text).unwrap();
        });
        let said = receiver.recv_timeout(Duration::from_secs(10));
        assert_eq!(said.as_deref(), Ok("said"), "{options}");
        assert_eq!(child.try_wait().unwrap(), None, "{options}");
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{options}");
    }
}

#[test]
fn standard_input_from_a_file_is_that_file() {
    let Some(place) = place() else { return };
    for target in [
        "process",
        "container",
        "microvm-bare",
        "unshare",
        "bwrap",
        "nsjail",
        "crun",
    ] {
        if !can_run(target) {
            continue;
        }
        let ended = exec(&place, target, "<four");
        assert!(
            ended.stdout.contains("input 1 4 2\n"),
            "{target}: {ended:?}"
        );
    }
}
