//! The microVM's launcher, end to end: real programs, real command lines, real KVM.

#[expect(dead_code, reason = "the tests of isobench itself use the rest")]
mod support;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use isobench::instance::marks::parse_marks;
use isobench_testing::{Need, lacks};
use isobench_vmm::bare::Phase;
use serde_json::Value;
use support::ended::Ended;

const LAUNCHER: &str = env!("CARGO_BIN_EXE_isobench-vmm");
const WORKLOAD: &str = env!("CARGO_BIN_EXE_isobench-workload");

fn launch(arguments: &[&str]) -> Ended {
    let mut command = Command::new(LAUNCHER);
    Ended::of(command.args(arguments).stdin(Stdio::null()))
}

fn run(program: &Path, arguments: &[&str]) -> Ended {
    let program = program.to_str().unwrap();
    launch(&[&["run", "--", program], arguments].concat())
}

/// Compiles a C program. `None` if there is no compiler here or no KVM to run the program.
fn compile_c(directory: &Path, source: &str, flags: &[&str]) -> Option<PathBuf> {
    if lacks(Need::Kvm) {
        return None;
    }
    let program = directory.join(format!("program{}", flags.concat()));
    isobench_testing::compile_c(&program, source, flags).then_some(program)
}

#[test]
fn the_workload_says_ready() {
    if lacks(Need::Kvm) {
        return;
    }
    for arguments in [&["ready"][..], &["ready", "--libc"]] {
        let ended = run(Path::new(WORKLOAD), arguments);
        ended.has_code(0);
        assert_eq!(ended.stdout, "isobench/1 ready\n", "{ended:?}");
    }
}

