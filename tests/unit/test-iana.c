/* SPDX-License-Identifier: MIT */
/* Names of services: the compiled-in table, the file it is made from, and the administrator's. */

#include <portwatch/iana.h>
#include <portwatch/text.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_service(uint8_t protocol, uint16_t port, const char *expected)
{
        const char *name = pw_iana_service(protocol, port);

        if (!pw_text_equal(name, expected))
                fail_msg("%s/%u is %s, not %s", pw_protocol_name(protocol), port, name ? name : "-",
                         expected ? expected : "-");
}

/* Would catch a source that went wrong, a name that is not the one in use (80 has three), and rows
 * that were lost (53, ranges like X11's). */
static void test_well_known(void **state _unused_)
{
        assert_service(PW_TCP, 21, "ftp");
        assert_service(PW_TCP, 22, "ssh");
        assert_service(PW_TCP, 25, "smtp");
        assert_service(PW_TCP, 53, "domain");
        assert_service(PW_UDP, 53, "domain");
        assert_service(PW_UDP, 67, "bootps");
        assert_service(PW_UDP, 68, "bootpc");
        assert_service(PW_TCP, 80, "http");
        assert_service(PW_UDP, 80, "http");
        assert_service(PW_UDP, 123, "ntp");
        assert_service(PW_TCP, 143, "imap");
        assert_service(PW_TCP, 443, "https");
        assert_service(PW_UDP, 443, "https");
        assert_service(PW_TCP, 465, "submissions");
        assert_service(PW_TCP, 631, "ipp");
        assert_service(PW_TCP, 2049, "nfs");
        assert_service(PW_TCP, 3000, "remoteware-cl");
        assert_service(PW_TCP, 3306, "mysql");
        assert_service(PW_UDP, 3478, "stun");
        assert_service(PW_UDP, 5353, "mdns");
        assert_service(PW_TCP, 5432, "postgresql");
        assert_service(PW_TCP, 6000, "x11");
        assert_service(PW_TCP, 6063, "x11");
        assert_service(PW_TCP, 6379, "redis");
        assert_service(PW_TCP, 6667, "ircu");
        assert_service(PW_TCP, 8080, "http-alt");
        assert_service(PW_TCP, 10000, "ndmp"); /* webmin is not IANA's */
}

static void test_protocols_apart(void **state _unused_)
{
        assert_service(PW_TCP, 512, "exec");
        assert_service(PW_UDP, 512, "biff");
        assert_service(PW_TCP, 513, "login");
        assert_service(PW_UDP, 513, "who");
        assert_service(PW_TCP, 514, "shell");
        assert_service(PW_UDP, 514, "syslog");
        assert_service(PW_UDPLITE, 514, "syslog"); /* UDP-Lite shares UDP's ports */
        assert_service(PW_TCP, 6667, "ircu");
        assert_service(PW_UDP, 6667, NULL);
        assert_service(IPPROTO_SCTP, 80, NULL);
}

/* Would catch a search that runs over an end. */
static void test_unassigned(void **state _unused_)
{
        assert_service(PW_TCP, 0, NULL);
        assert_service(PW_TCP, 15, NULL); /* `netstat` was given back */
        assert_service(PW_TCP, 1, "tcpmux");
        assert_service(PW_TCP, 65535, NULL);
        assert_service(PW_UDP, 65535, NULL);
        assert_service(PW_UDP, 49152, NULL);
}

static void assert_ports(uint8_t protocol, const char *name, size_t n, uint16_t first)
{
        uint16_t ports[4] = {0};

        assert_int_equal(pw_iana_ports(protocol, name, ports, PW_ELEMENTS(ports)), n);
        assert_int_equal(ports[0], n > 0 ? first : 0);
}

static void test_ports_of_names(void **state _unused_)
{
        uint16_t ports[4] = {0};

        assert_ports(PW_TCP, "http", 1, 80);
        assert_ports(PW_TCP, "https", 1, 443);
        assert_ports(PW_TCP, "HTTPS", 1, 443);
        assert_ports(PW_UDP, "domain", 1, 53);
        assert_ports(PW_UDPLITE, "domain", 1, 53);
        assert_ports(PW_UDP, "syslog", 1, 514);
        assert_ports(PW_TCP, "www", 1, 80); /* aliases */
        assert_ports(PW_TCP, "postgres", 1, 5432);
        assert_ports(PW_TCP, "whois", 1, 43);
        assert_ports(PW_TCP, "htt", 0, 0);
        assert_ports(PW_TCP, "http0", 0, 0);
        assert_ports(PW_TCP, "", 0, 0);
        assert_ports(IPPROTO_SCTP, "http", 0, 0);

        /* more than there is room for: all are counted, the first are there */
        assert_ports(PW_TCP, "x11", 64, 6000);
        assert_int_equal(pw_iana_ports(PW_TCP, "http-alt", ports, 4), 3);
        assert_int_equal(ports[0], 591);
        assert_int_equal(ports[1], 8008);
        assert_int_equal(ports[2], 8080);
        assert_int_equal(ports[3], 0);
        assert_int_equal(pw_iana_ports(PW_TCP, "http-alt", NULL, 0), 3);
}

