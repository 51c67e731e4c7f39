/* SPDX-License-Identifier: MIT */
/* The queue of sockets that wait: would catch one that is lost, taken too early, twice or never, a
 * closing that goes to another socket or to the same one twice, and an owner that is freed too
 * early or never (with the sanitizers). */

#include "daemon/waiting.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define DELAY 1000
#define ANY 1000000 /* more than ever wait */

static struct pw_waiting *waiting;
static struct pw_owner *owner;

static int set_up(void **state _unused_)
{
        owner = pw_owner_new();
        return owner ? pw_waiting_new(DELAY, &waiting) : -1;
}

static int tear_down(void **state _unused_)
{
        pw_waiting_free(waiting);
        assert_int_equal(owner->references, 1);
        pw_owner_unref(owner);
        return 0;
}

static struct pw_socket socket_of(uint64_t cookie)
{
        return (struct pw_socket){.cookie = cookie, .endpoint = {.protocol = PW_UDP, .port = 80}};
}

static void add(uint64_t cookie, uint64_t now_usec)
{
        struct pw_socket socket = socket_of(cookie);

        assert_int_equal(pw_waiting_add(waiting, &socket, owner, now_usec - 7, now_usec), 0);
}

static bool closes(uint64_t cookie, uint64_t usec)
{
        struct pw_socket socket = socket_of(cookie);

        return pw_waiting_close(waiting, &socket, usec);
}

/* Takes the one with this cookie; returns when it was closed. */
static uint64_t taken(uint64_t cookie, uint64_t now_usec, size_t limit)
{
        _cleanup_(pw_waiting_socket_freep) struct pw_waiting_socket *socket =
            pw_waiting_take(waiting, now_usec, limit);

        assert_non_null(socket);
        assert_int_equal(socket->socket.cookie, cookie);
        assert_int_equal(socket->socket.endpoint.port, 80);
        assert_int_equal(socket->opened_usec, socket->due_usec - DELAY - 7);
        assert_ptr_equal(socket->owner, owner);
        return socket->closed_usec;
}

static void assert_none(uint64_t now_usec, size_t limit)
{
        assert_null(pw_waiting_take(waiting, now_usec, limit));
}

static void test_in_their_order(void **state _unused_)
{
        assert_none(UINT64_MAX, 0);
        assert_int_equal(pw_waiting_due(waiting), PW_USEC_INFINITY);
        add(5, 100);
        add(3, 100);
        add(9, 101);
        assert_int_equal(pw_waiting_due(waiting), 100 + DELAY);
        assert_none(99 + DELAY, ANY);
        assert_int_equal(taken(5, 100 + DELAY, ANY), 0);
        assert_int_equal(taken(3, 100 + DELAY, ANY), 0);
        assert_none(100 + DELAY, ANY);
        assert_int_equal(pw_waiting_due(waiting), 101 + DELAY);
        assert_int_equal(taken(9, UINT64_MAX, ANY), 0);
        assert_none(UINT64_MAX, 0);
        assert_int_equal(pw_waiting_due(waiting), PW_USEC_INFINITY);
        add(4, 500); /* the end of the queue is right again */
        add(6, 500);
        assert_int_equal(taken(4, UINT64_MAX, ANY), 0);
        assert_int_equal(taken(6, UINT64_MAX, ANY), 0);
}

/* It is told with its end, once, and in its turn. */
static void test_closings(void **state _unused_)
{
        add(1, 100);
        add(2, 100);
        add(3, 100);
        assert_false(closes(4, 200));
        assert_true(closes(2, 200));
        assert_false(closes(2, 300));
        assert_none(100, ANY);
        assert_int_equal(taken(1, UINT64_MAX, ANY), 0);
        assert_int_equal(taken(2, UINT64_MAX, ANY), 200);
        assert_false(closes(1, 300)); /* taken by now */
        assert_true(closes(3, 300));
        assert_int_equal(taken(3, UINT64_MAX, ANY), 300);
        assert_false(closes(3, 300));
}

