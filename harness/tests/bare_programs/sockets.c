// Programs with sockets of TCP on the loopback, which must print the same on Linux and in the guest.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static long say(const char *what, long result) {
    if (result < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, result);
    return result;
}

static struct sockaddr_in address_of(int socket) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    getsockname(socket, (struct sockaddr *)&address, &length);
    return address;
}

static int listener(int backlog) {
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listening, (struct sockaddr *)&any, sizeof any) || listen(listening, backlog))
        exit(3);
    return listening;
}

static int connected(int listening) {
    struct sockaddr_in to = address_of(listening);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr *)&to, sizeof to)) {
        perror("connect");
        exit(3);
    }
    return client;
}

static void pair(int ends[2]) {
    int listening = listener(1);
    ends[0] = connected(listening);
    ends[1] = accept(listening, NULL, NULL);
    if (ends[1] < 0)
        exit(3);
    close(listening);
}

static short events_of(int socket) {
    struct pollfd awaited = {.fd = socket, .events = POLLIN | POLLOUT | POLLRDHUP | POLLPRI};
    poll(&awaited, 1, 0);
    return awaited.revents;
}

// Waits until a socket has these events, since the other end's bytes take a moment.
static void await(int socket, short events) {
    struct pollfd awaited = {.fd = socket, .events = events};
    if (poll(&awaited, 1, 10000) != 1)
        exit(3);
}

static int error_of(int socket) {
    int error = -1;
    socklen_t length = sizeof error;
    getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length);
    return error;
}

