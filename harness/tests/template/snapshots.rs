//! Programs that go on from a file.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use isobench_testing::{Need, lacks};

use crate::support::ended::Ended;
use crate::{OWN, SERVE, Template, VMM, WORKLOAD, compile, number_of};

#[test]
fn a_program_that_had_a_thread_a_timer_and_a_file_goes_on_in_clones_and_from_snapshots() {
    let source = r#"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>
static void *nothing(void *unused) { return unused; }
int main(void) {
    pthread_t thread;
    char line[9];
    struct itimerval once = {{0, 0}, {60, 0}}, never = {{0, 0}, {0, 0}};
    pthread_create(&thread, 0, nothing, 0);
    pthread_join(thread, 0);
    setitimer(ITIMER_REAL, &once, 0);
    setitimer(ITIMER_REAL, &never, 0);
    close(open("/", O_RDONLY));
    if (!fgets(line, sizeof line, stdin)) return 3;
    pthread_create(&thread, 0, nothing, 0);
    pthread_join(thread, 0);
    return printf("on\n") != 3;
}"#;
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path(), source).filter(|_| !lacks(Need::Kvm)) else {
        return;
    };
    let template = Template::of_guest(&[&program]);
    assert_eq!(template.clone().ask(), "on\n");
    template.end();
    let file = directory.path().join("snapshot");
    snapshot(&file, &[&program]).has_code(0);
    let ended = restored(&file, &[&program], b"\n");
    ended.has_code(0).prints("on\n");
}

#[test]
fn memory_in_many_pieces_is_restored() {
    let source = r#"
#include <stdio.h>
#include <sys/mman.h>
enum { PIECES = 9000 };
int main(void) {
    char line[9];
    char *memory = mmap(0, PIECES * 8192L, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long sum = 0;
    for (long i = 0; i < PIECES; i++) memory[i * 8192] = 1 + i % 50;
    if (!fgets(line, sizeof line, stdin)) return 3;
    for (long i = 0; i < PIECES; i++) sum += memory[i * 8192] - (1 + i % 50);
    madvise(memory, PIECES * 8192L, MADV_DONTNEED);
    for (long i = 0; i < PIECES; i++) sum += memory[i * 8192];
    return printf("%ld\n", sum) != 2;
}"#;
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path(), source).filter(|_| !lacks(Need::Kvm)) else {
        return;
    };
    let file = directory.path().join("snapshot");
    snapshot(&file, &[&program]).has_code(0);
    let ended = restored(&file, &[&program], b"\n");
    ended.has_code(0).prints("0\n");
}

/// Takes a snapshot of a guest, and expects this end.
fn snapshot(file: &Path, program: &[&str]) -> Ended {
    let mut launcher = Command::new(VMM);
    launcher.args(["run", "--snapshot"]).arg(file).arg("--");
    Ended::of(launcher.args(program).stdin(Stdio::null()))
}

fn restore(file: &Path, program: &[&str]) -> Command {
    let mut launcher = Command::new(VMM);
    launcher.args(["run", "--restore"]).arg(file).arg("--");
    launcher.args(program).stdin(Stdio::piped());
    launcher
}

/// Lets a program go on with this input, to its end.
fn restored(file: &Path, program: &[&str], input: &[u8]) -> Ended {
    let mut launcher = restore(file, program);
    let mut process = launcher.stdout(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(input).unwrap();
    Ended::from(process.wait_with_output().unwrap())
}

#[test]
fn a_program_goes_on_from_a_snapshot_as_often_as_wanted() {
    if lacks(Need::Kvm) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("snapshot");
    snapshot(&file, &SERVE).has_code(0);
    for _ in 0..3 {
        let ended = restored(&file, &SERVE, b"\n\n");
        ended.has_code(0).prints("answer number=2 ");
        assert_eq!(ended.stdout.lines().count(), 2, "{ended:?}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn restored_programs_have_clocks_random_numbers_and_registers_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path(), OWN).filter(|_| !lacks(Need::Kvm)) else {
        return;
    };
    let file = directory.path().join("snapshot");
    snapshot(&file, &[&program]).has_code(0);
    let mut numbers = Vec::new();
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(1100));
        let before = SystemTime::now();
        let ended = restored(&file, &[&program], b"\n");
        numbers.push(number_of(&ended.stdout, before));
    }
    assert_ne!(numbers[0], numbers[1]);
}

#[test]
fn a_snapshot_that_is_cut_short_ends_its_guest_with_a_word() {
    if lacks(Need::Kvm) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("snapshot");
    snapshot(&file, &SERVE).has_code(0);
    let mut launcher = restore(&file, &SERVE);
    launcher.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = launcher.spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    input.write_all(b"\n").unwrap();
    let mut line = [0; 9];
    process
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut line)
        .unwrap();
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(9000)
        .unwrap();
    input.write_all(&[b'\n'; 100]).unwrap();
    drop(input);
    let ended = Ended::from(process.wait_with_output().unwrap());
    ended
        .has_code(125)
        .says_one_line()
        .says("the snapshot's file was cut short");
}

#[test]
fn what_is_no_snapshot_and_what_is_in_the_way_is_refused() {
    if lacks(Need::Kvm) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("snapshot");
    let refuses = |ended: &Ended, words: &str| {
        ended.is_refused_by("isobench-vmm", words);
    };
    let attempt = || Ended::of(restore(&file, &SERVE).stdin(Stdio::null()));
    refuses(&attempt(), "No such file");
    fs::write(&file, "something else").unwrap();
    refuses(&attempt(), "no snapshot of isobench-vmm");
    refuses(&snapshot(&file, &SERVE), "already exists");
    fs::remove_file(&file).unwrap();
    let missing = directory.path().join("missing/snapshot");
    refuses(&snapshot(&missing, &SERVE), "No such file");
    let ended = snapshot(&file, &[WORKLOAD, "ready"]);
    ended.has_code(2).says("asked for no input");
    ended.says("it ended with exit code 0");
    snapshot(&file, &SERVE).has_code(0);
    let others = [&SERVE[..], &["--compute", "1"]].concat();
    let other = Ended::of(restore(&file, &others).stdin(Stdio::null()));
    refuses(&other, "had other arguments");
    fs::remove_file(&file).unwrap();
    let mut both = Command::new(VMM);
    both.args([
        "run",
        "--snapshot",
        "a",
        "--restore",
        "b",
        "--",
        WORKLOAD,
        "ready",
    ]);
    refuses(&Ended::of(&mut both), "can't be combined");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
