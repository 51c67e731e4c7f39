/* SPDX-License-Identifier: MIT */
/* Is a socket that a dump did not show really gone? Dumps under churn miss living sockets, so their
 * silence proves nothing. In order of cost:
 *
 * 1. Look it up by endpoint and cookie. Found: alive. Denied: the lookup may have met a neighbour
 *    at the same endpoint (SO_REUSEPORT, SO_REUSEADDR) that has another cookie.
 * 2. Look the endpoint up without a cookie. Nothing there: gone. A lookup that picks a member of a
 *    group in the moment in which that one closes also finds nothing, so it is asked twice; by then
 *    such a member is out of the tables.
 * 3. List the port. The kernel walks a hash bucket under its lock, and all sockets of one endpoint
 *    are in one bucket; it interrupts the walk only when a batch is full, and then goes on by
 *    position, which skips sockets if others have gone meanwhile. So a listing whose batches are
 *    all far from full is exact, and a socket that it lacks is gone. A longer one lies just as
 *    dumps do: who is in it is alive, and nothing is known of the others.
 *
 * A listing that is too long is kept until the next look, since the many members of such a group
 * would all ask for it and learn no more. Invariant before all others: a socket that lives where it
 * was seen is never called gone. */

#include "daemon/sockdiag-parse.h"
#include "daemon/sockdiag-request.h"

/* The kernel dumps into a page at least, less its own overhead (NLMSG_GOODSIZE): a batch of up to
 * this many bytes, about 20 sockets, was not cut. */
#define NEVER_FULL 3072

#define NO_COOKIE UINT64_MAX /* INET_DIAG_NOCOOKIE in both halves */

/* The local address goes where the kernel looks for it: for UDP that is the remote side, since
 * udp_dump_one() looks up what a received packet would reach. */
static void put_endpoint(struct inet_diag_sockid *id, const struct pw_endpoint *endpoint)
{
        bool swapped = endpoint->protocol != PW_TCP;

        memcpy(swapped ? id->idiag_dst : id->idiag_src, endpoint->address.bytes,
               sizeof endpoint->address.bytes);
        *(swapped ? &id->idiag_dport : &id->idiag_sport) = htons(endpoint->port);
        id->idiag_if = endpoint->ifindex;
}

/* Looks up what is at the endpoint: 1: found, its cookie in *ret_cookie (0 where it is no listener
 * any more); 0: denied; -errno: no clear answer. */
static int look_up(struct pw_sockdiag *diag, const struct pw_endpoint *endpoint, uint64_t cookie,
                   uint64_t *ret_cookie)
{
        struct pw_socket row;
        struct pw_snapshot found = {.sockets = &row, .sockets_capacity = 1};
        struct pw_sockdiag_reply reply = {
            .protocol = endpoint->protocol,
            .netns = diag->netns,
            .single = true,
            .snapshot = &found,
        };
        union pw_sockdiag_request request;
        struct inet_diag_req_v2 *body =
            pw_sockdiag_request_begin(&request, 0, endpoint->address.family, endpoint->protocol);
        int r;

        put_endpoint(&body->id, endpoint);
        body->id.idiag_cookie[0] = (uint32_t)cookie;
        body->id.idiag_cookie[1] = (uint32_t)(cookie >> 32);
        r = pw_sockdiag_exchange(diag, &request, &reply);
        if (r == -ENOENT || r == -ESTALE)
                return 0;
        if (r < 0)
                return r;
        *ret_cookie = found.n_sockets > 0 ? row.cookie : 0;
        return 1;
}

static bool is_crowded(const struct port_listing *listing, const struct pw_endpoint *endpoint)
{
        return listing->crowded && listing->protocol == endpoint->protocol &&
               listing->family == endpoint->address.family && listing->port == endpoint->port;
}

static int list_port(struct pw_sockdiag *diag, const struct pw_endpoint *endpoint)
{
        struct port_listing *listing = &diag->listing;
        struct pw_sockdiag_reply reply = {
            .protocol = endpoint->protocol,
            .netns = diag->netns,
            .snapshot = &listing->rows,
        };
        /* Accept where the local port is the operand's; else jump behind the end: refuse. */
        struct inet_diag_bc_op filter[2] = {
            {.code = INET_DIAG_BC_S_EQ, .yes = sizeof filter, .no = sizeof filter + 4},
            {.no = endpoint->port},
        };
        union pw_sockdiag_request request;
        int r;

        listing->crowded = false;
        pw_snapshot_clear(&listing->rows);
        pw_sockdiag_request_begin(&request, NLM_F_DUMP, endpoint->address.family,
                                  endpoint->protocol);
        mnl_attr_put(&request.header, INET_DIAG_REQ_BYTECODE, sizeof filter, filter);
        r = pw_sockdiag_exchange(diag, &request, &reply);
        if (r < 0)
                return r;
        pw_snapshot_sort(&listing->rows);
        listing->protocol = endpoint->protocol;
        listing->family = endpoint->address.family;
        listing->port = endpoint->port;
        listing->crowded = reply.largest > NEVER_FULL;
        return 0;
}

static int compare_cookies(const void *a, const void *b)
{
        const struct pw_socket *x = a, *y = b;

        return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

static enum pw_proof prove_by_listing(struct pw_sockdiag *diag, const struct pw_socket *socket)
{
        const struct port_listing *listing = &diag->listing;

        if (!is_crowded(listing, &socket->endpoint) && list_port(diag, &socket->endpoint) < 0)
                return PW_PROOF_NEITHER;
        if (listing->rows.n_sockets > 0 &&
            bsearch(socket, listing->rows.sockets, listing->rows.n_sockets, sizeof *socket,
                    compare_cookies))
                return PW_PROOF_ALIVE;
        return listing->crowded ? PW_PROOF_NEITHER : PW_PROOF_GONE;
}

enum pw_proof pw_sockdiag_prove(struct pw_sockdiag *diag, const struct pw_socket *socket)
{
        const struct pw_endpoint *endpoint = &socket->endpoint;
        uint64_t cookie = 0;
        int r;

        if (endpoint->netns != diag->netns || socket->cookie == 0 ||
            pw_sockdiag_states(endpoint->protocol) == 0)
                return PW_PROOF_NEITHER;
        r = look_up(diag, endpoint, socket->cookie, &cookie);
        for (int i = 0; i < 2 && r == 0; i++)
                r = look_up(diag, endpoint, NO_COOKIE, &cookie);
        if (r < 0)
                return PW_PROOF_NEITHER;
        /* A protocol that the kernel cannot list is denied in the same words as a socket. */
        if (r == 0)
                return pw_sockdiag_error(diag, endpoint->protocol) == 0 ? PW_PROOF_GONE
                                                                        : PW_PROOF_NEITHER;
        if (cookie == socket->cookie)
                return PW_PROOF_ALIVE;
        return prove_by_listing(diag, socket);
}
