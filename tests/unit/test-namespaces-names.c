/* SPDX-License-Identifier: MIT */
/* How network namespaces are called, over a made-up /proc: would catch one that is called by
 * another's name or by a changing one, and a name that passes for something else. */

#include "tests/unit/namespaces-tree.h"

#include <portwatch/text.h>

/* A name of `ip netns`. Returns the namespace's inode: that of the file. */
static unsigned long netns_name(const char *name)
{
        struct stat st;
        char path[512];

        snprintf(path, sizeof path, "proc/1/root/run/netns/%s", name);
        put(path, 1, "x");
        assert_int_equal(fstatat(top_fd, path, &st, 0), 0);
        return st.st_ino;
}

static void names(void **state)
{
        unsigned long vpn = netns_name("vpn"), both = netns_name("both");

        (void)state;
        process(20, vpn, "/user.slice/user-1000.slice/session-3.scope");
        process(30, both, "/lxc/box");
        process(40, 5000, "/");
        look_round();
        assert_name(vpn, "vpn");
        assert_name(both, "lxc:box");
        assert_name(5000, "net:[5000]");
}

/* PrivateNetwork=: called by the service, unless it has a name of its own; what users run under
 * their own manager has no say, and the inode tells two of one service apart. */
static void names_of_services(void **state)
{
        unsigned long vpn = netns_name("vpn");

        (void)state;
        process(20, 5000, "/system.slice/web.service");
        process(30, 5001, "/system.slice/system-db.slice/db@main.service/worker");
        process(40, vpn, "/system.slice/vpn.service");
        process(50, 5002, "/system.slice/docker.service/lxc/box");
        process(60, 5003, "/user.slice/user-1000.slice/user@1000.service/app.slice/ssh.service");
        process(70, 5004, "/user.slice/user-1000.slice/session-3.scope");
        process(80, 5005, "/system.slice/web.socket");
        process(90, 5006, "/system.slice");
        look_round();
        assert_name(5000, "web.service");
        assert_name(5001, "db@main.service");
        assert_name(vpn, "vpn");
        assert_name(5002, "lxc:box");
        for (unsigned long inode = 5003; inode <= 5006; inode++) {
                char name[64];

                snprintf(name, sizeof name, "net:[%lu]", inode);
                assert_name(inode, name);
        }
        process(25, 5007, "/system.slice/web.service");
        look_round();
        assert_name(5000, "web.service");
        assert_name(5007, "web.service net:[5007]");
        ends(20); /* the service was restarted: the new one has the name */
        process(26, 5008, "/system.slice/web.service");
        assert_false(discover());
        assert_name(5008, "web.service");
        assert_name(5007, "web.service net:[5007]"); /* as it was */
        pw_namespaces_forget(namespaces);
        assert_null(pw_namespaces_find(namespaces, 5000));
}

/* Records are identified by it. */
static void names_stay(void **state)
{
        unsigned long vpn = netns_name("vpn");

        (void)state;
        process(20, vpn, "/");
        process(30, 5000, "/lxc/box");
        look_round();
        assert_int_equal(unlinkat(top_fd, "proc/1/root/run/netns/vpn", 0), 0);
        process(30, OWN, "/");
        process(40, 5000, "/lxc/other");
        look_round();
        assert_name(vpn, "vpn");
        assert_name(5000, "lxc:box");
        assert_int_equal(known(5000)->pid, 40);
}

/* A name that is given while we run, and one that is taken away. */
static void names_change(void **state)
{
        unsigned long first = netns_name("first"), second;

        (void)state;
        process(20, first, "/");
        look_round();
        assert_name(first, "first");
        second = netns_name("second");
        ends(20);
        process(30, second, "/");
        assert_int_equal(pw_namespaces_meet(namespaces, second, 0, 30), 0);
        assert_name(second, "second");
        look_round();
        assert_null(pw_namespaces_find(namespaces, first));
        /* Its file is still there to keep the inode, but no longer by that name. */
        assert_int_equal(renameat(top_fd, "proc/1/root/run/netns/first", top_fd, "proc/1/first"),
                         0);
        assert_int_equal(pw_namespaces_meet(namespaces, first, 0, 1), 0);
        assert_int_equal(strncmp(known(first)->name, "net:[", 5), 0);
}

static void names_twice(void **state)
{
        char name[64];
        unsigned long inode;

        (void)state;
        for (int i = 0; i < 3; i++)
                process(20 + i, 5000 + (unsigned long)i, "/lxc/pod");
        look_round();
        assert_int_equal(pw_namespaces_count(namespaces), 3);
        /* One has it alone; which one depends on the order of the processes. */
        for (unsigned long plain = 0; plain < 3; plain++)
                for (unsigned long i = 0; i < 3; i++) {
                        snprintf(name, sizeof name, "lxc:pod net:[%lu]", 5000 + i);
                        if (strcmp(known(5000 + plain)->name, "lxc:pod") == 0 && i != plain)
                                assert_name(5000 + i, name);
                }
        ends(20);
        ends(21);
        ends(22);
        look_round();
        process(30, 6000, "/lxc/pod");
        look_round();
        assert_name(6000, "lxc:pod");
        /* Two names for one. */
        inode = netns_name("b");
        assert_int_equal(
            linkat(top_fd, "proc/1/root/run/netns/b", top_fd, "proc/1/root/run/netns/a", 0), 0);
        process(40, inode, "/");
        look_round();
        assert_name(inode, "a");
}

/* No name passes for the daemon's own namespace, for an unnamed one, or for a second one. */
static void hostile_names(void **state)
{
        static const char *const texts[] = {"host", "net:[7]", "a net:[7]", "\033[2J\n\xff"};
        char expected[128], text[64], path[300];
        unsigned long inodes[PW_ELEMENTS(texts)], inode;

        (void)state;
        for (size_t i = 0; i < PW_ELEMENTS(texts); i++) {
                inodes[i] = netns_name(texts[i]);
                process(20 + (int)i, inodes[i], "/");
        }
        look_round();
        for (size_t i = 0; i < 3; i++) {
                snprintf(expected, sizeof expected, "%s net:[%lu]", texts[i], inodes[i]);
                assert_name(inodes[i], expected);
        }
        pw_text_clean(text, sizeof text, texts[3], strlen(texts[3]));
        assert_name(inodes[3], text);
        assert_true(pw_text_is_clean(text));
        memset(path, 0x1b, 255);
        path[255] = '\0';
        inode = netns_name(path);
        process(40, inode, "/");
        look_round();
        assert_true(pw_text_is_clean(known(inode)->name));
        assert_true(strlen(known(inode)->name) <= 255);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(names),        TEST(names_of_services), TEST(names_stay),
            TEST(names_change), TEST(names_twice),       TEST(hostile_names),
        };

        return cmocka_run_group_tests(tests, make_top, remove_top);
}
