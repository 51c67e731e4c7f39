/* SPDX-License-Identifier: MIT */
/* Snapshots: what would make the daemon miss a change, or see one where there is none. */

#include <portwatch/snapshot.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void add(struct pw_snapshot *snapshot, uint64_t cookie, uint16_t port)
{
        struct pw_socket *row = pw_snapshot_add(snapshot);

        assert_non_null(row);
        row->cookie = cookie;
        row->endpoint.protocol = PW_TCP;
        row->endpoint.port = port;
        row->endpoint.address.family = AF_INET;
}

/* Stray bytes of an earlier, longer look would make equal looks differ. */
static void test_rows_are_cleared(void **state)
{
        static const struct pw_socket zero;
        struct pw_snapshot snapshot = {0};

        (void)state;
        memset(pw_snapshot_add(&snapshot), 0xff, sizeof zero);
        pw_snapshot_clear(&snapshot);
        assert_memory_equal(pw_snapshot_add(&snapshot), &zero, sizeof zero);
        pw_snapshot_done(&snapshot);
}

/* A poll that allocates at every look. */
static void test_clear_keeps_memory(void **state)
{
        struct pw_snapshot snapshot = {0};
        struct pw_socket *memory;
        size_t capacity;

        (void)state;
        for (unsigned i = 0; i < 1000; i++)
                add(&snapshot, i + 1, 1);
        assert_int_equal(pw_snapshot_add_part(&snapshot, 1, PW_TCP, true), 0);
        memory = snapshot.sockets;
        capacity = snapshot.sockets_capacity;
        pw_snapshot_clear(&snapshot);
        assert_int_equal(snapshot.n_sockets, 0);
        assert_int_equal(snapshot.n_parts, 0);
        for (unsigned i = 0; i < 1000; i++)
                add(&snapshot, i + 1, 1);
        assert_ptr_equal(snapshot.sockets, memory);
        assert_int_equal(snapshot.sockets_capacity, capacity);
        pw_snapshot_done(&snapshot);
        pw_snapshot_done(&snapshot);
}

/* Every field counts: a socket that differs in one is another look. */
static void test_equal_sees_every_byte(void **state)
{
        struct pw_snapshot a = {0}, b = {0};
        unsigned char *bytes;

        (void)state;
        assert_true(pw_snapshot_equal(&a, &b));
        add(&a, 1, 80);
        assert_false(pw_snapshot_equal(&a, &b));
        add(&b, 1, 80);
        assert_true(pw_snapshot_equal(&a, &b));
        bytes = (unsigned char *)b.sockets;
        for (size_t i = 0; i < sizeof *b.sockets; i++) {
                bytes[i] ^= 1;
                assert_false(pw_snapshot_equal(&a, &b));
                bytes[i] ^= 1;
        }
        pw_snapshot_done(&a);
        pw_snapshot_done(&b);
}

/* The same rows from a look that failed are not the same look. */
static void test_equal_sees_parts(void **state)
{
        struct pw_snapshot a = {0}, b = {0};

        (void)state;
        add(&a, 1, 80);
        add(&b, 1, 80);
        pw_snapshot_add_part(&a, 1, PW_TCP, true);
        assert_false(pw_snapshot_equal(&a, &b));
        pw_snapshot_add_part(&b, 1, PW_TCP, false);
        assert_false(pw_snapshot_equal(&a, &b));
        b.parts[0].complete = true;
        assert_true(pw_snapshot_equal(&a, &b));
        pw_snapshot_done(&a);
        pw_snapshot_done(&b);
}

/* A part that was not looked at must not count as complete: everything in it would be gone. */
static void test_completeness_is_by_part(void **state)
{
        struct pw_snapshot snapshot = {0};

        (void)state;
        pw_snapshot_add_part(&snapshot, 1, PW_TCP, true);
        pw_snapshot_add_part(&snapshot, 1, PW_UDP, false);
        pw_snapshot_add_part(&snapshot, 2, PW_UDP, true);
        assert_true(pw_snapshot_is_complete(&snapshot, 1, PW_TCP));
        assert_false(pw_snapshot_is_complete(&snapshot, 1, PW_UDP));
        assert_true(pw_snapshot_is_complete(&snapshot, 2, PW_UDP));
        assert_false(pw_snapshot_is_complete(&snapshot, 2, PW_TCP));
        assert_false(pw_snapshot_is_complete(&snapshot, 1, PW_UDPLITE));
        pw_snapshot_done(&snapshot);
}

