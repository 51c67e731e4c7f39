/* SPDX-License-Identifier: MIT */
/* Checks what lookups prove on the running kernel, in a network namespace of its own
 * (test-sockdiag.sh makes it). Exit status 1 when a check failed.
 *
 * What matters most: a socket that lives is never proven gone, whatever shares its port. */

#include "tests/helpers/check.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- two sockets on one port ---- */

static const struct {
        struct kind a, b;
} pairs[] = {
    {{SOCK_STREAM, "0.0.0.0", 0}, {SOCK_STREAM, "::", V6ONLY}},
    {{SOCK_STREAM, "127.0.0.1", 0}, {SOCK_STREAM, "127.0.0.2", 0}},
    {{SOCK_STREAM, "0.0.0.0", REUSEPORT}, {SOCK_STREAM, "127.0.0.1", REUSEPORT}},
    {{SOCK_STREAM, "::", REUSEPORT}, {SOCK_STREAM, "::1", REUSEPORT}},
    {{SOCK_STREAM, "0.0.0.0", REUSEPORT}, {SOCK_STREAM, "::", REUSEPORT}},
    {{SOCK_STREAM, "0.0.0.0", REUSEPORT}, {SOCK_STREAM, "::", REUSEPORT | INCOMING_CPU}},
    {{SOCK_STREAM, "127.0.0.1", REUSEPORT}, {SOCK_STREAM, "::ffff:127.0.0.1", REUSEPORT}},
    {{SOCK_STREAM, "0.0.0.0", REUSEPORT}, {SOCK_STREAM, "0.0.0.0", REUSEPORT | ON_LO}},
    {{SOCK_STREAM, "0.0.0.0", REUSEPORT | INCOMING_CPU},
     {SOCK_STREAM, "0.0.0.0", REUSEPORT | ON_LO}},
    {{SOCK_STREAM, "::", REUSEPORT}, {SOCK_STREAM, "::", REUSEPORT | V6ONLY}},
    {{SOCK_DGRAM, "0.0.0.0", 0}, {SOCK_DGRAM, "::", V6ONLY}},
    {{SOCK_DGRAM, "127.0.0.1", 0}, {SOCK_DGRAM, "127.0.0.2", 0}},
    {{SOCK_DGRAM, "0.0.0.0", REUSEADDR}, {SOCK_DGRAM, "0.0.0.0", REUSEADDR}},
    {{SOCK_DGRAM, "::", REUSEADDR}, {SOCK_DGRAM, "::", REUSEADDR}},
    {{SOCK_DGRAM, "127.0.0.1", REUSEADDR}, {SOCK_DGRAM, "127.0.0.1", REUSEADDR}},
    {{SOCK_DGRAM, "0.0.0.0", REUSEADDR}, {SOCK_DGRAM, "127.0.0.1", REUSEADDR}},
    {{SOCK_DGRAM, "::", REUSEADDR}, {SOCK_DGRAM, "::1", REUSEADDR}},
    {{SOCK_DGRAM, "0.0.0.0", REUSEADDR}, {SOCK_DGRAM, "::", REUSEADDR}},
    {{SOCK_DGRAM, "0.0.0.0", REUSEADDR}, {SOCK_DGRAM, "::", REUSEADDR | INCOMING_CPU}},
    {{SOCK_DGRAM, "0.0.0.0", REUSEADDR}, {SOCK_DGRAM, "0.0.0.0", REUSEADDR | ON_LO}},
    {{SOCK_DGRAM, "224.0.0.251", REUSEADDR}, {SOCK_DGRAM, "224.0.0.251", REUSEADDR}},
    {{SOCK_DGRAM, "0.0.0.0", REUSEPORT}, {SOCK_DGRAM, "127.0.0.1", REUSEPORT}},
    {{SOCK_DGRAM, "127.0.0.1", REUSEPORT}, {SOCK_DGRAM, "::ffff:127.0.0.1", REUSEPORT}},
};

static void check_pair(struct pw_sockdiag *diag, const struct kind *first,
                       const struct kind *second)
{
        struct opened opened[2] = {open_kind(first, PORT), open_kind(second, PORT)};

        check(note_rows(diag, opened, 2), "%s beside %s: both are seen", kind_name(first),
              kind_name(second));
        check_proof(diag, &opened[0], PW_PROOF_ALIVE, "… the first");
        check_proof(diag, &opened[1], PW_PROOF_ALIVE, "… the second");
        close(opened[0].fd);
        check_proof(diag, &opened[0], PW_PROOF_GONE, "… the first, closed");
        check_proof(diag, &opened[1], PW_PROOF_ALIVE, "… the second, alone");
        close(opened[1].fd);
        check_proof(diag, &opened[1], PW_PROOF_GONE, "… the second, closed");
}

