/* SPDX-License-Identifier: MIT */
/* Opens exactly the sockets named on its command line and waits: the fixture behind the integration
 * tests.
 *
 *      open-sockets [OPTION…] PROTOCOL:ADDRESS:PORT[,KEY[=VALUE]…]…
 *
 * Prints a line for each socket, then READY, and waits until standard input or, by SIGTERM, itself
 * ends; at the latest until the alarm. Children die with it.
 *
 * Protocols: tcp udp udplite mptcp, also with a 6 behind; IPv6 addresses stand in brackets.
 * Keys: v6only dual reuseaddr freebind; device=NAME; reuseport[=N]: N sockets; backlog=N;
 * nobind: listen (or just be a UDP socket) without bind; nolisten; connect=ADDRESS:PORT;
 * fork=N: N children hold it, too; pass: only a child holds it, to which it was sent;
 * inflight: nobody holds it, it waits unread in a local socket; user=UID: a child of that user
 * opens and holds it.
 *
 * Options, for the process; text knows \n \e \t \\ and \xNN:
 *      --name=TEXT         comm
 *      --argv=TEXT         the first word of the command line
 *      --copy=PATH         runs as a copy of itself at PATH
 *      --deleted=PATH      the same, and PATH is unlinked
 *      --memfd             runs as a file in memory
 *      --exe-as=PATH       runs as PATH in a mount namespace where it lies over that file
 *      --alarm=SECONDS     600 if not given */

#include "tests/helpers/become.h"
#include "tests/helpers/sockets.h"

#include <limits.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define HOLDERS_MAX 64

struct spec {
        const char *text; /* as on the command line */
        int type, protocol;
        union address address, peer;
        const char *device;
        bool v6only, dual, reuseport, reuseaddr, freebind, nobind, nolisten, connect, pass,
            inflight;
        int count, backlog, forks;
        long user;
};

static volatile sig_atomic_t stopped;

static void stop(_unused_ int signal)
{
        stopped = 1;
}

/* ---- the command line ---- */

/* Resolves escapes in place. */
static char *unescape(char *text)
{
        char *to = text;

        for (char *from = text; *from; from++) {
                if (*from != '\\' || !from[1]) {
                        *to++ = *from;
                        continue;
                }
                switch (*++from) {
                case 'n':
                        *to++ = '\n';
                        break;
                case 't':
                        *to++ = '\t';
                        break;
                case 'e':
                        *to++ = '\033';
                        break;
                case 'x': {
                        char hex[3] = {from[1], from[1] ? from[2] : '\0', '\0'};

                        *to++ = (char)strtoul(hex, NULL, 16);
                        from += strlen(hex);
                        break;
                }
                default:
                        *to++ = *from;
                }
        }
        *to = '\0';
        return text;
}

static const char *value_of(const char *word, const char *name)
{
        size_t length = strlen(name);

        return strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

static bool read_process_option(const char *word, struct process_options *options)
{
        static const struct {
                const char *name;
                enum run_as run_as;
        } ways[] = {
            {"--copy", RUN_AS_COPY}, {"--deleted", RUN_AS_DELETED}, {"--exe-as", RUN_AS_MOUNTED}};
        const char *value;

        for (size_t i = 0; i < PW_ELEMENTS(ways); i++)
                if ((value = value_of(word, ways[i].name))) {
                        options->run_as = ways[i].run_as;
                        options->path = strdup(value);
                        return true;
                }
        if ((value = value_of(word, "--name")))
                options->name = unescape(strdup(value));
        else if ((value = value_of(word, "--argv")))
                options->argv = unescape(strdup(value));
        else if ((value = value_of(word, "--alarm")))
                options->alarm = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(word, "--memfd") == 0)
                options->run_as = RUN_AS_MEMFD;
        else
                return false;
        return true;
}

static bool read_flag(const char *word, struct spec *spec)
{
        const struct {
                const char *name;
                bool *flag;
        } flags[] = {
            {"v6only", &spec->v6only},       {"dual", &spec->dual},
            {"reuseport", &spec->reuseport}, {"reuseaddr", &spec->reuseaddr},
            {"freebind", &spec->freebind},   {"nobind", &spec->nobind},
            {"nolisten", &spec->nolisten},   {"pass", &spec->pass},
            {"inflight", &spec->inflight},
        };

        for (size_t i = 0; i < PW_ELEMENTS(flags); i++)
                if (strcmp(word, flags[i].name) == 0)
                        return *flags[i].flag = true;
        return false;
}

