/* SPDX-License-Identifier: MIT
 *
 * test_torture_list.c - every public function that can run out of memory is tortured: it is
 * named in a `covers` of a test that includes torture.h, which calls it. Or it is in the list
 * below, with the reason. Arenas themselves are tortured by test_arena.c.
 */
#include "testing.h"

#include <ctype.h>

/* Functions that give a status or fill an arena, and are not tortured. */
static const char *const exceptions[][2] = {
    {"tl_fail", "asks for no memory"},
    {"tl_fail_while", "asks for no memory"},
    {"tl_fraction_parse", "asks for no memory"},
    {"tl_modality_parse", "asks for no memory"},
    {"tl_tensor_to_f32", "asks for no memory"},
    {"tl_safetensors_need", "asks for no memory"},
    {"tl_backpatch_check", "asks for no memory"},
    {"tl_dataset_check_lengths", "asks for no memory"},
    {"tl_model_unembedding", "asks for no memory"},
    {"tl_model_set_precision", "asks for no memory"},
    {"tl_findings_gap", "test_finding_gap.c: numbers of findings that are there"},
};

enum { MOST_BYTES = 1 << 20, MOST_NAMES = 1000, NAME_BYTES = 64 };

typedef struct names {
    char list[MOST_NAMES][NAME_BYTES];
    size_t n;
} names;

static bool has(const names *n, const char *name)
{
    for (size_t i = 0; i < n->n; i++)
        if (strcmp(n->list[i], name) == 0)
            return true;
    return false;
}

static void add(names *n, const char *text, size_t bytes)
{
    assert_in_range(n->n, 0, MOST_NAMES - 1);
    assert_in_range(bytes, 1, NAME_BYTES - 1);
    snprintf(n->list[n->n], NAME_BYTES, "%.*s", (int)bytes, text);
    if (!has(n, n->list[n->n]))
        n->n++;
    else
        n->list[n->n][0] = '\0';
}

static const char *read_text(const char *folder, const char *name)
{
    static char text[MOST_BYTES];
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    return text;
}

static bool is_of_a_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static size_t name_bytes(const char *at)
{
    size_t n = 0;
    while (is_of_a_name(at[n]))
        n++;
    return n;
}

/* Declarations begin a line: "tl_status tl_x(", or have a "tl_arena *arena" before the ';'. */
static void find_declarations(const char *text, names *out)
{
    for (const char *line = text; line != NULL && *line != '\0';
         line = strchr(line, '\n') != NULL ? strchr(line, '\n') + 1 : NULL) {
        const char *open = strchr(line, '('), *end = strchr(line, ';');
        if (!islower((unsigned char)*line) || strncmp(line, "typedef", 7) == 0 ||
            open == NULL || end == NULL || open > end ||
            memchr(line, '\n', (size_t)(open - line)))
            continue;
        const char *name = open;
        while (name > line && is_of_a_name(name[-1]))
            name--;
        const char *arena = strstr(open, "tl_arena *arena");
        if (strncmp(name, "tl_", 3) == 0 && strncmp(name, "tl_arena_", 9) != 0 &&
            (strncmp(line, "tl_status ", 10) == 0 || (arena != NULL && arena < end)))
            add(out, name, (size_t)(open - name));
    }
}

/* The names in strings that hold nothing else, if the text calls them. */
static void find_covered(const char *file, const char *text, names *out)
{
    for (const char *at = text; (at = strstr(at, "tl_")) != NULL;) {
        const size_t bytes = name_bytes(at);
        const bool quoted =
            at > text && (at[-1] == '"' || (at[-1] == ' ' && at[bytes] == '"') ||
                          (at[-1] == ' ' && at[bytes] == ' '));
        if (quoted && (at[bytes] == '"' || at[bytes] == ' ') && at[-1] != '*') {
            char call[NAME_BYTES + 1];
            snprintf(call, sizeof call, "%.*s(", (int)bytes, at);
            if (at[-1] == '"' && strstr(text, call) == NULL)
                fail_msg("%s says that it covers %.*s and does not call it", file,
                         (int)bytes, at);
            if (strstr(text, call) != NULL)
                add(out, at, bytes);
        }
        at += bytes;
    }
}

static void every_public_function_is_tortured(void **unused)
{
    (void)unused;
    static names declared, covered;
    const char *const folders[] = {TWINLENS_SOURCE_DIR "/include/twinlens",
                                   TWINLENS_SOURCE_DIR "/tests"};
    for (size_t i = 0; i < 2; i++) {
        DIR *folder = opendir(folders[i]);
        assert_non_null(folder);
        for (const struct dirent *e; (e = readdir(folder)) != NULL;) {
            const size_t n = strlen(e->d_name);
            if (n < 3 || strcmp(e->d_name + n - 2, i == 0 ? ".h" : ".c") != 0)
                continue;
            const char *text = read_text(folders[i], e->d_name);
            if (i == 0)
                find_declarations(text, &declared);
            else if (strstr(text, "#include \"torture.h\"") != NULL)
                find_covered(e->d_name, text, &covered);
        }
        closedir(folder);
    }
    assert_true(declared.n > 60 && covered.n > 50); /* they were found */
    size_t missing = 0;
    for (size_t i = 0; i < declared.n; i++) {
        bool excepted = false;
        for (size_t k = 0; k < sizeof exceptions / sizeof *exceptions; k++)
            excepted = excepted || strcmp(exceptions[k][0], declared.list[i]) == 0;
        if (!excepted && !has(&covered, declared.list[i])) {
            print_error("%s is in no torture test\n", declared.list[i]);
            missing++;
        }
    }
    for (size_t k = 0; k < sizeof exceptions / sizeof *exceptions; k++)
        if (!has(&declared, exceptions[k][0]) || has(&covered, exceptions[k][0])) {
            print_error("%s need not be an exception\n", exceptions[k][0]);
            missing++;
        }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_public_function_is_tortured)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
