// A server of TCP that sends back what it gets, for so many connections, one after the other.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

int main(int count, char **words) {
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    if (listening < 0)
        fail("socket");
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    if (bind(listening, (struct sockaddr *)&address, sizeof address))
        fail("bind");
    if (listen(listening, 4))
        fail("listen");
    getsockname(listening, (struct sockaddr *)&address, &length);
    int port = ntohs(address.sin_port);
    // A connection to the host has the guest's own address; nobody has to answer.
    struct sockaddr_in host = {.sin_family = AF_INET, .sin_port = htons(9)};
    inet_pton(AF_INET, "198.18.0.1", &host.sin_addr);
    int asking = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(asking, (struct sockaddr *)&host, sizeof host);
    getsockname(asking, (struct sockaddr *)&address, &length);
    printf("ready %s:%d\n", inet_ntoa(address.sin_addr), port);
    fflush(stdout);
    for (int left = count > 1 ? atoi(words[1]) : 0; left > 0; left--) {
        int client = accept(listening, NULL, NULL);
        if (client < 0)
            fail("accept");
        char buffer[65536];
        ssize_t got;
        while ((got = read(client, buffer, sizeof buffer)) > 0)
            for (ssize_t done = 0, sent; done < got; done += sent)
                if ((sent = write(client, buffer + done, (size_t)(got - done))) < 0)
                    fail("write");
        if (got < 0)
            fail("read");
        if (left > 1)
            close(client);
    }
    return 0;
}
