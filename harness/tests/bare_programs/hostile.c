/* Four threads make random calls with random arguments, while another one changes the memory that the
   calls read and write. The first argument is the seed. Ends by SIGALRM after a second. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 256, SIZE = PAGES * PAGE, CALLS = 335 };
static unsigned char *shared;
static unsigned long seed;

/* Xorshift, by Marsaglia. */
static unsigned long next(unsigned long *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}
static unsigned long some_page(unsigned long *state) { return (unsigned long)shared + next(state) % PAGES * PAGE; }
static unsigned long argument(unsigned long *state) {
    switch (next(state) % 6) {
    case 0: return next(state) % 12;
    case 1: return 1ul << next(state) % 32;
    case 2: return some_page(state);
    case 3: return next(state) >> next(state) % 64;
    default: return (unsigned long)shared + next(state) % SIZE;
    }
}
/* Calls that end the program or a thread, or after which it no longer does what it is here for. */
static int spoils(long number) {
    static const long spoiling[] = {
        SYS_exit, SYS_exit_group, SYS_pause, SYS_rt_sigreturn, SYS_rt_sigsuspend, SYS_rt_sigaction,
        SYS_rt_sigprocmask, SYS_sigaltstack, SYS_arch_prctl, SYS_brk, SYS_kill, SYS_tkill, SYS_tgkill,
        SYS_alarm, SYS_setitimer, SYS_timer_settime, SYS_clone, SYS_set_robust_list,
        SYS_set_tid_address, SYS_dup2, SYS_dup3, SYS_close, SYS_rt_sigqueueinfo,
        SYS_rt_tgsigqueueinfo,
    };
    for (unsigned i = 0; i < sizeof spoiling / sizeof *spoiling; i++)
        if (number == spoiling[i]) return 1;
    return 0;
}
static int may_wait(long number) {
    return number == SYS_nanosleep || number == SYS_clock_nanosleep || number == SYS_select || number == SYS_poll ||
           number == SYS_futex || number == SYS_epoll_wait || number == SYS_epoll_pwait || number == SYS_ppoll ||
           number == SYS_pselect6 || number == SYS_rt_sigtimedwait;
}
static int is_about_memory(long number) {
    return number == SYS_mmap || number == SYS_munmap || number == SYS_mprotect || number == SYS_mremap ||
           number == SYS_madvise;
}
static void *call(void *which) {
    unsigned long state = seed * 7919 + (intptr_t)which * 104729 + 1;
    for (;;) {
        long number = next(&state) % CALLS;
        unsigned long a[6];
        for (int i = 0; i < 6; i++) a[i] = argument(&state);
        if (spoils(number) || (may_wait(number) && next(&state) % 10)) continue;
        if (number == SYS_read || number == SYS_readv) a[0] = 3 + a[0] % 9;
        if (is_about_memory(number)) {
            a[0] = some_page(&state);
            a[1] = PAGE * (1 + next(&state) % 4);
            if (number == SYS_mremap) a[2] = PAGE * (1 + next(&state) % 8);
            if (number == SYS_mmap) { a[2] = 3; a[3] = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED; }
        }
        syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
}
static _Thread_local sigjmp_buf back;
static void go_back(int signal) { siglongjmp(back, 1); }
static void *scribble(void *unused) {
    unsigned long state = seed + 99;
    sigsetjmp(back, 0);
    for (;;) {
        unsigned long at = next(&state) % (SIZE / 8) * 8, value = next(&state);
        if (value % 3 == 0) value = (unsigned long)shared + value % SIZE;
        else if (value % 3 == 1) value %= 64;
        *(volatile unsigned long *)(shared + at) = value;
    }
}

int main(int count, char **words) {
    struct sigaction action = {.sa_handler = go_back, .sa_flags = SA_NODEFER};
    pthread_t thread;
    seed = strtoul(words[1], 0, 10) * 2654435761ul + 12345;
    shared = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGSEGV, &action, 0);
    alarm(1);
    for (intptr_t i = 0; i < 4; i++) pthread_create(&thread, 0, call, (void *)i);
    scribble(0);
}