static bool read_key(char *word, struct spec *spec)
{
        const char *value;

        if ((value = value_of(word, "reuseport"))) {
                spec->reuseport = true;
                spec->count = atoi(value);
        } else if ((value = value_of(word, "device"))) {
                spec->device = value;
        } else if ((value = value_of(word, "backlog"))) {
                spec->backlog = atoi(value);
        } else if ((value = value_of(word, "fork"))) {
                spec->forks = atoi(value);
        } else if ((value = value_of(word, "user"))) {
                spec->user = atol(value);
        } else if ((value = value_of(word, "connect"))) {
                spec->connect = true;
                return address_parse(word + strlen("connect="), &spec->peer) == 0;
        } else {
                return read_flag(word, spec);
        }
        return true;
}

static bool read_protocol(const char *name, struct spec *spec)
{
        static const struct {
                const char *name;
                int type, protocol;
        } protocols[] = {
            {"tcp", SOCK_STREAM, IPPROTO_TCP},
            {"udp", SOCK_DGRAM, IPPROTO_UDP},
            {"udplite", SOCK_DGRAM, IPPROTO_UDPLITE},
            {"mptcp", SOCK_STREAM, IPPROTO_MPTCP},
        };

        for (size_t i = 0; i < PW_ELEMENTS(protocols); i++) {
                size_t length = strlen(protocols[i].name);

                if (strncmp(name, protocols[i].name, length) != 0 ||
                    (name[length] && strcmp(name + length, "6") != 0))
                        continue;
                spec->type = protocols[i].type;
                spec->protocol = protocols[i].protocol;
                return true;
        }
        return false;
}

static bool read_spec(const char *text, struct spec *ret)
{
        struct spec spec = {.text = text, .count = 1, .backlog = 16, .user = -1};
        char *state = NULL, *copy = strdup(text), *address;

        if (!copy)
                die("%s", text);
        address = strchr(copy, ':');
        if (!address)
                return false;
        *address++ = '\0';
        address = strtok_r(address, ",", &state);
        for (char *word; (word = strtok_r(NULL, ",", &state));)
                if (!read_key(word, &spec))
                        return false;
        if (!address || address_parse(address, &spec.address) < 0 || !read_protocol(copy, &spec) ||
            spec.forks + 1 > HOLDERS_MAX)
                return false;
        *ret = spec;
        return true;
}

/* ---- one socket ---- */

static void apply_options(int fd, const struct spec *spec)
{
        if (spec->v6only || spec->dual)
                set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, spec->v6only, "IPV6_V6ONLY");
        if (spec->reuseaddr)
                set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
        if (spec->reuseport)
                set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
        if (spec->freebind)
                set_option(fd, IPPROTO_IP, IP_FREEBIND, 1, "IP_FREEBIND");
        if (spec->device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, spec->device,
                                       (socklen_t)strlen(spec->device)) < 0)
                die("SO_BINDTODEVICE %s", spec->device);
}

static int open_socket(const struct spec *spec)
{
        int fd = socket(spec->address.any.sa_family, spec->type, spec->protocol);

        if (fd < 0)
                die("%s: socket", spec->text);
        apply_options(fd, spec);
        if (!spec->nobind && bind(fd, &spec->address.any, address_length(&spec->address)) < 0)
                die("%s: bind", spec->text);
        if (spec->connect && connect(fd, &spec->peer.any, address_length(&spec->peer)) < 0)
                die("%s: connect", spec->text);
        if (spec->type == SOCK_STREAM && !spec->connect && !spec->nolisten &&
            listen(fd, spec->backlog) < 0)
                die("%s: listen", spec->text);
        return fd;
}

static void print_socket(int fd, const struct spec *spec, const pid_t *holders, size_t n)
{
        char text[INET6_ADDRSTRLEN];
        union address address;
        socklen_t size = sizeof address;
        uint64_t cookie = 0;
        socklen_t cookie_size = sizeof cookie;
        struct stat status;

        if (getsockname(fd, &address.any, &size) < 0 || fstat(fd, &status) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &cookie_size) < 0)
                die("%s: look at the socket", spec->text);
        if (address.any.sa_family == AF_INET6)
                printf("[%s]:%d", inet_ntop(AF_INET6, &address.in6.sin6_addr, text, sizeof text),
                       ntohs(address.in6.sin6_port));
        else
                printf("%s:%d", inet_ntop(AF_INET, &address.in4.sin_addr, text, sizeof text),
                       ntohs(address.in4.sin_port));
        printf(" inode=%llu cookie=%llu pids=", (unsigned long long)status.st_ino,
               (unsigned long long)cookie);
        for (size_t i = 0; i < n; i++)
                printf("%s%d", i ? "," : "", (int)holders[i]);
        printf(" spec=%s\n", spec->text);
        fflush(stdout);
}

/* ---- who holds it ---- */

static _Noreturn void wait_for_parent(void)
{
        for (;;)
                pause();
}

/* A child that dies with its parent and has its own alarm, being no parent's to inherit. */
static pid_t fork_child(unsigned alarm_seconds)
{
        pid_t parent = getpid(), pid = fork();

        if (pid < 0)
                die("fork");
        if (pid == 0) {
                signal(SIGTERM, SIG_DFL);
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() != parent)
                        _exit(0);
                alarm(alarm_seconds);
        }
        return pid;
}

