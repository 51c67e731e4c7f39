/* SPDX-License-Identifier: MIT */
/* Tries what the daemon must not be able to do, and what it must, from inside of whatever sandbox
 * it is started in:
 *
 *      probe-sandbox [--drop] PID
 *
 * PID is a process of another user, for the attempts on other processes; /root/probe a file. Prints
 * a line for each attempt: its name, a tab, and "done" or the name of the error. What succeeds is
 * undone. With --drop, the first attempt is made with the capabilities that the daemon starts with,
 * the others with those that it keeps. */

#include "daemon/privileges.h"
#include "tests/helpers/engine.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t target;

/* 0 or -errno of a system call's result. */
static int result(long r)
{
        return r < 0 ? -errno : 0;
}

/* ---- files ---- */

static int write_file(const char *path, mode_t mode)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r;

        if (fd < 0)
                return -errno;
        r = result(fchmod(fd, mode));
        close(fd);
        unlink(path);
        return r;
}

static int write_etc(void)
{
        return write_file("/etc/portwatch/rules.d/99-probe.rules", 0644);
}

static int write_usr(void)
{
        return write_file("/usr/bin/portwatch-probe", 0755);
}

static int write_etc_by_init(void)
{
        return write_file("/proc/1/root/etc/portwatch/rules.d/99-probe.rules", 0644);
}

static int write_state(void)
{
        return write_file("/var/lib/portwatch/probe", 0640);
}

static int write_run(void)
{
        return write_file("/run/portwatch/probe", 0644);
}

static int make_setuid(void)
{
        return write_file("/var/lib/portwatch/probe", 04755);
}

static int make_device(void)
{
        int r = result(mknod("/var/lib/portwatch/probe", S_IFCHR | 0600, makedev(1, 3)));

        unlink("/var/lib/portwatch/probe");
        return r;
}

