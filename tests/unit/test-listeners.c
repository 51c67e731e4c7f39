/* SPDX-License-Identifier: MIT */
/* Listeners: would catch a restart told as closing and opening, workers that replace each other's
 * processes, a listener lost from one of its three indexes, and forgetting an open one. */

#include "daemon/listeners.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct pw_listeners *listeners;

static int set_up(void **state)
{
        (void)state;
        return pw_listeners_new(&listeners);
}

static int tear_down(void **state)
{
        (void)state;
        pw_listeners_free(listeners);
        return 0;
}

/* A record of a listener on `port`, one socket held by process `pid`. */
static struct pw_record *make(uint16_t port, pid_t pid, uint64_t cookie)
{
        struct pw_record *record = pw_record_new();
        struct pw_owner *owner = pw_owner_new();

        assert_non_null(record);
        assert_non_null(owner);
        assert_int_equal(pw_shared_set(&record->netns, PW_NETNS_HOST), 0);
        owner->user = strdup("www");
        owner->exe = strdup("/usr/sbin/nginx");
        owner->comm = pid < 100 ? strdup("master") : strdup("worker");
        owner->pids[0] = pid;
        owner->started[0] = (uint64_t)pid * 10;
        owner->n_pids = owner->n_holders = 1;
        record->owner = owner;
        record->protocol = PW_TCP;
        record->port = port;
        record->address.family = AF_INET6;
        record->cookie = cookie;
        record->sockets = 1;
        assert_int_equal(pw_record_label(record, PW_EPHEMERAL_DEFAULT), 0);
        pw_record_identify(record);
        return record;
}

static struct pw_listener *attach(uint16_t port, pid_t pid, uint64_t cookie)
{
        struct pw_record *record = make(port, pid, cookie);
        struct pw_listener *listener = pw_listeners_get(listeners, record);

        assert_non_null(listener);
        assert_int_equal(pw_listener_attach(listeners, listener, record), 0);
        pw_record_unref(record);
        return listener;
}

static void publish(struct pw_listener *listener)
{
        struct pw_record *record =
            pw_record_copy(listener->fresh ? listener->fresh : listener->record);

        record->sockets = listener->sockets;
        pw_listener_publish(listener, record, 1000);
}

static struct pw_listener *publish_next(void)
{
        struct pw_listener *listener = pw_listeners_next_touched(listeners);

        if (listener)
                publish(listener);
        return listener;
}

static void test_open_and_close(void **state)
{
        struct pw_listener *listener = attach(80, 10, 1);

        (void)state;
        assert_int_equal(pw_listener_change(listener), PW_LISTENER_OPENED);
        assert_ptr_equal(publish_next(), listener);
        assert_int_equal(pw_listener_change(listener), PW_LISTENER_SAME);
        assert_null(pw_listeners_next_touched(listeners));

        pw_listener_detach(listeners, listener, 0);
        assert_int_equal(pw_listener_change(listener), PW_LISTENER_CLOSED);
        publish_next();
        assert_false(listener->open);
        assert_int_equal(listener->closed_usec, 1000);
}

static void test_opened_and_closed_between_publications_is_nothing(void **state)
{
        struct pw_listener *listener = attach(80, 10, 1);

        (void)state;
        pw_listener_detach(listeners, listener, 0);
        assert_int_equal(pw_listener_change(listener), PW_LISTENER_SAME);
}

static void test_restart_is_one_change(void **state)
{
        struct pw_listener *listener = attach(80, 10, 1);

        (void)state;
        publish_next();
        pw_listener_detach(listeners, listener, 0);
        assert_ptr_equal(attach(80, 20, 2), listener);
        assert_int_equal(pw_listener_change(listener), PW_LISTENER_CHANGED);
        assert_ptr_equal(publish_next(), listener);
        assert_null(publish_next());
        assert_int_equal(listener->record->owner->n_pids, 1); /* the old process is not kept */
        assert_int_equal(listener->record->owner->pids[0], 20);
}

