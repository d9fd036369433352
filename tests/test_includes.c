/*
 * test_includes.c - who includes whom. The folders of src/ are floors: CMakeLists.txt lists
 * them from the lowest to the highest, each with those that it may use, and a folder
 * includes from these and from what they use, and no other. No files include each other in
 * a circle, where a .c file, its header and its _private.h are one. A _private.h is
 * for its own folder. What computes with activations asks the backend for every copy.
 *
 * Wrong calls are link errors; this sees what is included without being called.
 */
#include "testing.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ROOT TWINLENS_SOURCE_DIR
enum { MOST = 512, WORD = 96 };

static char text[1 << 20];

static void read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s: cannot be read", path);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
}

/* ---- folders --------------------------------------------------------------------- */

static char folders[MOST][WORD];
static bool may_use[MOST][MOST]; /* in the end, also by way of others */
static size_t n_folders;

static size_t find_folder(const char *name, size_t length)
{
    size_t i = 0;
    while (i < n_folders &&
           (strlen(folders[i]) != length || strncmp(folders[i], name, length) != 0))
        i++;
    return i;
}

/* "tl_folder(model tl_backend)": one line, or several. */
static void read_folders(void)
{
    read_text(ROOT "/CMakeLists.txt");
    for (const char *c = text; (c = strstr(c, "\ntl_folder(")) != NULL;) {
        c += strlen("\ntl_folder(");
        const size_t length = strcspn(c, " )"), all = strcspn(c, ")");
        const size_t self = n_folders;
        snprintf(folders[self], WORD, "%.*s", (int)length, c);
        may_use[self][self] = true;
        for (const char *w = c + length; w < c + all; w += strcspn(w, " \n)")) {
            w += strspn(w, " \n");
            if (strncmp(w, "tl_", 3) != 0)
                continue;
            const size_t used = find_folder(w + 3, strcspn(w + 3, " \n)"));
            if (used == n_folders)
                fail_msg("CMakeLists.txt: %s uses %.20s, which does not stand above it",
                         folders[self], w);
            for (size_t i = 0; i < n_folders; i++)
                may_use[self][i] |= may_use[used][i];
        }
        n_folders++;
    }
}

/* Files of model, circuit and probe that copy or clear memory themselves, and what: all
 * else could be an activation, which may not be the host's. */
static const struct {
    const char *file, *what;
} copiers[] = {
    {"model/model.c", "image features into the input, which is the host's"},
    {"circuit/ranking.c", "the bits of a score, which is the host's"},
};
enum { COPIERS = sizeof copiers / sizeof copiers[0] };

static size_t count_copies(void)
{
    static const char *const calls[] = {"memcpy(", "memset(", "memmove("};
    size_t n = 0;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        for (const char *c = text; (c = strstr(c, calls[i])) != NULL; c++)
            n++;
    return n;
}

static bool uses(const char *folder, const char *other)
{
    const size_t a = find_folder(folder, strlen(folder)),
                 b = find_folder(other, strlen(other));
    assert_true(a < n_folders && b < n_folders);
    return may_use[a][b];
}

static void what_the_floors_are_for_holds(void **unused)
{
    (void)unused;
    assert_true(n_folders > 10);
    /* Circuits do not know SQL, and a study is all that gives rows to the store. */
    assert_false(uses("probe", "store") || uses("model", "store"));
    assert_false(uses("store", "model"));
    /* A report needs only the store. */
    assert_false(uses("report", "model") || uses("report", "circuit"));
    /* Nobody needs the command line, and a study nothing that draws. */
    for (size_t i = 0; i < n_folders; i++)
        assert_false(strcmp(folders[i], "cli") != 0 && uses(folders[i], "cli"));
    assert_false(uses("study", "report"));
    /* Prompts are made without a model. */
    assert_false(uses("task", "model") || uses("scene", "model"));
}

/* ---- files ----------------------------------------------------------------------- */

static char units[MOST][WORD];
static bool includes[MOST][MOST];
static size_t n_units, n_includes, n_wrong, n_private, n_copiers, n_copying;

