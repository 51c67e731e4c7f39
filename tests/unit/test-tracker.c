/* SPDX-License-Identifier: MIT */
/* The tracker: would catch a socket told twice or never, a closing believed without proof, a
 * restart that loses a tag, UDP clients told as servers, and dumps that repeat or miss rows taken
 * at their word. */

#include "daemon/tracker.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SECOND PW_USEC_PER_SEC
#define DWELL (30 * SECOND)

static struct pw_tracker *tracker;
static struct pw_snapshot snapshot;
static struct pw_changes opened, absent;

static int set_up(void **state)
{
        (void)state;
        return pw_tracker_new(PW_EPHEMERAL_DEFAULT, DWELL, &tracker);
}

static int tear_down(void **state)
{
        (void)state;
        pw_tracker_free(tracker);
        pw_snapshot_done(&snapshot);
        pw_changes_done(&opened);
        pw_changes_done(&absent);
        return 0;
}

static void begin(bool complete)
{
        pw_snapshot_clear(&snapshot);
        assert_int_equal(pw_snapshot_add_part(&snapshot, 1, PW_TCP, complete), 0);
        assert_int_equal(pw_snapshot_add_part(&snapshot, 1, PW_UDP, complete), 0);
}

static void row(uint64_t cookie, uint8_t protocol, uint16_t port)
{
        struct pw_socket *socket = pw_snapshot_add(&snapshot);

        assert_non_null(socket);
        socket->cookie = cookie;
        socket->endpoint.netns = 1;
        socket->endpoint.protocol = protocol;
        socket->endpoint.port = port;
        socket->endpoint.address.family = AF_INET;
}

static void look(uint64_t now_usec)
{
        opened.n = absent.n = 0;
        pw_snapshot_sort(&snapshot);
        assert_int_equal(pw_tracker_look(tracker, &snapshot, now_usec, &opened, &absent), 0);
}

static void settle_all(bool gone)
{
        bool all[16];

        for (size_t i = 0; i < PW_ELEMENTS(all); i++)
                all[i] = gone;
        pw_tracker_settle(tracker, &absent, all);
}

static void test_first_look_then_news(void **state)
{
        (void)state;
        begin(true);
        row(7, PW_TCP, 22);
        look(SECOND);
        assert_int_equal(opened.n, 1);
        assert_true(opened.items[0].first_look);

        begin(true);
        row(7, PW_TCP, 22);
        row(3, PW_TCP, 80);
        look(2 * SECOND);
        assert_int_equal(opened.n, 1);
        assert_int_equal(opened.items[0].socket.cookie, 3);
        assert_false(opened.items[0].first_look);
        assert_int_equal(opened.items[0].since_usec, 2 * SECOND);
        assert_int_equal(absent.n, 0);
        assert_int_equal(pw_tracker_count(tracker), 2);
}

static void test_absence_is_not_a_closing(void **state)
{
        int tag;

        (void)state;
        begin(true);
        row(7, PW_TCP, 22);
        look(SECOND);
        pw_tracker_tag(tracker, &opened.items[0].socket, &tag);

        begin(true);
        look(2 * SECOND);
        assert_int_equal(absent.n, 1);
        settle_all(false);
        assert_int_equal(absent.n, 0);
        assert_true(pw_tracker_has_unproven(tracker));
        assert_int_equal(pw_tracker_count(tracker), 1);

        /* It is asked for at every look until it is proven, and comes back without being news. */
        begin(true);
        look(3 * SECOND);
        assert_int_equal(absent.n, 1);
        settle_all(false);
        begin(true);
        row(7, PW_TCP, 22);
        look(4 * SECOND);
        assert_int_equal(opened.n, 0);
        assert_false(pw_tracker_has_unproven(tracker));

        begin(true);
        look(5 * SECOND);
        settle_all(true);
        assert_int_equal(absent.n, 1);
        assert_ptr_equal(absent.items[0].tag, &tag);
        assert_int_equal(pw_tracker_count(tracker), 0);
        assert_false(pw_tracker_has_unproven(tracker));
}

static void test_incomplete_part_says_nothing(void **state)
{
        (void)state;
        begin(true);
        row(7, PW_TCP, 22);
        row(9, PW_UDP, 53);
        look(SECOND);

        pw_snapshot_clear(&snapshot);
        assert_int_equal(pw_snapshot_add_part(&snapshot, 1, PW_TCP, false), 0);
        assert_int_equal(pw_snapshot_add_part(&snapshot, 1, PW_UDP, true), 0);
        look(2 * SECOND);
        assert_int_equal(absent.n, 1);
        assert_int_equal(absent.items[0].socket.cookie, 9);
        settle_all(true);
        assert_int_equal(pw_tracker_count(tracker), 1);
}

