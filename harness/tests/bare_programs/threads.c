/* Does with threads what its first argument says. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 64 };
static pthread_t threads[THREADS];
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

/* A queue with room for eight numbers. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long queue[8];
static int used, rounds;
static void put(long number) {
    pthread_mutex_lock(&lock);
    while (used == 8) pthread_cond_wait(&changed, &lock);
    queue[used++] = number;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}
static long take(void) {
    pthread_mutex_lock(&lock);
    while (!used) pthread_cond_wait(&changed, &lock);
    long number = queue[--used];
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return number;
}
static void *produce_or_consume(void *which) {
    unsigned long sum = 0;
    for (int i = 0; i < rounds; i++) {
        if ((intptr_t)which % 2) put(i);
        else sum += take();
    }
    return (void *)sum;
}

static void *die_at_once(void *which) { return (void *)((uintptr_t)which + 1); }

static volatile int is_set;
static void *spin(void *unused) { while (!is_set) {} return (void *)1; }
static void *set_after_a_while(void *unused) {
    struct timespec time = {0, 20000000};
    nanosleep(&time, 0);
    is_set = 1;
    return (void *)2;
}

/* Keeps a number in a vector register while other threads run. */
static void *keep_in_register(void *which) {
    unsigned long expected = 0x1111111111111111u * (1 + (uintptr_t)which % 15), found = 0, wrong = 0;
    for (int i = 0; i < 2000; i++) {
        asm volatile("movq %2, %%xmm7; mov $24, %%eax; syscall; movq %%xmm7, %0" /* sched_yield */
                     : "=r"(found), "=m"(found) : "r"(expected) : "rax", "rcx", "r11", "xmm7", "memory");
        wrong += found != expected;
    }
    return (void *)wrong;
}

/* All of one vector register over many slices of time: the widest that the processor has. */
static unsigned long turns_that_lose(const uint64_t *expected, uint64_t *found) {
    unsigned long wrong = 0;
    for (int i = 0; i < 300; i++) {
        long turns = 500000;
        if (__builtin_cpu_supports("avx512f"))
            asm volatile("vmovdqu64 (%1), %%zmm17\n1: dec %0\njnz 1b\nvmovdqu64 %%zmm17, (%2)\nvzeroupper"
                         : "+r"(turns) : "r"(expected), "r"(found) : "memory");
        else if (__builtin_cpu_supports("avx"))
            asm volatile("vmovdqu (%1), %%ymm7\n1: dec %0\njnz 1b\nvmovdqu %%ymm7, (%2)\nvzeroupper"
                         : "+r"(turns) : "r"(expected), "r"(found) : "xmm7", "memory");
        else
            asm volatile("movdqu (%1), %%xmm7\n1: dec %0\njnz 1b\nmovdqu %%xmm7, (%2)"
                         : "+r"(turns) : "r"(expected), "r"(found) : "xmm7", "memory");
        int words = __builtin_cpu_supports("avx512f") ? 8 : __builtin_cpu_supports("avx") ? 4 : 2;
        wrong += memcmp(expected, found, words * sizeof *found) != 0;
    }
    return wrong;
}
static void *keep_in_vector(void *which) {
    uint64_t expected[8], found[8];
    for (int i = 0; i < 8; i++) expected[i] = 0x0101010101010101u * (1 + (uintptr_t)which * 8 + i);
    return (void *)turns_that_lose(expected, found);
}
static volatile sig_atomic_t vector_handlers;
static void change_vectors(int unused) {
    uint64_t other[8] = {9, 9, 9, 9, 9, 9, 9, 9}, found[8];
    if (__builtin_cpu_supports("avx512f"))
        asm volatile("vmovdqu64 (%0), %%zmm17\nvmovdqu64 %%zmm17, (%1)\nvzeroupper" : : "r"(other), "r"(found) : "memory");
    else if (__builtin_cpu_supports("avx"))
        asm volatile("vmovdqu (%0), %%ymm7\nvmovdqu %%ymm7, (%1)\nvzeroupper" : : "r"(other), "r"(found) : "xmm7", "memory");
    vector_handlers++;
}

static __thread long own;
static void *use_own(void *which) {
    for (int i = 0; i < 1000; i++) { own += (intptr_t)which; if (i % 100 == 0) sched_yield(); }
    return (void *)own;
}

static int ends[2], counter, list;
static void *write_slowly(void *unused) {
    for (int i = 0; i < 5; i++) { usleep(2000); if (write(ends[1], "x", 1) != 1) return (void *)1; }
    static char much[200000];
    long done = write(ends[1], much, sizeof much);
    close(ends[1]);
    return (void *)(done == sizeof much ? 0 : 2ul);
}
static void *count_slowly(void *unused) {
    uint64_t one = 1;
    for (int i = 0; i < 3; i++) { usleep(2000); if (write(counter, &one, 8) != 8) return (void *)1; }
    return 0;
}

static pthread_mutex_t robust;
static void *die_with_lock(void *unused) { pthread_mutex_lock(&robust); return 0; }

