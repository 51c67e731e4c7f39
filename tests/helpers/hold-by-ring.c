/* SPDX-License-Identifier: MIT */
/* A TCP listener at 127.0.0.1 that no descriptor holds, but only an io_uring.
 *
 *      hold-by-ring PORT
 *
 * Prints READY and stays until it is killed; exit status 77 where there is no io_uring. */

#include "tests/helpers/sockets.h"
#include "tests/helpers/uring.h"

#define EXIT_SKIPPED 77

int main(int argc, char **argv)
{
        union address address =
            address_v4(INADDR_LOOPBACK, (uint16_t)(argc > 1 ? strtoul(argv[1], NULL, 10) : 0));
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct io_uring_files_update update = {.fds = (uintptr_t)&fd};
        struct ring ring;

        if (!ring_open(&ring))
                return EXIT_SKIPPED;
        if (fd < 0 || bind(fd, &address.any, sizeof address.in4) < 0 || listen(fd, 1) < 0 ||
            syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES_UPDATE, &update, 1) !=
                1) {
                perror("hold-by-ring");
                return EXIT_FAILURE;
        }
        close(fd);
        puts("READY");
        fflush(stdout);
        pause();
        return 0;
}
