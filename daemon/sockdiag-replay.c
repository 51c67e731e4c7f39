/* SPDX-License-Identifier: MIT */
/* Replays recordings: files of raw netlink messages, one behind the other.
 *
 * Two kinds are read. Ours hold each request before its replies, which tells the protocol and the
 * family; a request that comes again begins a new look at the same sockets, which replaces the
 * older one (so does a dump that was interrupted and tried again). A recording without requests is
 * what `ss -D` writes: dumps of TCP, IPv4 and then IPv6, each ended by an NLMSG_DONE.
 *
 * A recording comes from anywhere: lengths are checked, nothing needs to be aligned, and what is
 * not understood is an error with its place, not a guess. */

#include "daemon/sockdiag-parse.h"
#include "daemon/sockdiag.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <unistd.h>

#define RECORDING_MAX ((size_t)256 << 20)
#define READ_STEP ((size_t)64 << 10)

static const uint8_t protocols[] = {PW_TCP, PW_UDP, PW_UDPLITE};
static const uint8_t families[] = {AF_UNSPEC, AF_INET, AF_INET6}; /* AF_UNSPEC: in one pass */

/* How far the reply to one request has been read. */
enum answer {
        ANSWER_NONE, /* not asked for */
        ANSWER_OPEN, /* no NLMSG_DONE yet */
        ANSWER_COMPLETE,
        ANSWER_FAILED,
};

struct replay {
        struct pw_snapshot *snapshot;
        size_t rows_before; /* that the snapshot had */
        bool begun;
        size_t protocol, family; /* index of what is being answered */
        enum answer answers[PW_ELEMENTS(protocols)][PW_ELEMENTS(families)];
};

struct message {
        struct nlmsghdr header;
        const char *payload;
        size_t length; /* of the payload */
};

/* ---- requests ---- */

static int index_of(const uint8_t *values, size_t n, uint8_t value, size_t *ret)
{
        for (size_t i = 0; i < n; i++)
                if (values[i] == value) {
                        *ret = i;
                        return 0;
                }
        return -EBADMSG;
}

/* Removes the rows that an earlier answer to the same question gave. */
static void forget_rows(struct replay *replay, uint8_t protocol, uint8_t family)
{
        struct pw_snapshot *snapshot = replay->snapshot;
        size_t kept = replay->rows_before;

        for (size_t i = kept; i < snapshot->n_sockets; i++) {
                const struct pw_endpoint *endpoint = &snapshot->sockets[i].endpoint;

                if (endpoint->protocol != protocol ||
                    (family != AF_UNSPEC && endpoint->address.family != family))
                        snapshot->sockets[kept++] = snapshot->sockets[i];
        }
        snapshot->n_sockets = kept;
}

static int begin_answer(struct replay *replay, uint8_t protocol, uint8_t family)
{
        enum answer *answer;

        if (index_of(protocols, PW_ELEMENTS(protocols), protocol, &replay->protocol) < 0 ||
            index_of(families, PW_ELEMENTS(families), family, &replay->family) < 0)
                return -EBADMSG;
        answer = &replay->answers[replay->protocol][replay->family];
        if (*answer != ANSWER_NONE)
                forget_rows(replay, protocol, family);
        *answer = ANSWER_OPEN;
        replay->begun = true;
        return 0;
}

/* The only attribute of a one-pass request that matters is its protocol. */
static int one_pass_protocol(const char *data, size_t length, uint8_t *ret)
{
        struct nlattr header;
        uint32_t protocol = PW_TCP;

        if (length >= sizeof header + sizeof protocol) {
                memcpy(&header, data, sizeof header);
                if (header.nla_type != INET_DIAG_REQ_PROTOCOL ||
                    header.nla_len != sizeof header + sizeof protocol)
                        return -EBADMSG;
                memcpy(&protocol, data + sizeof header, sizeof protocol);
        } else if (length > 0) {
                return -EBADMSG;
        }
        if (protocol > UINT8_MAX)
                return -EBADMSG;
        *ret = (uint8_t)protocol;
        return 0;
}

static int read_request(struct replay *replay, const struct message *message)
{
        struct inet_diag_req_v2 request;
        size_t one_pass_size = NLMSG_ALIGN(sizeof(struct inet_diag_req));
        uint8_t protocol;

        if (message->header.nlmsg_type == TCPDIAG_GETSOCK) {
                if (message->length < one_pass_size ||
                    one_pass_protocol(message->payload + one_pass_size,
                                      message->length - one_pass_size, &protocol) < 0)
                        return -EBADMSG;
                return begin_answer(replay, protocol, AF_UNSPEC);
        }
        if (message->length < sizeof request)
                return -EBADMSG;
        memcpy(&request, message->payload, sizeof request);
        if (request.sdiag_family == AF_UNSPEC)
                return -EBADMSG;
        return begin_answer(replay, request.sdiag_protocol, request.sdiag_family);
}

/* ---- replies ---- */

/* The answer that a reply belongs to; without a request it is TCP. */
static enum answer *current_answer(struct replay *replay)
{
        if (!replay->begun)
                begin_answer(replay, PW_TCP, AF_UNSPEC);
        return &replay->answers[replay->protocol][replay->family];
}