/* Dumps under churn repeat rows; a repeated cookie is one socket. */
static void test_sort_drops_repeats(void **state)
{
        struct pw_snapshot snapshot = {0};

        (void)state;
        pw_snapshot_sort(&snapshot);
        assert_int_equal(snapshot.n_sockets, 0);
        add(&snapshot, UINT64_MAX, 1);
        add(&snapshot, 5, 2);
        add(&snapshot, 1ULL << 63, 3);
        add(&snapshot, 5, 2);
        add(&snapshot, 5, 2);
        add(&snapshot, 4, 9);
        pw_snapshot_sort(&snapshot);
        assert_int_equal(snapshot.n_sockets, 4);
        assert_int_equal(snapshot.sockets[0].cookie, 4);
        assert_int_equal(snapshot.sockets[1].cookie, 5);
        assert_true(snapshot.sockets[2].cookie == 1ULL << 63);
        assert_true(snapshot.sockets[3].cookie == UINT64_MAX);
        pw_snapshot_done(&snapshot);
}

/* Rows of foreign recordings may lack cookies: they are not repeats of each other. */
static void test_sort_keeps_rows_without_cookie(void **state)
{
        struct pw_snapshot snapshot = {0};

        (void)state;
        add(&snapshot, 0, 443);
        add(&snapshot, 7, 1);
        add(&snapshot, 0, 80);
        add(&snapshot, 0, 80);
        pw_snapshot_sort(&snapshot);
        assert_int_equal(snapshot.n_sockets, 4);
        assert_int_equal(snapshot.sockets[0].endpoint.port, 80);
        assert_int_equal(snapshot.sockets[1].endpoint.port, 80);
        assert_int_equal(snapshot.sockets[2].endpoint.port, 443);
        assert_int_equal(snapshot.sockets[3].cookie, 7);
        pw_snapshot_done(&snapshot);
}

/* Which of two rows of one socket stays must not depend on the kernel's order: that would look
 * like a change at every look. */
static void test_sort_is_the_same_for_every_order(void **state)
{
        struct pw_snapshot a = {0}, b = {0};

        (void)state;
        add(&a, 5, 1);
        add(&a, 5, 2);
        add(&b, 5, 2);
        add(&b, 5, 1);
        pw_snapshot_sort(&a);
        pw_snapshot_sort(&b);
        assert_true(pw_snapshot_equal(&a, &b));
        pw_snapshot_done(&a);
        pw_snapshot_done(&b);
}

/* A copy that shares memory, or keeps what the target had. */
static void test_copy(void **state)
{
        struct pw_snapshot source = {0}, copy = {0};
        struct pw_socket *memory;

        (void)state;
        assert_int_equal(pw_snapshot_copy(&copy, &source), 0);
        assert_true(pw_snapshot_equal(&copy, &source));
        for (uint16_t i = 0; i < 100; i++)
                add(&copy, i, i);
        add(&source, 1, 80);
        pw_snapshot_add_part(&source, 1, PW_TCP, true);
        memory = copy.sockets;
        assert_int_equal(pw_snapshot_copy(&copy, &source), 0);
        assert_ptr_equal(copy.sockets, memory);
        assert_true(pw_snapshot_equal(&copy, &source));
        copy.sockets[0].endpoint.port = 81;
        assert_int_equal(source.sockets[0].endpoint.port, 80);
        pw_snapshot_done(&source);
        pw_snapshot_done(&copy);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_rows_are_cleared),
            cmocka_unit_test(test_clear_keeps_memory),
            cmocka_unit_test(test_equal_sees_every_byte),
            cmocka_unit_test(test_equal_sees_parts),
            cmocka_unit_test(test_completeness_is_by_part),
            cmocka_unit_test(test_sort_drops_repeats),
            cmocka_unit_test(test_sort_keeps_rows_without_cookie),
            cmocka_unit_test(test_sort_is_the_same_for_every_order),
            cmocka_unit_test(test_copy),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
