/* SPDX-License-Identifier: MIT */
/* Fills a state directory with a made-up history, through the store itself:
 *
 *   make-history DIR N [LISTENERS]    N intervals of LISTENERS (1000) listeners over the last 90
 * days
 *
 * Always the same for the same numbers, but for the time at which it ends: now. Each listener comes
 * and goes; about half of them are open at the end, those in a thousand that nobody expected have
 * alerts. Prints intervals, events, bytes and bytes an event. */

#include <portwatch/store.h>

#include <inttypes.h>

#define BATCH 2000
#define SPAN_USEC (90 * PW_USEC_PER_DAY)

static uint64_t random_state = 88172645463325252ULL;

/* xorshift: the same numbers everywhere. */
static uint64_t random_below(uint64_t bound)
{
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state % bound;
}

static void require(bool good, const char *what)
{
        if (good)
                return;
        fprintf(stderr, "make-history: %s failed\n", what);
        exit(1);
}

static char *format(const char *pattern, size_t n)
{
        char *text;

        require(asprintf(&text, "%s-%zu", pattern, n) >= 0, "memory");
        return text;
}

static struct pw_owner *make_owner(size_t n, pid_t pid, uint64_t started)
{
        struct pw_owner *owner = pw_owner_new();

        require(owner, "memory");
        owner->uid = 1000 + (uint32_t)(n % 50);
        owner->user = format("user", n % 50);
        owner->exe = format("/usr/lib/service/bin/program", n);
        owner->unit = format("program", n);
        owner->comm = format("program", n);
        owner->cmdline =
            format("/usr/lib/service/bin/program --serve --config /etc/program.conf", n);
        owner->pids[0] = pid;
        owner->started[0] = started;
        owner->n_pids = owner->n_holders = 1;
        return owner;
}

static struct pw_record *make_listener(size_t n)
{
        struct pw_record *record = pw_record_new();
        const char *const addresses[] = {"*", "127.0.0.1", "0.0.0.0", "::1", "192.168.1.10"};

        require(record && pw_shared_set(&record->netns, PW_NETNS_HOST) == 0, "memory");
        record->protocol = n % 3 == 0 ? PW_UDP : PW_TCP;
        record->port = (uint16_t)(1 + n * 7 % 65535);
        require(pw_address_parse(addresses[n % PW_ELEMENTS(addresses)], &record->address) == 0,
                "address");
        record->owner = make_owner(n / 4, 1, 1);
        record->sockets = 1;
        record->verdict = n % 1000 == 7 ? PW_UNEXPECTED : PW_EXPECTED;
        require(pw_shared_set(&record->rule, "/etc/portwatch/rules.d/50-local.rules:12") == 0,
                "memory");
        require(pw_record_label(record, PW_EPHEMERAL_DEFAULT) == 0, "memory");
        pw_record_identify(record);
        return record;
}

struct filling {
        struct pw_store *store;
        struct pw_writes writes;
        uint64_t events;
        int64_t alerts;
};

static void flush(struct filling *filling, uint64_t now_usec)
{
        filling->events += filling->writes.n;
        require(pw_store_apply(filling->store, &filling->writes, now_usec) == 0, "apply");
}

static void add(struct filling *filling, enum pw_write_kind kind, struct pw_record *record,
                uint64_t time_usec)
{
        struct pw_write write = {.kind = kind, .time_usec = time_usec};

        write.record = pw_record_copy(record);
        require(write.record, "memory");
        require(pw_writes_add(&filling->writes, write) == 0, "memory");
        if (filling->writes.n >= BATCH)
                flush(filling, time_usec);
}

/* The next opening, or the end of what is open. Durations from seconds to days. */
static void step(struct filling *filling, struct pw_record *record, size_t n, uint64_t now_usec)
{
        if (record->opened_usec == 0 || record->closed_usec > 0) {
                /* A restart: the same owner in another process. */
                pw_owner_unref(record->owner);
                record->owner = make_owner(n / 4, (pid_t)(1000 + random_below(4000000)),
                                           now_usec / 10000 % 1000000000);
                record->opened_usec = record->last_seen_usec = now_usec;
                record->opened_how = PW_HOW_SEEN;
                record->closed_usec = 0;
                record->closed_how = PW_HOW_NONE;
                record->cookie = random_below(1 << 20);
                add(filling, PW_WRITE_OPEN, record, now_usec);
                if (record->verdict == PW_UNEXPECTED && record->alert_id == 0) {
                        record->alert_id = ++filling->alerts;
                        record->reasons = PW_REASON_UNEXPECTED;
                        record->raised_usec = now_usec;
                        record->alert_count = 1;
                        add(filling, PW_WRITE_ALERT, record, now_usec);
                }
                return;
        }
        record->closed_usec = record->last_seen_usec = now_usec;
        record->closed_how = PW_HOW_SEEN;
        add(filling, PW_WRITE_CLOSE, record, now_usec);
}

static void fill(struct filling *filling, size_t intervals, size_t listeners)
{
        struct pw_record **records = calloc(listeners, sizeof *records);
        const uint64_t end_usec = pw_now_realtime(), start_usec = end_usec - SPAN_USEC;
        /* An interval is two steps, and what stays open is one. */
        const uint64_t steps = 2 * intervals - PW_MIN(listeners / 2, intervals);

        require(records, "memory");
        for (size_t i = 0; i < listeners; i++)
                records[i] = make_listener(i);
        for (uint64_t i = 0; i < steps; i++) {
                /* Few listeners do most of it. */
                size_t n = random_below(1 + random_below(listeners));
                uint64_t now_usec =
                    start_usec + (uint64_t)((double)SPAN_USEC * (double)i / (double)steps);

                step(filling, records[n], n, now_usec);
        }
        flush(filling, end_usec);
        for (size_t i = 0; i < listeners; i++)
                pw_record_unref(records[i]);
        free(records);
}

int main(int argc, char **argv)
{
        struct filling filling = {0};
        struct pw_past past;
        char *moved = NULL;
        uint64_t bytes;
        int schema, r;

        if (argc < 3) {
                fprintf(stderr, "usage: make-history DIR N [LISTENERS]\n");
                return 2;
        }
        r = pw_store_open(argv[1], &filling.store, &moved, &schema);
        require(r >= 0, "opening the store");
        r = pw_store_resume(filling.store, "0123456789abcdef0123456789abcdef", 0, 0, &past);
        require(r == 0, "resuming");
        filling.alerts = past.last_alert_id;
        pw_past_done(&past);
        fill(&filling, strtoull(argv[2], NULL, 10), argc > 3 ? strtoull(argv[3], NULL, 10) : 1000);
        require(pw_store_checkpoint(filling.store) == 0, "checkpoint");
        bytes = pw_store_bytes(filling.store, NULL);
        printf("%s intervals, %" PRIu64 " events, %" PRIu64 " bytes, %.1f bytes an event\n",
               argv[2], filling.events, bytes,
               filling.events ? (double)bytes / (double)filling.events : 0);
        pw_store_close(filling.store);
        pw_writes_done(&filling.writes);
        free(moved);
        return 0;
}
