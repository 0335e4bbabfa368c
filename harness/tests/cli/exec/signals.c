// `state` prints which signals are ignored and which are blocked. `wait N...` prints the number of
// each of these signals whenever it comes, and ends with code 7 at SIGTERM.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void tell(int number) {
    char line[] = "caught 00\n";
    line[7] = '0' + number / 10;
    line[8] = '0' + number % 10;
    if (write(1, line, sizeof line - 1) < 0 || number == SIGTERM) _exit(7);
}

int main(int count, char **words) {
    if (!strcmp(words[1], "state")) {
        sigset_t blocked;
        sigprocmask(SIG_BLOCK, NULL, &blocked);
        for (int number = 1; number <= 64; number++) {
            struct sigaction action;
            if (number == 32 || number == 33) continue; // the C library's own
            if (!sigaction(number, NULL, &action) && action.sa_handler == SIG_IGN)
                printf("ignored %d\n", number);
            if (sigismember(&blocked, number) == 1) printf("blocked %d\n", number);
        }
        return 0;
    }
    struct sigaction action = {.sa_handler = tell};
    for (int word = 2; word < count; word++) sigaction(atoi(words[word]), &action, NULL);
    if (write(1, "ready\n", 6) < 0) return 1;
    for (;;) pause();
}
