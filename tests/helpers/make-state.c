/* SPDX-License-Identifier: MIT */
/* Writes a known history into a state directory, for tests of portwatchctl that need no daemon:
 *
 *      make-state DIRECTORY [more]
 *
 * An hour ago a daemon started. It found sshd (first look, expected), nginx with four workers
 * (expected), a long IPv6 address with a zone; then came python3 on 8080 (unexpected, alert 1), a
 * program in /tmp (suspicious, alert 2), telnet (denied, alert 3), a listener of an unknown owner
 * (alert 4), one in a container's namespace, an ignored one; redis came and went (alert 5,
 * resolved). With `more`, instead: a resolver that is folded (alert 1), a web server in a container
 * (alert 2), one with a root of its own in no container (alert 3), a resolver of another user that
 * is expected, and a UDP port in the ephemeral range that was asked for. */

#include <portwatch/iana.h>
#include <portwatch/store.h>

struct fixture {
        uint8_t protocol;
        uint16_t port;
        const char *address, *device, *netns;
        const char *comm, *exe, *cmdline, *user, *unit, *user_unit, *container;
        uint32_t uid;
        pid_t pid;
        unsigned sockets, traits;
        enum pw_unknown unknown;
        enum pw_verdict verdict;
        const char *rule;
        unsigned reasons;   /* 0: no alert */
        unsigned minutes;   /* ago, when it opened */
        bool first, closed; /* there at the first look; closed ten minutes later */
        bool told;          /* by the kernel */
};

static const struct fixture fixtures[] = {
    {.protocol = PW_TCP,
     .port = 22,
     .address = "0.0.0.0",
     .comm = "sshd",
     .exe = "/usr/sbin/sshd",
     .cmdline = "sshd: /usr/sbin/sshd -D",
     .user = "root",
     .unit = "ssh.service",
     .pid = 700,
     .rule = "/usr/lib/portwatch/rules.d/10-base.rules:3",
     .minutes = 60,
     .first = true},
    {.protocol = PW_TCP,
     .port = 80,
     .address = "*",
     .comm = "nginx",
     .exe = "/usr/sbin/nginx",
     .cmdline = "nginx: master process",
     .user = "root",
     .unit = "nginx.service",
     .pid = 800,
     .sockets = 4,
     .rule = "/etc/portwatch/rules.d/50-local.rules:1",
     .minutes = 60,
     .first = true},
    {.protocol = PW_UDP,
     .port = 546,
     .address = "fe80::5054:ff:fe12:3456",
     .device = "enp0s31f6",
     .comm = "systemd-network",
     .exe = "/usr/lib/systemd/systemd-networkd",
     .user = "systemd-network",
     .uid = 998,
     .unit = "systemd-networkd.service",
     .pid = 500,
     .rule = "/var/lib/portwatch/baseline.rules:7",
     .minutes = 60,
     .first = true},
    {.protocol = PW_TCP,
     .port = 8080,
     .address = "0.0.0.0",
     .comm = "python3",
     .exe = "/usr/bin/python3.11",
     .cmdline = "python3 -m http.server 8080",
     .user = "dev",
     .uid = 1000,
     .unit = "user@1000.service",
     .user_unit = "demo.service",
     .pid = 4711,
     .verdict = PW_UNEXPECTED,
     .reasons = PW_REASON_UNEXPECTED,
     .minutes = 50},
    {.protocol = PW_TCP,
     .port = 4444,
     .address = "0.0.0.0",
     .comm = "x",
     .exe = "/tmp/x y'z",
     .cmdline = "/tmp/x y'z",
     .user = "www-data",
     .uid = 33,
     .unit = "cron.service",
     .pid = 4712,
     .traits = PW_TRAIT_TEMPORARY,
     .verdict = PW_UNEXPECTED,
     .reasons = PW_REASON_SUSPICIOUS | PW_REASON_UNEXPECTED,
     .minutes = 40},
    {.protocol = PW_TCP,
     .port = 23,
     .address = "0.0.0.0",
     .comm = "systemd",
     .exe = "/usr/lib/systemd/systemd",
     .user = "root",
     .unit = "telnet\\x2dd.socket",
     .pid = 1,
     .verdict = PW_DENIED,
     .rule = "/etc/portwatch/rules.d/20-site.rules:2",
     .reasons = PW_REASON_DENIED,
     .minutes = 30},
    {.protocol = PW_UDP,
     .port = 4789,
     .address = "0.0.0.0",
     .user = "root",
     .unknown = PW_UNKNOWN_NO_HOLDER,
     .verdict = PW_UNEXPECTED,
     .reasons = PW_REASON_NO_OWNER,
     .minutes = 25},
    {.protocol = PW_TCP,
     .port = 5432,
     .address = "*",
     .netns = "docker:db",
     .comm = "postgres",
     .exe = "/usr/lib/postgresql/15/bin/postgres",
     .user = "999",
     .uid = 999,
     .unit = "docker-0123456789ab.scope",
     .container = "docker:db",
     .pid = 900,
     .verdict = PW_UNEXPECTED,
     .minutes = 20},
    {.protocol = PW_UDP,
     .port = 50000,
     .address = "0.0.0.0",
     .comm = "game",
     .exe = "/usr/games/game",
     .user = "dev",
     .uid = 1000,
     .pid = 4713,
     .verdict = PW_IGNORED,
     .rule = "/etc/portwatch/rules.d/50-local.rules:9",
     .minutes = 20},
    {.protocol = PW_TCP,
     .port = 6379,
     .address = "127.0.0.1",
     .comm = "redis-server",
     .exe = "/usr/bin/redis-check-rdb",
     .user = "redis",
     .uid = 110,
     .unit = "redis-server.service",
     .pid = 901,
     .verdict = PW_UNEXPECTED,
     .reasons = PW_REASON_UNEXPECTED,
     .minutes = 15,
     .closed = true},
    {.protocol = PW_TCP,
     .port = 9418,
     .address = "127.0.0.1",
     .comm = "git-daemon",
     .exe = "/usr/lib/git-core/git-daemon",
     .user = "git",
     .uid = 111,
     .unit = "git-daemon.service",
     .pid = 902,
     .minutes = 100,
     .closed = true},
};

