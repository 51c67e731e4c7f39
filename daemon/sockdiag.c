/* SPDX-License-Identifier: MIT */
/* The poller. One netlink socket, one receive buffer, one request in flight; every request has a
 * sequence number of its own (the first is random), so that replies to an older one, or to a
 * predecessor's on an inherited socket, are never taken for an answer.
 *
 * Invariants: a dump counts as complete only when its NLMSG_DONE came and carries no error; after
 * anything else the socket is drained before it is used again. libmnl's own handlers ignore the
 * error inside NLMSG_DONE, so the control messages are handled here. */

#include "daemon/sockdiag-parse.h"
#include "daemon/sockdiag-request.h"

#include <sys/random.h>
#include <sys/time.h>

#define REPLY_TIMEOUT_SEC 5   /* the kernel answers at once; never wait for a lost reply */
#define DUMP_ATTEMPTS 3       /* of a dump that is interrupted by changes */
#define DRAIN_LIMIT (1 << 16) /* receives; ends even if somebody keeps filling the socket */

/* A protocol number for experiments (RFC 3692): never registered in a kernel. */
#define PROTOCOL_NOBODY_HAS 253

/* ---- the socket ---- */

static int open_netlink(struct pw_sockdiag *diag)
{
        struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_SEC};

        diag->netlink = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
        if (!diag->netlink)
                return -errno;
        if (mnl_socket_bind(diag->netlink, 0, MNL_SOCKET_AUTOPID) < 0)
                return -errno;
        if (setsockopt(mnl_socket_get_fd(diag->netlink), SOL_SOCKET, SO_RCVTIMEO, &timeout,
                       sizeof timeout) < 0)
                return -errno;
        diag->portid = mnl_socket_get_portid(diag->netlink);
        return 0;
}

int pw_sockdiag_open(uint64_t netns, struct pw_sockdiag **ret)
{
        _cleanup_(pw_sockdiag_closep) struct pw_sockdiag *diag = calloc(1, sizeof *diag);
        int r;

        if (!diag)
                return -ENOMEM;
        diag->netns = netns;
        diag->record_fd = -1;
        diag->dirty = true;
        for (size_t i = 0; i < PW_ELEMENTS(diag->errors); i++)
                diag->errors[i] = ENODATA;
        if (getrandom(&diag->sequence, sizeof diag->sequence, 0) < 0)
                return -errno;
        r = open_netlink(diag);
        if (r < 0)
                return r;
        *ret = PW_TAKE_PTR(diag);
        return 0;
}

void pw_sockdiag_close(struct pw_sockdiag *diag)
{
        if (!diag)
                return;
        if (diag->netlink)
                mnl_socket_close(diag->netlink);
        pw_snapshot_done(&diag->listing.rows);
        free(diag);
}

/* Takes replies that nobody waits for off the socket. Receiving also drives an unfinished dump to
 * its end in the kernel, which else would refuse the next one with EBUSY. */
static void drain(struct pw_sockdiag *diag)
{
        int fd = mnl_socket_get_fd(diag->netlink);

        for (int i = 0; i < DRAIN_LIMIT; i++)
                if (recv(fd, diag->buffer, sizeof diag->buffer, MSG_DONTWAIT) < 0 &&
                    errno != ENOBUFS && errno != EINTR)
                        break;
        diag->dirty = false;
}

/* ---- recording ---- */

void pw_sockdiag_record(struct pw_sockdiag *diag, int fd)
{
        diag->record_fd = fd;
        diag->record_error = 0;
}

static void record(struct pw_sockdiag *diag, const struct pw_sockdiag_reply *reply,
                   const void *data, size_t size)
{
        if (diag->record_fd < 0 || diag->record_error < 0 || !reply->recorded)
                return;
        while (size > 0) {
                ssize_t n = write(diag->record_fd, data, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        diag->record_error = -errno;
                        return;
                }
                data = (const char *)data + n;
                size -= (size_t)n;
        }
}

/* ---- one request and its replies ---- */