static void errors(void) {
    char byte = 0;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    say("domain", socket(AF_APPLETALK, SOCK_STREAM, 0));
    say("protocol", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    say("kind", socket(AF_INET, SOCK_SEQPACKET, 0));
    int fresh = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    printf("flags %x %x\n", fcntl(fresh, F_GETFL), fcntl(fresh, F_GETFD));
    printf("fresh %x\n", events_of(fresh));
    say("read", read(fresh, &byte, 1));
    say("send", send(fresh, &byte, 1, MSG_NOSIGNAL));
    say("accept", accept(fresh, NULL, NULL));
    say("peer", getpeername(fresh, (struct sockaddr *)&to, &(socklen_t){sizeof to}));
    say("shutdown", shutdown(fresh, SHUT_WR));
    say("seek", lseek(fresh, 0, SEEK_SET));
    say("pread", pread(fresh, &byte, 1, 0));
    say("short address", bind(fresh, (struct sockaddr *)&to, 8));
    to.sin_family = AF_INET6;
    say("other family", bind(fresh, (struct sockaddr *)&to, sizeof to));
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = inet_addr("8.8.8.8");
    say("foreign address", bind(fresh, (struct sockaddr *)&to, sizeof to));
    say("bad address", bind(fresh, (void *)8, sizeof to));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = 0;
    say("bind", bind(fresh, (struct sockaddr *)&to, sizeof to));
    say("bind again", bind(fresh, (struct sockaddr *)&to, sizeof to));
    to = address_of(fresh);
    printf("port %d\n", to.sin_port != 0);
    int other = socket(AF_INET, SOCK_STREAM, 0);
    say("taken", bind(other, (struct sockaddr *)&to, sizeof to));
    // Nobody listens there.
    say("refused", connect(other, (struct sockaddr *)&to, sizeof to));
    say("listen", listen(fresh, 5));
    printf("listening %x\n", events_of(fresh));
    say("accept", accept(fresh, NULL, NULL));
    say("read", read(fresh, &byte, 1));
    say("connect", connect(fresh, (struct sockaddr *)&to, sizeof to));
    say("connect", connect(other, (struct sockaddr *)&to, sizeof to));
    say("connect", connect(other, (struct sockaddr *)&to, sizeof to));
    await(fresh, POLLIN);
    printf("listening %x\n", events_of(fresh));
    say("bad flags", accept4(fresh, NULL, NULL, 1));
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    int accepted = accept4(fresh, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);
    printf("accepted %d %d %x %d\n", accepted > 0, length, fcntl(accepted, F_GETFL), peer.sin_port == address_of(other).sin_port);
    say("listen", listen(other, 1));
    say("not a socket", listen(0, 1));
    say("no descriptor", listen(99, 1));
    signal(SIGPIPE, SIG_IGN);
    say("shutdown", shutdown(other, SHUT_WR));
    say("write", write(other, &byte, 1));
    say("bad shutdown", shutdown(other, 7));
    int nobody = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in closed = address_of(nobody);
    closed.sin_family = AF_INET;
    closed.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    closed.sin_port = htons(1);
    say("begun", connect(nobody, (struct sockaddr *)&closed, sizeof closed));
    await(nobody, POLLOUT);
    printf("failed %x\n", events_of(nobody));
    printf("error %d\n", error_of(nobody));
    printf("error %d\n", error_of(nobody));
}

static void options(void) {
    int ends[2];
    pair(ends);
    static const struct { int level, name; } numbers[] = {
        {SOL_SOCKET, SO_REUSEADDR}, {SOL_SOCKET, SO_KEEPALIVE}, {SOL_SOCKET, SO_TYPE},
        {SOL_SOCKET, SO_ACCEPTCONN}, {SOL_SOCKET, SO_ERROR}, {SOL_SOCKET, SO_DOMAIN},
        {SOL_SOCKET, SO_PROTOCOL}, {IPPROTO_TCP, TCP_NODELAY}, {IPPROTO_TCP, TCP_KEEPIDLE},
        {IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_TCP, TCP_KEEPCNT}, {SOL_SOCKET, 999},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        int value = -1;
        socklen_t length = sizeof value;
        int result = getsockopt(ends[0], numbers[i].level, numbers[i].name, &value, &length);
        printf("%zu: %d %d %d\n", i, result, value, length);
        value = 5;
        int set = setsockopt(ends[0], numbers[i].level, numbers[i].name, &value, sizeof value);
        printf("set %d %s\n", set, set ? strerrorname_np(errno) : "");
        length = 2;
        value = 0;
        result = getsockopt(ends[0], numbers[i].level, numbers[i].name, &value, &length);
        printf("short %d %d %d\n", result, value, length);
    }
    int size = 65536;
    socklen_t length = sizeof size;
    say("buffer", setsockopt(ends[0], SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
    getsockopt(ends[0], SOL_SOCKET, SO_RCVBUF, &size, &length);
    printf("buffer %d\n", size);
    say("short", setsockopt(ends[0], SOL_SOCKET, SO_KEEPALIVE, &size, 2));
    struct timeval limit = {.tv_usec = 30000};
    say("limit", setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    char byte;
    say("read", read(ends[0], &byte, 1));
    struct linger linger = {1, 0};
    say("linger", setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    close(ends[1]);
    await(ends[0], POLLIN);
    printf("reset %x\n", events_of(ends[0]));
    say("read", read(ends[0], &byte, 1));
    say("read", read(ends[0], &byte, 1));
}

static void flags(void) {
    int ends[2];
    char bytes[64] = {0};
    pair(ends);
    say("nothing", recv(ends[1], bytes, 8, MSG_DONTWAIT));
    say("send", send(ends[0], "hello world", 11, MSG_MORE));
    say("send", send(ends[0], "!", 1, 0));
    say("all", recv(ends[1], bytes, 12, MSG_WAITALL | MSG_PEEK) > 0);
    say("all", recv(ends[1], bytes, 12, MSG_WAITALL));
    printf("%s\n", bytes);
    struct iovec parts[3] = {{"abc", 3}, {"", 0}, {"defgh", 5}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};
    say("sendmsg", sendmsg(ends[1], &message, 0));
    await(ends[0], POLLIN);
    int waiting = 0;
    ioctl(ends[0], FIONREAD, &waiting);
    printf("waiting %d\n", waiting);
    char first[4] = {0}, second[9] = {0};
    struct iovec into[2] = {{first, 3}, {second, 8}};
    struct msghdr received = {.msg_iov = into, .msg_iovlen = 2, .msg_flags = -1, .msg_controllen = 5};
    char control[5];
    received.msg_control = control;
    say("recvmsg", recvmsg(ends[0], &received, 0));
    printf("%s %s %x %zu\n", first, second, received.msg_flags, received.msg_controllen);
    say("writev", writev(ends[0], parts, 3));
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    say("recvfrom", recvfrom(ends[1], bytes, 64, 0, (struct sockaddr *)&from, &length));
    printf("length %d\n", length);
    say("bad buffer", send(ends[0], (void *)8, 5, 0));
    say("bad message", sendmsg(ends[0], (void *)8, 0));
    say("nothing", send(ends[0], "", 0, 0));
    say("nothing", read(ends[0], bytes, 0));
    // The unread bytes of a closed socket reset the connection.
    say("send", send(ends[0], "unread", 6, 0));
    await(ends[1], POLLIN);
    close(ends[1]);
    await(ends[0], POLLIN);
    printf("reset %x\n", events_of(ends[0]));
    say("send", send(ends[0], "x", 1, MSG_NOSIGNAL));
    say("send", send(ends[0], "x", 1, MSG_NOSIGNAL));
    say("read", read(ends[0], bytes, 1));
    // Pairs have the same calls.
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    say("nothing", recv(ends[0], bytes, 1, MSG_DONTWAIT));
    say("send", send(ends[0], "pair", 4, 0));
    say("recv", recv(ends[1], bytes, 64, 0));
    say("shutdown", shutdown(ends[0], SHUT_WR));
    say("recv", recv(ends[1], bytes, 64, 0));
    say("send", send(ends[0], "pair", 4, MSG_NOSIGNAL));
}

static void backlog(void) {
    int listening = listener(20), clients[15];
    for (int i = 0; i < 15; i++) {
        clients[i] = connected(listening);
        char number = (char)i;
        say("write", write(clients[i], &number, 1));
    }
    for (int i = 0; i < 15; i++) {
        int server = accept(listening, NULL, NULL);
        char number = -1;
        read(server, &number, 1);
        printf("%d\n", number);
        close(server);
        printf("end %zd\n", read(clients[i], &number, 1));
    }
}

enum { CONNECTIONS = 8, BYTES = 3000000 };

static unsigned char byte_at(long place, long connection) {
    return (unsigned char)(place * 7 + place / 251 + connection);
}

static void *serve(void *argument) {
    int server = (int)(long)argument;
    char buffer[9000];
    ssize_t count;
    while ((count = read(server, buffer, sizeof buffer)) > 0)
        for (ssize_t done = 0, sent; done < count; done += sent)
            if ((sent = write(server, buffer + done, (size_t)(count - done))) <= 0)
                exit(4);
    close(server);
    return NULL;
}

static int port_of_all;

static void *send_all(void *argument) {
    int client = (int)((long)argument & 0xffff);
    long connection = (long)argument >> 16;
    static __thread char buffer[20000];
    for (long done = 0; done < BYTES;) {
        long most = BYTES - done < (long)sizeof buffer ? BYTES - done : (long)sizeof buffer;
        for (long i = 0; i < most; i++)
            buffer[i] = (char)byte_at(done + i, connection);
        if (write(client, buffer, (size_t)most) != most)
            exit(4);
        done += most;
    }
    shutdown(client, SHUT_WR);
    return NULL;
}

static void *exchange(void *argument) {
    long connection = (long)argument;
    int client = connected(port_of_all);
    pthread_t sender;
    pthread_create(&sender, NULL, send_all, (void *)(connection << 16 | client));
    unsigned char buffer[7777];
    long done = 0, wrong = 0;
    ssize_t count;
    while ((count = read(client, buffer, sizeof buffer)) > 0)
        for (ssize_t i = 0; i < count; i++, done++)
            wrong += buffer[i] != byte_at(done, connection);
    pthread_join(sender, NULL);
    close(client);
    return (void *)(long)(done == BYTES && !wrong);
}

static void threads(void) {
    pthread_t clients[CONNECTIONS], servers[CONNECTIONS];
    port_of_all = listener(CONNECTIONS);
    for (long i = 0; i < CONNECTIONS; i++)
        pthread_create(&clients[i], NULL, exchange, (void *)i);
    for (long i = 0; i < CONNECTIONS; i++) {
        long server = accept(port_of_all, NULL, NULL);
        pthread_create(&servers[i], NULL, serve, (void *)server);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        void *right;
        pthread_join(clients[i], &right);
        pthread_join(servers[i], NULL);
        printf("right %ld\n", (long)right);
    }
}

// One thread, edges, and no call that blocks but the one that waits.
static void epoll(void) {
    int list = epoll_create1(0), listening = listener(8);
    fcntl(listening, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listening};
    epoll_ctl(list, EPOLL_CTL_ADD, listening, &event);
    struct sockaddr_in to = address_of(listening);
    int clients[4];
    long left = 4, total = 0;
    for (int i = 0; i < 4; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(clients[i], (struct sockaddr *)&to, sizeof to) == 0 || errno != EINPROGRESS)
            exit(4);
        event = (struct epoll_event){.events = EPOLLOUT | EPOLLET | EPOLLONESHOT, .data.fd = clients[i]};
        epoll_ctl(list, EPOLL_CTL_ADD, clients[i], &event);
    }
    while (left > 0) {
        struct epoll_event ready[3];
        int count = epoll_wait(list, ready, 3, 10000);
        if (count <= 0)
            exit(4);
        for (int i = 0; i < count; i++) {
            int file = ready[i].data.fd;
            if (file == listening) {
                int server;
                while ((server = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    event = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = server};
                    epoll_ctl(list, EPOLL_CTL_ADD, server, &event);
                }
            } else if (ready[i].events & EPOLLOUT) {
                if (error_of(file) != 0)
                    exit(4);
                for (int part = 0; part < 10; part++)
                    total += write(file, "0123456789", 10);
                close(file);
            } else {
                char buffer[7];
                ssize_t got;
                while ((got = read(file, buffer, sizeof buffer)) > 0)
                    total -= got;
                if (got == 0) {
                    close(file);
                    left--;
                }
            }
        }
    }
    printf("left over %ld\n", total);
}

// Random calls on a connection, one after the other.
static void model(unsigned seed) {
    int ends[2];
    char buffer[4096];
    unsigned char sent[2] = {0}, read_at[2] = {0};
    pair(ends);
    signal(SIGPIPE, SIG_IGN);
    srandom(seed);
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
        setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    }
    long queued[2] = {0};
    int shut[2] = {0};
    for (int step = 0; step < 200; step++) {
        int end = (int)(random() % 2), other = !end;
        size_t length = (size_t)(random() % 1000);
        switch (random() % 20) {
        case 0:
            if (step > 150) {
                // The other end may still have to confirm an end that it has got.
                usleep(20000);
                say("shutdown", shutdown(ends[end], SHUT_WR));
                shut[end] = 1;
            }
            break;
        case 1 ... 7: {
            if (queued[other] > 10000)
                break;
            for (size_t i = 0; i < length; i++)
                buffer[i] = (char)sent[end]++;
            long done = say("send", send(ends[end], buffer, length, 0));
            if (done > 0) {
                queued[other] += done;
                await(ends[other], POLLIN);
                // All of it has to have come before the next call looks.
                int waiting = 0;
                for (int tries = 0; tries < 1000 && waiting < queued[other]; tries++) {
                    ioctl(ends[other], FIONREAD, &waiting);
                    if (waiting < queued[other])
                        usleep(100);
                }
            }
            break;
        }
        case 8 ... 9:
            say("peek", recv(ends[end], buffer, length, MSG_PEEK) > 0);
            break;
        case 10 ... 16: {
            ssize_t done = say("recv", recv(ends[end], buffer, length, 0));
            for (ssize_t i = 0; i < done; i++)
                if ((unsigned char)buffer[i] != read_at[end]++)
                    printf("wrong byte\n");
            if (done > 0)
                queued[end] -= done;
            break;
        }
        default:
            usleep(shut[0] + shut[1] ? 1000 : 0);
            printf("%d: %x %d\n", end, events_of(ends[end]), error_of(ends[end]));
        }
    }
}

int main(int count, char **words) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *what = count > 1 ? words[1] : "";
    if (!strcmp(what, "errors"))
        errors();
    else if (!strcmp(what, "options"))
        options();
    else if (!strcmp(what, "flags"))
        flags();
    else if (!strcmp(what, "backlog"))
        backlog();
    else if (!strcmp(what, "threads"))
        threads();
    else if (!strcmp(what, "epoll"))
        epoll();
    else if (!strcmp(what, "model") && count > 2)
        model((unsigned)atoi(words[2]));
    else
        return 2;
    return 0;
}