static const struct fixture more[] = {
    {.protocol = PW_UDP,
     .address = "0.0.0.0",
     .comm = "unbound",
     .exe = "/usr/sbin/unbound",
     .cmdline = "unbound -d",
     .user = "unbound",
     .uid = 112,
     .unit = "unbound.service",
     .pid = 4714,
     .sockets = 4321,
     .verdict = PW_UNEXPECTED,
     .reasons = PW_REASON_UNEXPECTED,
     .minutes = 30,
     .told = true},
    {.protocol = PW_TCP,
     .port = 80,
     .address = "*",
     .netns = "podman:0123456789ab",
     .comm = "nginx",
     .exe = "/usr/sbin/nginx",
     .user = "root",
     .unit = "web.service",
     .container = "podman:0123456789ab",
     .pid = 4715,
     .traits = PW_TRAIT_FOREIGN_ROOT,
     .verdict = PW_UNEXPECTED,
     .reasons = PW_REASON_UNEXPECTED,
     .minutes = 20,
     .told = true},
    {.protocol = PW_TCP,
     .port = 81,
     .address = "*",
     .comm = "nginx",
     .exe = "/usr/sbin/nginx",
     .user = "root",
     .pid = 4716,
     .traits = PW_TRAIT_FOREIGN_ROOT,
     .verdict = PW_UNEXPECTED,
     .reasons = PW_REASON_UNEXPECTED,
     .minutes = 10,
     .told = true},
    {.protocol = PW_UDP,
     .address = "*",
     .comm = "dnsmasq",
     .exe = "/usr/sbin/dnsmasq",
     .user = "dnsmasq",
     .uid = 113,
     .pid = 4717,
     .sockets = 9,
     .rule = "/etc/portwatch/rules.d/50-local.rules:2",
     .minutes = 30,
     .told = true},
    {.protocol = PW_UDP,
     .port = 40001,
     .address = "127.0.0.1",
     .comm = "game",
     .exe = "/usr/games/game",
     .user = "dev",
     .uid = 1000,
     .pid = 4718,
     .verdict = PW_UNEXPECTED,
     .minutes = 5,
     .told = true},
};

/* A port that a rule requires: an alert without a listener. */
static const struct fixture missing = {
    .protocol = PW_TCP,
    .port = 9418,
    .address = "*",
    .unknown = PW_UNKNOWN_NOT_ASKED,
    .rule = "/etc/portwatch/rules.d/20-site.rules:3",
    .reasons = PW_REASON_REQUIRED_MISSING,
    .minutes = 90,
};

static void die(const char *what, int error)
{
        fprintf(stderr, "%s: %s\n", what, strerror(-error));
        exit(1);
}

static char *copy(const char *text)
{
        char *duplicate = text ? strdup(text) : NULL;

        if (text && !duplicate)
                die("strdup", -ENOMEM);
        return duplicate;
}

static struct pw_owner *make_owner(const struct fixture *fixture)
{
        struct pw_owner *owner = pw_owner_new();

        if (!owner)
                die("owner", -ENOMEM);
        owner->uid = fixture->uid;
        owner->user = copy(fixture->user);
        owner->exe = copy(fixture->exe);
        owner->unit = copy(fixture->unit);
        owner->user_unit = copy(fixture->user_unit);
        owner->container = copy(fixture->container);
        owner->comm = copy(fixture->comm);
        owner->cmdline = copy(fixture->cmdline);
        owner->traits = fixture->traits;
        owner->unknown = fixture->unknown;
        if (fixture->pid > 0) {
                owner->pids[0] = fixture->pid;
                owner->started[0] = 1;
                owner->n_pids = owner->n_holders = 1;
        }
        return owner;
}

static struct pw_record *make_record(const struct fixture *fixture, uint64_t now_usec)
{
        struct pw_record *record = pw_record_new();

