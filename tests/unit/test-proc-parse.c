/* SPDX-License-Identifier: MIT */
/* Parsers of /proc and of cgroup paths: would catch a process that hides behind its name, a user's
 * unit or container that passes for the system's, and anything read past the end. */

#include "daemon/proc.h"

#include <portwatch/text.h>
#include <sys/sysmacros.h>

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TAIL " S 17 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 123456 50 60\n"
#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int parse_stat(const char *text, struct pw_proc_stat *ret)
{
        return pw_proc_stat_parse(text, strlen(text), ret);
}

static void stat_fields(void **state)
{
        struct pw_proc_stat stat;

        (void)state;
        assert_int_equal(parse_stat("4711 (sshd)" TAIL, &stat), 0);
        assert_int_equal(stat.ppid, 17);
        assert_int_equal(stat.started, 123456);
        assert_false(stat.kernel_thread);
        /* The name may hold everything, a forged line included. */
        assert_int_equal(parse_stat("4711 (x) S 1 1 1 0 -1 0 (y)\n)" TAIL, &stat), 0);
        assert_int_equal(stat.ppid, 17);
        assert_int_equal(parse_stat("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 24 "
                                    "0\n",
                                    &stat),
                         0);
        assert_true(stat.kernel_thread);
        assert_int_equal(stat.started, 24);
}

static void stat_refused(void **state)
{
        static const char *const bad[] = {
            "",
            "4711",
            "4711 (sshd",
            "4711 (sshd)",
            "4711 (sshd) S",
            "4711 (sshd) S 17 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0",
            "4711 (sshd) S 17 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 ",
            "4711 (sshd) S 17 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 -5",
            "4711 (sshd) S 17 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99999999999999999999 1",
            "4711 (sshd) S 4294967296 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5",
            "4711 (sshd) S x 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5",
        };
        struct pw_proc_stat stat = {.ppid = 42, .started = 43};

        (void)state;
        for (size_t i = 0; i < PW_ELEMENTS(bad); i++)
                assert_int_equal(parse_stat(bad[i], &stat), -EBADMSG);
        assert_int_equal(stat.ppid, 42);
        assert_int_equal(stat.started, 43);
}

static void comm(void **state)
{
        char buffer[PW_COMM_MAX];
        const char *text = "4711 (a) (\033]0;b\n)" TAIL;

        (void)state;
        assert_int_equal(pw_proc_comm_parse(text, strlen(text), buffer, sizeof buffer), 0);
        assert_string_equal(buffer, "a) (\\x1b]0;b\\x0a");
        assert_int_equal(pw_proc_comm_parse("4711 ()", 7, buffer, sizeof buffer), 0);
        assert_string_equal(buffer, "");
        assert_int_equal(pw_proc_comm_parse(")(", 2, buffer, sizeof buffer), -EBADMSG);
        assert_int_equal(pw_proc_comm_parse("4711", 4, buffer, sizeof buffer), -EBADMSG);
}

static void socket_link(void **state)
{
        static const char *const bad[] = {
            "",
            "socket:",
            "socket:[]",
            "socket:[4711",
            "socket:[x]",
            "socket:[4711]x",
            "socket:[4294967296]",
            "socket:[-1]",
            "/socket:[1]",
            "socket:[ 1]",
            "pipe:[4711]",
            "socket:[99999999999999999999]",
        };
        uint32_t inode = 0;

        (void)state;
        assert_int_equal(pw_proc_socket_parse("socket:[4711]", &inode), 0);
        assert_int_equal(inode, 4711);
        assert_int_equal(pw_proc_socket_parse("socket:[4294967295]", &inode), 0);
        assert_int_equal(inode, UINT32_MAX);
        for (size_t i = 0; i < PW_ELEMENTS(bad); i++)
                assert_int_equal(pw_proc_socket_parse(bad[i], &inode), -EINVAL);
        assert_int_equal(inode, UINT32_MAX);
}

static int ring_line(const char *line, uint32_t *inode)
{
        return pw_proc_ring_line_parse(line, strlen(line), inode);
}