/* A look at UDP-Lite alone must not forget that a TCP socket still waits for its proof. */
static void test_other_looks_keep_unproven(void **state)
{
        (void)state;
        begin(true);
        row(7, PW_TCP, 22);
        look(SECOND);
        begin(true);
        look(2 * SECOND);
        settle_all(false);

        pw_snapshot_clear(&snapshot);
        assert_int_equal(pw_snapshot_add_part(&snapshot, 1, PW_UDPLITE, true), 0);
        look(3 * SECOND);
        assert_int_equal(absent.n, 0);
        assert_true(pw_tracker_has_unproven(tracker));
}

static void test_udp_clients_leave_no_trace(void **state)
{
        (void)state;
        begin(true);
        look(SECOND);
        for (uint64_t i = 0; i < 10000; i++) {
                begin(true);
                row(100 + i, PW_UDP, (uint16_t)(32768 + i % 28000));
                look((2 + i) * SECOND);
                assert_int_equal(opened.n, 0);
                settle_all(true);
                assert_int_equal(absent.n, 0);
        }
        assert_int_equal(pw_tracker_count(tracker), 1);
}

static void test_udp_that_stays_is_told_once(void **state)
{
        (void)state;
        begin(true);
        row(5, PW_UDP, 40000);
        row(6, PW_UDP, 53);
        row(8, PW_TCP, 40000);
        look(10 * SECOND);
        assert_int_equal(opened.n, 2); /* only UDP in the ephemeral range is held back */
        assert_int_equal(pw_tracker_due(tracker), 40 * SECOND);

        opened.n = 0;
        assert_int_equal(pw_tracker_tick(tracker, 39 * SECOND, &opened), 0);
        assert_int_equal(opened.n, 0);
        assert_int_equal(pw_tracker_tick(tracker, 40 * SECOND, &opened), 0);
        assert_int_equal(opened.n, 1);
        assert_int_equal(opened.items[0].socket.cookie, 5);
        assert_int_equal(opened.items[0].since_usec, 10 * SECOND);
        assert_int_equal(pw_tracker_due(tracker), PW_USEC_INFINITY);
        opened.n = 0;
        assert_int_equal(pw_tracker_tick(tracker, 50 * SECOND, &opened), 0);
        assert_int_equal(opened.n, 0);
}

/* A resolver binds ports outside the ephemeral range as well, each for one question. */
static void test_udp_above_the_well_known_ports_settles_first(void **state)
{
        (void)state;
        begin(true);
        row(4, PW_UDP, 5000); /* there at the first look: told at once, for the baseline */
        look(10 * SECOND);
        assert_int_equal(opened.n, 1);

        begin(true);
        row(4, PW_UDP, 5000);
        row(5, PW_UDP, 6000);
        row(6, PW_UDP, 514);
        look(11 * SECOND);
        assert_int_equal(opened.n, 1);
        assert_int_equal(opened.items[0].socket.cookie, 6);
        assert_int_equal(pw_tracker_due(tracker), 11 * SECOND + PW_UDP_SETTLE_USEC);
        opened.n = 0;
        assert_int_equal(pw_tracker_tick(tracker, 14 * SECOND, &opened), 0);
        assert_int_equal(opened.n, 1);
        assert_int_equal(opened.items[0].socket.cookie, 5);
}

/* Upstream servers that do not answer make a resolver's sockets live for many seconds. */
static void test_many_udp_ports_a_minute_are_clients(void **state)
{
        (void)state;
        begin(true);
        look(SECOND);
        begin(true);
        for (uint64_t i = 0; i < 20; i++)
                row(10 + i, PW_UDP, (uint16_t)(2000 + i));
        row(100, PW_UDP, 7000);
        snapshot.sockets[20].uid = 4711; /* somebody else is not taken for one of them */
        look(2 * SECOND);
        assert_int_equal(opened.n, 0);
        assert_int_equal(pw_tracker_tick(tracker, 6 * SECOND, &opened), 0);
        assert_int_equal(opened.n, 1);
        assert_int_equal(opened.items[0].socket.cookie, 100);
        opened.n = 0;
        assert_int_equal(pw_tracker_tick(tracker, 32 * SECOND, &opened), 0);
        assert_int_equal(opened.n, 20); /* who stays that long is told */
}