static bool is_valid_name(const char *name)
{
        static const char letters_and_digits[] =
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        size_t length = strlen(name);

        return length > 0 && length <= 15 && strchr(letters_and_digits, name[0]) &&
               strchr(letters_and_digits, name[length - 1]) &&
               name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789-_")] == '\0';
}

struct row {
        uint8_t protocol;
        uint16_t port;
        char name[32];
};

static bool read_row(FILE *file, struct row *ret)
{
        char line[256], *state = NULL, *protocol, *port, *name;
        uint64_t number;

        do {
                if (!fgets(line, sizeof line, file))
                        return false;
                assert_non_null(strchr(line, '\n'));
        } while (line[0] == '#');
        protocol = strtok_r(line, "\t", &state);
        port = strtok_r(NULL, "\t", &state);
        name = strtok_r(NULL, "\n", &state);
        assert_non_null(name);
        assert_int_equal(pw_protocol_from_name(protocol, &ret->protocol), 0);
        assert_int_equal(pw_parse_number(port, 1, UINT16_MAX, &number), 0);
        ret->port = (uint16_t)number;
        assert_true(strlen(name) < sizeof ret->name);
        strcpy(ret->name, name);
        return true;
}

static bool has_port(uint8_t protocol, const char *name, uint16_t port)
{
        static uint16_t ports[256];
        size_t n = pw_iana_ports(protocol, name, ports, PW_ELEMENTS(ports));

        assert_true(n <= PW_ELEMENTS(ports));
        for (size_t i = 0; i < n; i++)
                if (ports[i] == port)
                        return true;
        return false;
}

/* The file row for row against the compiled-in table: would catch a file that is not sorted (and so
 * searched wrongly), names nobody may have, and rows that the awk script loses. */
static void test_table(void **state _unused_)
{
        FILE *file = fopen(PW_SOURCE_DIR "/share/iana/services.tsv", "re");
        struct row row, last = {0};
        size_t rows = 0;

        assert_non_null(file);
        while (read_row(file, &row)) {
                bool same_port = row.protocol == last.protocol && row.port == last.port;

                assert_true(row.protocol > last.protocol ||
                            (row.protocol == last.protocol && row.port >= last.port));
                if (!is_valid_name(row.name))
                        fail_msg("%s", row.name);
                if (same_port)
                        assert_string_not_equal(row.name, last.name);
                else
                        assert_service(row.protocol, row.port, row.name);
                assert_true(has_port(row.protocol, row.name, row.port));
                last = row;
                rows++;
        }
        fclose(file);
        assert_true(rows > 11000);
        assert_int_equal(pw_iana_rows(), rows);
        assert_int_equal(strlen(pw_iana_date()), strlen("2026-11-26"));
        assert_int_equal(strspn(pw_iana_date(), "0123456789-"), strlen("2026-11-26"));
}

/* ---- the administrator's file ---- */

/* Loads a services file with this content from a directory of its own. */
static int load(const char *content, size_t length, struct pw_services **ret)
{
        char path[] = "/tmp/portwatch-test-XXXXXX";
        _cleanup_(pw_closep) int fd = -EBADF;
        int r;

        assert_non_null(mkdtemp(path));
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        if (content)
                assert_int_equal(pw_write_file_atomic(fd, "services", content, length, 0600, false),
                                 0);
        r = pw_services_load(fd, ret);
        unlinkat(fd, "services", 0);
        rmdir(path);
        return r;
}

static struct pw_services *must_load(const char *content)
{
        struct pw_services *services = NULL;

        assert_int_equal(load(content, strlen(content), &services), 0);
        assert_non_null(services);
        return services;
}