static int read_home(void)
{
        int fd = open("/root/probe", O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        close(fd);
        return 0;
}

static int make_cgroup(void)
{
        int r = result(mkdir("/sys/fs/cgroup/probe", 0755));

        rmdir("/sys/fs/cgroup/probe");
        return r;
}

/* ---- sockets ---- */

static int open_socket(int family, int type, int protocol)
{
        int fd = socket(family, type | SOCK_CLOEXEC, protocol);

        if (fd < 0)
                return -errno;
        close(fd);
        return 0;
}

static int open_inet(void)
{
        return open_socket(AF_INET, SOCK_STREAM, 0);
}

static int open_inet6(void)
{
        return open_socket(AF_INET6, SOCK_DGRAM, 0);
}

static int open_packet(void)
{
        return open_socket(AF_PACKET, SOCK_RAW, 0);
}

static int open_netlink(void)
{
        return open_socket(AF_NETLINK, SOCK_RAW, 4 /* NETLINK_SOCK_DIAG */);
}

/* ---- other processes ---- */

static int send_signal(void)
{
        return result(kill(target, 0));
}

static int attach(void)
{
        if (ptrace(PTRACE_ATTACH, target, NULL, NULL) < 0)
                return -errno;
        waitpid(target, NULL, __WALL);
        return result(ptrace(PTRACE_DETACH, target, NULL, NULL));
}

/* Where the target may write: its first such mapping. */
static void *writable_address(void)
{
        _cleanup_(pw_fclosep) FILE *maps = NULL;
        unsigned long first, last;
        char path[64], line[512], mode[5];

        snprintf(path, sizeof path, "/proc/%d/maps", (int)target);
        maps = fopen(path, "re");
        while (maps && fgets(line, sizeof line, maps))
                if (sscanf(line, "%lx-%lx %4s", &first, &last, mode) == 3 && mode[1] == 'w')
                        return (void *)first;
        return NULL;
}

/* Writes what is there; where it may not be read, a zero. */
static int write_memory(void)
{
        char byte = 0;
        struct iovec here = {&byte, 1}, there = {writable_address(), 1};

        if (!there.iov_base)
                return -ENXIO;
        (void)process_vm_readv(target, &here, 1, &there, 1, 0);
        return result(process_vm_writev(target, &here, 1, &there, 1, 0));
}

static int write_memory_file(void)
{
        char path[64];
        int fd;

        snprintf(path, sizeof path, "/proc/%d/mem", (int)target);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        close(fd);
        return 0;
}

static int take_descriptor(void)
{
        int pidfd = (int)syscall(SYS_pidfd_open, target, 0), fd;

        if (pidfd < 0)
                return -errno;
        fd = (int)syscall(SYS_pidfd_getfd, pidfd, 1, 0);
        if (fd >= 0)
                close(fd);
        close(pidfd);
        return result(fd);
}

static int read_exe(void)
{
        char path[64], link[256];

        snprintf(path, sizeof path, "/proc/%d/exe", (int)target);
        return result(readlink(path, link, sizeof link));
}

static int list_descriptors(void)
{
        char path[64];
        int fd;

        snprintf(path, sizeof path, "/proc/%d/fd", (int)target);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        close(fd);
        return 0;
}

/* ---- the kernel ---- */

/* This is no module, and not every kernel has any: where loading is permitted, that is what is
 * said. */
static int load_module(void)
{
        static char nonsense[64];
        int r = result(syscall(SYS_init_module, nonsense, sizeof nonsense, ""));

        return r == -ENOEXEC || r == -ENOSYS ? 0 : r;
}

static int become_root(void)
{
        return result(syscall(SYS_setresuid, 0, 0, 0));
}

static int mount_something(void)
{
        int r = result(mount("tmpfs", "/mnt", "tmpfs", 0, NULL));

        umount("/mnt");
        return r;
}

static int make_user_namespace(void)
{
        return result(unshare(CLONE_NEWUSER));
}

static int set_host_name(void)
{
        char name[256];

        return gethostname(name, sizeof name) < 0 ? -errno
                                                  : result(sethostname(name, strlen(name)));
}

static int map_code(void)
{
        void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (map == MAP_FAILED)
                return -errno;
        munmap(map, 4096);
        return 0;
}

/* "return 0": to trace, for nobody may do it without capabilities, whatever the host's settings. */
static int load_program(void)
{
        static const struct bpf_insn instructions[] = {
            {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
            {.code = BPF_JMP | BPF_EXIT},
        };
        union bpf_attr attr = {
            .prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
            .insns = (uint64_t)(uintptr_t)instructions,
            .insn_cnt = PW_ELEMENTS(instructions),
            .license = (uint64_t)(uintptr_t) "GPL",
        };
        int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);

        if (fd < 0)
                return -errno;
        close(fd);
        return 0;
}

/* Sets the loopback device up, which it is. */
static int configure_network(void)
{
        struct {
                struct nlmsghdr header;
                union {
                        struct ifinfomsg link;
                        struct nlmsgerr answer;
                };
        } message = {
            .header = {.nlmsg_len = NLMSG_LENGTH(sizeof message.link),
                       .nlmsg_type = RTM_NEWLINK,
                       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
            .link = {.ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP},
        };
        int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), r = 0;

        if (fd < 0 || send(fd, &message, message.header.nlmsg_len, 0) < 0 ||
            recv(fd, &message, sizeof message, 0) <
                (ssize_t)NLMSG_LENGTH(sizeof message.answer.error))
                r = -errno;
        else
                r = message.answer.error;
        pw_closep(&fd);
        return r;
}

/* As the daemon does at its start. */
static int hear_events(void)
{
        _cleanup_(pw_engine_closep) struct pw_engine *engine = open_engine(ALL_PARTS, 0, NULL);

        for (unsigned part = 0; part < PW_ENGINE_PARTS; part++)
                if (!pw_engine_works(engine, part)) {
                        fprintf(stderr, "event engine: %s\n", pw_engine_missing(engine, part));
                        return -EPERM;
                }
        return 0;
}

/* Each in a process of its own: some cannot be undone. */
static const struct {
        const char *name;
        int (*attempt)(void);
} attempts[] = {
    {"open the event engine", hear_events},
    {"write to /etc", write_etc},
    {"write to /etc through /proc/1/root", write_etc_by_init},
    {"write to /usr", write_usr},
    {"read a file of root's home", read_home},
    {"make a set-user-id file", make_setuid},
    {"make a device", make_device},
    {"make a control group", make_cgroup},
    {"open an IPv4 socket", open_inet},
    {"open an IPv6 socket", open_inet6},
    {"open a packet socket", open_packet},
    {"send a signal to another process", send_signal},
    {"ptrace another process", attach},
    {"write another process's memory", write_memory},
    {"write another process's memory by its file", write_memory_file},
    {"take another process's descriptor", take_descriptor},
    {"load a kernel module", load_module},
    {"load a program into the kernel", load_program},
    {"configure the network", configure_network},
    {"become root", become_root},
    {"mount a file system", mount_something},
    {"make a user namespace", make_user_namespace},
    {"set the host's name", set_host_name},
    {"map memory to write and execute", map_code},
    {"write the history", write_state},
    {"write the status", write_run},
    {"ask the kernel for sockets", open_netlink},
    {"read another process's executable", read_exe},
    {"list another process's descriptors", list_descriptors},
};

/* A child's exit status is the error's number; one that a signal ended was refused, too. */
static void try(size_t i)
{
        int status = 0;
        pid_t child = fork();

        if (child == 0)
                _exit(-attempts[i].attempt());
        if (child < 0 || waitpid(child, &status, 0) < 0)
                status = EAGAIN << 8;
        printf("%s\t", attempts[i].name);
        if (WIFSIGNALED(status))
                printf("SIG%s\n", sigabbrev_np(WTERMSIG(status)));
        else
                puts(WEXITSTATUS(status) == 0 ? "done" : strerrorname_np(WEXITSTATUS(status)));
        fflush(stdout);
}

int main(int argc, char **argv)
{
        bool drop = argc == 3 && strcmp(argv[1], "--drop") == 0;

        if ((argc != 2 && !drop) || (target = (pid_t)atoi(argv[argc - 1])) <= 0) {
                fprintf(stderr, "probe-sandbox: expected [--drop] PID\n");
                return 2;
        }
        for (size_t i = 0; i < PW_ELEMENTS(attempts); i++) {
                try(i);
                if (i == 0 && drop && pw_privileges_drop(false) < 0) {
                        fprintf(stderr, "probe-sandbox: cannot drop capabilities\n");
                        return 1;
                }
        }
        return 0;
}
