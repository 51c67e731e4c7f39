/* SPDX-License-Identifier: MIT */
/* Recordings: ours, those of `ss -D`, and broken ones made by hand.
 *
 * fixtures/ss-dump.nl: `ss -ta -D FILE` (iproute2 6.1) in a network namespace with listeners on
 * 127.0.0.1:2222, 0.0.0.0:8080, *:9090, [::]:8080 and [::1]:631, and two connections.
 * fixtures/recording.nl: pw_sockdiag_record() of the protocols TCP, UDP and UDP-Lite there. */

#include "daemon/sockdiag-parse.h"
#include "daemon/sockdiag.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

struct recording {
        char bytes[8192];
        size_t length;
};

/* ---- making recordings ---- */

static void put(struct recording *recording, uint16_t type, uint16_t flags, const void *payload,
                size_t length)
{
        struct nlmsghdr header = {
            .nlmsg_len = (uint32_t)(sizeof header + length),
            .nlmsg_type = type,
            .nlmsg_flags = flags,
        };

        assert_true(recording->length + sizeof header + length <= sizeof recording->bytes);
        memcpy(recording->bytes + recording->length, &header, sizeof header);
        if (length > 0)
                memcpy(recording->bytes + recording->length + sizeof header, payload, length);
        recording->length += sizeof header + length;
        recording->length += (size_t)-recording->length % NLMSG_ALIGNTO;
}

static void put_one_pass_request(struct recording *recording, uint32_t protocol)
{
        struct {
                struct inet_diag_req request;
                struct nlattr attribute;
                uint32_t protocol;
        } body = {
            .attribute = {.nla_len = 8, .nla_type = INET_DIAG_REQ_PROTOCOL},
            .protocol = protocol,
        };

        put(recording, TCPDIAG_GETSOCK, NLM_F_REQUEST | NLM_F_DUMP, &body,
            protocol == PW_TCP ? sizeof body.request : sizeof body);
}

static void put_family_request(struct recording *recording, uint8_t protocol, uint8_t family)
{
        struct inet_diag_req_v2 body = {.sdiag_family = family, .sdiag_protocol = protocol};

        put(recording, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, &body, sizeof body);
}

static void put_row_flagged(struct recording *recording, uint8_t family, uint8_t row_state,
                            uint16_t port, uint16_t flags)
{
        struct inet_diag_msg body = {
            .idiag_family = family,
            .idiag_state = row_state,
            .id.idiag_sport = htons(port),
            .id.idiag_cookie = {port, 0},
        };

        put(recording, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI | flags, &body, sizeof body);
}

static void put_row(struct recording *recording, uint8_t family, uint8_t row_state, uint16_t port)
{
        put_row_flagged(recording, family, row_state, port, 0);
}

static void put_done(struct recording *recording, int error)
{
        put(recording, NLMSG_DONE, NLM_F_MULTI, &error, sizeof error);
}

/* ---- looking at them ---- */

static int replay(const struct recording *recording, struct pw_snapshot *snapshot,
                  uint64_t *ret_offset)
{
        return pw_sockdiag_replay_bytes(recording->bytes, recording->length, snapshot, ret_offset);
}

static void assert_replay(const struct recording *recording, int wanted, size_t rows, size_t parts)
{
        struct pw_snapshot snapshot = {0};
        uint64_t offset;

        assert_int_equal(replay(recording, &snapshot, &offset), wanted);
        assert_int_equal(snapshot.n_sockets, rows);
        assert_int_equal(snapshot.n_parts, parts);
        pw_snapshot_done(&snapshot);
}

/* Refused at `offset`, and nothing of it is left in the snapshot. */
static void assert_refused(const struct recording *recording, uint64_t wanted)
{
        struct pw_snapshot snapshot = {0};
        uint64_t offset = UINT64_MAX;

        assert_non_null(pw_snapshot_add(&snapshot));
        assert_int_equal(pw_snapshot_add_part(&snapshot, 7, PW_TCP, true), 0);
        assert_int_equal(replay(recording, &snapshot, &offset), -EBADMSG);
        assert_int_equal(offset, wanted);
        assert_int_equal(snapshot.n_sockets, 1);
        assert_int_equal(snapshot.n_parts, 1);
        pw_snapshot_done(&snapshot);
}

static void assert_row(const struct pw_snapshot *snapshot, uint8_t protocol, const char *address,
                       uint16_t port)
{
        for (size_t i = 0; i < snapshot->n_sockets; i++) {
                const struct pw_socket *row = &snapshot->sockets[i];
                char text[PW_ADDRESS_MAX];

                pw_address_format(text, sizeof text, &row->endpoint.address);
                if (row->endpoint.protocol == protocol && row->endpoint.port == port &&
                    strcmp(text, address) == 0) {
                        assert_int_equal(row->endpoint.netns, 0);
                        assert_true(row->cookie != 0 && row->inode != 0);
                        return;
                }
        }
        fail_msg("no row for %s %s:%u", pw_protocol_name(protocol), address, port);
}

