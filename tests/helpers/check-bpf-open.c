/* SPDX-License-Identifier: MIT */
/* Checks how the event engine opens and ends: each program refused in turn, with reasons; without
 * capabilities; nothing attached after its end. Exit status 1 when a check failed, 77 where the
 * engine cannot work at all. */

#include "tests/helpers/check.h"
#include "tests/helpers/engine.h"

#include <linux/bpf.h>
#include <sys/capability.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- refusals ---- */

static void check_refusals(void)
{
        static const struct {
                const char *programs;
                unsigned missing;
        } cases[] = {
            {"tcp_state", 1u << PW_ENGINE_TCP},
            {"udp_bind4", 1u << PW_ENGINE_UDP},
            {"udp_bind6", 1u << PW_ENGINE_UDP},
            {"udp_bound4", 1u << PW_ENGINE_UDP},
            {"udp_bound6", 1u << PW_ENGINE_UDP},
            {"udp_released", 1u << PW_ENGINE_UDP},
            {"list_tcp", 1u << PW_ENGINE_SOCKETS},
            {"list_udp", 1u << PW_ENGINE_SOCKETS},
            {"list_files", 1u << PW_ENGINE_HOLDERS},
            {"tcp_state,udp_bind6", PW_ENGINE_EVENTS},
            {"tcp_state,udp_bind4,list_tcp,list_files", PW_ENGINE_EVENTS | PW_ENGINE_LISTS},
        };

        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                struct pw_engine *partial = open_engine(ALL_PARTS, TINY_RING, cases[i].programs);
                bool right = true;

                for (unsigned part = 0; part < PW_ENGINE_PARTS; part++) {
                        bool missing = (cases[i].missing & 1u << part) != 0;

                        right = right && pw_engine_works(partial, part) == !missing &&
                                (pw_engine_missing(partial, part)[0] != '\0') == missing;
                }
                right = right && (pw_engine_fd(partial) < 0) ==
                                     ((cases[i].missing & PW_ENGINE_EVENTS) == PW_ENGINE_EVENTS);
                check(right, "without %s the rest works", cases[i].programs);
                pw_engine_close(partial);
        }
}

/* ---- no trace ---- */

/* The ids of the links whose descriptors a process has. */
static size_t links_of(pid_t pid, uint32_t *ids, size_t size)
{
        size_t n = 0;

        for (int fd = 3; fd < 256 && n < size; fd++) {
                char path[64], text[1024], *at;

                snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", pid, fd);
                if (pw_read_file(AT_FDCWD, path, text, sizeof text) > 0 &&
                    (at = strstr(text, "link_id:")))
                        ids[n++] = (uint32_t)strtoul(at + 8, NULL, 10);
        }
        return n;
}

/* Without libbpf: this program is built where the engine is not, too. */
static int open_link(uint32_t id)
{
        union bpf_attr attr = {.link_id = id};

        return (int)syscall(SYS_bpf, BPF_LINK_GET_FD_BY_ID, &attr, sizeof attr);
}

/* Links end a grace period after their last descriptor. */
static bool are_gone(const uint32_t *ids, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                int fd = -1;

                for (unsigned tries = 0; tries < 200; tries++) {
                        fd = open_link(ids[i]);
                        if (fd < 0)
                                break;
                        close(fd);
                        usleep(10000);
                }
                if (fd >= 0)
                        return false;
        }
        return true;
}

static void check_no_trace(bool killed)
{
        uint32_t ids[64];
        int ready[2], end_of_it[2];
        size_t n;
        pid_t pid;
        char byte;

        if (pipe(ready) < 0 || pipe(end_of_it) < 0)
                fail("pipe");
        pid = fork();
        if (pid == 0) {
                struct pw_engine *victim = open_engine(ALL_PARTS, TINY_RING, NULL);

                if (write(ready[1], "", 1) != 1 || read(end_of_it[0], &byte, 1) != 1)
                        _exit(1);
                pw_engine_close(victim);
                _exit(links_of(getpid(), ids, PW_ELEMENTS(ids)) != 0);
        }
        if (pid < 0 || read(ready[0], &byte, 1) != 1)
                fail("fork");
        n = links_of(pid, ids, PW_ELEMENTS(ids));
        if (killed)
                kill(pid, SIGKILL);
        else if (write(end_of_it[1], "", 1) != 1)
                fail("write");
        waitpid(pid, NULL, 0);
        check(n == 9 && are_gone(ids, n), "%zu links are gone after %s", n,
              killed ? "kill -9" : "closing");
        close(ready[0]);
        close(ready[1]);
        close(end_of_it[0]);
        close(end_of_it[1]);
}

/* ---- privileges ---- */

static void check_powerless(void)
{
        pid_t pid = fork();
        int status = 1;

        if (pid == 0) {
                cap_t none = cap_init();
                struct pw_engine *powerless;
                bool right = none && cap_set_proc(none) == 0;

                powerless = open_engine(ALL_PARTS, 0, NULL);
                for (unsigned part = 0; part < PW_ENGINE_PARTS; part++)
                        right = right && !pw_engine_works(powerless, part) &&
                                strstr(pw_engine_missing(powerless, part), "CAP_");
                _exit(right && pw_engine_fd(powerless) == -EBADF ? 0 : 1);
        }
        waitpid(pid, &status, 0);
        check(status == 0, "without capabilities nothing works, and the reasons name them");
}

static void check_no_cgroup(void)
{
        struct pw_engine_options options = {.parts = ALL_PARTS, .cgroup_fd = -1};
        struct pw_engine *partial;

        if (pw_engine_open(&options, &partial) < 0)
                fail("pw_engine_open");
        check(!pw_engine_works(partial, PW_ENGINE_UDP) && pw_engine_works(partial, PW_ENGINE_TCP) &&
                  pw_engine_missing(partial, PW_ENGINE_UDP)[0],
              "without control groups only UDP is missing: %s",
              pw_engine_missing(partial, PW_ENGINE_UDP));
        pw_engine_close(partial);
}

static bool works_here(void)
{
        struct pw_engine *whole = open_engine(ALL_PARTS, TINY_RING, NULL);
        bool works = true;

        for (unsigned part = 0; part < PW_ENGINE_PARTS; part++)
                if (!pw_engine_works(whole, part)) {
                        printf("skipped: part %u %s\n", part, pw_engine_missing(whole, part));
                        works = false;
                }
        pw_engine_close(whole);
        return works;
}

int main(void)
{
        setvbuf(stdout, NULL, _IOLBF, 0);
        if (!works_here())
                return 77;
        check_refusals();
        check_no_trace(false);
        check_no_trace(true);
        check_powerless();
        check_no_cgroup();
        return checks_done();
}
