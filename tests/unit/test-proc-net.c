/* SPDX-License-Identifier: MIT */
/* The sockets of network namespaces, by the tables of a made-up /proc: would catch tables that pass
 * for complete though they were not understood or not read to the end, or that are another
 * namespace's, and a line that is read other than the kernel wrote it. */

#include "daemon/proc-net.h"

#include "tests/unit/namespaces-tree.h"

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

/* ---- what is open ---- */

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
