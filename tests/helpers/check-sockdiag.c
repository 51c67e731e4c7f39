/* SPDX-License-Identifier: MIT */
/* Checks the poller against the running kernel: rows, completeness, forms of dumps, replies that
 * are no answer, recordings. Runs in a network namespace of its own, where `lo` is up and has
 * fe80::1 (test-sockdiag.sh makes it). Exit status 1 when a check failed. */

#include "tests/helpers/check.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* ---- one socket ---- */

static const struct kind singles[] = {
    {SOCK_STREAM, "0.0.0.0", 0},
    {SOCK_STREAM, "127.0.0.1", 0},
    {SOCK_STREAM, "::", 0},
    {SOCK_STREAM, "::", V6ONLY},
    {SOCK_STREAM, "::1", 0},
    {SOCK_STREAM, "::ffff:127.0.0.1", 0},
    {SOCK_STREAM, "::ffff:0.0.0.0", 0},
    {SOCK_STREAM, "fe80::1", 0},
    {SOCK_STREAM, "0.0.0.0", ON_LO},
    {SOCK_STREAM, "::", ON_LO},
    {SOCK_DGRAM, "0.0.0.0", 0},
    {SOCK_DGRAM, "127.0.0.1", 0},
    {SOCK_DGRAM, "::", 0},
    {SOCK_DGRAM, "::", V6ONLY},
    {SOCK_DGRAM, "::1", 0},
    {SOCK_DGRAM, "::ffff:127.0.0.1", 0},
    {SOCK_DGRAM, "::ffff:0.0.0.0", 0},
    {SOCK_DGRAM, "fe80::1", 0},
    {SOCK_DGRAM, "ff02::fb", 0},
    {SOCK_DGRAM, "224.0.0.251", 0},
    {SOCK_DGRAM, "0.0.0.0", ON_LO},
    {SOCK_DGRAM, "::", ON_LO},
};

static bool row_is_right(const struct opened *opened, const struct kind *kind, uint16_t port)
{
        const struct pw_endpoint *endpoint = &opened->row.endpoint;
        char text[INET6_ADDRSTRLEN];
        struct stat status;
        bool zone =
            strncmp(kind->address, "fe80", 4) == 0 || strncmp(kind->address, "ff02", 4) == 0;

        if (fstat(opened->fd, &status) < 0)
                fail("fstat");
        return inet_ntop(endpoint->address.family, endpoint->address.bytes, text, sizeof text) &&
               strcmp(text, kind->address) == 0 && endpoint->port == port &&
               endpoint->netns == NETNS &&
               endpoint->protocol == (kind->type == SOCK_STREAM ? PW_TCP : PW_UDP) &&
               endpoint->address.v6only == ((kind->flags & V6ONLY) != 0) &&
               endpoint->ifindex == (kind->flags & ON_LO || zone ? if_nametoindex("lo") : 0) &&
               opened->row.inode == status.st_ino && opened->row.uid == geteuid();
}

static void check_singles(struct pw_sockdiag *diag)
{
        for (size_t i = 0; i < PW_ELEMENTS(singles); i++) {
                struct opened opened = open_kind(&singles[i], PORT);
                const char *name = kind_name(&singles[i]);

                check(note_rows(diag, &opened, 1) && row_is_right(&opened, &singles[i], PORT),
                      "%s has the right row", name);
                check_proof(diag, &opened, PW_PROOF_ALIVE, name);
                close(opened.fd);
                check_proof(diag, &opened, PW_PROOF_GONE, "… closed");
        }
}

/* ---- what is no listener ---- */

static void check_others(struct pw_sockdiag *diag)
{
        static const struct kind tcp = {SOCK_STREAM, "127.0.0.1", 0};
        static const struct kind udp = {SOCK_DGRAM, "127.0.0.1", 0};
        struct sockaddr_in to = {
            .sin_family = AF_INET,
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
            .sin_port = htons(PORT),
        };
        struct opened listener = open_kind(&tcp, PORT), server = open_kind(&udp, PORT);
        int bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int connected = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct pw_snapshot snapshot = {0};

        bind_to(bound, &tcp, PORT + 1);
        if (connect(client, (struct sockaddr *)&to, sizeof to) < 0 ||
            connect(connected, (struct sockaddr *)&to, sizeof to) < 0)
                fail("connect");
        look(diag, &snapshot);
        check(snapshot.n_sockets == 2 && find(&snapshot, listener.cookie) &&
                  find(&snapshot, server.cookie),
              "no row for sockets that are bound only, or connected");
        pw_snapshot_done(&snapshot);
        close(bound);
        close(client);
        close(connected);
        close(listener.fd);
        close(server.fd);
}

static void check_mptcp(struct pw_sockdiag *diag)
{
        static const struct kind kind = {SOCK_STREAM, "::", MPTCP};
        int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
        struct pw_snapshot snapshot = {0};
        struct opened opened;

        if (probe < 0) {
                printf("skipped: no MPTCP in this kernel\n");
                return;
        }
        close(probe);
        opened = open_kind(&kind, PORT);
        look(diag, &snapshot);
        if (check(snapshot.n_sockets == 1, "an MPTCP listener has one row")) {
                opened.row = snapshot.sockets[0]; /* its subflow, with a cookie of its own */
                check_proof(diag, &opened, PW_PROOF_ALIVE, "… it");
                close(opened.fd);
                check_proof(diag, &opened, PW_PROOF_GONE, "… closed");
        }
        pw_snapshot_done(&snapshot);
}

