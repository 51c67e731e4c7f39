/* SPDX-License-Identifier: MIT */
/* Network namespaces over a made-up /proc: would catch one that is missed, called by another's name
 * or by a changing one, kept after its end or forgotten before; and tables of sockets that pass for
 * complete though they were not understood or read to the end. What needs real namespaces is in
 * check-namespaces.c. */

#include "daemon/namespaces.h"
#include "daemon/proc-net.h"

#include "tests/unit/made-up-tree.h"

#include <portwatch/text.h>

#define OWN 4000

#define HEADING "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n"
#define LISTEN_80                                                                                  \
        "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000       " \
        " "                                                                                        \
        "0 4711 1 0000000000000000 100 0 0 10 0\n"
#define CONNECTED                                                                                  \
        "   1: 0100007F:0051 0100007F:C001 01 00000000:00000000 00:00000000 00000000  1000       " \
        " "                                                                                        \
        "0 4712 1 0000000000000000 100 0 0 10 0\n"
#define LISTEN_82                                                                                  \
        "   2: 0100007F:0052 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000       " \
        " "                                                                                        \
        "0 4713 1 0000000000000000 100 0 0 10 0\n"
#define UDP_53                                                                                     \
        "  100: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0      " \
        " "                                                                                        \
        " 0 55 2 0000000000000000 0\n"
#define TCP6_ANY                                                                                   \
        "   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A "    \
        "00000000:00000000 00:00000000 00000000     0        0 99 1 0000000000000000 100 0 0 10 "  \
        "0\n"

static int proc_fd;
static struct pw_namespaces *namespaces;
static struct pw_snapshot snapshot;

/* ---- the made-up tree ---- */

static void enters(int pid, unsigned long inode)
{
        char path[64], link[64];

        snprintf(path, sizeof path, "proc/%d/ns/net", pid);
        snprintf(link, sizeof link, "net:[%lu]", inode);
        put_link(path, link);
}

static void process(int pid, unsigned long inode, const char *cgroup)
{
        char path[64];

        enters(pid, inode);
        snprintf(path, sizeof path, "proc/%d/cgroup", pid);
        put(path, 0, "0::%s\n", cgroup);
}

static void ends(int pid)
{
        char path[64];

        snprintf(path, sizeof path, "proc/%d", pid);
        remove_tree(path);
}

static void table(int pid, const char *name, const char *text)
{
        char path[64];

        snprintf(path, sizeof path, "proc/%d/net/%s", pid, name);
        put(path, 0, "%s", text);
}

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

static int set_up(void **state)
{
        (void)state;
        proc_fd = open_dir("proc");
        process(1, OWN, "/init.scope");
        make_dirs("proc/1/root/run/netns/");
        return pw_namespaces_new(proc_fd, OWN, &namespaces);
}

static int tear_down(void **state)
{
        (void)state;
        pw_namespaces_free(namespaces);
        pw_snapshot_done(&snapshot);
        close(proc_fd);
        remove_tree("proc");
        return 0;
}

static bool discover(void)
{
        bool hidden;

        assert_int_equal(pw_namespaces_discover(namespaces, &hidden), 0);
        return hidden;
}

/* One round, as the daemon makes it. */
static void look_round(void)
{
        assert_false(discover());
        pw_namespaces_forget(namespaces);
}

static const struct pw_namespace *known(unsigned long inode)
{
        const struct pw_namespace *namespace = pw_namespaces_find(namespaces, inode);

        assert_non_null(namespace);
        assert_int_equal(namespace->inode, inode);
        return namespace;
}

static void assert_name(unsigned long inode, const char *name)
{
        assert_string_equal(known(inode)->name, name);
}

/* ---- which there are ---- */

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

/* ---- how they are called ---- */

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

/* ---- what is open in them ---- */

static void dump(void)
{
        pw_snapshot_clear(&snapshot);
        assert_int_equal(pw_namespaces_dump(namespaces, &snapshot), 0);
        assert_int_equal(snapshot.n_parts, 3 * pw_namespaces_count(namespaces));
}

static bool complete(unsigned long inode, uint8_t protocol)
{
        return pw_snapshot_is_complete(&snapshot, inode, protocol);
}

