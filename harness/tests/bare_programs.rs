//! The guest without an OS beside Linux: programs in C that run as bare processes and in the guest, and
//! must print the same and end alike.

#[expect(dead_code, reason = "the tests of isobench itself use the rest")]
mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use isobench_testing::{Need, compile_c, lacks, skip};
use nix::libc;
use support::ended::Ended;
use tempfile::TempDir;

const LAUNCHER: &str = env!("CARGO_BIN_EXE_isobench-vmm");
/// The numbers of vCPUs with which programs run.
const VCPUS: [&str; 3] = ["1", "2", "4"];

/// A compiled program, in a directory of its own.
struct Program {
    path: PathBuf,
    _directory: TempDir,
}

impl Program {
    /// Compiles `source`. The result is `None` if there is no compiler here, or no KVM.
    fn compile(source: &str) -> Option<Self> {
        if lacks(Need::Kvm) {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        compile_c(&path, source, &["-static", "-pthread", "-lm"]).then_some(Self {
            path,
            _directory: directory,
        })
    }

    /// Runs the program as a process of a shell, whose exit code tells of a signal, too.
    fn as_process(&self, arguments: &[&str]) -> Ended {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#""$0" "$@"; exit $?"#]).arg(&self.path);
        Ended::of(shell.args(arguments).stdin(Stdio::null()))
    }

    /// Runs the program in a guest with so many vCPUs.
    fn in_guest(&self, vcpus: &str, arguments: &[&str]) -> Ended {
        let mut launcher = Command::new(LAUNCHER);
        launcher.args(["run", "--vcpus", vcpus, "--net", "loopback", "--"]);
        launcher.arg(&self.path);
        Ended::of(launcher.args(arguments).stdin(Stdio::null()))
    }

    /// Runs the program with these arguments as a process, and in guests with one vCPU and with more.
    #[track_caller]
    fn runs_alike(&self, arguments: &[&str]) {
        let process = self.as_process(arguments);
        // 2 means that the program does not know the arguments.
        assert_ne!(process.code, Some(2), "{arguments:?}");
        for vcpus in VCPUS {
            let guest = self.in_guest(vcpus, arguments);
            let what = format!("{arguments:?} with {vcpus} vCPUs: {guest:?}");
            assert_eq!(guest.stdout, process.stdout, "{what}");
            assert_eq!(guest.code, process.code, "{what}");
        }
    }
}

#[test]
fn random_calls_on_pipes_counters_timers_and_watch_lists_give_what_linux_gives() {
    let Some(program) = Program::compile(include_str!("bare_programs/model.c")) else {
        return;
    };
    for seed in 0..40 {
        program.runs_alike(&[&seed.to_string()]);
    }
}

#[test]
fn threads_run_wait_and_end_as_on_linux() {
    let Some(program) = Program::compile(include_str!("bare_programs/threads.c")) else {
        return;
    };
    for what in [
        &["queue", "100"][..],
        &["many"],
        &["spin"],
        &["registers"],
        &["vectors"],
        &["vectors-and-handlers"],
        &["own"],
        &["pipe"],
        &["epoll"],
        &["robust"],
        &["first-ends"],
        &["exit-from-another"],
        &["signals"],
        &["timeout"],
    ] {
        program.runs_alike(what);
    }
}

#[test]
fn a_program_whose_threads_all_wait_for_each_other_is_ended_with_a_reason() {
    let Some(program) = Program::compile(include_str!("bare_programs/threads.c")) else {
        return;
    };
    for vcpus in VCPUS {
        let guest = program.in_guest(vcpus, &["deadlock"]);
        guest
            .has_code(125)
            .says_one_line()
            .says("a wake-up that nobody can give");
    }
}

#[test]
fn what_one_vcpu_takes_away_no_other_one_sees_again() {
    let Some(program) = Program::compile(include_str!("bare_programs/processors.c")) else {
        return;
    };
    for how in ["unmap", "protect", "discard", "replace", "move"] {
        program.runs_alike(&["shootdown", how]);
    }
}

#[test]
fn threads_on_several_vcpus_share_memory_signals_and_clocks_as_on_linux() {
    let Some(program) = Program::compile(include_str!("bare_programs/processors.c")) else {
        return;
    };
    for what in ["touch", "reclaim", "atomic", "signal", "crash", "clock"] {
        program.runs_alike(&[what]);
    }
}

#[test]
fn many_threads_pass_messages_again_and_again_on_any_number_of_vcpus() {
    let Some(program) = Program::compile(include_str!("bare_programs/threads.c")) else {
        return;
    };
    for vcpus in ["2", "3", "4", "16"] {
        for _ in 0..5 {
            let guest = program.in_guest(vcpus, &["queue", "100"]);
            assert_eq!(guest.has_code(0).stdout, "158400\n", "{vcpus} vCPUs");
        }
    }
}

#[test]
fn threads_that_change_memory_while_calls_read_it_harm_the_program_alone() {
    let Some(program) = Program::compile(include_str!("bare_programs/hostile.c")) else {
        return;
    };
    for seed in 0..4 {
        for vcpus in ["1", "4"] {
            let guest = program.in_guest(vcpus, &[&seed.to_string()]);
            // The alarm ends the program, or another signal of its own. The launcher would end with
            // less, or by a signal.
            let is_own = guest.code.is_some_and(|code| code > 128);
            assert!(is_own, "seed {seed}, {vcpus} vCPUs: {guest:?}");
        }
    }
}

#[test]
fn a_program_finds_as_many_processors_as_it_has_vcpus() {
    let Some(program) = Program::compile(include_str!("bare_programs/processors.c")) else {
        return;
    };
    for (vcpus, expected) in [
        ("1", "1 1 1 1 1 0\n"),
        ("2", "2 2 2 2 1 0-1\n"),
        ("16", "16 16 16 16 1 0-15\n"),
    ] {
        let guest = program.in_guest(vcpus, &["processors"]);
        assert_eq!(guest.has_code(0).stdout, expected);
    }
    // Two threads that never leave their processors have two.
    let guest = program.in_guest("2", &["turns"]);
    assert_eq!(guest.has_code(0).stdout, "different 1\n");
}

#[test]
fn a_number_of_vcpus_that_no_guest_can_have_is_refused() {
    for (vcpus, words) in [
        ("0", "0 vCPUs: a guest without an OS has 1 to 16"),
        ("17", "17 vCPUs: a guest without an OS has 1 to 16"),
        ("two", "two"),
    ] {
        let mut launcher = Command::new(LAUNCHER);
        let ended = Ended::of(launcher.args(["run", "--vcpus", vcpus, "--", "/bin/true"]));
        ended.is_refused_by("isobench-vmm", words);
    }
}

#[test]
fn handlers_run_as_on_linux() {
    let Some(program) = Program::compile(include_str!("bare_programs/handlers.c")) else {
        return;
    };
    for what in [
        "faults",
        "floats",
        "mend",
        "context",
        "overflow",
        "stack",
        "masks",
        "suspend",
        "nest",
        "queue",
        "restart",
        "spin",
        "registers",
        "once",
        "no-stack",
    ] {
        program.runs_alike(&[what]);
    }
}

#[test]
fn sockets_give_what_linux_gives() {
    let Some(program) = Program::compile(include_str!("bare_programs/sockets.c")) else {
        return;
    };
    for what in ["errors", "options", "flags", "backlog", "threads", "epoll"] {
        program.runs_alike(&[what]);
    }
    for seed in 0..20 {
        program.runs_alike(&["model", &seed.to_string()]);
    }
}

#[test]
fn a_program_without_a_network_gets_no_socket() {
    let Some(program) = Program::compile(include_str!("bare_programs/server.c")) else {
        return;
    };
    let mut launcher = Command::new(LAUNCHER);
    launcher.args(["run", "--"]).arg(&program.path);
    let ended = Ended::of(&mut launcher);
    ended
        .has_code(1)
        .says("socket: Address family not supported");
}

/// The server in a guest with a link to the host; `None` on a host that makes none. The text is the
/// guest's address.
fn server(program: &Program, connections: &str) -> Option<(Child, String)> {
    let mut launcher = Command::new(LAUNCHER);
    launcher.args(["run", "--net", "tap", "--"]);
    launcher.arg(&program.path).arg(connections);
    launcher.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut guest = launcher.stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    let output = guest.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut ready).unwrap();
    if let Some(address) = ready.trim_end().strip_prefix("ready ") {
        return Some((guest, address.to_owned()));
    }
    let ended = Ended::from(guest.wait_with_output().unwrap());
    let why = "cannot make a TAP device";
    ended.has_code(125).says(why);
    skip(Need::TunDevice, why);
    None
}