static void check_udplite(struct pw_sockdiag *diag)
{
        struct pw_snapshot snapshot = {0};
        int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDPLITE);
        struct opened opened = {0};
        int r;

        if (fd >= 0)
                bind_to(fd, &(struct kind){SOCK_DGRAM, "::", 0}, PORT);
        r = pw_sockdiag_dump(diag, PW_DUMP_UDPLITE, &snapshot);
        if (fd < 0) {
                check(r == 1 && pw_sockdiag_error(diag, PW_UDPLITE) == ENOENT &&
                          !pw_snapshot_is_complete(&snapshot, NETNS, PW_UDPLITE),
                      "without UDP-Lite in the kernel its part is incomplete, with ENOENT");
        } else if (check(r == 0 && snapshot.n_sockets == 1 &&
                             pw_snapshot_is_complete(&snapshot, NETNS, PW_UDPLITE),
                         "a UDP-Lite socket has a row (%s)",
                         strerror(pw_sockdiag_error(diag, PW_UDPLITE)))) {
                opened.row = snapshot.sockets[0];
                check_proof(diag, &opened, PW_PROOF_ALIVE, "… it");
                close(fd);
                check_proof(diag, &opened, PW_PROOF_GONE, "… closed");
        }
        pw_snapshot_done(&snapshot);
}

/* ---- the poller itself ---- */

/* A mix of sockets for the checks below. */
static size_t open_mix(struct opened *opened, size_t n)
{
        for (size_t i = 0; i < n; i++)
                opened[i] = open_kind(&singles[i % PW_ELEMENTS(singles)], (uint16_t)(PORT + i));
        return n;
}

static void check_forms(struct pw_sockdiag *diag)
{
        struct pw_snapshot one_pass = {0}, by_family = {0};

        check(diag->form != FORM_UNKNOWN, "this kernel is asked %s",
              diag->form == FORM_ONE_PASS ? "in one pass" : "family by family");
        look(diag, &one_pass);
        diag->form = FORM_BY_FAMILY;
        look(diag, &by_family);
        diag->form = FORM_UNKNOWN;
        pw_snapshot_sort(&one_pass);
        pw_snapshot_sort(&by_family);
        check(one_pass.n_sockets > 0 && pw_snapshot_equal(&one_pass, &by_family),
              "both forms of a dump give the same %zu rows", one_pass.n_sockets);
        pw_snapshot_done(&one_pass);
        pw_snapshot_done(&by_family);
}

static void check_unchanged(struct pw_sockdiag *diag)
{
        struct pw_snapshot snapshots[2] = {0};
        const struct pw_socket *memory;

        look(diag, &snapshots[0]);
        look(diag, &snapshots[1]);
        memory = snapshots[1].sockets;
        look(diag, &snapshots[1]);
        check(pw_snapshot_equal(&snapshots[0], &snapshots[1]) && snapshots[1].sockets == memory,
              "an unchanged host gives equal looks, in the same memory");
        pw_snapshot_done(&snapshots[0]);
        pw_snapshot_done(&snapshots[1]);
}

/* A dump that was given up leaves rows on the socket, and the kernel busy with the rest. */
static void check_given_up(struct pw_sockdiag *diag)
{
        struct pw_snapshot before = {0}, after = {0};
        union pw_sockdiag_request request;

        look(diag, &before);
        pw_sockdiag_request_begin(&request, NLM_F_DUMP, AF_INET, PW_UDP);
        request.header.nlmsg_seq = diag->sequence + 1;
        if (mnl_socket_sendto(diag->netlink, &request, request.header.nlmsg_len) < 0)
                fail("sendto");
        diag->dirty = true;
        look(diag, &after);
        check(pw_snapshot_equal(&before, &after), "a dump that was given up leaves no trace");

        pw_snapshot_done(&before);
        pw_snapshot_done(&after);
}

/* Puts a message on the poller's socket that looks like the answer to its next request. */
static void forge(const struct pw_sockdiag *diag, unsigned sequence, uint16_t type, uint16_t flags,
                  const void *payload, size_t length)
{
        static _Alignas(struct nlmsghdr) char buffer[2 * PW_SOCKDIAG_BUFFER];
        _cleanup_(pw_closep) int fd =
            socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = diag->portid};
        struct nlmsghdr *header = (struct nlmsghdr *)buffer;

        *header = (struct nlmsghdr){
            .nlmsg_len = (uint32_t)(sizeof *header + length),
            .nlmsg_type = type,
            .nlmsg_flags = flags,
            .nlmsg_seq = sequence,
            .nlmsg_pid = diag->portid,
        };
        memcpy(header + 1, payload, length);
        if (sendto(fd, buffer, header->nlmsg_len, 0, (struct sockaddr *)&to, sizeof to) < 0)
                fail("sendto");
}

