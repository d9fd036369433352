/* SPDX-License-Identifier: MIT
 *
 * test_manifest.c - what a study is known by: the hashes of the files that went in, as
 * sha256sum prints them, and the settings that touch a number; and which of the hashes a
 * second run takes from the first.
 */
#include "testing.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "study/manifest.h"
#include "twinlens/setting.h"
#include "twinlens/version.h"

#define CHECKPOINT TWINLENS_SOURCE_DIR "/tests/data/qwen2vl-tiny/checkpoint"
#define GOLDENS TWINLENS_SOURCE_DIR "/tests/data/qwen2vl-tiny/goldens"
#define IMAGE(digit) "d/images/" digit ".png"

/* What is hashed, in the order of the two hashes over all: model, then dataset. */
static const char *const names[] = {"m/config.json",
                                    "m/tokenizer.json",
                                    "m/preprocessor_config.json",
                                    "m/model.safetensors",
                                    "d/dataset.jsonl",
                                    "d/task.json",
                                    IMAGE("0"),
                                    IMAGE("1"),
                                    IMAGE("2"),
                                    IMAGE("3"),
                                    IMAGE("4"),
                                    IMAGE("5")};
enum { MODEL_FILES = 4, WORDS = 6, FILES = sizeof names / sizeof *names };

static const bool both[TL_MODALITY_COUNT] = {true, true};

/* A copy of the tiny checkpoint and its dataset, open, and a store that knows nothing. */
typedef struct fixture {
    test_folder folder;
    tl_arena *arena;
    tl_settings settings;
    tl_session session;
    tl_progress progress;
    tl_study_db *db;
    tl_error err;
} fixture;

static char *path_of(const fixture *f, const char *name)
{
    char *path = tl_path_join(f->arena, f->folder.path, name);
    assert_non_null(path);
    return path;
}

static void copy_file(const fixture *f, const char *from, const char *name)
{
    char *data = NULL;
    size_t bytes = 0;
    assert_int_equal(tl_file_read(from, f->arena, &data, &bytes, NULL), TL_OK);
    test_file(&f->folder, name, data, bytes);
}

static void open_fixture(fixture *f)
{
    *f = (fixture){.folder = test_folder_create(), .arena = tl_arena_create()};
    assert_int_equal(mkdir(path_of(f, "m"), 0700), 0);
    assert_int_equal(mkdir(path_of(f, "d"), 0700), 0);
    assert_int_equal(mkdir(path_of(f, "d/images"), 0700), 0);
    for (size_t i = 0; i < FILES; i++)
        copy_file(f,
                  tl_path_join(f->arena, i < MODEL_FILES ? CHECKPOINT : GOLDENS,
                               names[i] + 2),
                  names[i]);
    tl_settings_init(&f->settings);
    f->settings.model = path_of(f, "m");
    f->settings.dataset = path_of(f, "d");
    f->settings.out = path_of(f, "out");
    f->settings.backend = "ref";
    tl_progress_init(&f->progress, NULL, NULL, NULL, NULL);
    if (tl_session_open(&f->settings, &f->session, &f->err) != TL_OK ||
        tl_study_db_open(f->settings.out, TL_STUDY_WRITE, &f->db, &f->err) != TL_OK)
        fail_msg("%s", f->err.text);
}

static void close_fixture(fixture *f)
{
    tl_study_db_close(f->db);
    tl_session_close(&f->session);
    tl_arena_destroy(f->arena);
    test_folder_remove(f->folder.path);
}

static tl_manifest make(fixture *f, const bool modalities[TL_MODALITY_COUNT])
{
    tl_manifest manifest = {0};
    if (tl_manifest_make(&f->settings, &f->session, modalities, f->db, &f->progress,
                         f->arena, &manifest, &f->err) != TL_OK)
        fail_msg("%s", f->err.text);
    return manifest;
}

static tl_status adopt(fixture *f, const tl_manifest *m)
{
    f->err = (tl_error){0};
    return tl_study_db_adopt(f->db, m->keys, m->n_keys, m->files, m->n_files, NULL,
                             &f->err);
}

static const char *value_of(const tl_manifest *manifest, const char *key)
{
    for (size_t i = 0; i < manifest->n_keys; i++)
        if (strcmp(manifest->keys[i].key, key) == 0)
            return manifest->keys[i].value;
    return NULL;
}