static void test_workers_join(void **state)
{
        struct pw_listener *listener = attach(80, 300, 1);

        (void)state;
        attach(80, 200, 2);
        attach(80, 10, 3);
        attach(80, 200, 4);
        publish_next();
        assert_int_equal(listener->sockets, 4);
        assert_int_equal(listener->record->sockets, 4);
        assert_int_equal(listener->record->owner->n_pids, 3);
        assert_int_equal(listener->record->owner->pids[0], 10); /* started first */
        assert_int_equal(listener->record->owner->pids[1], 200);
        assert_int_equal(listener->record->owner->pids[2], 300);
        assert_string_equal(listener->record->owner->comm, "master");

        pw_listener_detach(listeners, listener, 0);
        assert_int_equal(pw_listener_change(listener), PW_LISTENER_RECOUNT);
}

static void test_more_processes_than_are_listed(void **state)
{
        struct pw_listener *listener = NULL;

        (void)state;
        for (pid_t pid = 1; pid <= 2 * PW_OWNER_PIDS_MAX; pid++)
                listener = attach(80, 1000 - pid, (uint64_t)pid);
        publish_next();
        assert_int_equal(listener->record->owner->n_pids, PW_OWNER_PIDS_MAX);
        assert_int_equal(listener->record->owner->n_holders, 2 * PW_OWNER_PIDS_MAX);
}

static void test_indexes_agree(void **state)
{
        size_t on_port = 0;

        (void)state;
        for (uint16_t port = 1; port <= 500; port++)
                attach(port, 10, port);
        while (publish_next())
                ;
        for (uint16_t port = 1; port <= 500; port += 2) {
                pw_listener_detach(listeners, pw_listeners_on_port(listeners, port), 0);
                publish_next();
        }
        assert_int_equal(pw_listeners_count(listeners), 500);
        pw_listeners_forget(listeners, 2000, 1000);
        assert_int_equal(pw_listeners_count(listeners), 250);
        for (uint16_t port = 1; port <= 500; port++) {
                struct pw_record *record = make(port, 10, 1);
                struct pw_listener *found = pw_listeners_find(listeners, record->listener_id);

                assert_int_equal(found != NULL, port % 2 == 0);
                assert_ptr_equal(found, pw_listeners_on_port(listeners, port));
                pw_record_unref(record);
        }
        for (size_t i = 0; i < pw_listeners_count(listeners); i++)
                on_port += pw_listeners_item(listeners, i)->index == i;
        assert_int_equal(on_port, 250);
}

static void test_forgets_the_longest_closed_beyond_the_limit(void **state)
{
        (void)state;
        for (uint16_t port = 1; port <= 10; port++) {
                struct pw_listener *listener = attach(port, 10, port);

                publish_next();
                pw_listener_detach(listeners, listener, 0);
                publish_next();
                listener->closed_usec = port;
        }
        attach(11, 10, 11);
        publish_next();
        pw_listeners_forget(listeners, 0, 4);
        assert_int_equal(pw_listeners_count(listeners), 5);
        assert_null(pw_listeners_on_port(listeners, 6));
        assert_non_null(pw_listeners_on_port(listeners, 7));
        assert_non_null(pw_listeners_on_port(listeners, 11));
}

static void test_required_stays(void **state)
{
        struct pw_record *record = make(5432, 10, 1);
        struct pw_listener *listener = pw_listeners_get(listeners, record);

        (void)state;
        listener->required = true;
        pw_listeners_forget(listeners, 1000, 0);
        assert_int_equal(pw_listeners_count(listeners), 1);
        pw_record_unref(record);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(test_open_and_close),
            TEST(test_opened_and_closed_between_publications_is_nothing),
            TEST(test_restart_is_one_change),
            TEST(test_workers_join),
            TEST(test_more_processes_than_are_listed),
            TEST(test_indexes_agree),
            TEST(test_forgets_the_longest_closed_beyond_the_limit),
            TEST(test_required_stays),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