static void dumped(void **state)
{
        char text[PW_ADDRESS_MAX];

        (void)state;
        process(20, 5000, "/");
        process(30, 6000, "/");
        table(20, "tcp", HEADING LISTEN_80);
        table(20, "tcp6", HEADING TCP6_ANY);
        table(20, "udp", HEADING UDP_53 CONNECTED UDP_53);
        table(20, "udplite6", HEADING);
        look_round();
        dump();
        assert_int_equal(snapshot.n_sockets, 4);
        assert_int_equal(snapshot.sockets[0].endpoint.netns, 5000);
        assert_int_equal(snapshot.sockets[0].endpoint.port, 80);
        assert_int_equal(snapshot.sockets[0].endpoint.protocol, PW_TCP);
        assert_int_equal(snapshot.sockets[0].inode, 4711);
        assert_int_equal(snapshot.sockets[0].uid, 1000);
        assert_int_equal(snapshot.sockets[0].cookie, PW_COOKIE_BY_INODE | 4711);
        assert_int_equal(snapshot.sockets[0].cgroup_id, 0);
        assert_string_equal(
            pw_address_format(text, sizeof text, &snapshot.sockets[0].endpoint.address),
            "127.0.0.1");
        assert_int_equal(snapshot.sockets[1].endpoint.port, 8080);
        assert_string_equal(
            pw_address_format(text, sizeof text, &snapshot.sockets[1].endpoint.address), "*");
        assert_int_equal(snapshot.sockets[2].endpoint.protocol, PW_UDP);
        assert_int_equal(snapshot.sockets[2].endpoint.port, 53);
        assert_true(complete(5000, PW_TCP) && complete(5000, PW_UDP) && complete(5000, PW_UDPLITE));
        assert_true(complete(6000, PW_TCP));
        assert_false(known(5000)->partial);
}

/* Behind the first connection no listener is looked for. */
static void listeners_first(void **state)
{
        (void)state;
        process(20, 5000, "/");
        table(20, "tcp", HEADING LISTEN_80 CONNECTED LISTEN_82);
        look_round();
        dump();
        assert_int_equal(snapshot.n_sockets, 1);
        assert_true(complete(5000, PW_TCP));
}

/* Where there is no socket of TCP its tables, which are dear, are not read. */
static void counted(void **state)
{
        (void)state;
        process(20, 5000, "/");
        table(20, "tcp", HEADING LISTEN_80);
        table(20, "tcp6", HEADING TCP6_ANY);
        table(20, "sockstat", "sockets: used 3\nTCP: inuse 1 orphan 0\nUDP: inuse 0 mem 0\n");
        table(20, "sockstat6", "TCP6: inuse 10\nUDP6: inuse 0\n");
        look_round();
        dump();
        assert_int_equal(snapshot.n_sockets, 2);
        table(20, "sockstat", "sockets: used 3\nXTCP: inuse 0 orphan 0\n");
        table(20, "sockstat6", "TCP6: inuse 0\nUDP6: inuse 0\n");
        dump();
        assert_int_equal(snapshot.n_sockets, 1);
        table(20, "sockstat", "sockets: used 3\nTCP: inuse 0 orphan 0\nUDP: inuse 0 mem 0\n");
        dump();
        assert_int_equal(snapshot.n_sockets, 0);
        assert_true(complete(5000, PW_TCP));
}

static void incomplete_tables(void **state)
{
        static const char *const texts[] = {
            "",                                   /* not even a heading */
            HEADING LISTEN_80 "nonsense\n",       /* not understood */
            HEADING LISTEN_80 "   2: 0100007F:0", /* cut */
            HEADING LISTEN_80 "\n",
        };
        char line[3000];

        (void)state;
        process(20, 5000, "/");
        look_round();
        for (size_t i = 0; i <= PW_ELEMENTS(texts); i++) {
                memset(line, ' ', sizeof line);
                line[sizeof line - 1] = '\0';
                table(20, "tcp", i < PW_ELEMENTS(texts) ? texts[i] : line);
                dump();
                assert_false(complete(5000, PW_TCP));
                assert_true(complete(5000, PW_UDP));
                assert_true(known(5000)->partial);
                assert_int_equal(snapshot.n_sockets, i > 0 && i < PW_ELEMENTS(texts));
        }
        table(20, "tcp", HEADING LISTEN_80);
        dump();
        assert_false(known(5000)->partial);
}

/* A table that fills many pages; and one without an end. */
static void large_tables(void **state)
{
        unsigned long rows[] = {10000, 100000};
        FILE *file;

        (void)state;
        process(20, 5000, "/");
        for (size_t i = 0; i < PW_ELEMENTS(rows); i++) {
                table(20, "udp", HEADING);
                file = fdopen(openat(top_fd, "proc/20/net/udp", O_WRONLY | O_APPEND), "a");
                assert_non_null(file);
                for (unsigned long row = 0; row < rows[i]; row++)
                        fputs(UDP_53, file);
                fclose(file);
                look_round();
                dump();
                assert_int_equal(complete(5000, PW_UDP), rows[i] == 10000);
                if (i == 0)
                        assert_int_equal(snapshot.n_sockets, rows[i]);
                assert_true(snapshot.n_sockets < 60000);
                assert_true(complete(5000, PW_TCP) && complete(5000, PW_UDPLITE));
        }
}