#[test]
fn the_host_reaches_a_server_and_gets_its_last_bytes_after_its_end() {
    let Some(program) = Program::compile(include_str!("bare_programs/server.c")) else {
        return;
    };
    let Some((guest, address)) = server(&program, "5") else {
        return;
    };
    // Some are read at once, and the rest wait for the program.
    let mut clients: Vec<TcpStream> = (0..4)
        .map(|_| TcpStream::connect(&address).unwrap())
        .collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let sent = vec![number.to_le_bytes()[0]; 300_000 * number + 1];
        let expected = sent.clone();
        let mut writer = client.try_clone().unwrap();
        let writing = thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        writing.join().unwrap();
        assert!(got == expected, "{} of {}", got.len(), expected.len());
    }
    let mut last = TcpStream::connect(&address).unwrap();
    last.write_all(&vec![7; 100_000]).unwrap();
    last.shutdown(Shutdown::Write).unwrap();
    // The program ends while its answer is still on its way.
    thread::sleep(Duration::from_millis(100));
    let mut got = Vec::new();
    last.read_to_end(&mut got).unwrap();
    assert_eq!(got.len(), 100_000);
    Ended::from(guest.wait_with_output().unwrap()).has_code(0);
}

#[test]
fn a_reset_ends_the_program_s_read() {
    let Some(program) = Program::compile(include_str!("bare_programs/server.c")) else {
        return;
    };
    let Some((guest, address)) = server(&program, "1") else {
        return;
    };
    let client = TcpStream::connect(&address).unwrap();
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    nix::sys::socket::setsockopt(&client, nix::sys::socket::sockopt::Linger, &linger).unwrap();
    drop(client);
    let ended = Ended::from(guest.wait_with_output().unwrap());
    ended.has_code(1).says("read: Connection reset by peer");
}
