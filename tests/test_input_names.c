/* SPDX-License-Identifier: MIT
 *
 * test_input_names.c - what a model and a dataset are called, wherever they lie.
 */
#include "testing.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "study/input_names.h"

/* Makes the folders of a path below the test's. */
static const char *make(const test_folder *f, tl_arena *arena, const char *path)
{
    char *whole = tl_path_join(arena, f->path, path);
    for (char *c = whole + strlen(f->path) + 1; (c = strchr(c, '/')) != NULL; c++) {
        *c = '\0';
        mkdir(whole, 0700);
        *c = '/';
    }
    mkdir(whole, 0700);
    return whole;
}

static void expect(const char *path, tl_arena *arena, const char *want)
{
    const char *name = NULL;
    tl_error err = {0};
    if (tl_model_name(path, arena, &name, &err) != TL_OK)
        fail_msg("%s", err.text);
    if (strcmp(name, want) != 0)
        fail_msg("%s is called '%s', wanted '%s'", path, name, want);
}

static void
a_model_is_called_as_in_the_cache_or_by_its_configuration_or_its_folder(void **unused)
{
    (void)unused;
    static const struct {
        const char *folder, *says, *name; /* says: of config.json */
    } cases[] = {
        {"hub/models--Qwen--Qwen2-VL-7B-Instruct/snapshots/a7a06a1", "",
         "Qwen/Qwen2-VL-7B-Instruct"},
        /* Trained further and put on the hub, it still names what it began as. */
        {"hub/models--me--my--own/snapshots/b1", "Qwen/Qwen2-VL-7B-Instruct",
         "me/my--own"},
        {"hub/models--gpt2/snapshots/c1", "", "gpt2"},
        {"plain", "", "plain"},
        {"named", "google/gemma-3-12b-it", "google/gemma-3-12b-it"},
        /* A path of the machine that it was made on is no name. */
        {"home", "/home/me/model", "home"},
        {"dots", "./out/model", "dots"},
        {"up", "../model", "up"},
        {"deep", "out/runs/model", "deep"},
        {"flat", "model", "flat"},
        {"ends", "model/", "ends"},
        {"blank", "my org/model", "blank"},
        {"models--x--y", "", "models--x--y"}, /* no snapshot: a folder like others */
        {"hub/snapshots/d1", "", "d1"},
        {"line\nbreak", "", "line?break"},
        {"\xff\xfe", "", "??"},
        {"K\xc3\xb6ln", "", "K\xc3\xb6ln"},
    };
    const test_folder f = test_folder_create();
    tl_arena *arena = tl_arena_create();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *folder = make(&f, arena, cases[i].folder);
        char config[200], name[200];
        const int n = cases[i].says[0] != '\0'
                          ? snprintf(config, sizeof config,
                                     "{\"_name_or_path\": \"%s\"}", cases[i].says)
                          : snprintf(config, sizeof config, "{\"_name_or_path\": 3}");
        snprintf(name, sizeof name, "%s/config.json", cases[i].folder);
        test_file(&f, name, config, (size_t)n);
        expect(folder, arena, cases[i].name);
        expect(tl_path_join(arena, folder, ""), arena, cases[i].name);
        expect(tl_path_join(arena, folder, "."), arena, cases[i].name);
    }
    /* The entry of the cache itself, and a link into it. */
    expect(tl_path_join(arena, f.path, "hub/models--Qwen--Qwen2-VL-7B-Instruct"), arena,
           "Qwen/Qwen2-VL-7B-Instruct");
    const char *link = tl_path_join(arena, f.path, "short");
    assert_int_equal(symlink("hub/models--gpt2/snapshots/c1", link), 0);
    expect(link, arena, "gpt2");
    expect(NULL, arena, "bundled");
    tl_arena_destroy(arena);
    test_folder_remove(f.path);
}

static void a_model_that_is_not_there_has_no_name(void **unused)
{
    (void)unused;
    tl_arena *arena = tl_arena_create();
    const char *name = "as it was";
    tl_error err = {0};
    assert_int_equal(tl_model_name("/nowhere/at all", arena, &name, &err),
                     TL_ERR_NOT_FOUND);
    assert_string_equal(name, "as it was");
    tl_arena_destroy(arena);
}

static void a_dataset_is_called_as_its_folder(void **unused)
{
    (void)unused;
    static const struct {
        const char *folder, *name;
    } cases[] = {{"/data/counting", "counting"},
                 {"/data/counting//", "counting"},
                 {"counting", "counting"},
                 {"tests/..", NULL}, /* of the source: whatever that is called */
                 {"/", "/"}};
    tl_arena *arena = tl_arena_create();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const tl_dataset dataset = {.folder = cases[i].folder};
        const char *name = NULL;
        assert_int_equal(tl_dataset_name(&dataset, arena, &name, NULL), TL_OK);
        if (cases[i].name != NULL)
            assert_string_equal(name, cases[i].name);
        else
            assert_null(strchr(name, '/'));
        assert_true(name[0] != '\0');
    }
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_model_is_called_as_in_the_cache_or_by_its_configuration_or_its_folder),
        cmocka_unit_test(a_model_that_is_not_there_has_no_name),
        cmocka_unit_test(a_dataset_is_called_as_its_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