static int read_row(struct replay *replay, const struct message *message)
{
        enum answer *answer = current_answer(replay);
        struct pw_socket *row;
        int r;

        row = pw_snapshot_add(replay->snapshot);
        if (!row)
                return -ENOMEM;
        r = pw_sockdiag_parse(message->payload, message->length, protocols[replay->protocol], 0,
                              row);
        if (r != 0)
                replay->snapshot->n_sockets--;
        if (r < 0)
                return r;
        if (message->header.nlmsg_flags & NLM_F_DUMP_INTR)
                *answer = ANSWER_FAILED;
        else if (*answer == ANSWER_COMPLETE)
                *answer = ANSWER_OPEN; /* the next of several dumps without requests */
        return 0;
}

static int read_end(struct replay *replay, const struct message *message)
{
        enum answer *answer = current_answer(replay);
        int r =
            pw_sockdiag_parse_end(message->header.nlmsg_type, message->payload, message->length);

        if (r == -EBADMSG)
                return r;
        if (r < 0 || message->header.nlmsg_flags & NLM_F_DUMP_INTR)
                *answer = ANSWER_FAILED;
        else if (*answer != ANSWER_FAILED)
                *answer = ANSWER_COMPLETE;
        return 0;
}

static int read_message(struct replay *replay, const struct message *message)
{
        switch (message->header.nlmsg_type) {
        case TCPDIAG_GETSOCK:
        case SOCK_DIAG_BY_FAMILY:
                return message->header.nlmsg_flags & NLM_F_REQUEST ? read_request(replay, message)
                                                                   : read_row(replay, message);
        case NLMSG_DONE:
        case NLMSG_ERROR:
                return read_end(replay, message);
        case NLMSG_NOOP:
                return 0;
        default:
                return -EBADMSG;
        }
}

/* ---- the whole ---- */

/* One pass answers for both families; else both must have been asked. */
static bool is_complete(const enum answer *answers)
{
        bool failed = false;

        for (size_t i = 0; i < PW_ELEMENTS(families); i++)
                failed = failed || answers[i] == ANSWER_OPEN || answers[i] == ANSWER_FAILED;
        return !failed && (answers[0] == ANSWER_COMPLETE ||
                           (answers[1] == ANSWER_COMPLETE && answers[2] == ANSWER_COMPLETE));
}

static int add_parts(struct replay *replay)
{
        bool incomplete = false;

        for (size_t i = 0; i < PW_ELEMENTS(protocols); i++) {
                const enum answer *answers = replay->answers[i];
                bool complete = is_complete(answers);

                if (answers[0] == ANSWER_NONE && answers[1] == ANSWER_NONE &&
                    answers[2] == ANSWER_NONE)
                        continue;
                if (pw_snapshot_add_part(replay->snapshot, 0, protocols[i], complete) < 0)
                        return -ENOMEM;
                incomplete = incomplete || !complete;
        }
        return incomplete ? 1 : 0;
}

static int read_messages(struct replay *replay, const char *data, size_t size, size_t *offset)
{
        *offset = 0;
        while (*offset < size) {
                size_t left = size - *offset;
                struct message message;
                int r;

                if (left < NLMSG_HDRLEN)
                        return -EBADMSG;
                memcpy(&message.header, data + *offset, sizeof message.header);
                if (message.header.nlmsg_len < NLMSG_HDRLEN || message.header.nlmsg_len > left)
                        return -EBADMSG;
                message.payload = data + *offset + NLMSG_HDRLEN;
                message.length = message.header.nlmsg_len - NLMSG_HDRLEN;
                r = read_message(replay, &message);
                if (r < 0)
                        return r;
                *offset += PW_MIN(left, (size_t)NLMSG_ALIGN(message.header.nlmsg_len));
        }
        return size > 0 ? 0 : -EBADMSG;
}

int pw_sockdiag_replay_bytes(const void *data, size_t size, struct pw_snapshot *snapshot,
                             uint64_t *ret_offset)
{
        struct replay replay = {
            .snapshot = snapshot,
            .rows_before = snapshot->n_sockets,
        };
        size_t parts_before = snapshot->n_parts, offset;
        int r = read_messages(&replay, data, size, &offset);

        if (r == 0)
                r = add_parts(&replay);
        if (r < 0) {
                snapshot->n_sockets = replay.rows_before;
                snapshot->n_parts = parts_before;
        }
        if (r == -EBADMSG)
                *ret_offset = offset;
        return r;
}

/* Reads to the end of the file; it need not be a regular one. */
static int read_all(int fd, char **ret, size_t *ret_size)
{
        _cleanup_(pw_freep) char *data = NULL;
        size_t size = 0, capacity = 0;

        for (;;) {
                ssize_t n;

                if (pw_array_reserve(&data, &capacity, size + READ_STEP, 1) < 0)
                        return -ENOMEM;
                n = read(fd, data + size, capacity - size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                size += (size_t)n;
                if (size > RECORDING_MAX)
                        return -EFBIG;
        }
        *ret = PW_TAKE_PTR(data);
        *ret_size = size;
        return 0;
}

int pw_sockdiag_replay(int fd, struct pw_snapshot *snapshot, uint64_t *ret_offset)
{
        _cleanup_(pw_freep) char *data = NULL;
        size_t size = 0;
        int r = read_all(fd, &data, &size);

        if (r < 0)
                return r;
        return pw_sockdiag_replay_bytes(data, size, snapshot, ret_offset);
}
