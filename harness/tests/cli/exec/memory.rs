//! Programs that map more memory than the guest without an OS has. What they print is what they print
//! as bare processes.

use std::io::Write as _;

use isobench_testing::compile_c;

use crate::support::isobench::Finished;
use crate::support::needs::can_run;
use crate::support::place::Place;

/// Does what its first argument says. A gibibyte of zeros is its own.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#define GIB (1UL << 30)
#define MIB (1UL << 20)
static char zeros[GIB];

static char *map(size_t length, int protection, int flags) {
    char *at = mmap(0, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (at == MAP_FAILED) { printf("mmap: %s\n", strerror(errno)); fflush(stdout); _exit(3); }
    return at;
}
static char *map_writable(size_t length, int flags) { return map(length, PROT_READ | PROT_WRITE, flags); }

static unsigned long sum(const char *at, size_t length, size_t step) {
    unsigned long total = 0;
    for (size_t i = 0; i < length; i += step) total += (unsigned char)at[i];
    return total;
}
static void fill(char *at, size_t length, size_t step) {
    for (size_t i = 0; i < length; i += step) at[i] = i / step % 251 + 1;
}
static unsigned long deep(int depth) {
    volatile char frame[4096];
    frame[0] = depth % 100;
    return depth ? deep(depth - 1) + frame[0] : 0;
}

int main(int count, char **words) {
    const char *what = words[1];
    if (!strcmp(what, "zeros")) {
        zeros[12345678] = 7;
        printf("%d %d\n", zeros[12345678], zeros[GIB - 1]);
    } else if (!strcmp(what, "read-all")) {
        printf("%lu\n", sum(zeros, 192 * MIB, 4096));
    } else if (!strcmp(what, "sparse")) {
        fill(zeros, GIB, 64 << 10);
        printf("%lu\n", sum(zeros, GIB, 64 << 10));
    } else if (!strcmp(what, "stacks")) {
        char *stacks[64];
        for (int i = 0; i < 64; i++) {
            stacks[i] = map(8 * MIB, PROT_NONE, MAP_NORESERVE | MAP_STACK);
            if (mprotect(stacks[i] + 4096, 8 * MIB - 4096, PROT_READ | PROT_WRITE)) return 4;
            memset(stacks[i] + 8 * MIB - 20000, i + 1, 20000);
        }
        unsigned long total = 0;
        for (int i = 0; i < 64; i++) total += sum(stacks[i] + 4096, 8 * MIB - 4096, 9999);
        printf("%lu\n", total);
    } else if (!strcmp(what, "calls")) {
        char *at = map_writable(GIB, 0);
        long got = read(0, at + GIB / 2 - 5, 100);
        dprintf(1, "%ld ", got);
        got = write(1, at + GIB / 2 - 5, 10);
        printf("%ld\n", got + write(1, zeros + GIB / 2, 3));
    } else if (!strcmp(what, "break")) {
        char *old = sbrk(GIB);
        if (old == (void *)-1) return 5;
        old[GIB / 2] = 1;
        printf("%d %d\n", brk(old), sbrk(0) == old);
    } else if (!strcmp(what, "again")) {
        for (int round = 0; round < 4; round++) {
            char *at = map_writable(48 * MIB, 0);
            fill(at, 48 * MIB, 4096);
            if (round % 2) munmap(at, 48 * MIB); else madvise(at, 48 * MIB, MADV_DONTNEED);
            if (!(round % 2)) printf("%lu ", sum(at, 48 * MIB, 65536));
        }
        puts("done");
    } else if (!strcmp(what, "grow")) {
        char *at = map_writable(16 * MIB, 0);
        strcpy(at + MIB, "kept");
        at = mremap(at, 16 * MIB, GIB, MREMAP_MAYMOVE);
        printf("%s %lu\n", at + MIB, sum(at, GIB, MIB / 16));
    } else if (!strcmp(what, "unreserved")) {
        map_writable(1UL << 40, MAP_NORESERVE)[1UL << 39] = 1;
        puts("done");
    } else if (!strcmp(what, "deep")) {
        printf("%lu\n", deep(1600));
    } else if (!strcmp(what, "fill")) {
        puts("begun");
        fflush(stdout);
        fill(zeros, GIB, 4096);
    } else if (!strcmp(what, "none")) {
        char *at = map(64 * MIB, PROT_NONE, 0);
        return at[MIB];
    } else if (!strcmp(what, "read-only")) {
        map(64 * MIB, PROT_READ, 0)[MIB] = 1;
    }
    return 0;
}"#;

/// The program, in a place of its own. The result is `None` if it can't be compiled or run here.
fn place() -> Option<Place> {
    let place = Place::new();
    let compiled = compile_c(&place.path("program"), SOURCE, &["-static", "-O1"]);
    (compiled && can_run("microvm-bare")).then_some(place)
}

/// Runs the program in `target`. `input` is its standard input.
fn run(place: &Place, target: &str, what: &str) -> Finished {
    let exec = place.isobench(&["exec", "--target", target]);
    let mut running = exec.program(&["./program", what]).starts_with_input();
    let mut stdin = running.child.stdin.take().unwrap();
    // A program that reads nothing may have ended.
    let _ = stdin.write_all(b"some text");
    drop(stdin);
    running.ends()
}

#[test]
fn a_program_may_map_more_than_the_guest_has() {
    let Some(place) = place() else {
        return;
    };
    for what in [
        "zeros",
        "read-all",
        "sparse",
        "stacks",
        "calls",
        "break",
        "again",
        "grow",
        "unreserved",
        "deep",
    ] {
        let process = run(&place, "process", what);
        process.has_code(0);
        let guest = run(&place, "microvm-bare", what);
        assert_eq!(guest.stdout, process.stdout, "{what}");
        assert_eq!(guest.stderr, "", "{what}");
        guest.has_code(0);
    }
}

#[test]
fn a_program_that_fills_more_than_the_guest_has_is_killed_and_told_why() {
    let Some(place) = place() else {
        return;
    };
    let ended = run(&place, "microvm-bare", "fill");
    assert_eq!(ended.stdout, "begun\n");
    ended
        .has_code(128 + 9)
        .says_one_line()
        .says("stopped by SIGKILL")
        .says("used up the guest's memory of 128.0 MiB")
        .says("--memory");
    ended.leaves_nothing();
}

#[test]
fn an_access_that_is_not_permitted_is_a_segmentation_fault() {
    let Some(place) = place() else {
        return;
    };
    for (what, cause) in [
        ("none", "(reading from a page without read permission)"),
        ("read-only", "(writing to a page without write permission)"),
    ] {
        let ended = run(&place, "microvm-bare", what);
        ended
            .has_code(128 + 11)
            .says("stopped by SIGSEGV")
            .says(cause);
    }
}