/* One that is absent while its time comes is not told before it is seen again. */
static void test_absent_is_not_told_by_the_clock(void **state)
{
        (void)state;
        begin(true);
        row(5, PW_UDP, 40000);
        look(10 * SECOND);
        begin(true);
        look(20 * SECOND);
        settle_all(false);
        opened.n = 0;
        assert_int_equal(pw_tracker_tick(tracker, 60 * SECOND, &opened), 0);
        assert_int_equal(opened.n, 0);
        begin(true);
        row(5, PW_UDP, 40000);
        look(61 * SECOND);
        assert_int_equal(opened.n, 1);
}

static void test_repeated_rows_are_one_socket(void **state)
{
        (void)state;
        begin(true);
        row(7, PW_TCP, 22);
        row(7, PW_TCP, 22);
        row(0, PW_TCP, 23); /* no cookie: cannot be followed */
        look(SECOND);
        assert_int_equal(opened.n, 1);
        assert_int_equal(pw_tracker_count(tracker), 1);
}

static void test_tags(void **state)
{
        struct pw_socket fifth, unknown;
        int tag;

        (void)state;
        begin(true);
        for (uint64_t i = 1; i <= 9; i++)
                row(i * 10, PW_TCP, (uint16_t)i);
        look(SECOND);
        fifth = unknown = opened.items[4].socket;
        unknown.cookie = 51;
        pw_tracker_tag(tracker, &fifth, &tag);
        pw_tracker_tag(tracker, &unknown, &tag); /* not known: nothing happens */
        assert_ptr_equal(pw_tracker_tagged(tracker, &fifth), &tag);
        assert_null(pw_tracker_tagged(tracker, &unknown));
        assert_false(pw_tracker_knows(tracker, &unknown, SECOND));
        assert_null(pw_tracker_tagged(tracker, &opened.items[0].socket));
        assert_true(pw_tracker_knows(tracker, &opened.items[0].socket, SECOND));
        assert_false(pw_tracker_knows(tracker, &opened.items[0].socket, SECOND + 1));
}

/* shutdown(2), bind(2) and listen(2) again: the same socket at another port is another listener.
 * Without this anybody could move to a port that nobody hears of. */
static void test_socket_that_moves(void **state)
{
        int tag;

        (void)state;
        begin(true);
        row(7, PW_TCP, 40000);
        look(SECOND);
        pw_tracker_tag(tracker, &opened.items[0].socket, &tag);

        begin(true);
        row(7, PW_TCP, 4444);
        look(2 * SECOND);
        assert_int_equal(opened.n, 1);
        assert_int_equal(opened.items[0].socket.endpoint.port, 4444);
        assert_int_equal(absent.n, 1);
        assert_int_equal(absent.items[0].socket.endpoint.port, 40000);
        settle_all(true);
        assert_ptr_equal(absent.items[0].tag, &tag);
        assert_int_equal(pw_tracker_count(tracker), 1);
}

/* ---- events ---- */

static struct pw_socket socket_of(uint64_t cookie, uint8_t protocol, uint16_t port)
{
        return (struct pw_socket){
            .cookie = cookie,
            .endpoint = {.netns = 1, .protocol = protocol, .port = port, .address.family = AF_INET},
        };
}

static void test_event_is_told_once(void **state)
{
        struct pw_socket udp = socket_of(7, PW_UDP, 40000);
        void *tag = NULL;
        int listener;

        (void)state;
        begin(true);
        row(7, PW_UDP, 40000);
        look(SECOND);
        assert_int_equal(opened.n, 0); /* held back, until an event says it is none of a client */
        assert_int_equal(pw_tracker_open(tracker, &udp, SECOND), 1);
        assert_int_equal(pw_tracker_open(tracker, &udp, SECOND), 0);
        pw_tracker_tag(tracker, &udp, &listener);
        begin(true);
        row(7, PW_UDP, 40000);
        look(100 * SECOND);
        assert_int_equal(opened.n + absent.n, 0);

        assert_true(pw_tracker_close(tracker, &udp, &tag));
        assert_ptr_equal(tag, &listener);
        assert_false(pw_tracker_close(tracker, &udp, &tag));
        assert_null(tag);
        assert_int_equal(pw_tracker_count(tracker), 0);
        begin(true);
        look(101 * SECOND);
        assert_int_equal(absent.n, 0);
        assert_false(pw_tracker_has_unproven(tracker));
}

/* What an event told and the next look lacks is asked about like any other. */
static void test_event_without_a_closing(void **state)
{
        struct pw_socket tcp = socket_of(9, PW_TCP, 80);

        (void)state;
        begin(true);
        look(SECOND);
        assert_int_equal(pw_tracker_open(tracker, &tcp, SECOND), 1);
        begin(true);
        look(2 * SECOND);
        assert_int_equal(absent.n, 1);
        settle_all(true);
        assert_int_equal(absent.n, 1);
        assert_int_equal(pw_tracker_count(tracker), 0);
}

