/* SPDX-License-Identifier: MIT */
/* Network namespaces against the running kernel, for what a made-up /proc cannot show. Would catch
 * one that is missed, misnamed or kept alive, tables that say something else than sock_diag, and a
 * namespace that passes for the one whose inode it got.
 *
 *      check-namespaces FILE
 *
 * For each line on standard input it looks, and compares with FILE, which has a line `PID NAME` for
 * each namespace other than its own, each with listeners at TCP 7001 and 7002 and UDP 7003; NAME is
 * "-" where it has none. Then it prints LOOKED. At the end of input it makes its own checks. */

#include "daemon/namespaces.h"

#include "tests/helpers/check.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define NOBODY 65534
#define LISTENERS 3
#define CROWD 2000

static struct pw_namespaces *namespaces;
static struct pw_snapshot snapshot;
static uint64_t own;

static uint64_t inode_of(pid_t pid)
{
        char path[64];
        struct stat st;

        snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
        return stat(path, &st) == 0 ? st.st_ino : 0;
}

static struct pw_namespaces *new_namespaces(void)
{
        struct pw_namespaces *made;
        int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (proc_fd < 0 || pw_namespaces_new(proc_fd, own, &made) < 0)
                fail("pw_namespaces_new");
        return made;
}

static bool discover(struct pw_namespaces *with)
{
        bool hidden;

        if (pw_namespaces_discover(with, &hidden) < 0)
                fail("pw_namespaces_discover");
        return hidden;
}

static void dump(void)
{
        pw_snapshot_clear(&snapshot);
        if (pw_namespaces_dump(namespaces, &snapshot) < 0)
                fail("pw_namespaces_dump");
}

/* How many descriptors are open; those of a namespace, and of anything below a process, count as
 * failures. */
static size_t count_descriptors(void)
{
        DIR *directory = opendir("/proc/self/fd");
        char link[256];
        size_t n = 0, kept = 0;

        if (!directory)
                fail("/proc/self/fd");
        for (struct dirent *entry; (entry = readdir(directory));) {
                ssize_t length = readlinkat(dirfd(directory), entry->d_name, link, sizeof link - 1);

                if (length < 0)
                        continue;
                link[length] = '\0';
                n++;
                kept += strstr(link, "net:[") || strstr(link, "/ns/") || strstr(link, "/net/");
        }
        closedir(directory);
        check(kept == 0, "no descriptor of a namespace is open");
        return n;
}

/* ---- the crowd of the command line ---- */

static size_t listeners_of(uint64_t netns)
{
        static const uint16_t ports[] = {7001, 7002, 7003};
        size_t found = 0;

        for (size_t i = 0; i < snapshot.n_sockets; i++) {
                const struct pw_endpoint *endpoint = &snapshot.sockets[i].endpoint;

                for (size_t port = 0; port < PW_ELEMENTS(ports); port++)
                        found += endpoint->netns == netns && endpoint->port == ports[port] &&
                                 endpoint->protocol == (port < 2 ? PW_TCP : PW_UDP);
        }
        return found;
}

static bool is_complete(uint64_t netns)
{
        return pw_snapshot_is_complete(&snapshot, netns, PW_TCP) &&
               pw_snapshot_is_complete(&snapshot, netns, PW_UDP) &&
               pw_snapshot_is_complete(&snapshot, netns, PW_UDPLITE);
}

/* Whether the namespace of the process is known by that name, and its listeners with it. */
static bool is_known(pid_t pid, const char *name)
{
        uint64_t inode = inode_of(pid);
        const struct pw_namespace *known = pw_namespaces_find(namespaces, inode);
        char unnamed[64];

        snprintf(unnamed, sizeof unnamed, "net:[%llu]", (unsigned long long)inode);
        return known && strcmp(known->name, strcmp(name, "-") == 0 ? unnamed : name) == 0 &&
               known->pid == pid && !known->partial && is_complete(inode) &&
               listeners_of(inode) == LISTENERS;
}

static void check_crowd(const char *path)
{
        size_t n = 0, right = 0, before = count_descriptors();
        bool hidden = discover(namespaces);
        char name[64];
        FILE *file;
        int pid;

        dump();
        file = fopen(path, "re");
        if (!file)
                fail(path);
        while (fscanf(file, "%d %63s", &pid, name) == 2) {
                n++;
                right += is_known(pid, name);
        }
        fclose(file);
        pw_namespaces_forget(namespaces);
        check(!hidden, "every process was looked into");
        check(right == n, "%zu of %zu namespaces are known by name, with their listeners", right,
              n);
        check(pw_namespaces_count(namespaces) == n, "%zu are known",
              pw_namespaces_count(namespaces));
        check(snapshot.n_sockets == LISTENERS * n, "%zu listeners", snapshot.n_sockets);
        check(count_descriptors() == before, "no descriptor is left open");
}

