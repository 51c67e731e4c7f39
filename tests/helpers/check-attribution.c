/* SPDX-License-Identifier: MIT */
/* Attribution against the running kernel, for what made-up trees cannot show: the links of
 * executables, cgroups by their id, rings, permissions. Would catch an impostor that passes for the
 * host's program, and a package upgrade or a sandbox that makes a program look like one.
 *
 *      check-attribution DIRECTORY
 *
 * The directory must be empty and root's. Run it as PID 1 of process, mount and network namespaces
 * of its own: it stands for the service manager. */

#include "daemon/attribution.h"

#include "tests/helpers/living.h"

#include <portwatch/paths.h>

#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define NOBODY 65534
#define SERVER "server"

static struct pw_attribution *attribution;
static char slice[256];
static int cgroup_fd = -1;

static struct pw_owner *find_with(struct pw_attribution *with, const struct pw_socket *socket,
                                  bool everyone)
{
        struct pw_owner *owner;

        if (pw_attribution_find(with, &socket, 1, everyone, &owner) < 0)
                fail("pw_attribution_find");
        return owner;
}

static struct pw_owner *owner_of(const struct pw_socket *socket)
{
        return find_with(attribution, socket, false);
}

static struct pw_attribution *new_attribution(void)
{
        struct pw_attribution *made;
        struct pw_attribution_roots roots = {
            .proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
            .root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
            .etc_fd = open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
            .cgroup_fd = cgroup_fd,
        };

        if (pw_attribution_new(roots, &made) < 0)
                fail("pw_attribution_new");
        return made;
}

/* ---- executables ---- */

static void check_exe(struct living *living, const char *name, unsigned traits, const char *what)
{
        struct pw_owner *owner = owner_of(&living->socket);
        char have[PW_TRAITS_MAX], expected[PW_TRAITS_MAX];
        const char *path = name[0] == '/' ? name : in_directory(name);

        pw_traits_format(have, sizeof have, owner->traits);
        pw_traits_format(expected, sizeof expected, traits);
        check(owner->n_pids == 1 && owner->pids[0] == living->pid, "%s: found", what);
        check(owner->exe && strcmp(owner->exe, path) == 0, "%s: path %s", what,
              owner->exe ? owner->exe : "not known");
        check(owner->traits == traits, "%s: traits '%s', expected '%s'", what, have, expected);
        pw_owner_unref(owner);
}

static void own_mounts(void)
{
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                fail("own mounts");
}

/* Shows another file, "impostor", at the server's path. */
static void impostor_mounts(void)
{
        own_mounts();
        if (mount(in_directory("impostor"), in_directory(SERVER), NULL, MS_BIND, NULL) < 0)
                fail("mount over the server");
}

/* The directory mounted on itself, as a service's sandbox does with what it may only read. */
static void sandbox_mounts(void)
{
        own_mounts();
        if (mount(directory, directory, NULL, MS_BIND, NULL) < 0)
                fail("mount the directory on itself");
}

/* A file system of its own, as a container has. */
static void container_mounts(void)
{
        own_mounts();
        if (mount("none", in_directory("box"), "tmpfs", 0, NULL) < 0)
                fail("mount a box");
        install("box/server");
}

static void check_living(void)
{
        struct living living;

        install(SERVER);
        living = start(in_directory(SERVER), NULL, "hold");
        check_exe(&living, SERVER, 0, "a program");
        stop(&living);
        living = start(in_directory(SERVER), own_mounts, "hold");
        check_exe(&living, SERVER, 0, "a program in mounts of its own");
        stop(&living);
        install("server (deleted)");
        living = start(in_directory("server (deleted)"), NULL, "hold");
        check_exe(&living, "server (deleted)", 0, "a name that ends like a deleted one's");
        stop(&living);
        living = start(NULL, NULL, "hold");
        check_exe(&living, "/memfd:a\\x0ab", PW_TRAIT_MEMFD, "a file in memory");
        stop(&living);
}

