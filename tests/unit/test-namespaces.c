/* SPDX-License-Identifier: MIT */
/* Network namespaces over a made-up /proc: would catch one that is missed, kept after its end or
 * forgotten before. What needs real namespaces is in check-namespaces.c. */

#include "tests/unit/namespaces-tree.h"

static void discovered(void **state)
{
        (void)state;
        process(300, 7000, "/");
        process(20, 5000, "/");
        process(30, 7000, "/");
        process(40, OWN, "/");
        assert_false(discover());
        assert_int_equal(pw_namespaces_count(namespaces), 2);
        assert_int_equal(pw_namespaces_item(namespaces, 0)->inode, 5000);
        assert_int_equal(pw_namespaces_item(namespaces, 1)->inode, 7000);
        assert_int_equal(known(5000)->pid, 20);
        assert_int_not_equal(known(7000)->pid, 0);
        assert_name(5000, "net:[5000]");
        assert_null(pw_namespaces_find(namespaces, OWN));
        assert_null(pw_namespaces_find(namespaces, 6000));
        assert_false(pw_namespaces_left_out(namespaces));
}

/* It lives on with another process of it, and ends with the last one. */
static void last_process(void **state)
{
        (void)state;
        process(20, 5000, "/");
        process(30, 5000, "/");
        look_round();
        ends(known(5000)->pid);
        look_round();
        assert_true(known(5000)->pid == 20 || known(5000)->pid == 30);
        enters(known(5000)->pid, OWN);
        assert_false(discover());
        assert_int_equal(known(5000)->pid, 0); /* until it is forgotten */
        pw_namespaces_forget(namespaces);
        assert_int_equal(pw_namespaces_count(namespaces), 0);
}

static void met(void **state)
{
        (void)state;
        process(20, 5000, "/lxc/box");
        assert_int_equal(pw_namespaces_meet(namespaces, 5000, 0, 20), 0);
        assert_int_equal(pw_namespaces_meet(namespaces, OWN, 0, 1), 0);
        assert_int_equal(pw_namespaces_meet(namespaces, 0, 0, 20), 0);
        assert_int_equal(pw_namespaces_meet(namespaces, 6000, 0, 0), 0);
        assert_int_equal(pw_namespaces_count(namespaces), 1);
        assert_int_equal(known(5000)->pid, 20);
        assert_name(5000, "lxc:box");
        pw_namespaces_forget(namespaces);
        assert_name(5000, "lxc:box");
        /* Once met is enough for one round. */
        assert_int_equal(pw_namespaces_meet(namespaces, 5000, 0, 30), 0);
        assert_int_equal(known(5000)->pid, 20);
        pw_namespaces_forget(namespaces);
        /* Nobody was met, but its process is still in it. */
        pw_namespaces_forget(namespaces);
        assert_name(5000, "lxc:box");
        enters(20, OWN);
        pw_namespaces_forget(namespaces);
        assert_int_equal(pw_namespaces_count(namespaces), 0);
        process(20, 5000, "/");
        assert_int_equal(pw_namespaces_meet(namespaces, 5000, 0, 20), 0);
        pw_namespaces_forget(namespaces);
        ends(20);
        pw_namespaces_forget(namespaces);
        assert_int_equal(pw_namespaces_count(namespaces), 0);
}

/* A process that holds a socket of a namespace need not be in it: neither its name nor its tables
 * are the namespace's. */
static void met_from_outside(void **state)
{
        (void)state;
        process(20, OWN, "/lxc/box");
        table(20, "tcp", HEADING LISTEN_80);
        assert_int_equal(pw_namespaces_meet(namespaces, 5000, 0, 20), 0);
        assert_int_equal(pw_namespaces_meet(namespaces, 5001, 0, 4242), 0); /* has ended */
        assert_name(5000, "net:[5000]");
        assert_name(5001, "net:[5001]");
        assert_int_equal(known(5000)->pid, 0);
        process(30, 5000, "/lxc/box");
        assert_int_equal(pw_namespaces_meet(namespaces, 5000, 0, 20), 0);
        assert_int_equal(known(5000)->pid, 0);
        assert_int_equal(pw_namespaces_meet(namespaces, 5000, 0, 30), 0);
        assert_int_equal(known(5000)->pid, 30);
        assert_name(5000, "net:[5000]");
}