/* "model/spec_private.h" is part of "model/spec". */
static size_t find_unit(const char *path)
{
    char name[WORD];
    snprintf(name, sizeof name, "%.*s", (int)(strlen(path) - 2), path);
    const size_t length = strlen(name), ending = strlen("_private");
    if (length > ending && strcmp(name + length - ending, "_private") == 0)
        name[length - ending] = '\0';
    size_t i = 0;
    while (i < n_units && strcmp(units[i], name) != 0)
        i++;
    if (i < n_units)
        return i;
    assert_true(n_units < MOST);
    snprintf(units[n_units], WORD, "%s", name);
    return n_units++;
}

/* `path` from src/ or include/, `folder` its first part. */
static void check_file(const char *root, const char *path)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", root, path);
    read_text(full);
    const size_t self = find_unit(path), folder = find_folder(path, strcspn(path, "/"));
    for (const char *c = text; (c = strstr(c, "\n#include \"")) != NULL;) {
        c += strlen("\n#include \"");
        char name[WORD];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(c, "\""), c);
        const size_t other = find_unit(name),
                     from = find_folder(name, strcspn(name, "/"));
        includes[self][other] = self != other;
        n_includes++;
        if (from != folder && strstr(name, "_private.h") != NULL) {
            print_error("%s includes %s of another folder\n", path, name);
            n_private++;
        }
        if (from < n_folders && folder < n_folders && !may_use[folder][from]) {
            print_error("src/%s includes %s: %s may not use %s\n", path, name,
                        folders[folder], folders[from]);
            n_wrong++;
        }
    }
    if (strncmp(path, "model/", 6) != 0 && strncmp(path, "circuit/", 8) != 0 &&
        strncmp(path, "probe/", 6) != 0)
        return;
    n_copying++;
    size_t known = 0;
    while (known < COPIERS && strcmp(copiers[known].file, path) != 0)
        known++;
    if (count_copies() > 0 && known == COPIERS) {
        print_error("src/%s copies or clears memory itself\n", path);
        n_copiers++;
    }
}

static void check_files(const char *root, const char *folder)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, folder);
    DIR *dir = opendir(path);
    if (dir == NULL)
        fail_msg("%s: cannot be read", path);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        char name[256];
        const size_t length = strlen(e->d_name);
        struct stat info;
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s%s%.100s", folder, folder[0] != '\0' ? "/" : "",
                 e->d_name);
        snprintf(path, sizeof path, "%s/%s", root, name);
        if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
            check_files(root, name);
        else if (strcmp(e->d_name + length - 2, ".c") == 0 ||
                 strcmp(e->d_name + length - 2, ".h") == 0)
            check_file(root, name);
    }
    closedir(dir);
}

static void no_folder_includes_one_above_it(void **unused)
{
    (void)unused;
    check_files(ROOT "/src", "");
    check_files(ROOT "/include", "");
    assert_true(n_includes > 400);
    assert_int_equal(n_wrong, 0);
}

static void private_headers_are_for_their_own_folder(void **unused)
{
    (void)unused;
    assert_int_equal(n_private, 0);
}

static void activations_are_copied_by_the_backend(void **unused)
{
    (void)unused;
    assert_true(n_copying > 30);
    assert_int_equal(n_copiers, 0);
}

/* ---- circles --------------------------------------------------------------------- */

static bool reaches[MOST][MOST];

static void no_files_include_each_other_in_a_circle(void **unused)
{
    (void)unused;
    memcpy(reaches, includes, sizeof reaches);
    for (size_t k = 0; k < n_units; k++)
        for (size_t i = 0; i < n_units; i++)
            for (size_t j = 0; reaches[i][k] && j < n_units; j++)
                reaches[i][j] |= reaches[k][j];
    for (size_t i = 0; i < n_units; i++)
        for (size_t j = 0; reaches[i][i] && j < n_units; j++)
            if (j != i && reaches[i][j] && reaches[j][i])
                fail_msg("%s and %s include each other, maybe by way of others",
                         units[i], units[j]);
}

static int read_all(void **unused)
{
    (void)unused;
    read_folders();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_floors_are_for_holds),
        cmocka_unit_test(no_folder_includes_one_above_it),
        cmocka_unit_test(private_headers_are_for_their_own_folder),
        cmocka_unit_test(activations_are_copied_by_the_backend),
        cmocka_unit_test(no_files_include_each_other_in_a_circle),
    };
    return cmocka_run_group_tests(tests, read_all, NULL);
}