/* More than is read in one dump: each gets its turn, whatever comes before it. */
static void in_turns(void **state)
{
        enum { NAMESPACES = 12, ROWS = 31000 };
        bool read[NAMESPACES] = {false};
        size_t n_read = 0, before;
        char path[64];
        FILE *file;

        (void)state;
        table(1, "large", HEADING);
        file = fdopen(openat(top_fd, "proc/1/net/large", O_WRONLY | O_APPEND), "a");
        assert_non_null(file);
        for (unsigned row = 0; row < ROWS; row++)
                fputs(UDP_53, file);
        fclose(file);
        for (int i = 0; i < NAMESPACES; i++) {
                process(20 + i, 5000 + (unsigned long)i, "/");
                snprintf(path, sizeof path, "proc/%d/net/udp", 20 + i);
                put_link(path, "../../1/net/large");
                snprintf(path, sizeof path, "proc/%d/net/udplite", 20 + i);
                put_link(path, "../../1/net/large");
        }
        look_round();
        for (unsigned turn = 0; turn < 2; turn++) {
                before = n_read;
                dump();
                assert_true(snapshot.n_sockets < NAMESPACES * ROWS * 2);
                for (unsigned long i = 0; i < NAMESPACES; i++)
                        if (!known(5000 + i)->partial && !read[i]) {
                                read[i] = true;
                                n_read++;
                        }
                assert_true(n_read > before);
        }
        assert_int_equal(n_read, NAMESPACES);
}

/* When it is too late, or too much, nothing is said of what was not read. */
static void limits(void **state)
{
        struct pw_proc_net_limits none[] = {{1, 1u << 20}, {UINT64_MAX, 0}, {UINT64_MAX, 10}};
        int dir_fd;

        (void)state;
        process(20, 5000, "/");
        for (size_t i = 0; i < 3; i++)
                table(20, (const char *[]){"tcp", "udp", "udplite"}[i], HEADING);
        dir_fd = openat(proc_fd, "20", O_RDONLY | O_DIRECTORY);
        for (size_t i = 0; i < PW_ELEMENTS(none); i++) {
                bool whole[PW_PROC_NET_PROTOCOLS] = {true, true, true};

                assert_int_equal(pw_proc_net_read(dir_fd, 5000, &none[i], &snapshot, whole), 0);
                assert_false(whole[0] || whole[1] || whole[2]);
                assert_true(pw_proc_net_is_exhausted(&none[i]));
        }
        close(dir_fd);
}

/* Its process has ended, or gone elsewhere, since: its tables are not the namespace's. */
static void moved_process(void **state)
{
        (void)state;
        process(20, 5000, "/");
        process(30, 6000, "/");
        look_round();
        table(20, "tcp", HEADING LISTEN_80);
        enters(20, OWN);
        ends(30);
        dump();
        assert_int_equal(snapshot.n_sockets, 0);
        for (unsigned long inode = 5000; inode <= 6000; inode += 1000) {
                assert_false(complete(inode, PW_TCP));
                assert_true(known(inode)->partial);
                assert_int_equal(known(inode)->pid, 0);
        }
        process(40, 5000, "/");
        assert_int_equal(pw_namespaces_meet(namespaces, 5000, 0, 40), 0);
        dump();
        assert_true(complete(5000, PW_TCP));
}

/* ---- one line ---- */

/* Whether the line is refused, and nothing is written then. */
static bool is_refused(const char *line, uint8_t protocol, uint8_t family)
{
        struct pw_socket row, untouched;
        int r;

        memset(&row, 0x5a, sizeof row);
        memset(&untouched, 0x5a, sizeof untouched);
        r = pw_proc_net_parse(line, protocol, family, &row);
        assert_true(r == 0 || r == 1 || r == -EBADMSG);
        if (r != 0)
                assert_memory_equal(&row, &untouched, sizeof row);
        return r == -EBADMSG;
}

#define REST " 00000000:00000000 00:00000000 00000000     0        0 "