static void become_nobody(bool nobody)
{
        if (getuid() == 0)
                assert_int_equal(seteuid(nobody ? 65534 : 0), 0);
}

/* What may not be looked into is not known to have ended. */
static void hidden_process(void **state)
{
        (void)state;
        process(20, 5000, "/");
        look_round();
        process(30, 6000, "/");
        assert_int_equal(fchmodat(top_fd, "proc/20/ns", 0, 0), 0);
        assert_int_equal(fchmodat(top_fd, "proc/30/ns", 0, 0), 0);
        become_nobody(true);
        for (int i = 0; i < 3; i++) {
                assert_true(discover());
                pw_namespaces_forget(namespaces);
        }
        assert_int_equal(pw_namespaces_dump(namespaces, &snapshot), 0);
        become_nobody(false);
        assert_int_equal(pw_namespaces_count(namespaces), 1);
        assert_int_equal(known(5000)->pid, 20);
        assert_true(known(5000)->partial);
        assert_int_equal(fchmodat(top_fd, "proc/20/ns", 0755, 0), 0);
        assert_int_equal(fchmodat(top_fd, "proc/30/ns", 0755, 0), 0);
        look_round();
        assert_int_equal(pw_namespaces_count(namespaces), 2);
}

/* hidepid= shows no processes of others, PID 1 included. */
static void hidden_processes(void **state)
{
        (void)state;
        process(20, 5000, "/");
        ends(1);
        assert_true(discover());
        assert_int_equal(pw_namespaces_count(namespaces), 1);
}

static void strange_links(void **state)
{
        static const char *const links[] = {
            "net:[",
            "net:[]",
            "net:[5000",
            "net:[5000] ",
            "5000",
            "net:5000",
            "net:[-5]",
            "mnt:[5000]",
            "net:[0x10]",
            "net:[18446744073709551616]",
            "net:[5000]net:[5000]net:[5000]net:[5000]net:[5000]net:",
        };

        (void)state;
        for (size_t i = 0; i < PW_ELEMENTS(links); i++) {
                put_link("proc/20/ns/net", links[i]);
                assert_true(discover());
                assert_int_equal(pw_namespaces_count(namespaces), 0);
        }
        put_link("proc/20/ns/net", "net:[18446744073709551615]");
        look_round();
        assert_name(UINT64_MAX, "net:[18446744073709551615]");
}

/* More than are kept: that shows, and does not push out those that are known. */
static void too_many(void **state)
{
        enum { MORE = 10 };

        (void)state;
        process(20, 5000, "/");
        for (unsigned long i = 0; i < PW_NAMESPACES_MAX + MORE; i++)
                assert_int_equal(pw_namespaces_meet(namespaces, 100000 - i, 0, 4000000), 0);
        assert_int_equal(pw_namespaces_count(namespaces), PW_NAMESPACES_MAX);
        assert_true(pw_namespaces_left_out(namespaces));
        assert_non_null(known(100000));
        for (size_t i = 1; i < PW_NAMESPACES_MAX; i++)
                assert_true(pw_namespaces_item(namespaces, i - 1)->inode <
                            pw_namespaces_item(namespaces, i)->inode);
        pw_namespaces_forget(namespaces);
        look_round();
        assert_true(pw_namespaces_left_out(namespaces));
        assert_int_equal(pw_namespaces_count(namespaces), 0);
        look_round();
        assert_false(pw_namespaces_left_out(namespaces));
        assert_int_equal(pw_namespaces_count(namespaces), 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(discovered),       TEST(last_process),   TEST(met),
            TEST(met_from_outside), TEST(hidden_process), TEST(hidden_processes),
            TEST(strange_links),    TEST(too_many),
        };

        return cmocka_run_group_tests(tests, make_top, remove_top);
}
