/* SPDX-License-Identifier: MIT */
/* Stands in for journald: receives datagrams at a socket and writes them down.
 *
 *      fake-journal SOCKET
 *
 * Each goes to standard output as it came, followed by an empty line. Removes what was at the path
 * first, prints READY on standard error, and ends by a signal or its alarm. */

#include "tests/helpers/sockets.h"

#include <sys/un.h>

int main(int argc, char **argv)
{
        static char buffer[1 << 18];
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) {
                fputs("usage: fake-journal SOCKET\n", stderr);
                return 2;
        }
        alarm(300);
        strcpy(address.sun_path, argv[1]);
        unlink(argv[1]);
        if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
                die("%s", argv[1]);
        fputs("READY\n", stderr);
        while (true) {
                ssize_t length = recv(fd, buffer, sizeof buffer, 0);

                if (length < 0)
                        die("receive");
                fwrite(buffer, 1, (size_t)length, stdout);
                putchar('\n');
                fflush(stdout);
        }
}
