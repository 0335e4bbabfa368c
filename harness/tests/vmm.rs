//! The microVM's launcher, end to end: real programs, real command lines, real KVM.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const LAUNCHER: &str = env!("CARGO_BIN_EXE_isobench-vmm");
const WORKLOAD: &str = env!("CARGO_BIN_EXE_workload");

/// Whether this host lets us make VMs; says why if not.
fn has_kvm() -> bool {
    match std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
    {
        Ok(_) => true,
        Err(error) => {
            eprintln!("skipped: /dev/kvm: {error}");
            false
        }
    }
}

fn launch(arguments: &[&str]) -> Output {
    Command::new(LAUNCHER)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn run(program: &Path, arguments: &[&str]) -> Output {
    let program = program.to_str().unwrap();
    launch(&[&["run", "--", program], arguments].concat())
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Compiles a static C program; `None`, with the reason, where there is no compiler.
fn compile_c(directory: &Path, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let program = directory.join(format!("program{}", flags.concat()));
    let child = Command::new("cc")
        .args(["-x", "c", "-", "-O1", "-o"])
        .arg(&program)
        .args(flags)
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: no C compiler");
        return None;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(source.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
    Some(program)
}

#[test]
fn the_workload_says_ready() {
    if !has_kvm() {
        return;
    }
    for arguments in [&["ready"][..], &["ready", "--libc"]] {
        let output = run(Path::new(WORKLOAD), arguments);
        assert_eq!(stdout(&output), "isobench/1 ready\n", "{output:?}");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn the_marks_come_in_order() {
    if !has_kvm() {
        return;
    }
    let (mut reader, writer) = std::io::pipe().unwrap();
    let script = r#"exec "$0" run --marks-fd 3 -- "$1" ready 3>&0 </dev/null"#;
    let status = Command::new("sh")
        .args(["-c", script, LAUNCHER, WORKLOAD])
        .stdin(writer)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let mut text = String::new();
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    let (marks, _) = isobench::instance::marks::parse_marks(&text).unwrap();
    let names: Vec<_> = marks.iter().map(|mark| mark.phase.as_str()).collect();
    assert_eq!(
        names,
        isobench_vmm::bare::Phase::ALL.map(isobench_vmm::bare::Phase::name)
    );
    assert!(marks.windows(2).all(|pair| pair[0].at <= pair[1].at));
}

#[test]
fn a_c_program_gets_its_arguments_and_gives_its_code() {
    let source = r#"
        #include <stdio.h>
        #include <stdlib.h>
        int main(int count, char **words) {
            printf("%d %s %s\n", count, words[1], getenv("KEY"));
            return 42;
        }"#;
    let directory = tempfile::tempdir().unwrap();
    for flags in [&["-static"][..], &["-static-pie"]] {
        let Some(program) = compile_c(directory.path(), source, flags).filter(|_| has_kvm()) else {
            return;
        };
        let output = launch(&[
            "run",
            "--env",
            "KEY=value",
            "--",
            program.to_str().unwrap(),
            "word",
        ]);
        assert_eq!(stdout(&output), "2 word value\n", "{output:?}");
        assert_eq!(output.status.code(), Some(42));
    }
}

#[test]
fn memory_is_large_and_zero_and_faults_where_it_is_gone() {
    let source = r#"
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/mman.h>
        int main(void) {
            size_t size = 48u << 20;
            char *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            for (size_t i = 0; i < size; i += 4096) { if (p[i]) return 1; p[i] = i >> 12; }
            for (int round = 0; round < 200; round++) {
                char *q = realloc(malloc(round * 5000 + 1), round * 9000 + 1);
                memset(q, round, round * 9000 + 1);
                free(q);
            }
            for (size_t i = 0; i < size; i += 4096) if (p[i] != (char)(i >> 12)) return 2;
            munmap(p, size);
            puts("so far");
            fflush(stdout);
            return p[4096];
        }"#;
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile_c(directory.path(), source, &["-static"]).filter(|_| has_kvm())
    else {
        return;
    };
    let output = run(&program, &[]);
    assert_eq!(stdout(&output), "so far\n", "{output:?}");
    assert_eq!(output.status.code(), Some(128 + 11));
    let message = stderr(&output);
    assert!(
        message.contains("stopped by SIGSEGV at rip=0x"),
        "{message}"
    );
    assert!(
        message.contains("(reading from an unmapped page)"),
        "{message}"
    );
}

#[test]
fn vector_registers_survive_system_calls() {
    let source = r#"
        #include <immintrin.h>
        #include <unistd.h>
        #include <sys/syscall.h>
        __attribute__((target("avx2"))) static int wide(void) {
            __m256i v = _mm256_set_epi64x(1, 2, 3, 4);
            for (int i = 0; i < 1000; i++) {
                __asm__ volatile("syscall" : : "a"(SYS_getpid) : "rcx", "r11", "memory");
                __asm__ volatile("" : "+x"(v));
            }
            return _mm256_testc_si256(v, _mm256_set_epi64x(1, 2, 3, 4)) ? 0 : 1;
        }
        int main(void) { return __builtin_cpu_supports("avx2") ? wide() : 0; }"#;
    let directory = tempfile::tempdir().unwrap();
    if let Some(program) = compile_c(directory.path(), source, &["-static"]).filter(|_| has_kvm()) {
        assert_eq!(run(&program, &[]).status.code(), Some(0));
    }
}

#[test]
fn a_bad_program_is_one_clear_line() {
    let directory = tempfile::tempdir().unwrap();
    let garbage = directory.path().join("garbage");
    std::fs::write(&garbage, b"#!/bin/sh\n").unwrap();
    let truncated = directory.path().join("truncated");
    std::fs::write(&truncated, &std::fs::read(WORKLOAD).unwrap()[..5000]).unwrap();
    let missing = directory.path().join("missing");
    for (program, reason) in [
        (garbage.as_path(), "not an ELF program"),
        (&truncated, "truncated"),
        (&missing, "cannot be read: No such file"),
        (directory.path(), "not a regular file"),
        (Path::new("/bin/sh"), "dynamically linked"),
    ] {
        let output = run(program, &[]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let message = stderr(&output);
        assert!(message.contains(reason), "{message}");
        assert!(message.contains(program.to_str().unwrap()), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn a_bad_request_is_exit_code_2() {
    for arguments in [
        &[][..],
        &["walk"],
        &["run"],
        &["run", "--memory", "much", "--", WORKLOAD],
        &["run", "--memory", "5", "--", WORKLOAD],
        &["run", "--disk", "/nowhere", "--", WORKLOAD],
        &["run", "--file", "no-equals-sign", "--", WORKLOAD],
        &["run", "--marks-fd", "77", "--", WORKLOAD],
        &["run", "--fast", "--", WORKLOAD],
    ] {
        let output = launch(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
        assert!(
            stderr(&output).starts_with("isobench-vmm: "),
            "{arguments:?} {output:?}"
        );
    }
}

#[test]
fn a_program_that_never_ends_ends_with_its_launcher() {
    let directory = tempfile::tempdir().unwrap();
    let source = "#include <stdio.h>\nint main(void) { puts(\"on\"); fflush(stdout); for (;;) ; }";
    let Some(program) = compile_c(directory.path(), source, &["-static"]).filter(|_| has_kvm())
    else {
        return;
    };
    let program = program.to_str().unwrap();
    for signal in ["TERM", "INT", "KILL"] {
        // Whoever runs the tests in the background has them ignore an interrupt, and all that they start.
        let mut child = Command::new("env")
            .args(["--default-signal", LAUNCHER, "run", "--"])
            .arg(program)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 3];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut first).unwrap();
        let asked = Instant::now();
        let kill = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), None, "killed by {signal}");
        assert!(asked.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn the_probe_prints_json() {
    if !has_kvm() {
        return;
    }
    let output = launch(&["probe"]);
    let text = stdout(&output);
    assert!(
        text.starts_with("{\"kind\":\"") && text.ends_with("}\n"),
        "{text}"
    );
    assert!(text.contains("\"ring0_mips\":") && text.contains("\"syscall_changes_ring\":"));
}
