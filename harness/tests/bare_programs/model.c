/* Makes the calls that a seed says, on files that exist only within the process, and prints what each
   gave. The same seed gives the same lines on Linux and in the guest without an OS. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { FILES = 24, LISTS = 2, BYTES = 70000 };
static uint64_t state;
static int files[FILES], lists[LISTS], count;
static const char *kinds[FILES];
static char bytes[BYTES];

static unsigned draw(unsigned below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % below;
}
static long tell(const char *call, long value) {
    printf("%d %s %ld %s\n", count, call, value, value < 0 ? strerror(errno) : "");
    return value;
}
static int any(void) {
    int slot = draw(FILES);
    printf("  of %s\n", files[slot] < 0 ? "none" : kinds[slot]);
    return files[slot];
}
static void keep(int file, const char *kind) {
    int slot = draw(FILES);
    if (files[slot] >= 0) close(files[slot]);
    files[slot] = file;
    kinds[slot] = kind;
}
static void make(void) {
    int pair[2];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    switch (draw(5)) {
    case 0: if (!tell("pipe2", pipe2(pair, O_NONBLOCK))) { keep(pair[0], "pipe"); keep(pair[1], "pipe"); } break;
    case 1: if (!tell("socketpair", socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair))) { keep(pair[0], "socket"); keep(pair[1], "socket"); } break;
    case 2: keep(eventfd(draw(3), EFD_NONBLOCK | (draw(2) ? EFD_SEMAPHORE : 0)), "counter"); break;
    case 3: keep(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), "timer"); break;
    case 4: keep(signalfd(-1, &set, SFD_NONBLOCK), "signals"); break;
    }
}
static void move(void) {
    static const unsigned sizes[] = {0, 1, 8, 100, 4096, 5000, BYTES};
    unsigned size = sizes[draw(7)];
    if (draw(2)) {
        int slot = draw(FILES);
        /* Linux counts the memory of a socket's bytes, and not the bytes. */
        if (size == BYTES && files[slot] >= 0 && (!strcmp(kinds[slot], "socket") || !strcmp(kinds[slot], "copy"))) size = 100;
        memset(bytes, draw(256), size);
        if (size == 8) { uint64_t one = draw(5); memcpy(bytes, &one, 8); }
        printf("  to %s\n", files[slot] < 0 ? "none" : kinds[slot]);
        tell("write", write(files[slot], bytes, size));
        return;
    }
    long got = tell("read", read(any(), bytes, size));
    unsigned long sum = 0;
    for (long i = 0; i < got && i < 8; i++) sum = sum * 31 + (unsigned char)bytes[i];
    if (got > 0) printf("  %lu\n", sum);
}
static void watch(void) {
    int list = lists[draw(LISTS)];
    struct epoll_event event = {.events = EPOLLIN | (draw(2) ? EPOLLOUT : 0) | (draw(3) ? 0 : EPOLLONESHOT)};
    int slot = draw(FILES);
    event.data.u32 = slot;
    static const int operations[] = {EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL};
    tell("epoll_ctl", epoll_ctl(list, operations[draw(4)], files[slot], &event));
}
static int by_slot(const void *a, const void *b) {
    const struct epoll_event *one = a, *other = b;
    int slots = (int)one->data.u32 - (int)other->data.u32;
    return slots ? slots : (int)one->events - (int)other->events;
}
static void look(void) {
    struct epoll_event events[FILES];
    long got = tell("epoll_wait", epoll_wait(lists[draw(LISTS)], events, FILES, 0));
    if (got <= 0) return;
    qsort(events, got, sizeof events[0], by_slot);
    for (long i = 0; i < got; i++) printf("  %u %x\n", events[i].data.u32, events[i].events);
}
static void poll_some(void) {
    struct pollfd polled[4];
    for (int i = 0; i < 4; i++) {
        polled[i].fd = any();
        polled[i].events = draw(2) ? POLLIN : POLLIN | POLLOUT;
        polled[i].revents = -1;
    }
    tell("poll", poll(polled, 4, 0));
    for (int i = 0; i < 4; i++) printf("  %x\n", polled[i].revents & 0xffff);
}
static void set_timer(void) {
    /* Long ago, or never within this program: no moment decides. */
    struct itimerspec when = {.it_value = {draw(2) ? 1 : 1000000, 0}}, old;
    tell("timerfd_settime", timerfd_settime(any(), TFD_TIMER_ABSTIME, &when, &old));
}
static void signals(void) {
    union sigval value = {.sival_int = (int)draw(100)};
    if (draw(2)) tell("kill", kill(getpid(), SIGUSR1));
    else tell("sigqueue", sigqueue(getpid(), SIGRTMIN, value));
}
static void take_signal(void) {
    sigset_t set;
    siginfo_t info;
    struct timespec none = {0, 0};
    sigemptyset(&set);
    sigaddset(&set, draw(2) ? SIGUSR1 : SIGRTMIN);
    if (tell("sigtimedwait", sigtimedwait(&set, &info, &none)) == SIGRTMIN) printf("  %d\n", info.si_value.sival_int);
}
static void rearrange(void) {
    int available = 0;
    switch (draw(5)) {
    case 0: keep(dup(any()), "copy"); break;
    case 1: { int *slot = &files[draw(FILES)]; tell("close", close(*slot)); *slot = -1; break; }
    case 2: { int from = any(), to = any(); if (from >= 0 && to >= 0) tell("dup2", dup2(from, to) == to); break; }
    case 3: if (!tell("ioctl", ioctl(any(), FIONREAD, &available))) printf("  %d\n", available); break;
    case 4: tell("lseek", lseek(any(), 0, SEEK_CUR)); break;
    }
}
int main(int arguments, char **words) {
    sigset_t set;
    state = strtoull(words[1], 0, 10) * 2654435761u + 1;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, 0);
    for (int i = 0; i < FILES; i++) files[i] = -1;
    for (int i = 0; i < LISTS; i++) lists[i] = epoll_create1(0);
    void (*calls[])(void) = {make, make, move, move, move, watch, watch, look, look, poll_some, set_timer, signals, take_signal, rearrange};
    for (count = 0; count < 400; count++) calls[draw(sizeof calls / sizeof *calls)]();
    return 0;
}