/* Whatever comes instead of an answer: the part is incomplete and says why, and the next look is
 * whole again. */
static void check_bad_answer(struct pw_sockdiag *diag, const struct pw_snapshot *wanted, int error,
                             const char *what)
{
        struct pw_snapshot snapshot = {0};

        check(pw_sockdiag_dump(diag, PW_DUMP_TCP, &snapshot) == 1 &&
                  !pw_snapshot_is_complete(&snapshot, NETNS, PW_TCP) &&
                  pw_sockdiag_error(diag, PW_TCP) == error,
              "%s: incomplete, \"%s\"", what, strerror(error));
        look(diag, &snapshot);
        check(pw_snapshot_equal(wanted, &snapshot), "… and the next look is whole again");
        pw_snapshot_done(&snapshot);
}

static void check_bad_answers(struct pw_sockdiag *diag)
{
        static const struct inet_diag_msg row = {.idiag_family = AF_INET};
        static const char large[PW_SOCKDIAG_BUFFER + 1];
        static const int denied = -ENOENT;
        struct pw_snapshot before = {0}, after = {0};

        look(diag, &before);
        forge(diag, diag->sequence + 4711, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &row, sizeof row);
        check_bad_answer(diag, &before, EBADMSG, "another sequence number");
        forge(diag, diag->sequence + 1, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, &row, 8);
        check_bad_answer(diag, &before, EBADMSG, "a row cut short");
        forge(diag, diag->sequence + 1, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, large, sizeof large);
        check_bad_answer(diag, &before, EMSGSIZE, "a message that does not fit");
        forge(diag, diag->sequence + 1, NLMSG_OVERRUN, 0, &row, 0);
        check_bad_answer(diag, &before, ENOBUFS, "an overrun");
        forge(diag, diag->sequence + 1, NLMSG_DONE, NLM_F_MULTI, &denied, sizeof denied);
        check_bad_answer(diag, &before, ENOENT, "an end with an error");

        forge(diag, diag->sequence + 1, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI | NLM_F_DUMP_INTR, &row,
              sizeof row);
        look(diag, &after);
        check(pw_snapshot_equal(&before, &after), "an interrupted dump is tried again");
        pw_snapshot_done(&before);
        pw_snapshot_done(&after);
}

static void check_recording(struct pw_sockdiag *diag)
{
        _cleanup_(pw_closep) int fd = memfd_create("recording", MFD_CLOEXEC);
        _cleanup_(pw_closep) int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        struct pw_snapshot live = {0}, replayed = {0}, unused = {0};
        uint64_t offset = 0;

        if (fd < 0 || full < 0)
                fail("memfd_create, /dev/full");
        pw_sockdiag_record(diag, fd);
        look(diag, &live);
        pw_sockdiag_record(diag, -1);
        lseek(fd, 0, SEEK_SET);
        check(pw_sockdiag_replay(fd, &replayed, &offset) == 0 &&
                  pw_snapshot_is_complete(&replayed, 0, PW_TCP) &&
                  pw_snapshot_is_complete(&replayed, 0, PW_UDP),
              "a recording replays");
        for (size_t i = 0; i < live.n_sockets; i++)
                live.sockets[i].endpoint.netns = 0;
        for (size_t i = 0; i < live.n_parts; i++)
                live.parts[i].netns = 0;
        check(live.n_sockets > 0 && pw_snapshot_equal(&live, &replayed), "… with the same %zu rows",
              live.n_sockets);

        pw_sockdiag_record(diag, full);
        check(pw_sockdiag_dump(diag, PW_DUMP_TCP, &unused) == -ENOSPC,
              "a recording that cannot be written is an error");
        pw_sockdiag_record(diag, -1);
        pw_snapshot_done(&live);
        pw_snapshot_done(&replayed);
        pw_snapshot_done(&unused);
}

static void check_cost(struct pw_sockdiag *diag, const struct opened *opened)
{
        uint64_t start = pw_now_cpu_nsec();

        for (int i = 0; i < 1000; i++)
                pw_sockdiag_prove(diag, &opened->row);
        printf("note: a proof of life takes %.1f µs\n", (double)(pw_now_cpu_nsec() - start) / 1e6);
}

static void check_poller(struct pw_sockdiag *diag)
{
        struct opened opened[600];
        size_t n = open_mix(opened, PW_ELEMENTS(opened));

        check_forms(diag);
        check_unchanged(diag);
        check_given_up(diag);
        check_bad_answers(diag);
        check_recording(diag);
        note_rows(diag, opened, 1);
        check_cost(diag, opened);
        close_all(opened, n);
}

int main(void)
{
        _cleanup_(pw_sockdiag_closep) struct pw_sockdiag *diag = NULL;

        if (pw_sockdiag_open(NETNS, &diag) < 0)
                fail("pw_sockdiag_open");
        check_singles(diag);
        check_others(diag);
        check_mptcp(diag);
        check_udplite(diag);
        check_poller(diag);
        return checks_done();
}