/* ---- hashes ---------------------------------------------------------------------- */

/* As the program sha256sum says. */
static const char *sha256sum(const fixture *f, const char *path)
{
    char command[600], *hex = tl_arena_alloc_zero(f->arena, 65, 1);
    snprintf(command, sizeof command, "sha256sum '%s'", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_int_equal(fread(hex, 1, 64, pipe), 64);
    while (fgetc(pipe) != EOF)
        ;
    assert_int_equal(pclose(pipe), 0);
    return hex;
}

/* Of the names and hashes of some files, each with the 0 that ends it. */
static const char *sum_of_sums(const fixture *f, size_t begin, size_t end)
{
    char text[2048];
    size_t n = 0;
    for (size_t i = begin; i < end; i++) {
        const char *hex = sha256sum(f, path_of(f, names[i]));
        n += (size_t)snprintf(text + n, sizeof text - n, "%s",
                              strrchr(names[i], '/') + 1) +
             1;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s", hex) + 1;
    }
    return sha256sum(f, test_file(&f->folder, "sums", text, n));
}

static void files_have_the_hashes_that_sha256sum_prints(void **unused)
{
    (void)unused;
    fixture f;
    open_fixture(&f);
    const tl_manifest m = make(&f, both);
    assert_int_equal(m.n_files, FILES);
    for (size_t i = 0; i < FILES; i++) {
        struct stat info;
        const char *path = path_of(&f, names[i]);
        assert_int_equal(stat(path, &info), 0);
        assert_string_equal(m.files[i].path, path);
        assert_string_equal(m.files[i].sha256, sha256sum(&f, path));
        assert_int_equal(m.files[i].bytes, info.st_size);
        assert_int_equal(m.files[i].modified_ns,
                         info.st_mtim.tv_sec * INT64_C(1000000000) +
                             info.st_mtim.tv_nsec);
    }
    assert_string_equal(value_of(&m, "model-files"), sum_of_sums(&f, 0, MODEL_FILES));
    assert_string_equal(value_of(&m, "dataset-files"),
                        sum_of_sums(&f, MODEL_FILES, FILES));
    close_fixture(&f);
}

static void a_study_of_text_does_not_look_at_pictures(void **unused)
{
    (void)unused;
    fixture f;
    open_fixture(&f);
    static const bool text[TL_MODALITY_COUNT] = {[TL_TEXT] = true};
    static const bool image[TL_MODALITY_COUNT] = {[TL_IMAGE] = true};
    const tl_manifest all = make(&f, both), of_text = make(&f, text),
                      of_images = make(&f, image);
    assert_int_equal(of_text.n_files, WORDS);
    assert_string_equal(value_of(&of_text, "dataset-files"),
                        sum_of_sums(&f, MODEL_FILES, WORDS));
    /* What a dataset is known by does not depend on what is studied of it. */
    assert_string_equal(value_of(&of_text, "dataset"), value_of(&all, "dataset"));
    assert_int_equal(of_images.n_files, FILES);
    assert_string_equal(value_of(&all, "modality"), "text,image");
    assert_string_equal(value_of(&of_text, "modality"), "text");
    assert_string_equal(value_of(&of_images, "modality"), "image");
    close_fixture(&f);
}

/* ---- keys ------------------------------------------------------------------------ */

static void keys_are_what_went_in_and_every_setting_of_a_number(void **unused)
{
    (void)unused;
    fixture f;
    open_fixture(&f);
    f.settings.seed = 77;
    f.settings.prompts = 5;
    const tl_manifest m = make(&f, both);
    size_t n = 0, n_settings = 0;
    const tl_setting *table = tl_settings_table(&n);
    for (size_t i = 0; i < n; i++) {
        const char *value = value_of(&m, table[i].name);
        if ((value != NULL) != ((table[i].in_manifest && !table[i].is_newer) ||
                                strcmp(table[i].name, "model") == 0 ||
                                strcmp(table[i].name, "dataset") == 0))
            fail_msg("'%s' is '%s'", table[i].name,
                     value != NULL ? value : "not there");
        n_settings += table[i].in_manifest && !table[i].is_newer;
    }
    assert_true(n_settings > 20);
    assert_int_equal(m.n_keys, 9 + n_settings);
    assert_string_equal(value_of(&m, "program"), "twinlens " TL_VERSION);
    assert_string_equal(value_of(&m, "model-name"), "m");
    assert_string_equal(value_of(&m, "dataset-name"), "d");
    assert_string_equal(value_of(&m, "family"), "qwen2_vl");
    assert_string_equal(value_of(&m, "task"), "counting");
    assert_string_equal(value_of(&m, "seed"), "77");
    assert_string_equal(value_of(&m, "prompts"), "5");
    assert_string_equal(value_of(&m, "ig-steps"), "5");
    close_fixture(&f);
}

/* ---- what a second run knows ----------------------------------------------------- */

static void set_time(const fixture *f, const char *name, time_t seconds)
{
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path_of(f, name), times, 0), 0);
}

