/* Does with several processors what its first argument says. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, ROUNDS = 40 };
static pthread_t threads[64];
static void start(int count, void *(*run)(void *)) {
    for (intptr_t i = 0; i < count; i++)
        if (pthread_create(&threads[i], 0, run, (void *)i)) { printf("pthread_create failed\n"); exit(9); }
}
static unsigned long join(int count) {
    unsigned long sum = 0;
    void *result;
    for (int i = 0; i < count; i++) { pthread_join(threads[i], &result); sum += (unsigned long)result; }
    return sum;
}
static void *map(void *at, size_t length, int protection) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0);
    void *mapped = mmap(at, length, protection, flags, -1, 0);
    if (mapped == MAP_FAILED) { printf("mmap: %s\n", strerror(errno)); exit(9); }
    return mapped;
}

/* One thread changes what is mapped at a page, in phases. Others access the page all the time, and
   know which accesses lay within one phase. What a phase permits is certain then. */
enum phase { MIXED, READS_VALUE, FAULTS, READS_ONLY };
/* A number that no other phase has, the value of the page (18 bits), and the phase's kind (2 bits). */
static _Atomic(uint64_t) phase;
static _Atomic(uint64_t) looks; /* the accesses that lay within one phase */
static _Atomic(int) is_over;
static volatile uint64_t *page;
static const uint64_t FOREIGN = 0xeeeeeeeeeeeeeeee;
static _Thread_local sigjmp_buf back;
static void go_back(int signal) { siglongjmp(back, 1); }

static void *look(void *which) {
    unsigned long wrong = 0;
    int writes = (intptr_t)which % 2;
    while (!is_over) {
        uint64_t before = phase, value = 0, old;
        volatile int faulted = 1;
        if (!sigsetjmp(back, 0)) {
            if (writes) __atomic_fetch_or((uint64_t *)page, 0, __ATOMIC_SEQ_CST);
            value = *page;
            faulted = 0;
        }
        old = atomic_load(&phase);
        if (!faulted && value == FOREIGN) { printf("foreign bytes\n"); wrong++; }
        int kind = before % 4;
        if (before != old || kind == MIXED) continue;
        int must_fault = kind == FAULTS || (writes && kind == READS_ONLY);
        if (faulted != must_fault) { printf("phase %lx: fault %d\n", before, faulted); wrong++; }
        if (!faulted && value != (before >> 2 & 0x3ffff)) { printf("phase %lx: value %lx\n", before, value); wrong++; }
        looks++;
    }
    return (void *)wrong;
}
/* Gives frames of the machine other contents all the time. */
static void *fill(void *unused) {
    while (!is_over) {
        uint64_t *other = map(0, 16 * PAGE, PROT_READ | PROT_WRITE);
        for (int i = 0; i < 16 * PAGE / 8; i++) other[i] = FOREIGN;
        munmap(other, 16 * PAGE);
    }
    return 0;
}
static void enter(uint64_t value, enum phase kind) {
    static uint64_t number;
    uint64_t seen = looks;
    phase = ++number << 20 | value << 2 | kind;
    while (looks < seen + 4) sched_yield();
    phase = ++number << 20 | MIXED;
}
static void shoot_down(const char *how) {
    struct sigaction action = {.sa_handler = go_back, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &action, 0);
    page = map(0, 2 * PAGE, PROT_READ | PROT_WRITE);
    start(2, look);
    pthread_create(&threads[2], 0, fill, 0);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        *page = i;
        enter(i, READS_VALUE);
        if (!strcmp(how, "unmap")) {
            munmap((void *)page, PAGE);
            enter(i, FAULTS);
            map((void *)page, PAGE, PROT_READ | PROT_WRITE);
            enter(0, READS_VALUE);
        } else if (!strcmp(how, "protect")) {
            mprotect((void *)page, PAGE, PROT_READ);
            enter(i, READS_ONLY);
            mprotect((void *)page, PAGE, PROT_NONE);
            enter(i, FAULTS);
            mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE);
            enter(i, READS_VALUE);
        } else if (!strcmp(how, "discard")) {
            madvise((void *)page, PAGE, MADV_DONTNEED);
            enter(0, READS_VALUE);
        } else if (!strcmp(how, "replace")) {
            map((void *)page, PAGE, PROT_READ | PROT_WRITE);
            enter(0, READS_VALUE);
        } else if (!strcmp(how, "move")) {
            /* The page after it is in the way. */
            uint64_t *moved = mremap((void *)page, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
            if (moved == MAP_FAILED || *moved != i) { printf("mremap: %s\n", strerror(errno)); exit(9); }
            enter(i, FAULTS);
            munmap(moved, 2 * PAGE);
            map((void *)page, PAGE, PROT_READ | PROT_WRITE);
            enter(0, READS_VALUE);
        } else exit(2);
    }
    is_over = 1;
    printf("wrong %lu\n", join(3));
}