static void lines(void **state)
{
        struct pw_socket row;
        char text[PW_ADDRESS_MAX];

        (void)state;
        assert_int_equal(pw_proc_net_parse("   7: FF02000A:FFFF 00000000:0000 07" REST "4294967295",
                                           PW_UDP, AF_INET, &row),
                         0);
        assert_int_equal(row.inode, UINT32_MAX);
        assert_int_equal(row.endpoint.port, 65535);
        assert_int_equal(row.endpoint.netns, 0);
        assert_int_equal(row.cookie, 0);
        if (htons(1) != 1) /* addresses are in the machine's byte order */
                assert_string_equal(pw_address_format(text, sizeof text, &row.endpoint.address),
                                    "10.0.2.255");
        assert_int_equal(
            pw_proc_net_parse("0: B80D0120000000000000000001000000:0050 "
                              "00000000000000000000000000000000:0000 0A 00000000:00000010 "
                              "02:123456789ABC 00000003 4294967295 -1 1 9 ffff8880 -5",
                              PW_TCP, AF_INET6, &row),
            0);
        assert_int_equal(row.uid, UINT32_MAX);
        assert_int_equal(row.endpoint.address.family, AF_INET6);
        if (htons(1) != 1)
                assert_string_equal(pw_address_format(text, sizeof text, &row.endpoint.address),
                                    "2001:db8::1");
        /* Another state, and a port that is none. */
        assert_int_equal(
            pw_proc_net_parse("0: 0100007F:0050 00000000:0000 07" REST "1", PW_TCP, AF_INET, &row),
            1);
        assert_int_equal(pw_proc_net_parse("0: 0100007F:0050 00000000:0000 0A" REST "1", PW_UDPLITE,
                                           AF_INET, &row),
                         1);
        assert_int_equal(
            pw_proc_net_parse("0: 0100007F:0000 00000000:0000 07" REST "1", PW_UDP, AF_INET, &row),
            1);
}

static void hostile_lines(void **state)
{
        static const char *const bad[] = {
            "",
            " ",
            ":",
            "   0",
            "   0:",
            "   0:0100007F:0050 00000000:0000 0A" REST "1",
            "   x: 0100007F:0050 00000000:0000 0A" REST "1",
            "  -1: 0100007F:0050 00000000:0000 0A" REST "1",
            "   0: 0100007f:0050 00000000:0000 0A" REST "1",
            "   0: 100007F:0050 00000000:0000 0A" REST "1",
            "   0: 0100007F0:0050 00000000:0000 0A" REST "1",
            "   0: 0100007F 0050 00000000:0000 0A" REST "1",
            "   0: 0100007F:050 00000000:0000 0A" REST "1",
            "   0: 0100007F:00500 00000000:0000 0A" REST "1",
            "   0: 0100007F:0050 0:0 0A" REST "1",
            "   0: 0100007F:0050 00000000:0000 A" REST "1",
            "   0: 0100007F:0050 00000000:0000 0AA" REST "1",
            "   0: 0100007F:0050 00000000:0000 0A 0:0 0:0 0 0 0 1",
            "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 -1 0 1",
            "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 "
            "4294967296 "
            "0 1",
            "   0: 0100007F:0050 00000000:0000 0A" REST,
            "   0: 0100007F:0050 00000000:0000 0A" REST "x",
            "   0: 0100007F:0050 00000000:0000 0A" REST "-1",
            "   0: 0100007F:0050 00000000:0000 0A" REST "1x",
            "   0: 0100007F:0050 00000000:0000 0A" REST "4294967296",
            "   0: 0100007F:0050 00000000:0000 0A" REST "18446744073709551617",
            "   0: 0100007F:0050\t00000000:0000 0A" REST "1",
            "   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 "
            "0A" REST "1",
        };

        (void)state;
        for (size_t i = 0; i < PW_ELEMENTS(bad); i++) {
                assert_true(is_refused(bad[i], PW_TCP, AF_INET));
                if (i + 1 < PW_ELEMENTS(bad))
                        assert_true(is_refused(bad[i], PW_TCP, AF_INET6));
        }
        assert_false(is_refused(bad[PW_ELEMENTS(bad) - 1], PW_TCP, AF_INET6));
}

/* No beginning of a line is taken for the whole. */
static void cut_lines(void **state)
{
        static const char line[] = "   0: 0100007F:0050 00000000:0000 0A" REST "1";
        char text[sizeof line];

        (void)state;
        assert_false(is_refused(line, PW_TCP, AF_INET));
        for (size_t length = 0; length < sizeof line - 1; length++) {
                snprintf(text, sizeof text, "%.*s", (int)length, line);
                assert_true(is_refused(text, PW_TCP, AF_INET));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            TEST(discovered),
            TEST(last_process),
            TEST(met),
            TEST(met_from_outside),
            TEST(hidden_process),
            TEST(hidden_processes),
            TEST(strange_links),
            TEST(too_many),
            TEST(names),
            TEST(names_of_services),
            TEST(names_stay),
            TEST(names_change),
            TEST(names_twice),
            TEST(hostile_names),
            TEST(dumped),
            TEST(listeners_first),
            TEST(counted),
            TEST(incomplete_tables),
            TEST(large_tables),
            TEST(in_turns),
            TEST(limits),
            TEST(moved_process),
            cmocka_unit_test(lines),
            cmocka_unit_test(hostile_lines),
            cmocka_unit_test(cut_lines),
        };

        return cmocka_run_group_tests(tests, make_top, remove_top);
}
