/*
 * test_promises.c - a comment that points at another file, or at an equation of
 * docs/math.md, is a promise: every one of them is kept.
 */
#include "testing.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ROOT TWINLENS_SOURCE_DIR

static char math[1 << 16];
static size_t n_paths, n_equations;

static size_t read_text(const char *path, char *text, size_t most)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s: cannot be read", path);
    const size_t n = fread(text, 1, most - 1, file);
    fclose(file);
    text[n] = '\0';
    return n;
}

/* Of a word that looks like a path from the root: whether it is there. */
static void check_path(const char *file, const char *word, size_t length)
{
    char path[512];
    struct stat info;
    while (length > 0 && strchr(".:,;)", word[length - 1]) != NULL)
        length--;
    if (memchr(word, '*', length) != NULL || memchr(word, '<', length) != NULL ||
        length > 200)
        return;
    snprintf(path, sizeof path, "%s/%.*s", ROOT, (int)length, word);
    n_paths++;
    if (stat(path, &info) != 0)
        fail_msg("%s names %.*s, which is not there", file, (int)length, word);
}

static void check_equation(const char *file, const char *at)
{
    char label[32];
    const size_t digits = strspn(at, "0123456789");
    if (digits == 0 || digits > 3)
        return;
    snprintf(label, sizeof label, "(eq. %.*s)", (int)digits, at);
    n_equations++;
    if (strstr(math, label) == NULL)
        fail_msg("%s names eq. %.*s, which docs/math.md does not have", file,
                 (int)digits, at);
}

static void check_file(const char *path)
{
    static const char *const folders[] = {"docs/",  "tests/",   "src/",
                                          "bench/", "scripts/", "include/twinlens/",
                                          "models/organism/"};
    static char text[1 << 20];
    read_text(path, text, sizeof text);
    for (const char *c = text; *c != '\0'; c++) {
        if (c > text &&
            (isalnum((unsigned char)c[-1]) || strchr("/_.-\"'%{", c[-1]) != NULL))
            continue;
        for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
            if (strncmp(c, folders[i], strlen(folders[i])) == 0)
                check_path(path, c, strcspn(c, " \t\n\"'`()[]{}|;,%$"));
        if (strncmp(c, "eq. ", 4) == 0)
            check_equation(path, c + 4);
    }
}

static void check_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        fail_msg("%s: cannot be read", folder);
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        char path[512];
        const size_t length = strlen(e->d_name);
        if (e->d_name[0] == '.' || strcmp(e->d_name, "data") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        struct stat info;
        if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
            check_folder(path);
        else if (length > 2 &&
                 (strcmp(e->d_name + length - 2, ".c") == 0 ||
                  strcmp(e->d_name + length - 2, ".h") == 0 ||
                  (length > 3 && strcmp(e->d_name + length - 3, ".md") == 0)))
            check_file(path);
    }
    closedir(dir);
}

static void what_a_comment_points_at_is_there(void **unused)
{
    (void)unused;
    read_text(ROOT "/docs/math.md", math, sizeof math);
    check_folder(ROOT "/include");
    check_folder(ROOT "/src");
    check_folder(ROOT "/bench");
    check_folder(ROOT "/docs");
    assert_true(n_paths > 20 && n_equations > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_comment_points_at_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
