/* Does with signals what its first argument says. */
#define _GNU_SOURCE
#include <errno.h>
#include <fenv.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static char *page, stack[65536];
static volatile sig_atomic_t runs, depth, deepest;
static siginfo_t told;
static void *on_stack;

static void install(int signal, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    sigaction(signal, &action, 0);
}
static void count(int signal, siginfo_t *info, void *context) {
    int here;
    told = *info;
    on_stack = &here;
    runs++;
}
static void jump(int signal, siginfo_t *info, void *context) {
    told = *info;
    siglongjmp(back, 1);
}
static void open_page(int signal, siginfo_t *info, void *context) {
    runs++;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}
static void skip(int signal, siginfo_t *info, void *context) {
    ucontext_t *now = context;
    runs++;
    now->uc_mcontext.gregs[REG_RIP] += 2; /* ud2 */
    now->uc_mcontext.gregs[REG_RAX] = 42;
}
static void nest(int signal, siginfo_t *info, void *context) {
    if (++depth > deepest) deepest = depth;
    if (runs++ < 3) raise(signal);
    depth--;
}
static int overflow(int n) { volatile char frame[1000]; frame[0] = n; return overflow(n + 1) + frame[0]; }
static double spoil(double a) { return a * 3.0 + 1.0; }
static void use_registers(int signal, siginfo_t *info, void *context) { volatile double x = 2; runs += spoil(x) > 0; }