/* The last byte becomes another. */
static void change(const fixture *f, const char *name)
{
    char *data = NULL;
    size_t bytes = 0;
    assert_int_equal(tl_file_read(path_of(f, name), f->arena, &data, &bytes, NULL),
                     TL_OK);
    data[bytes - 1] = (char)(data[bytes - 1] ^ 1);
    test_file(&f->folder, name, data, bytes);
}

/* Whether the same study was recognised; if not, the refusal names the keys in `named` and
 * no others. */
static void expect(fixture *f, const char *named)
{
    static const char *const inputs[] = {"program", "model-files", "family",
                                         "task",    "dataset-files", "seed",
                                         "modality"};
    const tl_manifest m = make(f, both);
    const tl_status status = adopt(f, &m);
    assert_int_equal(status, named[0] == '\0' ? TL_OK : TL_ERR_DATA);
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        char said[40];
        snprintf(said, sizeof said, "%s '", inputs[i]);
        if ((strstr(f->err.text, said) != NULL) != (strstr(named, inputs[i]) != NULL))
            fail_msg("'%s' differ and '%s' is said", named, f->err.text);
    }
}

/* Nobody hashes a file again that has the size and the time that it had. That it was not
 * is seen by a change that only a hash would show. */
static void a_file_is_hashed_again_when_it_looks_different(void **unused)
{
    (void)unused;
    static const struct {
        const char *name, *differs;
    } cases[] = {{"m/config.json", "model-files"},
                 {"m/tokenizer.json", "model-files"},
                 {"m/preprocessor_config.json", "model-files"},
                 {"m/model.safetensors", "model-files"},
                 {"d/dataset.jsonl", "dataset-files"},
                 {"d/task.json", "dataset-files"},
                 {IMAGE("5"), "dataset-files"}};
    fixture f;
    open_fixture(&f);
    for (size_t i = 0; i < FILES; i++)
        set_time(&f, names[i], 1000);
    expect(&f, "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *name = cases[i].name;
        set_time(&f, name, 2000); /* touched, not changed */
        expect(&f, "");
        change(&f, name);
        set_time(&f, name, 2000);
        expect(&f, "");
        set_time(&f, name, 3000); /* and of the same size */
        expect(&f, cases[i].differs);
        change(&f, name); /* back */
        expect(&f, "");
    }
    close_fixture(&f);
}

static void what_differs_is_named(void **unused)
{
    (void)unused;
    fixture f;
    open_fixture(&f);
    expect(&f, "");
    f.settings.threads = 3; /* touches no number */
    f.settings.memory = (size_t)1 << 30;
    expect(&f, "");
    f.settings.seed++;
    expect(&f, "seed");
    change(&f, IMAGE("0"));
    change(&f, "m/config.json");
    expect(&f, "seed, model-files, dataset-files");
    f.settings.seed--;
    expect(&f, "model-files, dataset-files");
    close_fixture(&f);
}

/* Nor does it become another study by being called otherwise. */
static void a_name_is_no_difference(void **unused)
{
    (void)unused;
    fixture f;
    open_fixture(&f);
    expect(&f, "");
    assert_int_equal(rename(path_of(&f, "m"), path_of(&f, "moved")), 0);
    f.settings.model = f.session.settings.model = path_of(&f, "moved");
    const tl_manifest m = make(&f, both);
    assert_string_equal(value_of(&m, "model-name"), "moved");
    assert_int_equal(adopt(&f, &m), TL_OK);
    /* Of a program that keeps no names. */
    tl_manifest nameless = m;
    nameless.n_keys = 0;
    for (size_t i = 0; i < m.n_keys; i++)
        if (strstr(m.keys[i].key, "-name") == NULL)
            nameless.keys[nameless.n_keys++] = m.keys[i];
    assert_int_equal(nameless.n_keys, m.n_keys - 2);
    assert_int_equal(adopt(&f, &nameless), TL_OK);
    close_fixture(&f);
}