static int on_row(const struct nlmsghdr *message, void *userdata)
{
        struct pw_sockdiag_reply *reply = userdata;
        struct pw_socket *row = pw_snapshot_add(reply->snapshot);
        int r;

        if (!row) {
                reply->error = -ENOMEM;
                return MNL_CB_STOP;
        }
        r = pw_sockdiag_parse(mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message),
                              reply->protocol, reply->netns, row);
        if (r != 0)
                reply->snapshot->n_sockets--;
        if (r < 0) {
                reply->error = r;
                return MNL_CB_STOP;
        }
        return reply->single ? MNL_CB_STOP : MNL_CB_OK;
}

static int on_end(const struct nlmsghdr *message, void *userdata)
{
        struct pw_sockdiag_reply *reply = userdata;

        reply->error = pw_sockdiag_parse_end(message->nlmsg_type, mnl_nlmsg_get_payload(message),
                                             mnl_nlmsg_get_payload_len(message));
        return MNL_CB_STOP;
}

static int on_overrun(_unused_ const struct nlmsghdr *message, void *userdata)
{
        struct pw_sockdiag_reply *reply = userdata;

        reply->error = -ENOBUFS;
        return MNL_CB_STOP;
}

static mnl_cb_t on_control[] = {
    [NLMSG_ERROR] = on_end,
    [NLMSG_DONE] = on_end,
    [NLMSG_OVERRUN] = on_overrun,
};

static int send_request(struct pw_sockdiag *diag, struct nlmsghdr *request)
{
        /* 0 is never used: libmnl takes it for "any". */
        if (++diag->sequence == 0)
                diag->sequence = 1;
        request->nlmsg_seq = diag->sequence;
        return mnl_socket_sendto(diag->netlink, request, request->nlmsg_len) < 0 ? -errno : 0;
}

/* Returns the length received, or -errno. */
static ssize_t receive(struct pw_sockdiag *diag)
{
        ssize_t length;

        do
                length = mnl_socket_recvfrom(diag->netlink, diag->buffer, sizeof diag->buffer);
        while (length < 0 && errno == EINTR);
        if (length >= 0)
                return length;
        switch (errno) {
        case EAGAIN:
                return -ETIMEDOUT;
        case ENOSPC: /* libmnl's word for a cut message */
                return -EMSGSIZE;
        default:
                return -errno;
        }
}

static int receive_replies(struct pw_sockdiag *diag, struct pw_sockdiag_reply *reply)
{
        for (;;) {
                ssize_t length = receive(diag);
                int r;

                if (length < 0)
                        return (int)length;
                reply->largest = PW_MAX(reply->largest, (size_t)length);
                record(diag, reply, diag->buffer, (size_t)length);
                r = mnl_cb_run2(diag->buffer, (size_t)length, diag->sequence, diag->portid, on_row,
                                reply, on_control, PW_ELEMENTS(on_control));
                if (r < 0) /* NLM_F_DUMP_INTR; a foreign sequence or port */
                        return errno == EINTR ? -EINTR : -EBADMSG;
                if (r == MNL_CB_STOP)
                        return reply->error;
        }
}

int pw_sockdiag_exchange(struct pw_sockdiag *diag, union pw_sockdiag_request *request,
                         struct pw_sockdiag_reply *reply)
{
        int r;

        if (diag->dirty)
                drain(diag);
        r = send_request(diag, &request->header);
        if (r < 0)
                return r;
        record(diag, reply, request, request->header.nlmsg_len);
        r = receive_replies(diag, reply);
        diag->dirty = r < 0;
        return r;
}

/* ---- dumps ---- */

struct inet_diag_req_v2 *pw_sockdiag_request_begin(union pw_sockdiag_request *request,
                                                   unsigned flags, uint8_t family, uint8_t protocol)
{
        struct inet_diag_req_v2 *body;

        *request = (union pw_sockdiag_request){0};
        mnl_nlmsg_put_header(request);
        request->header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
        request->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
        body = mnl_nlmsg_put_extra_header(&request->header, sizeof *body);
        body->sdiag_family = family;
        body->sdiag_protocol = protocol;
        body->idiag_states = pw_sockdiag_states(protocol);
        return body;
}