static void check_upgrades(void)
{
        static void (*const prepare[])(void) = {NULL, own_mounts, sandbox_mounts};

        for (size_t i = 0; i < PW_ELEMENTS(prepare); i++) {
                const char *where = prepare[i] ? " in mounts of its own" : "";
                struct living living;
                char what[128];

                install(SERVER);
                living = start(in_directory(SERVER), prepare[i], "hold");
                install(SERVER);
                snprintf(what, sizeof what, "upgraded%s", where);
                check_exe(&living, SERVER, 0, what);
                install_at(in_directory(SERVER), NOBODY);
                snprintf(what, sizeof what, "replaced by a user's file%s", where);
                check_exe(&living, SERVER,
                          PW_TRAIT_DELETED | (prepare[i] ? PW_TRAIT_FOREIGN_ROOT : 0u), what);
                unlink(in_directory(SERVER));
                snprintf(what, sizeof what, "deleted%s", where);
                check_exe(&living, SERVER,
                          PW_TRAIT_DELETED | (prepare[i] ? PW_TRAIT_FOREIGN_ROOT : 0u), what);
                stop(&living);
        }
}

static void check_second_name(void)
{
        struct living living;

        install(SERVER);
        living = start(in_directory(SERVER), NULL, "hold");
        if (link(in_directory(SERVER), in_directory("second")) < 0 ||
            unlink(in_directory(SERVER)) < 0)
                fail("link");
        check_exe(&living, SERVER, PW_TRAIT_DELETED, "deleted under one of its names");
        stop(&living);
}

static void check_impostors(void)
{
        struct living living;
        char path[512];

        install(SERVER);
        install_at(in_directory("impostor"), NOBODY);
        living = start(in_directory(SERVER), impostor_mounts, "hold");
        check_exe(&living, SERVER, PW_TRAIT_FOREIGN_ROOT, "another file mounted over the path");
        unlink(in_directory("impostor"));
        check_exe(&living, SERVER, PW_TRAIT_FOREIGN_ROOT | PW_TRAIT_DELETED,
                  "another file mounted over the path, then deleted");
        stop(&living);
        /* Another program of root's, on the same file system: only where it was tells them apart.
         */
        install("impostor");
        living = start(in_directory(SERVER), impostor_mounts, "hold");
        install("impostor");
        check_exe(&living, SERVER, PW_TRAIT_FOREIGN_ROOT,
                  "root's other program mounted over the path, then upgraded");
        stop(&living);
        mkdir(in_directory("box"), 0755);
        living = start(in_directory("box/server"), container_mounts, "hold");
        check_exe(&living, "box/server", PW_TRAIT_FOREIGN_ROOT, "in a container");
        snprintf(path, sizeof path, "/proc/%d/root%s", living.pid, in_directory("box/server"));
        install_at(path, 0);
        check_exe(&living, "box/server", PW_TRAIT_FOREIGN_ROOT, "upgraded in a container");
        unlink(path);
        check_exe(&living, "box/server", PW_TRAIT_FOREIGN_ROOT | PW_TRAIT_DELETED,
                  "deleted in a container");
        stop(&living);
}

/* ---- holders ---- */

static void check_user(void)
{
        struct living living = start(in_directory(SERVER), NULL, "hold-as-user");
        struct pw_owner *owner = owner_of(&living.socket);

        check(owner->uid == NOBODY, "an undumpable program of a user: uid %u", owner->uid);
        check(owner->exe != NULL, "an undumpable program of a user: its executable");
        pw_owner_unref(owner);
        stop(&living);
}

static void check_workers(void)
{
        int report[2], fd = socket(AF_INET, SOCK_STREAM, 0), pairs[2];
        struct pw_socket socket = {0};
        struct pw_owner *owner;
        struct stat st;
        pid_t workers[20];
        char byte = 0;

        if (fstat(fd, &st) < 0 || listen(fd, 1) < 0 || pipe(report) < 0 ||
            socketpair(AF_UNIX, SOCK_DGRAM, 0, pairs) < 0)
                fail("sockets");
        socket.inode = (uint32_t)st.st_ino;
        for (size_t i = 0; i < PW_ELEMENTS(workers); i++) {
                workers[i] = fork();
                if (workers[i] < 0)
                        fail("fork");
                if (workers[i] == 0)
                        for (;;)
                                pause();
        }
        owner = owner_of(&socket);
        check(owner->n_holders == PW_ELEMENTS(workers) + 1 && owner->n_pids == PW_OWNER_PIDS_MAX &&
                  owner->pids[0] == getpid(),
              "forked workers: %u holders, the first is %d", owner->n_holders, owner->pids[0]);
        for (size_t i = 0; i < PW_ELEMENTS(workers); i++) {
                kill(workers[i], SIGKILL);
                waitpid(workers[i], NULL, 0);
        }
        pw_owner_unref(owner);
        /* On its way from one process to another. */
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof fd)];
        } control = {.header = {CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS}};
        struct iovec data = {&byte, 1};
        struct msghdr message = {
            .msg_iov = &data,
            .msg_iovlen = 1,
            .msg_control = &control,
            .msg_controllen = sizeof control,
        };
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
        if (sendmsg(pairs[0], &message, 0) < 0)
                fail("sendmsg");
        close(fd);
        owner = owner_of(&socket);
        check(owner->unknown == PW_UNKNOWN_NO_HOLDER, "in flight: %s",
              pw_unknown_name(owner->unknown));
        pw_owner_unref(owner);
        close(pairs[0]);
        close(pairs[1]);
}

