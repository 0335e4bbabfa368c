// `exit N`, `segv` and `abort` end at once. `wait NAME` waits for a signal; `wait NAME N...` handles the signals N by
// printing a line.
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void tell(int number) {
    (void)number;
    if (write(1, "heard\n", 6) < 0) _exit(9);
}

int main(int count, char **words) {
    if (!strcmp(words[1], "exit")) return atoi(words[2]);
    if (!strcmp(words[1], "segv")) *(volatile int *)0 = 1;
    if (!strcmp(words[1], "abort")) abort();
    struct sigaction action = {.sa_handler = tell};
    for (int word = 3; word < count; word++) sigaction(atoi(words[word]), &action, NULL);
    if (write(1, "ready\n", 6) < 0) return 1;
    for (;;) pause();
}
