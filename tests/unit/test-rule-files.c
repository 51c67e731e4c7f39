/* SPDX-License-Identifier: MIT */
/* Catches: files of rules that are read in another order, hidden ones that are read, and a bad file
 * that is passed over, not named, or loaded in part. */

#include "tests/unit/rule-policy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/portwatch-policy-XXXXXX";

static int make_root(void **state _unused_)
{
        return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state _unused_)
{
        char command[128];

        snprintf(command, sizeof command, "rm -rf '%s'", root);
        return system(command);
}

static const char *path_of(const char *name)
{
        static char path[256];

        snprintf(path, sizeof path, "%s/%s", root, name);
        return path;
}

static void put(const char *name, const char *text)
{
        assert_int_equal(
            pw_write_file_atomic(AT_FDCWD, path_of(name), text, strlen(text), 0644, false), 0);
}

static int load(struct pw_policy **ret, struct pw_refusals *refusals)
{
        char etc[256], lib[256], missing[256], baseline[256];
        const char *dirs[] = {etc, missing, lib, NULL};
        struct pw_policy_paths paths = {dirs, baseline};

        snprintf(etc, sizeof etc, "%s/etc//", root);
        snprintf(lib, sizeof lib, "%s/lib", root);
        snprintf(missing, sizeof missing, "%s/missing", root);
        snprintf(baseline, sizeof baseline, "%s/baseline.rules", root);
        return pw_policy_load(&paths, NULL, ret, refusals);
}

static void test_files_in_order(void **state _unused_)
{
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        static const char *const order[] = {"lib/10-a.rules:1", "etc/20-b.rules:1",
                                            "lib/70-target.rules:1", "lib/90-z.rules:1",
                                            "baseline.rules:1"};

        assert_int_equal(mkdir(path_of("etc"), 0755), 0);
        assert_int_equal(mkdir(path_of("lib"), 0755), 0);
        put("lib/10-a.rules", "allow tcp 10");
        put("lib/20-b.rules", "this is hidden and therefore not refused");
        put("etc/20-b.rules", "allow tcp 20");
        put("lib/30-masked.rules", "this, too");
        assert_int_equal(symlink("/dev/null", path_of("etc/30-masked.rules")), 0);
        put("target", "allow tcp 70");
        assert_int_equal(symlink("../target", path_of("lib/70-target.rules")), 0);
        put("lib/90-z.rules", "allow tcp 90");
        put("etc/.10-hidden.rules", "no");
        put("etc/50-a.rules~", "no");
        put("etc/50-a.rules.swp", "no");
        put("etc/.rules", "no");
        put("baseline.rules", "allow tcp 99");
        assert_int_equal(load(&policy, &refusals), 0);
        assert_int_equal(pw_policy_count(policy), PW_ELEMENTS(order));
        for (size_t i = 0; i < PW_ELEMENTS(order); i++)
                assert_string_equal(pw_policy_rule(policy, i).place, path_of(order[i]));
}

/* One bad thing at a time, each named, and nothing loaded. */
static void assert_load_refused(const char *name, const char *words)
{
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        struct pw_policy *policy = (struct pw_policy *)&refusals;

        assert_int_equal(load(&policy, &refusals), 1);
        assert_null(policy);
        assert_int_equal(refusals.total, 1);
        if (!strstr(refusals.items[0], path_of(name)) || !strstr(refusals.items[0], words))
                fail_msg("%s", refusals.items[0]);
        unlink(path_of(name));
        rmdir(path_of(name));
}

static void test_bad_files(void **state _unused_)
{
        static char large[PW_RULE_FILE_MAX + 2];

        put("etc/60-bad.rules", "allow tcp 80\nallow tcp");
        assert_load_refused("etc/60-bad.rules", ":2:10: ");
        mkdir(path_of("etc/60-dir.rules"), 0755);
        assert_load_refused("etc/60-dir.rules", "is a directory; expected a file");
        mkfifo(path_of("etc/60-fifo.rules"), 0644);
        assert_load_refused("etc/60-fifo.rules", "is not a plain file");
        assert_int_equal(symlink("nowhere", path_of("etc/60-link.rules")), 0);
        assert_load_refused("etc/60-link.rules", "cannot be read: No such file");
        memset(large, '#', sizeof large - 1);
        put("etc/60-large.rules", large);
        assert_load_refused("etc/60-large.rules", "1 MiB");
        if (geteuid() != 0) {
                put("etc/60-secret.rules", "allow tcp 1");
                chmod(path_of("etc/60-secret.rules"), 0);
                assert_load_refused("etc/60-secret.rules", "cannot be read: Permission denied");
        }
}

static void test_bad_places(void **state _unused_)
{
        unlink(path_of("baseline.rules"));
        mkdir(path_of("baseline.rules"), 0755);
        assert_load_refused("baseline.rules", "is a directory");
        put("missing", "a file where a directory should be");
        assert_load_refused("missing", "cannot be read: Not a directory");
}

static void test_nothing_there(void **state _unused_)
{
        _cleanup_(pw_policy_freep) struct pw_policy *policy = NULL;
        _cleanup_(pw_refusals_done) struct pw_refusals refusals = {0};
        struct pw_policy_paths paths = {NULL, "/nonexistent/baseline.rules"};

        assert_int_equal(pw_policy_load(&paths, NULL, &policy, &refusals), 0);
        assert_int_equal(pw_policy_count(policy), 0);
        assert_int_equal(judge(policy, (struct sample){0}).verdict, PW_UNEXPECTED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(test_files_in_order),
            cmocka_unit_test(test_bad_files),
            cmocka_unit_test(test_bad_places),
            cmocka_unit_test(test_nothing_there),
        };

        return cmocka_run_group_tests(tests, make_root, remove_root);
}