static void test_local(void **state _unused_)
{
        _cleanup_(pw_services_freep) struct pw_services *services =
            must_load("# local\n"
                      "http-app\t80/tcp\n" /* IANA's name comes first */
                      "late 60001/tcp\r\n"
                      "ours\t\t60000/tcp  our-app  ours2 # a comment\n"
                      "second 60000/tcp\n"
                      "ours 60000/udp\n"
                      "ours 50000/tcp\n"
                      "http 60002/tcp\n"
                      "last 65535/udp");
        uint16_t ports[4] = {0};

        assert_string_equal(pw_services_name(services, PW_TCP, 80), "http");
        assert_string_equal(pw_services_name(services, PW_TCP, 60000), "ours");
        assert_string_equal(pw_services_name(services, PW_UDP, 60000), "ours");
        assert_string_equal(pw_services_name(services, PW_UDPLITE, 60000), "ours");
        assert_string_equal(pw_services_name(services, PW_TCP, 60001), "late");
        assert_string_equal(pw_services_name(services, PW_UDP, 65535), "last");
        assert_null(pw_services_name(services, PW_UDP, 60001));
        assert_null(pw_services_name(services, PW_TCP, 60003));
        assert_null(pw_services_name(services, IPPROTO_SCTP, 60000));

        assert_int_equal(pw_services_ports(services, PW_TCP, "ours", ports, 4), 2);
        assert_int_equal(ports[0], 50000);
        assert_int_equal(ports[1], 60000);
        assert_int_equal(pw_services_ports(services, PW_TCP, "our-app", ports, 4), 1);
        assert_int_equal(pw_services_ports(services, PW_TCP, "http-app", ports, 4), 1);
        assert_int_equal(ports[0], 80);
        assert_int_equal(pw_services_ports(services, PW_TCP, "http", ports, 4), 2);
        assert_int_equal(ports[0], 80);
        assert_int_equal(ports[1], 60002);
        assert_int_equal(pw_services_ports(services, PW_TCP, "comment", ports, 4), 0);
}

static void test_without_local(void **state _unused_)
{
        uint16_t ports[2] = {0};
        struct pw_services *services = NULL;

        assert_string_equal(pw_services_name(NULL, PW_TCP, 22), "ssh");
        assert_null(pw_services_name(NULL, PW_TCP, 60000));
        assert_int_equal(pw_services_ports(NULL, PW_TCP, "ssh", ports, 2), 1);
        assert_int_equal(load(NULL, 0, &services), -ENOENT);
        assert_null(services);
        pw_services_free(NULL);
}

/* Would catch a parser that believes nonsense, stops at it, or lets a name write to the terminal.
 */
static void test_local_hostile(void **state _unused_)
{
        static const char content[] =
            "one 60001\n"
            "two 60002/\n"
            "three /tcp\n"
            "four 65536/tcp\n"
            "five -1/tcp\n"
            "six 0/tcp\n"
            "seven 60007/sctp\n"
            "eight\n"
            "\n"
            "#\n"
            "nine 60009/tcp/tcp\n"
            "e\x1b[31mvil 60010/tcp plain\n"
            "\xff\xfe 60011/tcp\n"
            "a\0b 60012/tcp\n"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "a 60013/tcp\n"
            "good 60014/tcp\n";
        _cleanup_(pw_services_freep) struct pw_services *services = NULL;

        assert_int_equal(load(content, sizeof content - 1, &services), 0);
        for (uint16_t port = 60001; port <= 60009; port++)
                assert_null(pw_services_name(services, PW_TCP, port));
        assert_string_equal(pw_services_name(services, PW_TCP, 60010), "plain");
        assert_null(pw_services_name(services, PW_TCP, 60011));
        assert_string_equal(pw_services_name(services, PW_TCP, 60012), "b");
        assert_null(pw_services_name(services, PW_TCP, 60013));
        assert_string_equal(pw_services_name(services, PW_TCP, 60014), "good");
}

static void test_local_sizes(void **state _unused_)
{
        static const char line[] = "name 60000/tcp alias\n";
        const size_t lines = 250000;
        _cleanup_(pw_freep) char *content = malloc(lines * (sizeof line - 1));
        _cleanup_(pw_services_freep) struct pw_services *empty = must_load("");
        _cleanup_(pw_services_freep) struct pw_services *services = NULL;

        assert_null(pw_services_name(empty, PW_TCP, 60000));
        assert_non_null(content);
        for (size_t i = 0; i < lines; i++)
                memcpy(content + i * (sizeof line - 1), line, sizeof line - 1);
        assert_int_equal(load(content, lines * (sizeof line - 1), &services), -E2BIG);
        assert_null(services);
        assert_int_equal(load(content, 1000 * (sizeof line - 1), &services), 0);
        assert_string_equal(pw_services_name(services, PW_TCP, 60000), "name");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_well_known),    cmocka_unit_test(test_protocols_apart),
            cmocka_unit_test(test_unassigned),    cmocka_unit_test(test_ports_of_names),
            cmocka_unit_test(test_table),         cmocka_unit_test(test_local),
            cmocka_unit_test(test_without_local), cmocka_unit_test(test_local_hostile),
            cmocka_unit_test(test_local_sizes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