/* All threads touch the same pages of a mapping that has no memory yet. */
static unsigned char *large;
enum { LARGE = 48 << 20 };
static void *touch_all(void *which) {
    unsigned long wrong = 0;
    for (size_t at = 0; at < LARGE; at += PAGE) large[at + (intptr_t)which] = 1 + (intptr_t)which;
    for (size_t at = 0; at < LARGE; at += PAGE) wrong += large[at + (intptr_t)which] != 1 + (intptr_t)which;
    return (void *)wrong;
}

/* Pages that were read alone give way to pages that are written. */
static void *write_and_check(void *which) {
    enum { OWN = 20 << 20 };
    unsigned long wrong = 0;
    volatile unsigned long *own = map(0, OWN, PROT_READ | PROT_WRITE);
    for (int round = 1; round < 6; round++) {
        for (size_t at = 0; at < OWN / 8; at += PAGE / 8) own[at] = at + round + (intptr_t)which;
        for (size_t at = 0; at < OWN / 8; at += PAGE / 8) wrong += own[at] != at + round + (intptr_t)which;
    }
    return (void *)wrong;
}
static void *read_much(void *unused) {
    unsigned long sum = 0;
    for (int round = 0; round < 4; round++) {
        volatile unsigned char *much = map(0, 80 << 20, PROT_READ | PROT_WRITE);
        for (size_t at = 0; at < 80 << 20; at += PAGE) sum += much[at];
        munmap((void *)much, 80 << 20);
    }
    return (void *)sum;
}

static _Atomic(int) counter, numbers[2];
static void *add_by_futex(void *unused) {
    int operation = FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, -1);
    for (int i = 0; i < 20000; i++) syscall(SYS_futex, &numbers[0], FUTEX_WAKE_OP, 1, (void *)1, &counter, operation);
    return 0;
}
static void *add_by_instruction(void *unused) {
    for (int i = 0; i < 20000; i++) counter++;
    return 0;
}

static _Atomic(int) handled, is_spinning, has_answered;
static void count(int signal) { handled++; }
static void *spin(void *unused) {
    is_spinning = 1;
    while (!is_over) {}
    return 0;
}
static void *crash(void *unused) {
    while (!is_spinning) sched_yield();
    *(volatile int *)(uintptr_t)is_spinning = 1;
    return 0;
}

static _Atomic(int) turn = -1;
static void *take_turns(void *which) {
    unsigned processor = 99;
    /* Neither gives its processor away before both have asked. */
    if ((intptr_t)which) {
        while (!is_spinning) {}
        syscall(SYS_getcpu, &processor, 0, 0);
        turn = processor;
        while (!has_answered) {}
    } else {
        is_spinning = 1;
        while (turn < 0) {}
        syscall(SYS_getcpu, &processor, 0, 0);
        processor = (int)processor != turn;
        has_answered = 1;
    }
    return (void *)(uintptr_t)processor;
}