/* Would catch a file named like a socket taken for one. */
static void ring(void **state)
{
        uint32_t inode = 0;

        (void)state;
        assert_int_equal(ring_line("    0: socket:[4711]\n", &inode), 0);
        assert_int_equal(inode, 4711);
        assert_int_equal(ring_line("12345: socket:[5]", &inode), 0);
        assert_int_equal(ring_line("    0: /tmp/socket:[6]\n", &inode), -EINVAL);
        assert_int_equal(ring_line("    0: socket:[6] (deleted)\n", &inode), -EINVAL);
        assert_int_equal(ring_line("socket:[6]\n", &inode), -EINVAL);
        assert_int_equal(ring_line("UserFiles:\t4\n", &inode), -EINVAL);
        assert_int_equal(ring_line("0: ", &inode), -EINVAL);
        assert_int_equal(ring_line("", &inode), -EINVAL);
        assert_int_equal(inode, 5);
}

static void cgroup_file(void **state)
{
        static const struct {
                const char *text;
                int result;
                const char *path;
        } cases[] = {
            {"0::/system.slice/ssh.service\n", 0, "/system.slice/ssh.service"},
            {"0::/a", 0, "/a"},
            {"0::/a:b:c\n", 0, "/a:b:c"},
            {"0::/\n", 0, "/"},
            {"2:cpu:/x\n1:name=systemd:/y\n", 0, "/y"},
            {"1:name=systemd:/y\n0::/x\n", 0, "/x"},
            {"0::/x\n1:name=systemd:/y\n", 0, "/x"},
            {"1:name=systemd:/y\n0::/\n", 0, "/y"},
            {"0::/\n1:name=systemd:/y\n", 0, "/y"},
            {"", 1, NULL},
            {"\n\n", 1, NULL},
            {"2:cpu:/x\n", 1, NULL},
            {"name=systemd:/x\n", 1, NULL},
            {"1:name=systemd", 1, NULL},
            {"0::", -EBADMSG, NULL},
            {"0::x\n", -EBADMSG, NULL},
            {"0::/0123456789012345678901234567890\n", -E2BIG, NULL},
        };

        (void)state;
        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                char path[32] = "untouched";

                assert_int_equal(
                    pw_proc_cgroup_parse(cases[i].text, strlen(cases[i].text), path, sizeof path),
                    cases[i].result);
                assert_string_equal(path, cases[i].path ? cases[i].path : "untouched");
        }
        assert_int_equal(pw_proc_cgroup_parse("0::/a\0b", 7, (char[32]){0}, 32), -EBADMSG);
}

struct names_case {
        const char *path, *unit, *user_unit, *container;
};

static void check_names(const struct names_case *cases, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                struct pw_cgroup_names names;

                pw_cgroup_names_parse(cases[i].path, &names);
                assert_string_equal(names.unit, cases[i].unit);
                assert_string_equal(names.user_unit, cases[i].user_unit);
                assert_string_equal(names.container, cases[i].container);
        }
}