static void check_pairs(struct pw_sockdiag *diag)
{
        for (size_t i = 0; i < PW_ELEMENTS(pairs); i++) {
                check_pair(diag, &pairs[i].a, &pairs[i].b);
                check_pair(diag, &pairs[i].b, &pairs[i].a);
        }
}

/* ---- groups (SO_REUSEPORT) ---- */

#define GROUP_MAX 400

struct tally {
        size_t proofs[3];
};

static struct tally prove_all(struct pw_sockdiag *diag, const struct opened *opened, size_t n)
{
        struct tally tally = {0};

        for (size_t i = 0; i < n; i++)
                tally.proofs[pw_sockdiag_prove(diag, &opened[i].row)]++;
        return tally;
}

/* A small group is listed exactly; a larger one leaves doubt. */
#define SMALL_GROUP 20

/* A member that came after all others were looked at. */
static void check_latecomer(struct pw_sockdiag *diag, const struct kind *kind,
                            const struct opened *member)
{
        struct opened late = open_kind(kind, PORT);
        enum pw_proof proof;

        late.row = member->row;
        late.row.cookie = late.cookie;
        proof = pw_sockdiag_prove(diag, &late.row);
        check(proof != PW_PROOF_GONE, "… a new member is %s (wanted: not gone)",
              proof_names[proof]);
        close(late.fd);
}

static void check_group(struct pw_sockdiag *diag, const struct kind *kind, size_t n, size_t closed)
{
        static struct opened group[GROUP_MAX];
        const char *name = kind_name(kind);
        struct tally tally;

        for (size_t i = 0; i < n; i++)
                group[i] = open_kind(kind, PORT);
        check(note_rows(diag, group, n), "%s: all %zu are seen", name, n);
        tally = prove_all(diag, group, n);
        check(tally.proofs[PW_PROOF_ALIVE] == n, "… all are alive (%zu alive, %zu gone)",
              tally.proofs[PW_PROOF_ALIVE], tally.proofs[PW_PROOF_GONE]);

        check_latecomer(diag, kind, &group[0]);

        close_all(group, closed);
        diag->listing.crowded = false; /* as after a look */
        tally = prove_all(diag, group, closed);
        check(tally.proofs[n - closed <= SMALL_GROUP ? PW_PROOF_GONE : PW_PROOF_NEITHER] == closed,
              "… %zu were closed (%zu gone, %zu neither)", closed, tally.proofs[PW_PROOF_GONE],
              tally.proofs[PW_PROOF_NEITHER]);
        tally = prove_all(diag, group + closed, n - closed);
        check(tally.proofs[PW_PROOF_ALIVE] == n - closed, "… the others are alive (%zu of %zu)",
              tally.proofs[PW_PROOF_ALIVE], n - closed);

        close_all(group + closed, n - closed);
        diag->listing.crowded = false;
        tally = prove_all(diag, group, n);
        check(tally.proofs[PW_PROOF_GONE] == n, "… closed, all are gone (%zu of %zu)",
              tally.proofs[PW_PROOF_GONE], n);
}

static void check_groups(struct pw_sockdiag *diag)
{
        static const struct kind kinds[] = {
            {SOCK_STREAM, "0.0.0.0", REUSEPORT}, {SOCK_STREAM, "127.0.0.1", REUSEPORT},
            {SOCK_STREAM, "::", REUSEPORT},      {SOCK_STREAM, "::1", REUSEPORT},
            {SOCK_DGRAM, "0.0.0.0", REUSEPORT},  {SOCK_DGRAM, "127.0.0.1", REUSEPORT},
            {SOCK_DGRAM, "::", REUSEPORT},       {SOCK_DGRAM, "::1", REUSEPORT},
        };

        for (size_t i = 0; i < PW_ELEMENTS(kinds); i++) {
                check_group(diag, &kinds[i], 8, 4);
                check_group(diag, &kinds[i], 120, 100);
                check_group(diag, &kinds[i], GROUP_MAX, 50);
        }
}

/* ---- churn ---- */

#define CHURN_MAX 300

struct churn {
        const struct kind *kind;
        size_t low, high; /* how many members come and go */
        atomic_bool stop;
        unsigned long opened;
};

static void *churn_run(void *userdata)
{
        static struct opened group[CHURN_MAX];
        struct churn *churn = userdata;
        size_t n = 0;

        while (!atomic_load(&churn->stop)) {
                for (; n < churn->high; n++, churn->opened++)
                        group[n] = open_kind(churn->kind, PORT);
                close_all(group + churn->low, n - churn->low);
                n = churn->low;
        }
        close_all(group, n);
        return NULL;
}