/* Beyond the limit the oldest do not wait to their time. */
static void test_the_limit(void **state _unused_)
{
        for (uint64_t i = 1; i <= 5; i++)
                add(i, 100);
        assert_none(100, 5);
        assert_int_equal(taken(1, 100, 3), 0);
        assert_int_equal(taken(2, 100, 3), 0);
        assert_none(100, 3);
        assert_int_equal(taken(3, 100, 0), 0);
        assert_true(closes(5, 200));
}

/* It listens again, with the same cookie: two, each with its own end. */
static void test_again(void **state _unused_)
{
        add(1, 100);
        assert_true(closes(1, 150));
        add(1, 160);
        assert_true(closes(1, 170));
        assert_false(closes(1, 180));
        add(1, 190);
        assert_int_equal(taken(1, UINT64_MAX, ANY), 150);
        assert_int_equal(taken(1, UINT64_MAX, ANY), 170);
        assert_true(closes(1, 200));
        assert_int_equal(taken(1, UINT64_MAX, ANY), 200);
}

/* The end of the first was not told. Taking one leaves the other in order. */
static void test_two_with_one_cookie(void **state _unused_)
{
        add(1, 100);
        add(1, 160);
        assert_int_equal(taken(1, UINT64_MAX, ANY), 0);
        closes(1, 170);
        (void)taken(1, UINT64_MAX, ANY);
        assert_false(closes(1, 180));
        assert_none(UINT64_MAX, 0);
}

/* listen(2) without bind(2): the closing knows the port. Others stay where they were told. */
static void test_without_a_port(void **state _unused_)
{
        struct pw_socket socket = socket_of(1);
        struct pw_waiting_socket *waited;

        socket.endpoint.port = 0;
        assert_int_equal(pw_waiting_add(waiting, &socket, owner, 93, 100), 0);
        assert_true(closes(1, 200));
        assert_int_equal(taken(1, UINT64_MAX, ANY), 200);
        add(2, 100);
        socket.cookie = 2;
        assert_true(pw_waiting_close(waiting, &socket, 200));
        assert_int_equal(taken(2, UINT64_MAX, ANY), 200);
        assert_int_equal(pw_waiting_add(waiting, &socket, owner, 93, 100), 0);
        waited = pw_waiting_take(waiting, UINT64_MAX, ANY);
        assert_int_equal(waited->socket.endpoint.port, 0);
        pw_waiting_socket_free(waited);
}

#define STEPS 20000
#define COOKIES 500

/* Against a plain table. What still waits at the end is freed with the queue. */
static void test_many(void **state _unused_)
{
        static uint64_t closed[STEPS], cookie[STEPS];
        static bool waits[COOKIES];
        static size_t latest[COOKIES];
        size_t n = 0, first = 0;
        uint64_t random = 1;

        for (uint64_t now = 100; n < STEPS; now += 3) {
                size_t k;

                random = random * 6364136223846793005ULL + 1442695040888963407ULL;
                k = (size_t)(random >> 33) % COOKIES;
                if (waits[k]) {
                        assert_true(closes(k + 1, now));
                        closed[latest[k]] = now;
                        waits[k] = false;
                } else {
                        assert_false(closes(k + 1, now));
                        add(k + 1, now);
                        cookie[n] = k + 1;
                        latest[k] = n++;
                        waits[k] = true;
                }
                if (n - first > 300) {
                        assert_int_equal(taken(cookie[first], now, 0), closed[first]);
                        if (closed[first] == 0)
                                waits[cookie[first] - 1] = false;
                        first++;
                }
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_in_their_order),
            TEST(test_closings),
            TEST(test_the_limit),
            TEST(test_again),
            TEST(test_two_with_one_cookie),
            TEST(test_without_a_port),
            TEST(test_many),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