/* The old request walks IPv4 and IPv6 in one pass. */
static int dump_one_pass(struct pw_sockdiag *diag, struct pw_sockdiag_reply *reply)
{
        union pw_sockdiag_request request = {0};
        struct inet_diag_req *body;

        mnl_nlmsg_put_header(&request);
        request.header.nlmsg_type = TCPDIAG_GETSOCK;
        request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
        body = mnl_nlmsg_put_extra_header(&request.header, sizeof *body);
        body->idiag_family = AF_INET;
        body->idiag_states = pw_sockdiag_states(reply->protocol);
        if (reply->protocol != PW_TCP)
                mnl_attr_put_u32(&request.header, INET_DIAG_REQ_PROTOCOL, reply->protocol);
        return pw_sockdiag_exchange(diag, &request, reply);
}

static int dump_by_family(struct pw_sockdiag *diag, struct pw_sockdiag_reply *reply)
{
        static const uint8_t families[] = {AF_INET, AF_INET6};
        union pw_sockdiag_request request;

        for (size_t i = 0; i < PW_ELEMENTS(families); i++) {
                int r;

                pw_sockdiag_request_begin(&request, NLM_F_DUMP, families[i], reply->protocol);
                r = pw_sockdiag_exchange(diag, &request, reply);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* A kernel that does not know INET_DIAG_REQ_PROTOCOL ignores it and dumps TCP: an empty answer that
 * looks like "no UDP socket". One that does know it has nothing for a protocol that nobody has. */
static void probe_form(struct pw_sockdiag *diag, struct pw_snapshot *snapshot)
{
        struct pw_sockdiag_reply reply = {
            .protocol = PROTOCOL_NOBODY_HAS,
            .snapshot = snapshot,
        };
        int r = dump_one_pass(diag, &reply);

        diag->form = r == -ENOENT ? FORM_ONE_PASS : FORM_BY_FAMILY;
}

static int dump_protocol(struct pw_sockdiag *diag, uint8_t protocol, struct pw_snapshot *snapshot)
{
        size_t rows_before = snapshot->n_sockets;
        int r = -EINTR;

        for (int i = 0; i < DUMP_ATTEMPTS && r == -EINTR; i++) {
                struct pw_sockdiag_reply reply = {
                    .protocol = protocol,
                    .netns = diag->netns,
                    .recorded = true,
                    .snapshot = snapshot,
                };

                snapshot->n_sockets = rows_before;
                r = diag->form == FORM_ONE_PASS ? dump_one_pass(diag, &reply)
                                                : dump_by_family(diag, &reply);
        }
        return r;
}

static const struct {
        unsigned what;
        uint8_t protocol;
} dumps[] = {
    {PW_DUMP_TCP, PW_TCP},
    {PW_DUMP_UDP, PW_UDP},
    {PW_DUMP_UDPLITE, PW_UDPLITE},
};
_Static_assert(PW_ELEMENTS(dumps) == PW_ELEMENTS(((struct pw_sockdiag *)NULL)->errors),
               "one error a protocol");

int pw_sockdiag_dump(struct pw_sockdiag *diag, unsigned what, struct pw_snapshot *snapshot)
{
        bool complete = true;

        diag->listing.crowded = false;
        if (diag->form == FORM_UNKNOWN)
                probe_form(diag, snapshot);
        for (size_t i = 0; i < PW_ELEMENTS(dumps); i++) {
                int r;

                if (!(what & dumps[i].what))
                        continue;
                r = dump_protocol(diag, dumps[i].protocol, snapshot);
                if (r == -ENOMEM)
                        return r;
                diag->errors[i] = -r;
                complete = complete && r == 0;
                r = pw_snapshot_add_part(snapshot, diag->netns, dumps[i].protocol, r == 0);
                if (r < 0)
                        return r;
        }
        if (diag->record_error < 0)
                return diag->record_error;
        return complete ? 0 : 1;
}

int pw_sockdiag_error(const struct pw_sockdiag *diag, uint8_t protocol)
{
        for (size_t i = 0; i < PW_ELEMENTS(dumps); i++)
                if (dumps[i].protocol == protocol)
                        return diag->errors[i];
        return EPROTONOSUPPORT;
}