/* An io_uring with one registered descriptor, which no table shows. */
static void check_ring(void)
{
        struct io_uring_params params = {0};
        int ring = (int)syscall(SYS_io_uring_setup, 4, &params);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct pw_socket socket = {0};
        struct pw_owner *owner;
        struct stat st;

        if (ring < 0) {
                printf("left out: no io_uring here (%s)\n", strerror(errno));
                return;
        }
        if (fstat(fd, &st) < 0 || listen(fd, 1) < 0 ||
            syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1) < 0)
                fail("register");
        close(fd);
        socket.inode = (uint32_t)st.st_ino;
        owner = owner_of(&socket);
        check(owner->n_pids == 1 && owner->pids[0] == getpid(), "held by an io_uring only: %s",
              pw_unknown_name(owner->unknown));
        pw_owner_unref(owner);
        close(ring);
}

#define CROWD 1000000 /* descriptors, in as many processes as they need */
#define CROWDS_MAX 64

/* However much there is to read: an end in time, and what is not in the crowd is found. */
static void check_crowds(void)
{
        struct living living;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct pw_socket deep = {0};
        struct pw_owner *owner;
        struct rlimit limit;
        struct stat st;
        pid_t pids[CROWDS_MAX];
        uint64_t took;
        int each, n;

        if (fd < 0 || fstat(fd, &st) < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
                fail("socket");
        deep.inode = (uint32_t)st.st_ino;
        each = (int)PW_MIN(limit.rlim_max, (rlim_t)CROWD / 4);
        n = PW_MIN(CROWD / each, CROWDS_MAX);
        for (int i = 0; i < n; i++)
                pids[i] = crowd(fd, each);
        close(fd);
        living = start(in_directory(SERVER), NULL, "hold");
        owner = owner_of(&living.socket);
        check(owner->n_pids == 1 && owner->pids[0] == living.pid, "found behind a crowd");
        pw_owner_unref(owner);
        took = pw_now_boottime();
        owner = owner_of(&deep);
        took = pw_now_boottime() - took;
        check(took < 3 * PW_USEC_PER_SEC, "a crowd of %d: %.1f s", n * each, (double)took / 1e6);
        check(owner->unknown == PW_UNKNOWN_HIDDEN ? pw_attribution_is_partial(attribution)
                                                  : owner->unknown == PW_KNOWN,
              "deep in a crowd: '%s'", pw_unknown_name(owner->unknown));
        pw_owner_unref(owner);
        for (int i = 0; i < n; i++) {
                kill(pids[i], SIGKILL);
                waitpid(pids[i], NULL, 0);
        }
        stop(&living);
}

/* As somebody else, in a child: others' processes are hidden, one's own are not. */
static void check_unprivileged(void)
{
        struct living living = start(in_directory(SERVER), NULL, "hold");
        int fd = socket(AF_INET, SOCK_STREAM, 0), status;
        pid_t child = fork();

        if (child == 0) {
                struct pw_attribution *own;
                struct pw_socket socket = {0};
                struct stat st;

                checks = failures = 0;
                if (setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                    setresuid(NOBODY, NOBODY, NOBODY) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0 ||
                    fstat(fd, &st) < 0)
                        fail("become nobody");
                own = new_attribution();
                socket.inode = (uint32_t)st.st_ino;
                check(find_with(own, &living.socket, false)->unknown == PW_UNKNOWN_HIDDEN &&
                          pw_attribution_is_partial(own),
                      "unprivileged: another's socket is hidden");
                check(find_with(own, &socket, true)->unknown == PW_KNOWN,
                      "unprivileged: one's own socket is found");
                fflush(stdout);
                _exit(failures > 0);
        }
        waitpid(child, &status, 0);
        check(status == 0, "unprivileged");
        close(fd);
        stop(&living);
}

/* ---- cgroups ---- */

static uint64_t make_cgroup(const char *name)
{
        char path[512];
        struct stat st;

        snprintf(path, sizeof path, "%s/%s", slice, name);
        if (mkdirat(cgroup_fd, path, 0755) < 0 || fstatat(cgroup_fd, path, &st, 0) < 0)
                return 0;
        return st.st_ino;
}

static void remove_cgroup(const char *name)
{
        char path[512];

        snprintf(path, sizeof path, "%s/%s", slice, name);
        unlinkat(cgroup_fd, path, AT_REMOVEDIR);
}

static void enter_cgroup(pid_t pid, const char *name)
{
        char path[512];
        int fd;

        snprintf(path, sizeof path, "%s%s%s/cgroup.procs", name ? slice : ".", name ? "/" : "",
                 name ? name : "");
        fd = openat(cgroup_fd, path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || dprintf(fd, "%d", pid) < 0)
                fail("enter a cgroup");
        close(fd);
}

/* With the caller's own right to open by handle, and without it by a walk. */
static void check_cgroups(void)
{
        static const char *const ways[] = {"by handle", "by walk"};
        struct living living = start(in_directory(SERVER), NULL, "hold");
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct pw_socket own = {.cgroup_id = make_cgroup("x.socket")};
        struct pw_owner *owner;
        struct stat st;
        uint64_t reads;

        living.socket.cgroup_id = make_cgroup("web.service");
        if (fstat(fd, &st) < 0 || living.socket.cgroup_id == 0)
                fail("make a cgroup");
        own.inode = (uint32_t)st.st_ino;
        enter_cgroup(living.pid, "web.service");
        for (size_t i = 0; i < PW_ELEMENTS(ways); i++) {
                if (i == 1 && setfsuid(NOBODY) != 0)
                        fail("setfsuid");
                owner = owner_of(&own);
                check(owner->unit && strcmp(owner->unit, "x.socket") == 0 && owner->pids[0] == 1,
                      "%s: PID 1 holds it for %s", ways[i], owner->unit ? owner->unit : "none");
                pw_owner_unref(owner);
        }
        setfsuid(0);
        reads = pw_attribution_reads(attribution);
        owner = owner_of(&living.socket);
        reads = pw_attribution_reads(attribution) - reads;
        check(owner->unit && strcmp(owner->unit, "web.service") == 0 && reads < 20,
              "found in its cgroup with %u reads: %s", (unsigned)reads,
              owner->unit ? owner->unit : "none");
        pw_owner_unref(owner);
        enter_cgroup(living.pid, NULL);
        remove_cgroup("web.service");
        owner = owner_of(&living.socket);
        check(owner->n_pids == 1 && owner->pids[0] == living.pid, "a removed cgroup");
        pw_owner_unref(owner);
        remove_cgroup("x.socket");
        close(fd);
        stop(&living);
}

static bool open_cgroups(void)
{
        snprintf(slice, sizeof slice, "portwatch-check-%ld.slice", (long)time(NULL));
        cgroup_fd = pw_cgroup2_open();
        return cgroup_fd >= 0 && mkdirat(cgroup_fd, slice, 0755) == 0;
}

int main(int argc, char **argv)
{
        bool cgroups;

        if (argc == 3) {
                if (strcmp(argv[1], "hold-as-user") == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
                        fail("become a user");
                return hold(atoi(argv[2]), strcmp(argv[1], "hold-as-user") == 0);
        }
        if (argc != 2 || getpid() != 1)
                return 2;
        setvbuf(stdout, NULL, _IOLBF, 0); /* nothing to be printed twice after a fork */
        snprintf(directory, sizeof directory, "%s", argv[1]);
        cgroups = open_cgroups();
        attribution = new_attribution();
        check_living();
        check_upgrades();
        check_second_name();
        check_impostors();
        check_user();
        check_workers();
        check_ring();
        check_crowds();
        check_unprivileged();
        if (cgroups)
                check_cgroups();
        else
                printf("left out: no cgroup2 to write to\n");
        if (cgroups)
                unlinkat(cgroup_fd, slice, AT_REMOVEDIR);
        pw_attribution_free(attribution);
        return checks_done();
}