static void units(void **state)
{
        static const struct names_case cases[] = {
            {"/", "", "", ""},
            {"", "", "", ""},
            {"/system.slice/ssh.service", "ssh.service", "", ""},
            {"/system.slice/x.socket", "x.socket", "", ""},
            {"/init.scope", "init.scope", "", ""},
            {"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", "", ""},
            {"/a.slice/a-b.slice/a-b-c.slice/web.service", "web.service", "", ""},
            {"/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "", ""},
            {"/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service",
             "user@1000.service", "foo.service", ""},
            {"/user.slice/user-1000.slice/user@1000.service/init.scope", "user@1000.service",
             "init.scope", ""},
            {"/user.slice/user-1000.slice/user@1000.service", "user@1000.service", "", ""},
            {"/system.slice/_cgroup.service", "cgroup.service", "", ""},
            /* What is below a unit was delegated: its names are anybody's. */
            {"/system.slice/runner.service/system.slice/ssh.service", "runner.service", "", ""},
            {"/user.slice/user-1000.slice/user@1000.service/app.slice/a.service/b.service",
             "user@1000.service", "a.service", ""},
            {"/user.slice/user-1000.slice/user@1000.service/plain/ssh.service", "user@1000.service",
             "", ""},
            {"/user.slice/user-1000.slice/session-3.scope/user@0.service/ssh.service",
             "session-3.scope", "", ""},
            {"/plain/system.slice/ssh.service", "", "", ""},
            {"/system.slice", "", "", ""},
        };

        (void)state;
        check_names(cases, PW_ELEMENTS(cases));
}

static void containers(void **state)
{
        static const struct names_case cases[] = {
            {"/system.slice/docker-" HEX64 ".scope", "docker-" HEX64 ".scope", "",
             "docker:0123456789ab"},
            {"/docker/" HEX64, "", "", "docker:0123456789ab"},
            {"/docker/" HEX64 "/system.slice/ssh.service", "", "", "docker:0123456789ab"},
            {"/machine.slice/libpod-" HEX64 ".scope/container", "libpod-" HEX64 ".scope", "",
             "podman:0123456789ab"},
            {"/machine.slice/libpod-conmon-" HEX64 ".scope", "libpod-conmon-" HEX64 ".scope", "",
             ""},
            {"/kubepods.slice/kubepods-pod12_3.slice/cri-containerd-" HEX64 ".scope",
             "cri-containerd-" HEX64 ".scope", "", "containerd:0123456789ab"},
            {"/kubepods.slice/kubepods-pod12_3.slice/crio-" HEX64 ".scope", "crio-" HEX64 ".scope",
             "", "crio:0123456789ab"},
            {"/kubepods/besteffort/pod12-3/" HEX64, "", "", "kubernetes:0123456789ab"},
            {"/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" HEX64,
             "containerd.service", "", "containerd:0123456789ab"},
            {"/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", "machine-qemu\\x2d1\\x2dvm.scope",
             "", "machine:qemu-1-vm"},
            {"/machine.slice/machine-a\\x0ab.scope", "machine-a\\x0ab.scope", "",
             "machine:a\\x0ab"},
            {"/machine.slice/machine-a\\x-f\\x2.scope", "machine-a\\x-f\\x2.scope", "",
             "machine:a\\x-f\\x2"},
            {"/machine.slice/systemd-nspawn@deb.service/payload/system.slice/ssh.service",
             "systemd-nspawn@deb.service", "", "machine:deb"},
            {"/lxc.payload.web/system.slice/ssh.service", "", "", "lxc:web"},
            {"/lxc/web/init.scope", "", "", "lxc:web"},
            {"/lxc.monitor.web", "", "", ""},
            /* An id is 64 hex digits, no other text. */
            {"/docker/web", "", "", ""},
            {"/docker/" HEX64 "0", "", "", ""},
            {"/system.slice/docker-0123456789ab.scope", "docker-0123456789ab.scope", "", ""},
            /* A user's own containers name the user, and cannot pass for another's. */
            {"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" HEX64
             ".scope/container",
             "user@1000.service", "libpod-" HEX64 ".scope", "podman@1000:0123456789ab"},
            {"/user.slice/user-1000.slice/user@1000.service/machine-x.scope", "user@1000.service",
             "machine-x.scope", ""},
            {"/user.slice/user-1000.slice/user@1000.service/lxc.payload.x", "user@1000.service", "",
             ""},
        };

        (void)state;
        check_names(cases, PW_ELEMENTS(cases));
}

static void hostile_paths(void **state)
{
        char path[PATH_MAX], part[PW_UNIT_MAX + 1];
        struct pw_cgroup_names names;
        static const struct names_case cases[] = {
            {"/../ssh.service", "", "", ""},
            {"/system.slice/a.service/../../b.service", "", "", ""},
            {"/docker/" HEX64 "/..", "", "", ""},
            {"/system.slice/a\nb.service", "", "", ""},
            {"/system.slice/a%sb.service", "", "", ""},
            {"/system.slice/\033[31m.service", "", "", ""},
            {"/system.slice/.service", "", "", ""},
            {"/system.slice/ssh.service (deleted)", "", "", ""},
            {"//system.slice//ssh.service//", "ssh.service", "", ""},
            {"/_", "", "", ""},
            {"/user.slice/user@.service/a.service", "user@.service", "a.service", ""},
            {"/lxc.payload.a\nb", "", "", "lxc:a\\x0ab"},
            {"/lxc.payload.", "", "", ""},
        };

        (void)state;
        check_names(cases, PW_ELEMENTS(cases));
        /* As long as it gets. */
        memset(part, 'a', sizeof part);
        part[sizeof part - 1] = '\0';
        snprintf(path, sizeof path, "/system.slice/%s.service", part);
        pw_cgroup_names_parse(path, &names);
        assert_string_equal(names.unit, "");
        snprintf(path, sizeof path, "/lxc/%s", part);
        pw_cgroup_names_parse(path, &names);
        assert_true(pw_text_is_clean(names.container));
        assert_true(strlen(names.container) > 100);
}

/* ---- mounts ---- */

#define MOUNT "36 35 98:0 /usr\\040x /mnt/a\\134b rw,noatime shared:1 - ext4 /dev/root rw\n"

static void mount_line(void **state)
{
        static const char *const bad[] = {
            "",
            "36",
            "36 35 98:0 /",
            "36 35 98:0 / ",
            "x 35 98:0 / /",
            "-1 35 98:0 / /",
            "36x 35 98:0 / /",
            "99999999999999999999999 35 98:0 / /",
            "36 35 98:0 root /",
            "36 35 98:0 / point",
            "36  35 98:0 / /",
            "36 35 98 / /",
            "36 35 x:0 / /",
        };
        char line[256];
        struct pw_mount mount = {.id = 7};

        (void)state;
        for (size_t i = 0; i < PW_ELEMENTS(bad); i++) {
                strcpy(line, bad[i]);
                assert_int_equal(pw_proc_mount_parse(line, &mount), -EBADMSG);
        }
        strcpy(line, MOUNT);
        assert_int_equal(pw_proc_mount_parse(line, &mount), 0);
        assert_int_equal(mount.id, 36);
        assert_int_equal(mount.device, makedev(98, 0));
        assert_string_equal(mount.root, "/usr x");
        assert_string_equal(mount.point, "/mnt/a\\b");
        /* What is not an escape stays; a cut one, too. */
        strcpy(line, "1 2 3:4 /\\08\\4 /\\400\\04");
        assert_int_equal(pw_proc_mount_parse(line, &mount), 0);
        assert_string_equal(mount.root, "/\\08\\4");
        assert_string_equal(mount.point, "/\\400\\04");
}

/* A sandbox that mounts a directory on itself leaves files where they are; a file mounted over
 * another's path, and another directory mounted there, do not. */
static void places(void **state)
{
        static const struct {
                const char *root, *point, *path, *place; /* place NULL: not below the mount */
        } cases[] = {
            {"/", "/", "/usr/sbin/x", "/usr/sbin/x"},
            {"/usr", "/usr", "/usr/sbin/x", "/usr/sbin/x"},
            {"/usr/sbin/x", "/usr/sbin/x", "/usr/sbin/x", "/usr/sbin/x"},
            {"/usr/bin/python//deleted", "/usr/sbin/x", "/usr/sbin/x", "/usr/bin/python//deleted"},
            {"/usr/bin", "/usr/sbin", "/usr/sbin/x", "/usr/bin/x"},
            {"/@root", "/", "/usr/sbin/x", "/@root/usr/sbin/x"},
            {"/", "/usr", "/usr/sbin/x", "/sbin/x"},
            {"/", "/usr", "/usrlocal/x", NULL},
            {"/", "/mnt", "/usr/sbin/x", NULL},
            {"/", "/usr/sbin/x/y", "/usr/sbin/x", NULL},
        };

        (void)state;
        for (size_t i = 0; i < PW_ELEMENTS(cases); i++) {
                struct pw_mount mount = {.id = 1, .root = cases[i].root, .point = cases[i].point};
                struct pw_place place;
                char whole[256];
                bool ok = pw_proc_place(&mount, cases[i].path, &place);

                assert_int_equal(ok, cases[i].place != NULL);
                if (!ok)
                        continue;
                snprintf(whole, sizeof whole, "%s%s", place.root, place.rest);
                assert_string_equal(whole, cases[i].place);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(stat_fields),   cmocka_unit_test(stat_refused),
            cmocka_unit_test(comm),          cmocka_unit_test(socket_link),
            cmocka_unit_test(ring),          cmocka_unit_test(cgroup_file),
            cmocka_unit_test(units),         cmocka_unit_test(containers),
            cmocka_unit_test(hostile_paths), cmocka_unit_test(mount_line),
            cmocka_unit_test(places),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