/* In a child: of all that its parent has open it holds this one, >= 3, and the standard streams. */
static void keep_only(int fd)
{
        if (fd > 3)
                close_range(3, (unsigned)fd - 1, 0);
        close_range((unsigned)fd + 1, UINT_MAX, 0);
}

static void send_descriptor(int to, int fd)
{
        char byte = 0, control[CMSG_SPACE(sizeof fd)] = {0};
        struct iovec data = {&byte, 1};
        struct msghdr message = {.msg_iov = &data,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof control};
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);

        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
        if (sendmsg(to, &message, 0) < 0)
                die("send a descriptor");
}

static void receive_descriptor(int from)
{
        char byte, control[CMSG_SPACE(sizeof(int))];
        struct iovec data = {&byte, 1};
        struct msghdr message = {.msg_iov = &data,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof control};

        if (recvmsg(from, &message, 0) < 0)
                die("receive a descriptor");
}

/* A child holds the socket; it got it as a message and says so with a byte. */
static pid_t pass_to_child(int fd, unsigned alarm_seconds)
{
        int pair[2];
        char byte;
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
                die("socketpair");
        pid = fork_child(alarm_seconds);
        if (pid == 0) {
                keep_only(pair[1]);
                receive_descriptor(pair[1]);
                if (write(pair[1], "", 1) != 1)
                        die("answer");
                wait_for_parent();
        }
        send_descriptor(pair[0], fd);
        if (read(pair[0], &byte, 1) != 1)
                die("passing a descriptor");
        close(pair[0]);
        close(pair[1]);
        return pid;
}

static void put_in_flight(int fd)
{
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
                die("socketpair");
        send_descriptor(pair[0], fd);
}

static void open_spec(const struct spec *spec, unsigned alarm_seconds)
{
        for (int i = 0; i < spec->count; i++) {
                pid_t holders[HOLDERS_MAX] = {getpid()};
                size_t n = 1;
                int fd = open_socket(spec);

                for (int child = 0; child < spec->forks; child++)
                        if ((holders[n++] = fork_child(alarm_seconds)) == 0) {
                                keep_only(fd);
                                wait_for_parent();
                        }
                if (spec->pass)
                        holders[0] = pass_to_child(fd, alarm_seconds);
                if (spec->inflight) {
                        put_in_flight(fd);
                        n = 0;
                }
                print_socket(fd, spec, holders, n);
                if (spec->pass || spec->inflight)
                        close(fd);
        }
}

/* Opens it here or, with user=, in a child that has become that user. */
static void open_as(const struct spec *spec, unsigned alarm_seconds)
{
        int done[2];
        char byte;
        uid_t uid = (uid_t)spec->user;

        if (spec->user < 0) {
                open_spec(spec, alarm_seconds);
                return;
        }
        if (pipe(done) < 0)
                die("pipe");
        fflush(stdout);
        if (fork_child(alarm_seconds) == 0) {
                keep_only(done[1]);
                if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
                        die("become user %ld", spec->user);
                /* Changing the user cleared these. */
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                open_spec(spec, alarm_seconds);
                if (write(done[1], "", 1) != 1)
                        die("answer");
                close(done[1]);
                wait_for_parent();
        }
        close(done[1]);
        if (read(done[0], &byte, 1) != 1)
                die("%s: opening it as another user failed; it", spec->text);
        close(done[0]);
}

static void wait_for_end(void)
{
        struct pollfd input = {STDIN_FILENO, POLLIN, 0};
        char buffer[256];

        while (!stopped)
                if (poll(&input, 1, -1) > 0 && read(STDIN_FILENO, buffer, sizeof buffer) <= 0)
                        return;
}

int main(int argc, char **argv)
{
        struct process_options options = {.alarm = 600};
        bool second = getenv(STAGE_VARIABLE) != NULL;
        int i = 1;

        while (i < argc && read_process_option(argv[i], &options))
                i++;
        for (int j = i; j < argc; j++) {
                struct spec spec;

                if (!read_spec(argv[j], &spec)) {
                        fprintf(stderr, "open-sockets: cannot read \"%s\"\n", argv[j]);
                        return 2;
                }
        }
        if (!second && (options.argv || options.run_as != RUN_AS_IS))
                become(&options, argv);
        if (options.run_as == RUN_AS_DELETED)
                unlink(options.path);
        if (options.name)
                prctl(PR_SET_NAME, options.name);
        alarm(options.alarm);
        raise_file_limit(65536);
        sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
        for (; i < argc; i++) {
                struct spec spec;

                read_spec(argv[i], &spec);
                open_as(&spec, options.alarm);
        }
        puts("READY");
        fflush(stdout);
        wait_for_end();
        return 0;
}