static _Atomic(int64_t) latest;
static void *read_clock(void *unused) {
    unsigned long wrong = 0;
    for (int i = 0; i < 300000; i++) {
        struct timespec time;
        int64_t before = latest;
        clock_gettime(CLOCK_MONOTONIC, &time);
        int64_t now = time.tv_sec * 1000000000ll + time.tv_nsec;
        wrong += now < before;
        while (before < now && !atomic_compare_exchange_weak(&latest, &before, now)) {}
    }
    return (void *)wrong;
}

static int lines(const char *path, const char *start) {
    char line[4096];
    int count = 0;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) count += !strncmp(line, start, strlen(start));
    if (file) fclose(file);
    return count;
}
static void tell_processors(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    char online[64] = "";
    FILE *file = fopen("/sys/devices/system/cpu/online", "r");
    if (!file || !fgets(online, sizeof online, file)) exit(9);
    int here = sched_getcpu(), all = sysconf(_SC_NPROCESSORS_ONLN);
    printf("%d %d %d %d %d %s", all, CPU_COUNT(&set), lines("/proc/cpuinfo", "processor"),
           lines("/proc/stat", "cpu") - 1, here >= 0 && here < all, online);
}

/* For the measurements of docs/guest.md. */
static unsigned long work;
static void *compute(void *unused) {
    volatile unsigned long sum = 0;
    for (unsigned long i = 0; i < work; i++) sum += i * i;
    return 0;
}
static _Atomic(int) baton;
static void *pass_baton(void *which) {
    int own = (intptr_t)which;
    for (unsigned long i = 0; i < work; i++) {
        while (baton != own) syscall(SYS_futex, &baton, FUTEX_WAIT_PRIVATE, 1 - own, 0, 0, 0);
        baton = 1 - own;
        syscall(SYS_futex, &baton, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
    }
    return 0;
}

int main(int words_count, char **words) {
    const char *what = words[1];
    if (!strcmp(what, "shootdown")) {
        shoot_down(words[2]);
    } else if (!strcmp(what, "touch")) {
        large = map(0, LARGE, PROT_READ | PROT_WRITE);
        start(8, touch_all);
        printf("wrong %lu\n", join(8));
    } else if (!strcmp(what, "reclaim")) {
        start(3, write_and_check);
        pthread_create(&threads[3], 0, read_much, 0);
        printf("wrong %lu\n", join(4));
    } else if (!strcmp(what, "atomic")) {
        start(4, add_by_futex);
        for (int i = 4; i < 8; i++) pthread_create(&threads[i], 0, add_by_instruction, 0);
        join(8);
        printf("%d\n", counter);
    } else if (!strcmp(what, "signal")) {
        struct sigaction action = {.sa_handler = count};
        sigaction(SIGUSR1, &action, 0);
        start(1, spin);
        while (!is_spinning) sched_yield();
        for (int i = 1; i <= 100; i++) {
            pthread_kill(threads[0], SIGUSR1);
            while (handled < i) sched_yield();
        }
        is_over = 1;
        join(1);
        printf("%d\n", handled);
    } else if (!strcmp(what, "crash")) {
        start(3, spin);
        pthread_create(&threads[3], 0, crash, 0);
        join(4);
    } else if (!strcmp(what, "turns")) {
        start(2, take_turns);
        pthread_join(threads[1], 0);
        void *differs;
        pthread_join(threads[0], &differs);
        printf("different %d\n", (int)(uintptr_t)differs);
    } else if (!strcmp(what, "clock")) {
        start(4, read_clock);
        printf("wrong %lu\n", join(4));
    } else if (!strcmp(what, "processors")) {
        tell_processors();
    } else if (!strcmp(what, "compute") || !strcmp(what, "pass")) {
        work = strtoul(words[2], 0, 10);
        start(2, *what == 'c' ? compute : pass_baton);
        join(2);
    } else {
        return 2;
    }
    return 0;
}
