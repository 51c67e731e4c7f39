/* SPDX-License-Identifier: MIT */
/* Limits for each owner, so that one noisy program cannot hide another.
 *
 * Owners with a span under way are a tree; it is as large as the number of (user, executable) pairs
 * that did something within the last span. A user can make many executables, so the tree has a
 * limit too; beyond it owners share one entry. */

#include "daemon/alert.h"

#include <search.h>

#define OWNERS_MAX 4096

struct owner_span {
        uint32_t uid;
        char *exe;
        uint64_t ends_usec;
        uint64_t taken;
        struct pw_record *last_over;
};

struct pw_limit {
        unsigned most;
        uint64_t span_usec;
        void *owners;
        size_t n_owners;
        struct owner_span rest; /* everybody else */
        uint64_t due_usec;
};

int pw_limit_new(unsigned most, uint64_t span_usec, struct pw_limit **ret)
{
        struct pw_limit *limit = calloc(1, sizeof *limit);

        if (!limit)
                return -ENOMEM;
        limit->most = most;
        limit->span_usec = span_usec;
        limit->due_usec = PW_USEC_INFINITY;
        *ret = limit;
        return 0;
}

static void span_free(void *span)
{
        struct owner_span *s = span;

        pw_record_unref(s->last_over);
        free(s->exe);
        free(s);
}

void pw_limit_free(struct pw_limit *limit)
{
        if (!limit)
                return;
        tdestroy(limit->owners, span_free);
        pw_record_unref(limit->rest.last_over);
        free(limit);
}

static int compare_owners(const void *a, const void *b)
{
        const struct owner_span *x = a, *y = b;

        if (x->uid != y->uid)
                return x->uid < y->uid ? -1 : 1;
        return strcmp(x->exe, y->exe);
}

static struct owner_span *span_of(struct pw_limit *limit, uint32_t uid, const char *exe,
                                  size_t most)
{
        struct owner_span key = {.uid = uid, .exe = (char *)(uintptr_t)exe};
        struct owner_span **found = tfind(&key, &limit->owners, compare_owners), *span;

        if (found)
                return *found;
        if (limit->n_owners >= most)
                return NULL;
        span = calloc(1, sizeof *span);
        if (!span)
                return NULL;
        span->uid = uid;
        span->exe = strdup(exe);
        if (!span->exe || !tsearch(span, &limit->owners, compare_owners)) {
                span_free(span);
                return NULL;
        }
        limit->n_owners++;
        return span;
}

static struct owner_span *owner_span(struct pw_limit *limit, const struct pw_record *record)
{
        const struct pw_owner *owner = record->owner;
        struct owner_span *span =
            span_of(limit, owner->uid, owner->exe ? owner->exe : "", OWNERS_MAX);

        if (!span)
                span = span_of(limit, owner->uid, "*", 2 * OWNERS_MAX);
        return span ? span : &limit->rest;
}

bool pw_limit_take(struct pw_limit *limit, const struct pw_record *record, uint64_t now_usec)
{
        struct owner_span *span = owner_span(limit, record);

        /* A span that went over stays until it has been summed up. */
        if (now_usec >= span->ends_usec && !span->last_over) {
                span->ends_usec = now_usec + limit->span_usec;
                span->taken = 0;
        }
        limit->due_usec = PW_MIN(limit->due_usec, span->ends_usec);
        if (++span->taken <= limit->most)
                return true;
        pw_record_unref(span->last_over);
        span->last_over = pw_record_ref((struct pw_record *)record);
        return false;
}

/* The walk has no way to end early or to carry more than one value. */
struct search {
        uint64_t now_usec, next_usec;
        struct owner_span *ended;
};

static void look_for_ended(const void *node, VISIT visit, void *userdata)
{
        struct owner_span *span = *(struct owner_span *const *)node;
        struct search *search = userdata;

        if (visit != postorder && visit != leaf)
                return;
        if (span->ends_usec <= search->now_usec)
                search->ended = span;
        else
                search->next_usec = PW_MIN(search->next_usec, span->ends_usec);
}

static int give(struct pw_limit *limit, struct owner_span *span, uint64_t *ret_over,
                struct pw_record **ret_record)
{
        if (!span->last_over)
                return 0;
        *ret_over = span->taken - limit->most;
        *ret_record = PW_TAKE_PTR(span->last_over);
        return 1;
}

int pw_limit_summary(struct pw_limit *limit, uint64_t now_usec, uint64_t *ret_over,
                     struct pw_record **ret_record)
{
        if (limit->rest.ends_usec <= now_usec && give(limit, &limit->rest, ret_over, ret_record))
                return 1;
        for (;;) {
                struct search search = {.now_usec = now_usec, .next_usec = PW_USEC_INFINITY};
                int given;

                twalk_r(limit->owners, look_for_ended, &search);
                if (!search.ended) {
                        if (limit->rest.last_over)
                                search.next_usec = PW_MIN(search.next_usec, limit->rest.ends_usec);
                        limit->due_usec = search.next_usec;
                        return 0;
                }
                given = give(limit, search.ended, ret_over, ret_record);
                tdelete(search.ended, &limit->owners, compare_owners);
                span_free(search.ended);
                limit->n_owners--;
                if (given)
                        return 1;
        }
}

uint64_t pw_limit_due(const struct pw_limit *limit)
{
        return limit->due_usec;
}