#[test]
fn the_marks_come_in_order() {
    if lacks(Need::Kvm) {
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
    reader.read_to_string(&mut text).unwrap();
    let (marks, _) = parse_marks(&text).unwrap();
    let names: Vec<_> = marks.iter().map(|mark| mark.phase.as_str()).collect();
    let without_network = Phase::ALL
        .into_iter()
        .filter(|phase| *phase != Phase::Network);
    assert_eq!(names, without_network.map(Phase::name).collect::<Vec<_>>());
    assert!(marks.is_sorted_by_key(|mark| mark.at), "{text}");
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
        let Some(program) = compile_c(directory.path(), source, flags) else {
            return;
        };
        let program = program.to_str().unwrap();
        let ended = launch(&["run", "--env", "KEY=value", "--", program, "word"]);
        ended.has_code(42);
        assert_eq!(ended.stdout, "2 word value\n", "{ended:?}");
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
    let Some(program) = compile_c(directory.path(), source, &["-static"]) else {
        return;
    };
    let ended = run(&program, &[]);
    assert_eq!(ended.stdout, "so far\n", "{ended:?}");
    ended
        .has_code(128 + 11)
        .says("stopped by SIGSEGV at rip=0x")
        .says("(reading from an unmapped page)");
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
    if let Some(program) = compile_c(directory.path(), source, &["-static"]) {
        run(&program, &[]).has_code(0);
    }
}

#[test]
fn a_c_program_runs_code_on_its_stack_and_learns_where_its_stack_is() {
    // GCC makes code on the stack for a nested function whose address is taken.
    let source = r#"
        #define _GNU_SOURCE
        #include <pthread.h>
        #include <stdio.h>
        static int apply(int (*function)(int), int value) { return function(value); }
        int main(void) {
            int base = 40;
            int add(int value) { return base + value; }
            pthread_attr_t attributes;
            void *start;
            size_t size;
            if (pthread_getattr_np(pthread_self(), &attributes)) return 1;
            pthread_attr_getstack(&attributes, &start, &size);
            char *here = (char *)&size;
            printf("%d %d\n", apply(add, 2), here >= (char *)start && here < (char *)start + size);
            return 0;
        }"#;
    let directory = tempfile::tempdir().unwrap();
    if let Some(program) = compile_c(directory.path(), source, &["-static"]) {
        let ended = run(&program, &[]);
        ended.has_code(0);
        assert_eq!(ended.stdout, "42 1\n", "{ended:?}");
    }
}

#[test]
fn a_program_that_asks_for_too_much_memory_is_told_how_to_get_more() {
    let source = r"
        #include <stdlib.h>
        int main(int count, char **words) { return malloc(atol(words[1])) == 0; }";
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile_c(directory.path(), source, &["-static"]) else {
        return;
    };
    // No program can ask for more than 64 GiB at once.
    let ended = run(&program, &["100000000000"]);
    ended
        .has_code(1)
        .says("asked for 93.1 GiB of memory")
        .says("the guest of 128.0 MiB")
        .says("--memory");
    let ended = run(&program, &["1000"]);
    ended.has_code(0);
    assert_eq!(ended.stderr, "", "{ended:?}");
}

#[test]
fn memory_is_rounded_down_to_whole_pages() {
    if lacks(Need::Kvm) {
        return;
    }
    for (size, is_enough) in [
        ("100MB", true),
        ("67108865B", true),
        ("1048577B", true),
        ("1048575B", false),
    ] {
        let ended = launch(&["run", "--memory", size, "--", WORKLOAD, "ready"]);
        let is_refused = ended.stderr.contains("not between 1.0 MiB");
        assert_ne!(is_enough, is_refused, "{size}: {ended:?}");
    }
}

#[test]
fn files_of_the_programs_own_are_as_in_a_process() {
    let source = r#"
        #define _GNU_SOURCE
        #include <fcntl.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/mman.h>
        #include <unistd.h>
        int main(void) {
            char name[] = "/tmp/isobench-XXXXXX", text[32] = "";
            int file = mkstemp(name), memory = memfd_create("m", 0);
            char moved[64];
            snprintf(moved, sizeof moved, "%s-moved", name);
            printf("%zd %d\n", write(file, "0123456789", 10), rename(name, moved));
            printf("%d %zd %s\n", ftruncate(file, 4), pread(file, text, 32, 0), text);
            printf("%d %d\n", access(name, F_OK), unlink(moved));
            ftruncate(memory, 64 << 10);
            char *first = mmap(0, 64 << 10, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
            char *second = mmap(0, 64 << 10, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
            char *copy = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, memory, 0);
            long sum = 0;
            for (int i = 0; i < 64 << 10; i++) first[i] = i;
            for (int i = 0; i < 64 << 10; i++) sum += second[i];
            copy[0] = 9;
            printf("%ld %d %d\n", sum, first[0], copy[1] < 2);
            // The processor must not go on to show what was there before.
            pwrite(memory, "ZZ", 2, 4096);
            mprotect(second, 64 << 10, PROT_READ);
            first[4097] = 'Y';
            printf("%.2s %d\n", second + 4096, munmap(first, 64 << 10));
            mmap(second, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            second[1] = 5;
            printf("%d %d %d\n", second[0], (int)pread(memory, text, 2, 0), text[1]);
            // A program that was just written runs.
            unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
            pwrite(memory, code, sizeof code, 8192);
            int (*run)(void) = mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, memory, 8192);
            printf("%d\n", run());
            return 0;
        }"#;
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile_c(directory.path(), source, &["-static"]) else {
        return;
    };
    let right = Ended::of(&mut Command::new(&program));
    right.has_code(0);
    let ended = run(&program, &[]);
    assert_eq!(ended.stdout, right.stdout, "{ended:?}");
    ended.has_code(0);
}

#[test]
fn a_program_that_asks_for_another_process_is_told_at_its_end() {
    let source = r"
        #include <spawn.h>
        #include <stdlib.h>
        #include <unistd.h>
        int main(int count, char **words) {
            pid_t child;
            switch (words[1][0]) {
                case 'f': fork(); break;
                case 's': posix_spawn(&child, words[0], 0, 0, words, 0); break;
                case 'e': execve(words[0], words, 0); break;
            }
            return atoi(words[2]);
        }";
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile_c(directory.path(), source, &["-static"]) else {
        return;
    };
    for (what, named) in [
        ("fork", "asked for fork"),
        ("spawn", "asked for fork"),
        ("exec", "asked for execve"),
    ] {
        // Shells, too, may end as if all had gone well.
        for code in [0, 3] {
            let ended = run(&program, &[what, &code.to_string()]);
            ended
                .has_code(code)
                .says_one_line()
                .says(named)
                .says("microvm-linux");
        }
    }
    let quiet = run(&program, &["nothing", "3"]);
    quiet.has_code(3);
    assert_eq!(quiet.stderr, "", "{quiet:?}");
}

#[test]
fn a_bad_program_is_one_clear_line() {
    let directory = tempfile::tempdir().unwrap();
    let garbage = directory.path().join("garbage");
    fs::write(&garbage, b"#!/bin/sh\n").unwrap();
    let truncated = directory.path().join("truncated");
    fs::write(&truncated, &fs::read(WORKLOAD).unwrap()[..5000]).unwrap();
    let missing = directory.path().join("missing");
    for (program, reason) in [
        (garbage.as_path(), "not an ELF program"),
        (&truncated, "truncated"),
        (&missing, "cannot be read: No such file"),
        (directory.path(), "not a regular file"),
        (Path::new("/bin/sh"), "dynamically linked"),
    ] {
        let ended = run(program, &[]);
        let refusal = ended.is_refused_by("isobench-vmm", reason);
        refusal.says(program.to_str().unwrap());
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
        let ended = launch(arguments);
        ended.has_code(2);
        assert!(ended.stderr.starts_with("isobench-vmm: "), "{ended:?}");
    }
}

#[test]
fn a_program_that_never_ends_ends_with_its_launcher() {
    let directory = tempfile::tempdir().unwrap();
    let source = "#include <stdio.h>\nint main(void) { puts(\"on\"); fflush(stdout); for (;;) ; }";
    let Some(program) = compile_c(directory.path(), source, &["-static"]) else {
        return;
    };
    let program = program.to_str().unwrap();
    for signal in ["TERM", "INT", "KILL"] {
        // A shell lets programs that it starts in the background ignore interrupts, and their
        // children inherit that.
        let mut child = Command::new("env")
            .args(["--default-signal", LAUNCHER, "run", "--"])
            .arg(program)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 3];
        let stdout = child.stdout.as_mut().unwrap();
        stdout.read_exact(&mut first).unwrap();
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
    if lacks(Need::Kvm) {
        return;
    }
    let ended = launch(&["probe"]);
    let found: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(ended.stdout.ends_with("}\n"), "{ended:?}");
    assert!(found["kind"].is_string(), "{found}");
    assert!(found["ring0_mips"].is_number(), "{found}");
    assert!(found["syscall_changes_ring"].is_boolean(), "{found}");
}