static void test_event_again_before_the_next_look(void **state)
{
        struct pw_socket tcp = socket_of(9, PW_TCP, 80);
        void *tag;

        (void)state;
        begin(true);
        row(9, PW_TCP, 80);
        look(SECOND);
        assert_true(pw_tracker_close(tracker, &tcp, &tag));
        assert_false(pw_tracker_knows(tracker, &tcp, SECOND));
        assert_int_equal(pw_tracker_open(tracker, &tcp, SECOND + 5), 1);
        assert_true(pw_tracker_knows(tracker, &tcp, SECOND + 5));
        assert_false(pw_tracker_knows(tracker, &tcp, SECOND)); /* that was another opening */
        assert_int_equal(pw_tracker_count(tracker), 1);
        begin(true);
        row(9, PW_TCP, 80);
        look(2 * SECOND);
        assert_int_equal(opened.n + absent.n, 0);
}

/* A look showed it, but did not tell of it yet: it counts as opened when the event says so. */
static void test_event_of_a_held_back_socket(void **state)
{
        struct pw_socket udp = socket_of(9, PW_UDP, 40000);

        (void)state;
        begin(true);
        look(SECOND);
        begin(true);
        row(9, PW_UDP, 40000);
        look(3 * SECOND);
        assert_int_equal(opened.n, 0);
        assert_true(pw_tracker_knows(tracker, &udp, 3 * SECOND));
        assert_int_equal(pw_tracker_open(tracker, &udp, 2 * SECOND), 1);
        assert_true(pw_tracker_knows(tracker, &udp, 2 * SECOND));
        assert_int_equal(pw_tracker_open(tracker, &udp, 4 * SECOND), 0);
        assert_true(pw_tracker_knows(tracker, &udp, 2 * SECOND));
}

/* connect(2) gives a UDP socket another address: it is closed all the same. */
static void test_event_closes_what_has_moved(void **state)
{
        struct pw_socket udp = socket_of(9, PW_UDP, 53), moved = udp;
        void *tag;

        (void)state;
        moved.endpoint.address.bytes[0] = 127;
        assert_int_equal(pw_tracker_open(tracker, &udp, SECOND), 1);
        assert_true(pw_tracker_close(tracker, &moved, &tag));
        assert_int_equal(pw_tracker_count(tracker), 0);
        begin(true);
        row(9, PW_UDP, 53);
        look(SECOND);
        assert_true(pw_tracker_close(tracker, &moved, &tag));
        assert_int_equal(pw_tracker_count(tracker), 0);
}

#define MANY 3000 /* more than are kept beside the array */
#define STEPS 8000

/* Against a plain table, with looks now and then. */
static void test_events_and_looks_agree(void **state)
{
        static bool there[MANY];
        size_t n = 0;
        uint64_t random = 1;

        (void)state;
        for (unsigned i = 0; i < STEPS; i++) {
                struct pw_socket socket;
                size_t k;
                void *tag;

                random = random * 6364136223846793005ULL + 1442695040888963407ULL;
                k = (size_t)(random >> 33) % MANY;
                socket = socket_of(k + 1, PW_TCP, 80);
                if (i % 4 == 3)
                        assert_int_equal(pw_tracker_close(tracker, &socket, &tag), there[k]);
                else
                        assert_int_equal(pw_tracker_open(tracker, &socket, SECOND), !there[k]);
                n = n - there[k] + (i % 4 != 3);
                there[k] = i % 4 != 3;
                assert_int_equal(pw_tracker_count(tracker), n);
                if (i % 777 != 0)
                        continue;
                begin(true);
                for (k = 0; k < MANY; k++)
                        if (there[k])
                                row(k + 1, PW_TCP, 80);
                look(SECOND);
                assert_int_equal(opened.n + absent.n, 0);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_first_look_then_news),
            TEST(test_absence_is_not_a_closing),
            TEST(test_incomplete_part_says_nothing),
            TEST(test_other_looks_keep_unproven),
            TEST(test_udp_clients_leave_no_trace),
            TEST(test_udp_that_stays_is_told_once),
            TEST(test_udp_above_the_well_known_ports_settles_first),
            TEST(test_many_udp_ports_a_minute_are_clients),
            TEST(test_absent_is_not_told_by_the_clock),
            TEST(test_repeated_rows_are_one_socket),
            TEST(test_tags),
            TEST(test_socket_that_moves),
            TEST(test_event_is_told_once),
            TEST(test_event_without_a_closing),
            TEST(test_event_again_before_the_next_look),
            TEST(test_event_of_a_held_back_socket),
            TEST(test_event_closes_what_has_moved),
            TEST(test_events_and_looks_agree),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
