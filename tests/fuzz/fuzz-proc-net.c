/* SPDX-License-Identifier: MIT */
/* A line of /proc/PID/net/tcp and its like from any bytes, read as each of the tables: a row that
 * comes out says the same when it is written as the kernel writes it; a refusal leaves the output
 * untouched. */

#include "daemon/namespaces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
        if (!ok)
                abort();
}

static void write_address(char *buffer, size_t size, const struct pw_address *address)
{
        size_t words = address->family == AF_INET ? 1 : 4;

        for (size_t i = 0; i < words; i++) {
                uint32_t word;

                memcpy(&word, address->bytes + sizeof word * i, sizeof word);
                snprintf(buffer + 8 * i, size - 8 * i, "%08X", word);
        }
}

static void check_again(const struct pw_socket *row)
{
        char address[40], peer[40], line[256];
        uint8_t protocol = row->endpoint.protocol, family = row->endpoint.address.family;
        struct pw_address unconnected = {.family = family};
        struct pw_socket again;

        write_address(address, sizeof address, &row->endpoint.address);
        write_address(peer, sizeof peer, &unconnected);
        snprintf(line, sizeof line,
                 "%4d: %s:%04X %s:%04X %02X %08X:%08X %02X:%08X %08X %5u %8d %u 2 0000000000000000",
                 0, address, row->endpoint.port, peer, 0, protocol == PW_TCP ? 10 : 7, 0, 0, 0, 0,
                 0, row->uid, 0, row->inode);
        check(pw_proc_net_parse(line, protocol, family, &again) == 0);
        check(memcmp(row, &again, sizeof again) == 0);
}

static void check_line(const char *line, uint8_t protocol, uint8_t family)
{
        struct pw_socket row, untouched;
        int r;

        memset(&row, 0x5a, sizeof row);
        untouched = row;
        r = pw_proc_net_parse(line, protocol, family, &row);
        check(r == 0 || r == 1 || r == -EBADMSG);
        if (r != 0) {
                check(memcmp(&row, &untouched, sizeof row) == 0);
                return;
        }
        check(row.endpoint.port != 0 && row.endpoint.protocol == protocol &&
              row.endpoint.address.family == family && !row.endpoint.address.v6only);
        check(row.cookie == 0 && row.cgroup_id == 0 && row.endpoint.netns == 0);
        check_again(&row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const uint8_t protocols[] = {PW_TCP, PW_UDP, PW_UDPLITE};
        _cleanup_(pw_freep) char *line = malloc(size + 1);

        check(line);
        if (size > 0)
                memcpy(line, data, size);
        line[size] = '\0';
        for (size_t i = 0; i < PW_ELEMENTS(protocols); i++) {
                check_line(line, protocols[i], AF_INET);
                check_line(line, protocols[i], AF_INET6);
        }
        return 0;
}