static int replay_file(const char *path, struct pw_snapshot *snapshot)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC), r;
        uint64_t offset;

        assert_true(fd >= 0);
        r = pw_sockdiag_replay(fd, snapshot, &offset);
        close(fd);
        return r;
}

/* ---- whole files ---- */

/* What iproute2 writes: no requests, all states, two dumps one behind the other. */
static void test_ss_dump(void **state)
{
        struct pw_snapshot snapshot = {0};

        (void)state;
        assert_int_equal(replay_file(PW_FIXTURES "/ss-dump.nl", &snapshot), 0);
        assert_int_equal(snapshot.n_sockets, 5);
        assert_row(&snapshot, PW_TCP, "127.0.0.1", 2222);
        assert_row(&snapshot, PW_TCP, "0.0.0.0", 8080);
        assert_row(&snapshot, PW_TCP, "*", 9090);
        assert_row(&snapshot, PW_TCP, "::", 8080);
        assert_row(&snapshot, PW_TCP, "::1", 631);
        assert_int_equal(snapshot.n_parts, 1);
        assert_true(pw_snapshot_is_complete(&snapshot, 0, PW_TCP));
        assert_false(pw_snapshot_is_complete(&snapshot, 0, PW_UDP));
        pw_snapshot_done(&snapshot);
}

static void test_our_recording(void **state)
{
        struct pw_snapshot snapshot = {0};

        (void)state;
        assert_int_equal(replay_file(PW_FIXTURES "/recording.nl", &snapshot), 0);
        assert_int_equal(snapshot.n_sockets, 6);
        assert_row(&snapshot, PW_TCP, "127.0.0.1", 2222);
        assert_row(&snapshot, PW_TCP, "*", 9090);
        assert_row(&snapshot, PW_UDP, "0.0.0.0", 53);
        assert_row(&snapshot, PW_UDP, "::1", 53);
        assert_row(&snapshot, PW_UDP, "::", 5353);
        assert_row(&snapshot, PW_UDPLITE, "127.0.0.1", 9999);
        assert_int_equal(snapshot.n_parts, 3);
        pw_snapshot_done(&snapshot);
}

/* A file cut anywhere is refused or incomplete, never whole: half a look would look like closes. */
static void test_cut_anywhere(void **state)
{
        char bytes[16384];
        ssize_t length = pw_read_file(AT_FDCWD, PW_FIXTURES "/recording.nl", bytes, sizeof bytes);

        (void)state;
        assert_true(length > 0);
        for (size_t cut = 0; cut < (size_t)length; cut++) {
                struct pw_snapshot snapshot = {0};
                char *copy = malloc(cut ? cut : 1);
                uint64_t offset = 0;
                int r;

                assert_non_null(copy);
                memcpy(copy, bytes, cut);
                r = pw_sockdiag_replay_bytes(copy, cut, &snapshot, &offset);
                if (r == -EBADMSG)
                        assert_true(offset <= cut);
                else if (r == 0) /* between the looks at two protocols */
                        assert_true(snapshot.n_parts < 3);
                else
                        assert_int_equal(r, 1);
                free(copy);
                pw_snapshot_done(&snapshot);
        }
}

/* A file need not be regular, nor fit into one read. */
static void test_pipe_and_errors(void **state)
{
        struct recording recording = {0};
        struct pw_snapshot snapshot = {0};
        uint64_t offset;
        int fds[2];

        (void)state;
        put_row(&recording, AF_INET, TCP_LISTEN, 80);
        put_done(&recording, 0);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_int_equal(write(fds[1], recording.bytes, recording.length), recording.length);
        close(fds[1]);
        assert_int_equal(pw_sockdiag_replay(fds[0], &snapshot, &offset), 0);
        assert_int_equal(snapshot.n_sockets, 1);
        close(fds[0]);
        assert_int_equal(replay_file("/", &snapshot), -EISDIR);
        assert_int_equal(pw_sockdiag_replay(-1, &snapshot, &offset), -EBADF);
        pw_snapshot_done(&snapshot);
}

/* A file without end, as /dev/zero is, must not fill the memory. */
static void test_too_large(void **state)
{
        struct pw_snapshot snapshot = {0};
        int fd = memfd_create("large", MFD_CLOEXEC);
        uint64_t offset;

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (256 << 20) + 1), 0);
        assert_int_equal(pw_sockdiag_replay(fd, &snapshot, &offset), -EFBIG);
        close(fd);
}

/* ---- what the messages say ---- */

