//! Programs that wait before they start, and clones of programs that have initialised.

#[expect(dead_code, reason = "the tests of isobench itself use the rest")]
mod support;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _, pipe};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use isobench_testing::{Need, compile_c, lacks, skip};
use isobench_workloads::template;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use support::ended::Ended;

const VMM: &str = env!("CARGO_BIN_EXE_isobench-vmm");
const CONTAINER: &str = env!("CARGO_BIN_EXE_isobench-container");
const WORKLOAD: &str = env!("CARGO_BIN_EXE_isobench-workload");
const SERVE: [&str; 4] = [WORKLOAD, "serve", "--touch", "1MiB"];

/// A program that is ready to be cloned.
struct Template {
    process: Child,
    requests: OwnedFd,
}

/// A clone's end of its standard streams.
struct Clone {
    input: File,
    output: BufReader<File>,
}

impl Template {
    /// Starts `command` with the socket for requests as its standard input.
    fn start(command: &mut Command) -> Self {
        let (requests, served) = template::socket().unwrap();
        let process = command.stdin(served).spawn().unwrap();
        Self { process, requests }
    }

    /// Starts a bare guest.
    fn of_guest(program: &[&str]) -> Self {
        let mut launcher = Command::new(VMM);
        launcher.args(["run", "--template", "--"]).args(program);
        Self::start(&mut launcher)
    }

    fn clone(&self) -> Clone {
        let (input, near_input) = pipe().unwrap();
        let (near_output, output) = pipe().unwrap();
        template::request(self.requests.as_fd(), input.as_fd(), output.as_fd()).unwrap();
        Clone {
            input: OwnedFd::from(near_input).into(),
            output: BufReader::new(OwnedFd::from(near_output).into()),
        }
    }

    /// Closes the socket, and expects that the template ends with code 0.
    fn end(mut self) {
        drop(self.requests);
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }
}

impl Clone {
    fn ask(&mut self) -> String {
        self.input.write_all(b"\n").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    /// What the clone still says after the end of its input.
    fn rest(self) -> String {
        let Self { input, mut output } = self;
        drop(input);
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        rest
    }
}

/// Expects that clones answer each for itself, and end one by one.
fn clones_answer(template: Template) {
    let (mut one, mut other) = (template.clone(), template.clone());
    assert!(one.ask().contains("answer number=1 "));
    assert!(one.ask().contains("answer number=2 "));
    assert!(other.ask().contains("answer number=1 "));
    assert_eq!(one.rest(), "");
    assert!(other.ask().contains("answer number=2 "));
    assert_eq!(other.rest(), "");
    template.end();
}

#[test]
fn a_program_clones_itself() {
    let mut command = Command::new(WORKLOAD);
    let command = command.args(&SERVE[1..]).arg("--template");
    let mut template = Template::start(command.stdout(Stdio::piped()));
    let mut line = [0; 17];
    let said = template.process.stdout.as_mut().unwrap();
    said.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"isobench/1 begin\n");
    clones_answer(template);
}

#[test]
fn a_guest_without_an_os_is_cloned_with_its_program() {
    if !lacks(Need::Kvm) {
        clones_answer(Template::of_guest(&SERVE));
    }
}

#[test]
fn two_hundred_clones_live_at_once() {
    if lacks(Need::Kvm) {
        return;
    }
    let template = Template::of_guest(&SERVE);
    let mut clones: Vec<_> = (0..200).map(|_| template.clone()).collect();
    for clone in &mut clones {
        assert!(clone.ask().contains("answer number=1 "));
    }
    for clone in clones {
        assert_eq!(clone.rest(), "");
    }
    let pid = template.process.id();
    wait_until(|| fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap() == "");
    template.end();
}

/// Waits until `is_so`, at most ten seconds.
#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not become so");
}