/* Programs that had no "model-files" kept that hash as "model". */
static void a_study_of_an_older_program_is_known_again(void **unused)
{
    (void)unused;
    fixture f;
    open_fixture(&f);
    tl_manifest old = make(&f, both);
    const size_t n_new = old.n_keys;
    old.n_keys = 0;
    for (size_t i = 0; i < n_new; i++) {
        const tl_study_key k = old.keys[i];
        if (strcmp(k.key, "model") != 0 && strcmp(k.key, "dataset") != 0)
            old.keys[old.n_keys++] =
                (tl_study_key){strcmp(k.key, "model-files") == 0     ? "model"
                               : strcmp(k.key, "dataset-files") == 0 ? "dataset"
                                                                     : k.key,
                               k.value};
    }
    assert_int_equal(old.n_keys, n_new - 2);
    assert_int_equal(adopt(&f, &old), TL_OK);
    expect(&f, "");
    change(&f, "m/tokenizer.json");
    expect(&f, "model-files");
    f.settings.seed++;
    expect(&f, "model-files, seed");
    close_fixture(&f);
}

/* ---- what cannot be hashed ------------------------------------------------------- */

static void expect_failure(fixture *f, tl_status want, const char *name,
                           const char *text)
{
    tl_manifest m = {.n_keys = 99};
    const tl_status status = tl_manifest_make(&f->settings, &f->session, both, f->db,
                                              &f->progress, f->arena, &m, &f->err);
    assert_int_equal(status, want);
    assert_int_equal(m.n_keys, 99);
    if (strstr(f->err.text, name) == NULL || strstr(f->err.text, text) == NULL)
        fail_msg("'%s' does not say '%s' and '%s'", f->err.text, name, text);
}

static void a_file_that_is_gone_is_named(void **unused)
{
    (void)unused;
    fixture f;
    open_fixture(&f);
    assert_int_equal(remove(path_of(&f, "d/task.json")), 0); /* may be missing */
    assert_int_equal(make(&f, both).n_files, FILES - 1);
    assert_int_equal(remove(path_of(&f, IMAGE("3"))), 0);
    expect_failure(&f, TL_ERR_NOT_FOUND, "images/3.png", "cannot open");
    assert_int_equal(mkdir(path_of(&f, IMAGE("3")), 0700), 0);
    expect_failure(&f, TL_ERR_IO, "images/3.png", "is a folder");
    close_fixture(&f);
}

static void a_lack_of_memory_is_told(void **unused)
{
    (void)unused;
    fixture f;
    open_fixture(&f);
    bool hit = true;
    for (long long n = 0; hit; n++) {
        tl_manifest m = {.n_keys = 99};
        tl_arena *arena = tl_arena_create();
        tl_alloc_fail_at(n);
        const tl_status status = tl_manifest_make(&f.settings, &f.session, both, f.db,
                                                  &f.progress, arena, &m, &f.err);
        hit = tl_alloc_fault_hit() != 0;
        tl_alloc_fail_at(-1);
        assert_int_equal(status, hit ? TL_ERR_NO_MEMORY : TL_OK);
        assert_true((m.n_keys == 99) == hit);
        tl_arena_destroy(arena);
    }
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_have_the_hashes_that_sha256sum_prints),
        cmocka_unit_test(a_study_of_text_does_not_look_at_pictures),
        cmocka_unit_test(keys_are_what_went_in_and_every_setting_of_a_number),
        cmocka_unit_test(a_file_is_hashed_again_when_it_looks_different),
        cmocka_unit_test(what_differs_is_named),
        cmocka_unit_test(a_name_is_no_difference),
        cmocka_unit_test(a_study_of_an_older_program_is_known_again),
        cmocka_unit_test(a_file_that_is_gone_is_named),
        cmocka_unit_test(a_lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