static void test_requests_name_the_protocol(void **state)
{
        struct recording recording = {0};
        struct pw_snapshot snapshot = {0};
        uint64_t offset;

        (void)state;
        put_one_pass_request(&recording, PW_TCP);
        put_row(&recording, AF_INET, TCP_LISTEN, 80);
        put_row(&recording, AF_INET, TCP_ESTABLISHED, 81);
        put_done(&recording, 0);
        put_one_pass_request(&recording, PW_UDP);
        put_row(&recording, AF_INET6, TCP_CLOSE, 53);
        put_done(&recording, 0);
        assert_int_equal(replay(&recording, &snapshot, &offset), 0);
        assert_int_equal(snapshot.n_sockets, 2);
        assert_int_equal(snapshot.sockets[0].endpoint.protocol, PW_TCP);
        assert_int_equal(snapshot.sockets[1].endpoint.protocol, PW_UDP);
        assert_true(pw_snapshot_is_complete(&snapshot, 0, PW_TCP));
        assert_true(pw_snapshot_is_complete(&snapshot, 0, PW_UDP));
        pw_snapshot_done(&snapshot);
}

/* Asked family by family, one family alone is half a look. */
static void test_both_families_are_needed(void **state)
{
        struct recording recording = {0};

        (void)state;
        put_family_request(&recording, PW_TCP, AF_INET);
        put_row(&recording, AF_INET, TCP_LISTEN, 80);
        put_done(&recording, 0);
        assert_replay(&recording, 1, 1, 1);
        put_family_request(&recording, PW_TCP, AF_INET6);
        assert_replay(&recording, 1, 1, 1);
        put_row(&recording, AF_INET6, TCP_LISTEN, 81);
        put_done(&recording, 0);
        assert_replay(&recording, 0, 2, 1);
}

/* A dump that failed is no empty dump. */
static void test_failed_dumps(void **state)
{
        struct recording recording = {0};
        struct nlmsgerr error = {.error = -EBUSY};

        (void)state;
        put_one_pass_request(&recording, PW_UDPLITE);
        put_done(&recording, -ENOENT);
        assert_replay(&recording, 1, 0, 1);

        recording.length = 0;
        put_one_pass_request(&recording, PW_TCP);
        put(&recording, NLMSG_ERROR, 0, &error, sizeof error);
        assert_replay(&recording, 1, 0, 1);

        recording.length = 0;
        put_row(&recording, AF_INET, TCP_LISTEN, 80);
        put_done(&recording, -ENOMEM);
        put_row(&recording, AF_INET6, TCP_LISTEN, 81);
        put_done(&recording, 0);
        assert_replay(&recording, 1, 2, 1);
}

static void test_no_end(void **state)
{
        struct recording recording = {0};

        (void)state;
        put_row(&recording, AF_INET, TCP_LISTEN, 80);
        assert_replay(&recording, 1, 1, 1);
        put_done(&recording, 0);
        assert_replay(&recording, 0, 1, 1);
        put_row(&recording, AF_INET6, TCP_LISTEN, 81);
        assert_replay(&recording, 1, 2, 1);
}

/* The daemon tries again after an interruption, and the recording holds both attempts. */
static void test_interrupted_and_tried_again(void **state)
{
        struct recording recording = {0};

        (void)state;
        put_one_pass_request(&recording, PW_TCP);
        put_row(&recording, AF_INET, TCP_LISTEN, 80);
        put_row_flagged(&recording, AF_INET, TCP_LISTEN, 81, NLM_F_DUMP_INTR);
        put_done(&recording, 0);
        assert_replay(&recording, 1, 2, 1);
        put_one_pass_request(&recording, PW_TCP);
        put_row(&recording, AF_INET, TCP_LISTEN, 80);
        put_done(&recording, 0);
        assert_replay(&recording, 0, 1, 1);
}

/* Several looks in one file: the last one counts, for its own protocol and family only. */
static void test_later_looks_replace(void **state)
{
        struct recording recording = {0};
        struct pw_snapshot snapshot = {0};
        uint64_t offset;

        (void)state;
        put_family_request(&recording, PW_TCP, AF_INET);
        put_row(&recording, AF_INET, TCP_LISTEN, 1);
        put_done(&recording, 0);
        put_family_request(&recording, PW_TCP, AF_INET6);
        put_row(&recording, AF_INET6, TCP_LISTEN, 2);
        put_done(&recording, 0);
        put_one_pass_request(&recording, PW_UDP);
        put_row(&recording, AF_INET, TCP_CLOSE, 3);
        put_done(&recording, 0);
        put_family_request(&recording, PW_TCP, AF_INET);
        put_row(&recording, AF_INET, TCP_LISTEN, 4);
        put_done(&recording, 0);

        /* What was in the snapshot before is not the recording's to replace. */
        pw_snapshot_add(&snapshot)->endpoint =
            (struct pw_endpoint){.port = 9, .protocol = PW_TCP, .address.family = AF_INET};
        assert_int_equal(replay(&recording, &snapshot, &offset), 0);
        assert_int_equal(snapshot.n_sockets, 4);
        assert_int_equal(snapshot.sockets[0].endpoint.port, 9);
        assert_int_equal(snapshot.sockets[1].endpoint.port, 2);
        assert_int_equal(snapshot.sockets[2].endpoint.port, 3);
        assert_int_equal(snapshot.sockets[3].endpoint.port, 4);
        pw_snapshot_done(&snapshot);
}