        if (!record)
                die("record", -ENOMEM);
        if (pw_shared_set(&record->netns, fixture->netns ? fixture->netns : PW_NETNS_HOST) < 0 ||
            pw_shared_set(&record->rule, fixture->rule) < 0)
                die("record", -ENOMEM);
        record->protocol = fixture->protocol;
        record->port = fixture->port;
        if (pw_address_parse(fixture->address, &record->address) < 0)
                die(fixture->address, -EINVAL);
        if (fixture->device)
                snprintf(record->device, sizeof record->device, "%s", fixture->device);
        record->owner = make_owner(fixture);
        record->service = pw_iana_service(record->protocol, record->port);
        record->sockets = fixture->sockets ? fixture->sockets : 1;
        record->cookie = 1000u + record->port;
        record->verdict = fixture->verdict;
        record->opened_usec = now_usec - fixture->minutes * PW_USEC_PER_MINUTE;
        record->opened_how = fixture->first ? PW_HOW_FIRST_LOOK : PW_HOW_SEEN;
        if (fixture->told)
                record->opened_how = PW_HOW_EVENT;
        record->last_seen_usec = now_usec;
        if (pw_record_label(record, PW_EPHEMERAL_DEFAULT) < 0)
                die("record", -ENOMEM);
        pw_record_identify(record);
        return record;
}

static void add(struct pw_writes *writes, enum pw_write_kind kind, struct pw_record *record,
                uint64_t time_usec)
{
        struct pw_write write = {
            .kind = kind,
            .time_usec = time_usec,
            .record = pw_record_ref(record),
        };
        int r = pw_writes_add(writes, write);

        if (r < 0)
                die("write", r);
}

static void add_alert(struct pw_writes *writes, struct pw_record *record, int64_t id,
                      unsigned reasons)
{
        record->alert_id = id;
        record->reasons = reasons;
        record->raised_usec = record->opened_usec;
        record->alert_count = 1;
        add(writes, PW_WRITE_ALERT, record, record->opened_usec);
        record->delivered_usec = record->opened_usec + 1;
        add(writes, PW_WRITE_DELIVERED, record, record->delivered_usec);
}

/* A record is published by being written, and not changed afterwards: the end is a copy's. */
static void add_end(struct pw_writes *writes, const struct pw_record *record)
{
        struct pw_record *ended = pw_record_copy(record);

        if (!ended)
                die("record", -ENOMEM);
        ended->closed_usec = record->opened_usec + 10 * PW_USEC_PER_MINUTE;
        ended->closed_how = PW_HOW_SEEN;
        add(writes, PW_WRITE_CLOSE, ended, ended->closed_usec);
        if (ended->alert_id != 0) {
                ended->resolved_usec = ended->closed_usec;
                add(writes, PW_WRITE_RESOLVED, ended, ended->resolved_usec);
        }
        pw_record_unref(ended);
}

static void add_missing(struct pw_writes *writes, uint64_t now_usec, int64_t id)
{
        struct pw_record *record = make_record(&missing, now_usec);
        uint64_t raised_usec = record->opened_usec;

        record->alert_id = id;
        record->reasons = missing.reasons;
        record->raised_usec = raised_usec;
        record->alert_count = 1;
        record->opened_usec = 0;
        record->sockets = 0;
        add(writes, PW_WRITE_ALERT, record, raised_usec);
        pw_record_unref(record);
}

/* Alerts are numbered on from *alerts. */
static void add_fixtures(struct pw_writes *writes, const struct fixture *items, size_t n,
                         uint64_t now_usec, int64_t *alerts)
{
        for (size_t i = 0; i < n; i++) {
                struct pw_record *record = make_record(&items[i], now_usec);

                add(writes, PW_WRITE_OPEN, record, record->opened_usec);
                if (items[i].reasons)
                        add_alert(writes, record, ++*alerts, items[i].reasons);
                if (items[i].closed)
                        add_end(writes, record);
                pw_record_unref(record);
        }
}

int main(int argc, char **argv)
{
        bool wants_more = argc == 3 && strcmp(argv[2], "more") == 0;
        struct pw_writes writes = {0};
        struct pw_store *store = NULL;
        struct pw_past past = {0};
        uint64_t now_usec = pw_now_realtime();
        int64_t alerts = 0;
        char *moved = NULL;
        int schema, r;

        if (argc != 2 && !wants_more) {
                fprintf(stderr, "usage: make-state DIRECTORY [more]\n");
                return 2;
        }
        r = pw_store_open(argv[1], &store, &moved, &schema);
        if (r == 0)
                r = pw_store_resume(store, "0123456789abcdef0123456789abcdef", 0, 100, &past);
        if (r != 0)
                die(argv[1], r);
        pw_past_done(&past);
        if (wants_more)
                add_fixtures(&writes, more, PW_ELEMENTS(more), now_usec, &alerts);
        else
                add_fixtures(&writes, fixtures, PW_ELEMENTS(fixtures), now_usec, &alerts);
        r = pw_store_apply(store, NULL, now_usec - PW_USEC_PER_HOUR);
        if (r == 0 && !wants_more)
                add_missing(&writes, now_usec, ++alerts);
        r = pw_store_apply(store, &writes, now_usec);
        if (r != 0)
                die(argv[1], r);
        pw_writes_done(&writes);
        pw_store_close(store);
        return 0;
}
