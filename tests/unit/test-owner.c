/* SPDX-License-Identifier: MIT */
/* Owners: would catch a restart that looks like another owner, two owners that look like one, and
 * names that a file gave taken for names that change every time. */

#include <portwatch/owner.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEX32 "0123456789abcdef0123456789abcdef"
#define HEX64 HEX32 HEX32
#define UUID "01234567-89ab-cdef-0123-456789abcdef"

static void patterns(void **state)
{
        static const struct {
                const char *name, *pattern;
        } cases[] = {
            {"session-7.scope", "session-*.scope"},
            {"session-c2.scope", "session-*.scope"},
            {"session-.scope", "session-.scope"},
            {"session-c.scope", "session-c.scope"},
            {"session-x7.scope", "session-x7.scope"},
            {"run-u12.service", "run-*.service"},
            {"run-u12.scope", "run-*.scope"},
            {"run-r" HEX32 ".scope", "run-*.scope"},
            {"run-4711.scope", "run-*.scope"},
            {"run-p4711-i4712.service", "run-*.service"},
            {"run-p4711-i.service", "run-p4711-i.service"},
            {"run-u.service", "run-u.service"},
            {"run-parts.service", "run-parts.service"},
            {"run-rpc_pipefs.mount", "run-rpc_pipefs.mount"},
            {"docker-" HEX64 ".scope", "docker-*.scope"},
            {"libpod-" HEX64 ".scope", "libpod-*.scope"},
            {"cri-containerd-" HEX64 ".scope", "cri-containerd-*.scope"},
            {"app-gnome-firefox-4711.scope", "app-gnome-firefox-*.scope"},
            {"app-gnome-fire\\x2dfox-4711.scope", "app-gnome-fire\\x2dfox-*.scope"},
            {"vte-spawn-" UUID ".scope", "vte-spawn-*.scope"},
            {"snap.firefox.hook-" UUID ".service", "snap.firefox.hook-*.service"},
            {"crond@" UUID ".service", "crond@" UUID ".service"},
            {"crond@" HEX32 ".service", "crond@" HEX32 ".service"},
            {"ssh.service", "ssh.service"},
            {"postgresql-15.service", "postgresql-15.service"},
            {"php8.2-fpm.service", "php8.2-fpm.service"},
            {"user@1000.service", "user@1000.service"},
            {"init.scope", "init.scope"},
            {"7.scope", "7.scope"},
            {"-7.scope", "-7.scope"},
            {".scope", ".scope"},
            {".service", ".service"},
            {"", ""},
            {"docker:0123456789ab", "docker:*"},
            {"podman@1000:0123456789ab", "podman@1000:*"},
            {"docker:web", "docker:web"},
            {"docker:", "docker:"},
            {"machine:deb-12", "machine:deb-12"},
        };
        char buffer[PW_UNIT_MAX];

        (void)state;
        for (size_t i = 0; i < PW_ELEMENTS(cases); i++)
                assert_string_equal(pw_unit_pattern(buffer, sizeof buffer, cases[i].name),
                                    cases[i].pattern);
}

/* Would catch a write behind the buffer, and a name that is not ended. */
static void pattern_of_long_name(void **state)
{
        char name[1024], buffer[PW_UNIT_MAX], small[4];

        (void)state;
        memset(name, 'a', sizeof name);
        memcpy(name + sizeof name - 8, "-7.scope", 8);
        name[sizeof name - 1] = '\0';
        assert_int_equal(strlen(pw_unit_pattern(buffer, sizeof buffer, name)), sizeof buffer - 1);
        assert_string_equal(pw_unit_pattern(small, sizeof small, "ssh.service"), "ssh");
}

static struct pw_owner *owner(const char *user, const char *exe, const char *unit)
{
        struct pw_owner *made = pw_owner_new();

        assert_non_null(made);
        made->user = strdup(user);
        made->exe = exe ? strdup(exe) : NULL;
        made->unit = unit ? strdup(unit) : NULL;
        return made;
}

static void sameness(void **state)
{
        struct pw_owner *a = owner("root", "/usr/sbin/sshd", "session-7.scope");
        struct pw_owner *b = owner("root", "/usr/sbin/sshd", "session-8.scope");
        struct pw_owner *c = owner("root", "/usr/sbin/sshd", "ssh.service");
        struct pw_owner *d = owner("root", NULL, NULL);

        (void)state;
        /* Detail does not count. */
        a->pids[0] = 4711;
        a->n_pids = a->n_holders = 1;
        a->comm = strdup("sshd");
        b->cmdline = strdup("sshd -D");
        assert_true(pw_owner_same(a, b));
        assert_true(pw_owner_same(a, a));
        assert_false(pw_owner_same(a, c));
        assert_false(pw_owner_same(c, d));
        /* Everything else does. */
        b->traits = PW_TRAIT_DELETED;
        assert_false(pw_owner_same(a, b));
        b->traits = 0;
        b->container = strdup("docker:0123456789ab");
        assert_false(pw_owner_same(a, b));
        a->container = strdup("docker:ba9876543210");
        assert_true(pw_owner_same(a, b));
        b->user_unit = strdup("foo.service");
        assert_false(pw_owner_same(a, b));
        free(b->user);
        b->user = strdup("nobody");
        a->user_unit = strdup("foo.service");
        assert_false(pw_owner_same(a, b));
        pw_owner_unref(a);
        pw_owner_unref(b);
        pw_owner_unref(c);
        pw_owner_unref(d);
}

static void references(void **state)
{
        struct pw_owner *a = owner("root", NULL, NULL);

        (void)state;
        assert_int_equal(a->references, 1);
        assert_ptr_equal(pw_owner_ref(a), a);
        pw_owner_unref(a);
        assert_string_equal(a->user, "root");
        pw_owner_unref(a);
        assert_null(pw_owner_ref(NULL));
        pw_owner_unref(NULL);
}

/* Would catch a name that moves to another bit: traits are part of the listener id. */
static void names(void **state)
{
        char buffer[PW_TRAITS_MAX];
        enum pw_unknown unknown = PW_UNKNOWN_NOT_ASKED;

        (void)state;
        assert_string_equal(pw_trait_name(PW_TRAIT_FOREIGN_ROOT), "foreign-root");
        assert_string_equal(pw_trait_name(PW_TRAIT_KERNEL), "kernel");
        assert_string_equal(pw_trait_name(0), "");
        assert_string_equal(pw_traits_format(buffer, sizeof buffer, 0), "");
        assert_string_equal(pw_traits_format(buffer, sizeof buffer, 0x1f),
                            "foreign-root,deleted,memfd,temporary,kernel");
        assert_string_equal(pw_unknown_name(PW_KNOWN), "");
        assert_string_equal(pw_unknown_name(PW_UNKNOWN_COUNT), "");
        assert_int_equal(pw_unknown_from_name("hidden", &unknown), 0);
        assert_int_equal(unknown, PW_UNKNOWN_HIDDEN);
        assert_int_equal(pw_unknown_from_name("nonsense", &unknown), -EINVAL);
        assert_int_equal(unknown, PW_UNKNOWN_HIDDEN);
        for (int i = PW_KNOWN + 1; i < PW_UNKNOWN_COUNT; i++)
                assert_true(strlen(pw_unknown_reason((enum pw_unknown)i)) > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(patterns), cmocka_unit_test(pattern_of_long_name),
            cmocka_unit_test(sameness), cmocka_unit_test(references),
            cmocka_unit_test(names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