int main(int arguments, char **words) {
    const char *what = words[1];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    page = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!strcmp(what, "faults")) {
        static const int signals[] = {SIGSEGV, SIGFPE, SIGILL, SIGTRAP};
        for (int i = 0; i < 4; i++) install(signals[i], jump, 0);
        volatile int zero = 0;
        if (!sigsetjmp(back, 1)) *(volatile char *)page = 1;
        printf("%d %d %d\n", told.si_signo, told.si_code, told.si_addr == page);
        if (!sigsetjmp(back, 1)) *(volatile char *)8 = 1;
        printf("%d %d %p\n", told.si_signo, told.si_code, told.si_addr);
        if (!sigsetjmp(back, 1)) printf("%d\n", 1 / zero);
        printf("%d %d\n", told.si_signo, told.si_code);
        if (!sigsetjmp(back, 1)) asm volatile("ud2");
        printf("%d %d\n", told.si_signo, told.si_code);
        if (!sigsetjmp(back, 1)) asm volatile("hlt");
        printf("%d %d\n", told.si_signo, told.si_code);
        if (!sigsetjmp(back, 1)) asm volatile("int3");
        printf("%d %d\n", told.si_signo, told.si_code);
    } else if (!strcmp(what, "floats")) {
        static const int exceptions[] = {FE_DIVBYZERO, FE_INVALID, FE_OVERFLOW};
        static const double dividends[] = {1, 0, 1e308}, divisors[] = {0, 0, 1e-308};
        install(SIGFPE, jump, 0);
        for (int i = 0; i < 3; i++) {
            volatile double quotient = dividends[i];
            feenableexcept(exceptions[i]);
            if (!sigsetjmp(back, 1)) quotient /= divisors[i];
            printf("%d %d\n", told.si_signo, told.si_code);
            fedisableexcept(FE_ALL_EXCEPT);
            feclearexcept(FE_ALL_EXCEPT);
        }
    } else if (!strcmp(what, "mend")) {
        install(SIGSEGV, open_page, 0);
        *(volatile char *)page = 5;
        printf("%d %d\n", *page, runs);
    } else if (!strcmp(what, "context")) {
        long result = 0;
        install(SIGILL, skip, 0);
        asm volatile("ud2" : "=a"(result));
        printf("%ld %d\n", result, runs);
    } else if (!strcmp(what, "overflow")) {
        sigaltstack(&alternate, 0);
        install(SIGSEGV, jump, SA_ONSTACK);
        if (!sigsetjmp(back, 1)) overflow(0);
        printf("%d\n", told.si_signo);
    } else if (!strcmp(what, "stack")) {
        stack_t now;
        sigaltstack(&alternate, 0);
        install(SIGUSR1, count, SA_ONSTACK);
        raise(SIGUSR1);
        sigaltstack(0, &now);
        printf("%d %d %d\n", runs, (char *)on_stack > stack && (char *)on_stack < stack + sizeof stack, now.ss_flags);
    } else if (!strcmp(what, "masks")) {
        sigset_t set, pending;
        install(SIGUSR1, count, 0);
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigprocmask(SIG_BLOCK, &set, 0);
        raise(SIGUSR1);
        raise(SIGUSR1);
        sigpending(&pending);
        printf("%d %d\n", runs, sigismember(&pending, SIGUSR1));
        sigprocmask(SIG_UNBLOCK, &set, 0);
        printf("%d %d\n", runs, told.si_code);
    } else if (!strcmp(what, "suspend")) {
        sigset_t set, none;
        install(SIGALRM, count, 0);
        sigemptyset(&none);
        sigemptyset(&set);
        sigaddset(&set, SIGALRM);
        sigprocmask(SIG_BLOCK, &set, 0);
        struct itimerval soon = {.it_value = {0, 5000}};
        setitimer(ITIMER_REAL, &soon, 0);
        int result = sigsuspend(&none);
        int error = errno;
        sigprocmask(SIG_BLOCK, 0, &set);
        printf("%d %s %d %d\n", result, strerror(error), runs, sigismember(&set, SIGALRM));
    } else if (!strcmp(what, "nest")) {
        install(SIGUSR1, nest, SA_NODEFER);
        raise(SIGUSR1);
        printf("%d %d\n", runs, deepest);
        runs = deepest = 0;
        install(SIGUSR1, nest, 0);
        raise(SIGUSR1);
        printf("%d %d\n", runs, deepest);
    } else if (!strcmp(what, "queue")) {
        sigset_t set;
        install(SIGRTMIN, count, 0);
        sigemptyset(&set);
        sigaddset(&set, SIGRTMIN);
        sigprocmask(SIG_BLOCK, &set, 0);
        for (int i = 0; i < 3; i++) sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 10 + i});
        sigprocmask(SIG_UNBLOCK, &set, 0);
        printf("%d %d %d\n", runs, told.si_value.sival_int, told.si_code);
    } else if (!strcmp(what, "restart")) {
        int ends[2];
        char byte;
        struct itimerval soon = {.it_value = {0, 5000}};
        if (pipe(ends)) return 3;
        for (int flags = 0; flags < 2; flags++) {
            install(SIGALRM, count, flags ? SA_RESTART : 0);
            setitimer(ITIMER_REAL, &soon, 0);
            struct pollfd polled = {ends[0], POLLIN, 0};
            int polls = poll(&polled, 1, 1000);
            printf("poll %d %s\n", polls, strerror(errno));
        }
        install(SIGALRM, count, 0);
        setitimer(ITIMER_REAL, &soon, 0);
        long got = read(ends[0], &byte, 1);
        printf("read %ld %s %d\n", got, strerror(errno), runs);
    } else if (!strcmp(what, "spin")) {
        install(SIGALRM, count, 0);
        struct itimerval every = {{0, 5000}, {0, 5000}};
        setitimer(ITIMER_REAL, &every, 0);
        while (runs < 3) {}
        printf("three times\n");
    } else if (!strcmp(what, "registers")) {
        install(SIGALRM, use_registers, 0);
        struct itimerval every = {{0, 2000}, {0, 2000}};
        setitimer(ITIMER_REAL, &every, 0);
        double sum = 0, other = 0;
        for (int again = 0; runs < 20; again++) {
            sum = other = 0;
            for (int i = 0; i < 10000; i++) { sum += i * 0.5; other += i * 0.25; }
            if (sum != 24997500.0 || other != 12498750.0) { printf("spoilt\n"); return 3; }
        }
        printf("%.1f %.1f\n", sum, other);
    } else if (!strcmp(what, "once")) {
        install(SIGUSR1, count, SA_RESETHAND);
        raise(SIGUSR1);
        printf("%d\n", runs);
        fflush(stdout);
        raise(SIGUSR1);
    } else if (!strcmp(what, "no-stack")) {
        install(SIGUSR1, count, 0);
        asm volatile("mov $8, %%rsp; mov $39, %%eax; syscall; mov %%eax, %%edi; mov $10, %%esi; mov $62, %%eax; syscall; ud2" ::: "memory");
    } else {
        return 2;
    }
    return 0;
}
