/* SPDX-License-Identifier: MIT */
/* Prints what the kernel has of BPF: a line `prog ID` or `link ID` each, as in /proc/PID/fdinfo.
 * Needs CAP_SYS_ADMIN; exit status 77 where the kernel does not tell. */

#include <portwatch/base.h>

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXIT_SKIPPED 77

/* 0 or -errno; -ENOENT is the end. */
static int next_id(enum bpf_cmd command, uint32_t *id)
{
        union bpf_attr attributes = {.start_id = *id};

        if (syscall(SYS_bpf, command, &attributes, sizeof attributes) < 0)
                return -errno;
        *id = attributes.next_id;
        return 0;
}

static int list(enum bpf_cmd command, const char *what)
{
        uint32_t id = 0;
        int r;

        while ((r = next_id(command, &id)) == 0)
                printf("%s %u\n", what, id);
        return r == -ENOENT ? 0 : r;
}

int main(void)
{
        int r = list(BPF_PROG_GET_NEXT_ID, "prog");

        if (r == 0)
                r = list(BPF_LINK_GET_NEXT_ID, "link");
        if (r < 0) {
                fprintf(stderr, "list-bpf: %s\n", strerror(-r));
                return EXIT_SKIPPED;
        }
        return 0;
}