/* ---- what is no recording ---- */

static void test_foreign_files(void **state)
{
        struct recording recording = {.bytes = "#!/bin/sh\necho a script, not a recording\n",
                                      .length = 41};

        (void)state;
        assert_refused(&recording, 0);
        recording = (struct recording){0}; /* empty */
        assert_refused(&recording, 0);
        recording.length = 4096; /* zeroes */
        assert_refused(&recording, 0);

        /* Netlink, but of another family: routes. */
        recording.length = 0;
        put_row(&recording, AF_INET, TCP_LISTEN, 80);
        put(&recording, 24, NLM_F_MULTI, "a route, perhaps", 16);
        assert_refused(&recording, sizeof(struct nlmsghdr) + sizeof(struct inet_diag_msg));
}

static void test_bad_lengths(void **state)
{
        static const uint32_t lengths[] = {0, 15, 89, 0x7fffffff, 0xfffffff0, UINT32_MAX};
        struct recording recording = {0};
        size_t first;

        (void)state;
        put_row(&recording, AF_INET, TCP_LISTEN, 80);
        first = recording.length;
        put_row(&recording, AF_INET, TCP_LISTEN, 81);
        for (size_t i = 0; i < PW_ELEMENTS(lengths); i++) {
                struct recording broken = recording;

                memcpy(broken.bytes + first, &lengths[i], sizeof lengths[i]);
                assert_refused(&broken, first);
        }
        /* Long enough for a header, too short for a row. */
        recording.length = first;
        put(&recording, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, "short", 5);
        assert_refused(&recording, first);
}

static void test_attribute_overruns(void **state)
{
        struct {
                struct inet_diag_msg message;
                struct nlattr attribute;
        } body = {
            .message = {.idiag_family = AF_INET, .idiag_state = TCP_LISTEN},
            .attribute = {.nla_len = 400, .nla_type = INET_DIAG_CGROUP_ID},
        };
        struct recording recording = {0};

        (void)state;
        put(&recording, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &body, sizeof body);
        assert_refused(&recording, 0);
}

static void test_bad_requests(void **state)
{
        struct recording recording = {0};

        (void)state;
        put_one_pass_request(&recording, IPPROTO_SCTP);
        assert_refused(&recording, 0);
        recording.length = 0;
        put_one_pass_request(&recording, 256 + PW_TCP);
        assert_refused(&recording, 0);
        recording.length = 0;
        put_family_request(&recording, PW_TCP, AF_UNIX);
        assert_refused(&recording, 0);
        recording.length = 0;
        put_family_request(&recording, PW_TCP, AF_UNSPEC);
        assert_refused(&recording, 0);
        recording.length = 0;
        put(&recording, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, "short", 5);
        assert_refused(&recording, 0);
        recording.length = 0;
        put(&recording, TCPDIAG_GETSOCK, NLM_F_REQUEST, "short", 5);
        assert_refused(&recording, 0);
}

/* Errors that no kernel sends. */
static void test_bad_ends(void **state)
{
        struct recording recording = {0};

        (void)state;
        put_done(&recording, 5);
        assert_refused(&recording, 0);
        recording.length = 0;
        put(&recording, NLMSG_ERROR, 0, "", 0);
        assert_refused(&recording, 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_ss_dump),
            cmocka_unit_test(test_our_recording),
            cmocka_unit_test(test_cut_anywhere),
            cmocka_unit_test(test_pipe_and_errors),
            cmocka_unit_test(test_too_large),
            cmocka_unit_test(test_requests_name_the_protocol),
            cmocka_unit_test(test_both_families_are_needed),
            cmocka_unit_test(test_failed_dumps),
            cmocka_unit_test(test_no_end),
            cmocka_unit_test(test_interrupted_and_tried_again),
            cmocka_unit_test(test_later_looks_replace),
            cmocka_unit_test(test_foreign_files),
            cmocka_unit_test(test_bad_lengths),
            cmocka_unit_test(test_attribute_overruns),
            cmocka_unit_test(test_bad_requests),
            cmocka_unit_test(test_bad_ends),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