static sem_t semaphore;
static void *end_later(void *unused) { usleep(10000); printf("the last thread\n"); fflush(stdout); return 0; }

static volatile sig_atomic_t handled_by;
static void note_thread(int signal) { handled_by = syscall(SYS_gettid); }
static void *wait_for_signal(void *unused) {
    sem_post(&semaphore);
    struct timespec time = {10, 0};
    int result = nanosleep(&time, &time);
    return (void *)(uintptr_t)(result == -1 && errno == EINTR && time.tv_sec >= 8 && handled_by == syscall(SYS_gettid));
}
static void *take_signals(void *unused) {
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sem_post(&semaphore);
    return (void *)(uintptr_t)(sigwaitinfo(&set, &info) == SIGUSR2 && info.si_code == SI_USER);
}

int main(int count, char **words) {
    const char *what = words[1];
    if (!strcmp(what, "queue")) {
        rounds = atoi(words[2]);
        start(THREADS, produce_or_consume);
        printf("%lu\n", join(THREADS));
    } else if (!strcmp(what, "many")) {
        unsigned long sum = 0;
        for (int i = 0; i < 1000; i++) { start(2, die_at_once); sum += join(2); }
        printf("%lu\n", sum);
    } else if (!strcmp(what, "spin")) {
        start(1, spin);
        pthread_create(&threads[1], 0, set_after_a_while, 0);
        printf("%lu\n", join(2));
    } else if (!strcmp(what, "registers")) {
        start(8, keep_in_register);
        printf("wrong %lu\n", join(8));
    } else if (!strcmp(what, "vectors")) {
        start(4, keep_in_vector);
        printf("wrong %lu\n", join(4));
    } else if (!strcmp(what, "vectors-and-handlers")) {
        struct sigaction action = {.sa_handler = change_vectors, .sa_flags = SA_RESTART};
        struct itimerval often = {{0, 3000}, {0, 3000}}, never = {{0, 0}, {0, 0}};
        sigaction(SIGALRM, &action, 0);
        setitimer(ITIMER_REAL, &often, 0);
        start(2, keep_in_vector);
        unsigned long wrong = join(2);
        setitimer(ITIMER_REAL, &never, 0);
        printf("wrong %lu, %s\n", wrong, vector_handlers > 1 ? "interrupted" : "never interrupted");
    } else if (!strcmp(what, "own")) {
        start(THREADS, use_own);
        printf("%lu\n", join(THREADS));
    } else if (!strcmp(what, "pipe")) {
        char buffer[7000];
        long total = 0, got;
        if (pipe(ends)) return 3;
        start(1, write_slowly);
        while ((got = read(ends[0], buffer, sizeof buffer)) > 0) total += got;
        printf("%ld %lu\n", total, join(1));
    } else if (!strcmp(what, "epoll")) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET};
        uint64_t number, sum = 0;
        counter = eventfd(0, 0);
        list = epoll_create1(0);
        epoll_ctl(list, EPOLL_CTL_ADD, counter, &event);
        start(1, count_slowly);
        while (sum < 3) {
            if (epoll_wait(list, &event, 1, 5000) != 1) { printf("nothing came\n"); return 3; }
            if (read(counter, &number, 8) != 8) return 4;
            sum += number;
        }
        printf("%lu %lu %d\n", (unsigned long)sum, join(1), epoll_wait(list, &event, 1, 10));
    } else if (!strcmp(what, "robust")) {
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        pthread_mutex_init(&robust, &attributes);
        start(1, die_with_lock);
        join(1);
        printf("%s\n", pthread_mutex_lock(&robust) == EOWNERDEAD ? "its owner died" : "wrong");
    } else if (!strcmp(what, "first-ends")) {
        start(1, end_later);
        pthread_exit(0);
    } else if (!strcmp(what, "exit-from-another")) {
        start(1, spin);
        pthread_create(&threads[1], 0, (void *(*)(void *))exit, (void *)7);
        join(2);
    } else if (!strcmp(what, "signals")) {
        struct sigaction action = {.sa_handler = note_thread};
        sigset_t set;
        sigaction(SIGUSR1, &action, 0);
        sem_init(&semaphore, 0, 0);
        start(1, wait_for_signal);
        sem_wait(&semaphore);
        usleep(5000);
        pthread_kill(threads[0], SIGUSR1);
        printf("interrupted %lu\n", join(1));
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        pthread_sigmask(SIG_BLOCK, &set, 0);
        start(1, take_signals);
        sem_wait(&semaphore);
        usleep(5000);
        kill(getpid(), SIGUSR2);
        printf("taken %lu\n", join(1));
    } else if (!strcmp(what, "timeout")) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 5000000;
        if (until.tv_nsec >= 1000000000) { until.tv_sec++; until.tv_nsec -= 1000000000; }
        pthread_mutex_lock(&lock);
        printf("%s\n", strerror(pthread_cond_timedwait(&changed, &lock, &until)));
    } else if (!strcmp(what, "deadlock")) {
        pthread_mutex_lock(&lock);
        pthread_mutex_lock(&lock);
    } else {
        return 2;
    }
    return 0;
}