/* Members of a group come and go while its stable ones are looked up. */
static void check_churn(struct pw_sockdiag *diag, const struct kind *kind, size_t low, size_t high)
{
        struct opened stable[8];
        struct churn churn = {.kind = kind, .low = low, .high = high};
        struct tally sum = {0};
        struct pw_snapshot snapshot = {0};
        size_t looks = 0, missed = 0;
        pthread_t thread;
        uint64_t end;

        for (size_t i = 0; i < PW_ELEMENTS(stable); i++)
                stable[i] = open_kind(kind, PORT);
        note_rows(diag, stable, PW_ELEMENTS(stable));
        if (pthread_create(&thread, NULL, churn_run, &churn) != 0)
                fail("pthread_create");
        for (end = pw_now_boottime() + PW_USEC_PER_SEC; pw_now_boottime() < end; looks++) {
                struct tally tally;

                look(diag, &snapshot);
                for (size_t i = 0; i < PW_ELEMENTS(stable); i++)
                        missed += !find(&snapshot, stable[i].cookie);
                tally = prove_all(diag, stable, PW_ELEMENTS(stable));
                for (size_t i = 0; i < PW_ELEMENTS(sum.proofs); i++)
                        sum.proofs[i] += tally.proofs[i];
        }
        atomic_store(&churn.stop, true);
        pthread_join(thread, NULL);
        check(sum.proofs[PW_PROOF_GONE] == 0 && churn.opened > 0,
              "%s under churn: never gone (%lu opened, %zu looks missed %zu; %zu alive, "
              "%zu neither, %zu gone)",
              kind_name(kind), churn.opened, looks, missed, sum.proofs[PW_PROOF_ALIVE],
              sum.proofs[PW_PROOF_NEITHER], sum.proofs[PW_PROOF_GONE]);
        close_all(stable, PW_ELEMENTS(stable));
        pw_snapshot_done(&snapshot);
}

static void check_churns(struct pw_sockdiag *diag)
{
        static const struct kind kinds[] = {
            {SOCK_STREAM, "127.0.0.1", REUSEPORT},
            {SOCK_DGRAM, "127.0.0.1", REUSEPORT},
        };

        for (size_t i = 0; i < PW_ELEMENTS(kinds); i++) {
                check_churn(diag, &kinds[i], 0, 8);
                /* Around what fits into one batch: the kernel resumes a full one by position, and
                 * so skips and repeats sockets. */
                check_churn(diag, &kinds[i], 230, CHURN_MAX);
        }
}

/* ---- where no answer is to be had ---- */

/* Where dumps of the protocol fail or were never made, a denial may mean "no such protocol". */
static void check_undumped(struct pw_sockdiag *diag)
{
        static const struct kind kind = {SOCK_DGRAM, "0.0.0.0", 0};
        _cleanup_(pw_sockdiag_closep) struct pw_sockdiag *fresh = NULL;
        struct opened opened = open_kind(&kind, PORT);

        note_rows(diag, &opened, 1);
        if (pw_sockdiag_open(NETNS, &fresh) < 0)
                fail("pw_sockdiag_open");
        check_proof(fresh, &opened, PW_PROOF_ALIVE, "without a dump, a living socket");
        close(opened.fd);
        check_proof(fresh, &opened, PW_PROOF_NEITHER, "without a dump, a closed socket");
        check_proof(diag, &opened, PW_PROOF_GONE, "after a dump, it");
}

/* Leaves the namespace; comes last. */
static void check_other_namespace(struct pw_sockdiag *diag)
{
        static const struct kind kind = {SOCK_STREAM, "0.0.0.0", 0};
        _cleanup_(pw_sockdiag_closep) struct pw_sockdiag *other = NULL;
        struct opened here = open_kind(&kind, PORT), there;

        note_rows(diag, &here, 1);
        if (unshare(CLONE_NEWNET) < 0)
                fail("unshare");
        if (pw_sockdiag_open(NETNS + 1, &other) < 0)
                fail("pw_sockdiag_open");
        there = open_kind(&kind, PORT);
        check(note_rows(other, &there, 1) && there.row.endpoint.netns == NETNS + 1,
              "another namespace shows its own sockets");
        check_proof(diag, &here, PW_PROOF_ALIVE, "the first, asked in its namespace,");
        check_proof(other, &there, PW_PROOF_ALIVE, "the second, asked in its namespace,");
        check_proof(other, &here, PW_PROOF_NEITHER, "the first, asked in the second's,");
        check_proof(diag, &there, PW_PROOF_NEITHER, "the second, asked in the first's,");
        close(here.fd);
        close(there.fd);
}

int main(void)
{
        _cleanup_(pw_sockdiag_closep) struct pw_sockdiag *diag = NULL;

        if (pw_sockdiag_open(NETNS, &diag) < 0)
                fail("pw_sockdiag_open");
        check_pairs(diag);
        check_groups(diag);
        check_churns(diag);
        check_undumped(diag);
        check_other_namespace(diag);
        return checks_done();
}
