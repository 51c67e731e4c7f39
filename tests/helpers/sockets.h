/* SPDX-License-Identifier: MIT */
#pragma once

/* What the fixtures share: addresses as people write them, and the loopback device of a new network
 * namespace. Fixtures end with a sentence on standard error where the product would return. */

#include <portwatch/base.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
};

static inline _Noreturn void die(const char *format, ...) _printf_(1, 2);
static inline _Noreturn void die(const char *format, ...)
{
        int error = errno;
        va_list args;

        fprintf(stderr, "%s: ", program_invocation_short_name);
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fprintf(stderr, ": %s\n", strerror(error));
        exit(1);
}

static inline socklen_t address_length(const union address *address)
{
        return address->any.sa_family == AF_INET6 ? sizeof address->in6 : sizeof address->in4;
}

static inline union address address_v4(uint32_t host, uint16_t port)
{
        union address address = {.in4 = {.sin_family = AF_INET}};

        address.in4.sin_addr.s_addr = htonl(host);
        address.in4.sin_port = htons(port);
        return address;
}

/* `127.0.0.1:80`, `[::1]:80`, `[fe80::1%lo]:80`. Cuts `text` in pieces. 0 or -EINVAL. */
static inline int address_parse(char *text, union address *ret)
{
        union address address = {.in4 = {.sin_family = AF_INET}};
        char *colon = strrchr(text, ':'), *end, *zone;
        unsigned long port;

        if (!colon)
                return -EINVAL;
        *colon = '\0';
        port = strtoul(colon + 1, &end, 10);
        if (end == colon + 1 || *end || port > UINT16_MAX)
                return -EINVAL;
        if (*text != '[') {
                address.in4.sin_port = htons((uint16_t)port);
                if (inet_pton(AF_INET, text, &address.in4.sin_addr) != 1)
                        return -EINVAL;
        } else {
                address.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                                    .sin6_port = htons((uint16_t)port)};
                if (colon[-1] != ']')
                        return -EINVAL;
                colon[-1] = '\0';
                zone = strchr(text, '%');
                if (zone) {
                        *zone = '\0';
                        address.in6.sin6_scope_id = if_nametoindex(zone + 1);
                }
                if (inet_pton(AF_INET6, text + 1, &address.in6.sin6_addr) != 1)
                        return -EINVAL;
        }
        *ret = address;
        return 0;
}

static inline void set_option(int fd, int level, int name, int value, const char *what)
{
        if (setsockopt(fd, level, name, &value, sizeof value) < 0)
                die("%s", what);
}

/* Brings the loopback device of this network namespace up. */
static inline void loopback_up(void)
{
        _cleanup_(pw_closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

        if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
                die("cannot bring up the loopback device");
}

/* As many open files as this process may have. */
static inline void raise_file_limit(rlim_t wanted)
{
        struct rlimit limit = {wanted, wanted};

        if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
                return;
        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                die("cannot read the limit of open files");
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                die("cannot raise the limit of open files");
}