/* ---- processes of our own ---- */

/* Starts a child that does `prepare` and waits; 0 where that failed. */
static pid_t start(bool (*prepare)(void))
{
        int ends[2];
        char byte;
        pid_t pid;

        if (pipe2(ends, O_CLOEXEC) < 0)
                fail("pipe");
        pid = fork();
        if (pid < 0)
                fail("fork");
        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (prepare && !prepare())
                        _exit(1);
                if (write(ends[1], "", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        close(ends[1]);
        if (read(ends[0], &byte, 1) != 1)
                pid = 0;
        close(ends[0]);
        return pid;
}

static void stop(pid_t pid)
{
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

static bool own_namespace(void)
{
        return unshare(CLONE_NEWNET) == 0;
}

/* What both ways of looking tell of a socket. */
static bool same_row(const struct pw_socket *table, const struct pw_socket *diag)
{
        return table->inode == diag->inode && table->uid == diag->uid &&
               table->endpoint.netns == diag->endpoint.netns &&
               table->endpoint.port == diag->endpoint.port &&
               table->endpoint.protocol == diag->endpoint.protocol &&
               table->endpoint.address.family == diag->endpoint.address.family &&
               memcmp(table->endpoint.address.bytes, diag->endpoint.address.bytes, 16) == 0 &&
               table->cookie == (PW_COOKIE_BY_INODE | diag->inode);
}

/* ---- the kernel's tables ---- */

#define MANY 300
#define CLIENTS 5

static bool connect_to(const char *host, uint16_t port)
{
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
        struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
        bool is_v6 = inet_pton(AF_INET6, host, &v6.sin6_addr) == 1;
        int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

        inet_pton(AF_INET, host, &v4.sin_addr);
        return fd >= 0 && (is_v6 ? connect(fd, (struct sockaddr *)&v6, sizeof v6)
                                 : connect(fd, (struct sockaddr *)&v4, sizeof v4)) == 0;
}

/* Many listeners of each kind, and connections to some of them. */
static bool busy_namespace(void)
{
        static const struct kind kinds[] = {
            {SOCK_STREAM, "127.0.0.1", 0}, {SOCK_STREAM, "::", V6ONLY}, {SOCK_STREAM, "0.0.0.0", 0},
            {SOCK_DGRAM, "127.0.0.1", 0},  {SOCK_DGRAM, "::1", 0},      {SOCK_STREAM, "::1", 0},
        };

        if (!own_namespace() || system("ip link set lo up") != 0)
                return false;
        for (unsigned i = 0; i < MANY; i++) {
                const struct kind *kind = &kinds[i % PW_ELEMENTS(kinds)];
                uint16_t port = (uint16_t)(PORT + i);

                open_kind(kind, port);
                for (unsigned client = 0; client < CLIENTS; client++)
                        if (kind->type == SOCK_STREAM && !connect_to(kind->address, port))
                                return false;
        }
        return true;
}

/* What sock_diag shows there, asked from inside. */
static void dump_by_diag(pid_t pid, struct pw_snapshot *diag_rows)
{
        _cleanup_(pw_sockdiag_closep) struct pw_sockdiag *diag = NULL;
        char path[64];
        int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there;

        snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
        there = open(path, O_RDONLY | O_CLOEXEC);
        if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0 ||
            pw_sockdiag_open(inode_of(pid), &diag) < 0 || setns(home, CLONE_NEWNET) < 0)
                fail("look from inside");
        close(home);
        close(there);
        if (pw_sockdiag_dump(diag, PW_DUMP_TCP | PW_DUMP_UDP, diag_rows) != 0)
                fail("pw_sockdiag_dump");
}

/* The listeners come before the connections, and there is no other difference to sock_diag. */
static void check_tables(void)
{
        struct pw_snapshot diag_rows = {0};
        pid_t pid = start(busy_namespace);
        size_t same = 0;

        if (pid == 0)
                fail("a busy namespace");
        discover(namespaces);
        dump();
        dump_by_diag(pid, &diag_rows);
        for (size_t i = 0; i < diag_rows.n_sockets; i++)
                for (size_t j = 0; j < snapshot.n_sockets; j++)
                        same += same_row(&snapshot.sockets[j], &diag_rows.sockets[i]);
        check(diag_rows.n_sockets == MANY && snapshot.n_sockets == MANY && same == MANY,
              "%d listeners among connections: sock_diag shows %zu, the tables %zu, the same %zu",
              MANY, diag_rows.n_sockets, snapshot.n_sockets, same);
        check(is_complete(inode_of(pid)), "its tables are complete");
        pw_snapshot_done(&diag_rows);
        stop(pid);
}

/* ---- lives ---- */

static void check_end(void)
{
        pid_t first = start(own_namespace), second;
        uint64_t inode = inode_of(first);
        const struct pw_namespace *known;

        discover(namespaces);
        pw_namespaces_forget(namespaces);
        known = pw_namespaces_find(namespaces, inode);
        check(known && known->pid == first, "a new namespace is met");
        stop(first);
        dump();
        known = pw_namespaces_find(namespaces, inode);
        check(known && known->partial && known->pid == 0, "its process has ended: no tables");
        discover(namespaces);
        pw_namespaces_forget(namespaces);
        check(!pw_namespaces_find(namespaces, inode), "a namespace without a process is forgotten");
        second = start(own_namespace);
        discover(namespaces);
        pw_namespaces_forget(namespaces);
        check(pw_namespaces_count(namespaces) == 1, "and the next one is met");
        stop(second);
}

/* The kernel gives an inode's number away again. */
static void check_reuse(void)
{
        const struct pw_namespace *known = NULL;
        bool same = false;
        uint64_t id = 0;

        for (unsigned tries = 0; tries < 20 && !same; tries++) {
                pid_t first = start(own_namespace), second;
                uint64_t inode = inode_of(first);

                discover(namespaces);
                known = pw_namespaces_find(namespaces, inode);
                id = known ? known->id : 0;
                stop(first);
                usleep(50000); /* its namespace ends a little later */
                second = start(own_namespace);
                same = inode_of(second) == inode;
                discover(namespaces);
                known = pw_namespaces_find(namespaces, inode_of(second));
                if (same && id != 0)
                        check(known && known->id != 0 && known->id != id && known->pid == second,
                              "another namespace with the same inode has another id");
                stop(second);
                usleep(50000);
        }
        if (!same || id == 0)
                printf("left out: %s\n", same ? "this kernel tells no ids" : "no inode came again");
}

static void check_unprivileged(void)
{
        pid_t living = start(own_namespace), child;
        int status;

        fflush(stdout);
        child = fork();
        if (child == 0) {
                struct pw_namespaces *others;

                checks = failures = 0;
                if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
                        fail("become nobody");
                others = new_namespaces();
                check(discover(others), "unprivileged: there are processes that are hidden");
                check(pw_namespaces_count(others) == 0, "unprivileged: nothing is made up");
                fflush(stdout);
                _exit(failures > 0);
        }
        waitpid(child, &status, 0);
        check(status == 0, "unprivileged");
        stop(living);
}

/* ---- cost ---- */

static double cpu_msec(uint64_t since)
{
        return (double)(pw_now_cpu_nsec() - since) / 1e6;
}

/* Medians would need more runs: the least of three is what it costs by itself. */
static void check_costs(void)
{
        static pid_t pids[CROWD];
        double walk = 1e9, read = 1e9;

        for (size_t i = 0; i < CROWD; i++)
                pids[i] = start(NULL);
        for (unsigned i = 0; i < 3; i++) {
                uint64_t begin = pw_now_cpu_nsec();

                discover(namespaces);
                walk = PW_MIN(walk, cpu_msec(begin));
                begin = pw_now_cpu_nsec();
                dump();
                read = PW_MIN(read, cpu_msec(begin));
        }
        printf("cost: %.2f ms to look through %d processes, %.2f ms to read %zu namespaces\n", walk,
               CROWD, read, pw_namespaces_count(namespaces));
        for (size_t i = 0; i < CROWD; i++)
                stop(pids[i]);
}

int main(int argc, char **argv)
{
        char line[64];
        bool first = true;

        if (argc != 2)
                return 2;
        setvbuf(stdout, NULL, _IOLBF, 0);
        own = inode_of(getpid());
        namespaces = new_namespaces();
        for (; fgets(line, sizeof line, stdin); first = false) {
                check_crowd(argv[1]);
                if (first)
                        check_costs();
                puts("LOOKED");
        }
        check_tables();
        check_end();
        check_reuse();
        check_unprivileged();
        pw_namespaces_free(namespaces);
        pw_snapshot_done(&snapshot);
        return checks_done();
}
