/*
 * test_cores.c - processors that share a core are one, as a system writes it down.
 */
#include "testing.h"

#include <sys/stat.h>

#include "base/cores.h"

static void say(const char *folder, size_t processor, const char *siblings)
{
    char path[400];
    snprintf(path, sizeof path, "%s/cpu%zu", folder, processor);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/cpu%zu/topology", folder, processor);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/cpu%zu/topology/thread_siblings_list", folder,
             processor);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "%s\n", siblings);
    fclose(file);
}

static void siblings_are_one_core(void **unused)
{
    (void)unused;
    const test_folder f = test_folder_create();
    static const char *const lists[] = {"0,3", "1,4", "2", "0,3", "1,4", "5-6", "5-6"};
    enum { N = sizeof lists / sizeof *lists };
    for (size_t i = 0; i < N; i++)
        say(f.path, i, lists[i]);
    assert_int_equal(tl_cores_of(f.path, (size_t[]){0, 1, 2, 3, 4, 5, 6}, N), 4);
    assert_int_equal(tl_cores_of(f.path, (size_t[]){3, 4}, 2),
                     2); /* the other halves */
    assert_int_equal(tl_cores_of(f.path, (size_t[]){5, 6}, 2), 1);
    assert_int_equal(tl_cores_of(f.path, (size_t[]){0, 3, 8, 9}, 4), 3); /* no word */
    assert_int_equal(tl_cores_of(f.path, NULL, 0), 0);
    test_folder_remove(f.path);
}

static void this_machine_has_some(void **unused)
{
    (void)unused;
    assert_in_range(tl_cores_own(), 1, tl_cores_all());
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(siblings_are_one_core),
                                       cmocka_unit_test(this_machine_has_some)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