#[test]
fn a_template_that_dies_takes_its_clones_along() {
    if lacks(Need::Kvm) {
        return;
    }
    let mut template = Template::of_guest(&SERVE);
    let mut clone = template.clone();
    clone.ask();
    template.process.kill().unwrap();
    template.process.wait().unwrap();
    let mut rest = String::new();
    clone.output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

/// A compiled program in C.
fn compile(directory: &Path, source: &str) -> Option<String> {
    let program = directory.join("program");
    let compiled = compile_c(&program, source, &["-static", "-pthread"]);
    compiled.then(|| program.to_str().unwrap().to_owned())
}

/// Prints, after its first input, the time, a random number, a number of its thread's own, and one
/// that was in a register.
const OWN: &str = r#"
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
static __thread int own = 7;
int main(void) {
    double kept = 0.1;
    char line[9];
    struct timespec now;
    unsigned long number;
    clock_gettime(CLOCK_REALTIME, &now);
    asm volatile("" : "+x"(kept));
    if (!fgets(line, sizeof line, stdin)) return 3;
    asm volatile("" : "+x"(kept));
    clock_gettime(CLOCK_REALTIME, &now);
    if (getrandom(&number, sizeof number, 0) != sizeof number) return 4;
    printf("%ld %lx %d %.1f\n", (long)now.tv_sec, number, own++, kept);
    return 0;
}"#;

/// The random number of a line that a program [`OWN`] has printed after the moment `before`.
#[track_caller]
fn number_of(line: &str, before: SystemTime) -> String {
    let words: Vec<_> = line.split_whitespace().collect();
    let [seconds, number, own, kept] = words[..] else {
        panic!("{line:?}");
    };
    let before = before.duration_since(UNIX_EPOCH).unwrap();
    let late = seconds.parse::<u64>().unwrap() - before.as_secs();
    assert!(late < 5, "{line}");
    assert_eq!((own, kept), ("7", "0.1"));
    number.to_owned()
}

#[test]
fn clones_have_clocks_random_numbers_and_registers_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path(), OWN).filter(|_| !lacks(Need::Kvm)) else {
        return;
    };
    let template = Template::of_guest(&[&program]);
    let mut numbers = Vec::new();
    for _ in 0..3 {
        // The clock has gone on since the program read it.
        std::thread::sleep(Duration::from_millis(1100));
        let before = SystemTime::now();
        numbers.push(number_of(&template.clone().ask(), before));
    }
    numbers.dedup();
    assert_eq!(numbers.len(), 3);
    template.end();
}

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
fn a_request_without_descriptors_makes_no_clone_and_does_no_harm() {
    if lacks(Need::Kvm) {
        return;
    }
    let template = Template::of_guest(&SERVE);
    nix::unistd::write(&template.requests, b"no descriptor").unwrap();
    assert!(template.clone().ask().contains("answer number=1 "));
    template.end();
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

#[test]
fn a_program_that_ends_before_its_input_ends_the_template() {
    if lacks(Need::Kvm) {
        return;
    }
    let (_requests, served) = template::socket().unwrap();
    let mut launcher = Command::new(VMM);
    launcher.args(["run", "--template", "--", WORKLOAD, "ready"]);
    let ended = Ended::of(launcher.stdin(served));
    ended.has_code(0).prints("isobench/1 ready");
}

#[test]
fn a_program_with_threads_is_no_template() {
    let source = r"
#include <pthread.h>
#include <unistd.h>
static void *wait(void *unused) { return sleep(60), unused; }
int main(void) {
    pthread_t thread;
    char byte;
    pthread_create(&thread, 0, wait, 0);
    return read(0, &byte, 1) != 1;
}";
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path(), source).filter(|_| !lacks(Need::Kvm)) else {
        return;
    };
    let (_requests, served) = template::socket().unwrap();
    let mut launcher = Command::new(VMM);
    launcher.args(["run", "--template", "--", &program]);
    Ended::of(launcher.stdin(served)).is_refused_by("isobench-vmm", "has 2 threads");
}

#[test]
fn what_clones_would_share_is_refused() {
    let mut launcher = Command::new(VMM);
    launcher.args(["run", "--template", "--", WORKLOAD, "ready"]);
    let ended = Ended::of(launcher.stdin(Stdio::null()));
    ended.is_refused_by("isobench-vmm", "from a Unix socket as standard input");
    for (options, name) in [
        (&["--vcpus", "2"][..], "--vcpus"),
        (&["--net", "tap"], "--net tap"),
        (&["--disk", "/dev/null"], "a disk"),
    ] {
        let (_requests, served) = template::socket().unwrap();
        let mut launcher = Command::new(VMM);
        launcher.args(["run", "--template"]).args(options);
        launcher.args(["--", WORKLOAD, "ready"]).stdin(served);
        let words = format!("--template can't be combined with {name}");
        Ended::of(&mut launcher).is_refused_by("isobench-vmm", &words);
    }
}

/// Starts a launcher that holds, and expects that its program waits for the word.
fn program_waits(launcher: &mut Command, program: &[&str]) {
    let (mut near, far) = UnixStream::pair().unwrap();
    fcntl(&far, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let number = far.as_raw_fd().to_string();
    launcher.args(["--hold", "--marks-fd", &number, "--"]);
    let mut process = launcher
        .args(program)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(far);
    let mut marks = BufReader::new(near.try_clone().unwrap()).lines();
    assert!(marks.any(|line| line.unwrap().starts_with("held ")));
    // Whoever does not wait has written long before.
    std::thread::sleep(Duration::from_millis(50));
    let mut said = process.stdout.take().unwrap();
    fcntl(&said, FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
    let early = said.read(&mut [0; 64]).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
    near.write_all(b"\n").unwrap();
    fcntl(&said, FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
    let mut line = String::new();
    said.read_to_string(&mut line).unwrap();
    assert_eq!(line, "isobench/1 ready\n");
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_guest_without_an_os_waits_for_the_word() {
    if !lacks(Need::Kvm) {
        program_waits(Command::new(VMM).arg("run"), &[WORKLOAD, "ready"]);
    }
}

#[test]
fn a_container_waits_for_the_word() {
    let layer = tempfile::tempdir().unwrap();
    fs::copy(WORKLOAD, layer.path().join("workload")).unwrap();
    let container = || {
        let mut launcher = Command::new(CONTAINER);
        launcher.arg("--layer").arg(layer.path());
        launcher
    };
    let trial = Ended::of(container().args(["--", "/workload", "ready"]));
    if trial.code != Some(0) {
        skip(Need::UserNamespaces, trial.stderr);
        return;
    }
    program_waits(&mut container(), &["/workload", "ready"]);
}

#[test]
fn holding_without_a_way_back_is_refused() {
    let layer = Path::new("/");
    for launcher in [
        Command::new(VMM).arg("run"),
        Command::new(CONTAINER).arg("--layer").arg(layer),
    ] {
        let ended = Ended::of(launcher.args(["--hold", "--", WORKLOAD, "ready"]));
        ended
            .has_code(2)
            .says("--hold needs a socket as --marks-fd");
    }
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
