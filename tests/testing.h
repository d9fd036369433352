/*
 * testing.h - what every test needs: cmocka in the order that it wants its headers,
 * random numbers that are the same on every machine, a comparison that explains
 * itself, a folder that goes away, requests for memory that fail.
 */
#ifndef TESTS_TESTING_H
#define TESTS_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc_test.h"
#include "base/redzone.h"

/* Bytes that arenas have beside what a plan says: in a build with AddressSanitizer there are
 * gaps between their blocks, here of as many as a small model needs. */
#ifdef TL_ASAN
enum { TEST_GAPS = 256 * 64 };
#else
enum { TEST_GAPS = 0 };
#endif

/* Uniform in [-1, 1) (xorshift32); *state must not be 0. */
static inline float test_uniform(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return (float)(*state >> 8) / 8388608.0f - 1.0f;
}

/* `shape` says of what: "[4,128] resid_post"; a NaN fails too. */
static inline void assert_close(const char *shape, size_t index, double got,
                                double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s at %zu: got %.9g, want %.9g within %.2g", shape, index, got, want,
                 tolerance);
}

/* A new folder of one's own; its path without '/' at the end. */
typedef struct test_folder {
    char path[256];
} test_folder;

static inline test_folder test_folder_create(void)
{
    const char *parent = getenv("TMPDIR");
    test_folder folder;
    snprintf(folder.path, sizeof folder.path, "%s/twinlens-XXXXXX",
             parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    assert_non_null(mkdtemp(folder.path));
    return folder;
}

/* With everything in it. Links are removed, not followed. */
static inline void test_folder_remove(const char *path)
{
    DIR *stream = opendir(path);
    assert_non_null(stream);
    for (const struct dirent *e; (e = readdir(stream)) != NULL;) {
        char child[1024];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        const int n = snprintf(child, sizeof child, "%s/%s", path, e->d_name);
        assert_in_range(n, 0, sizeof child - 1);
        if (remove(child) != 0)
            test_folder_remove(child);
    }
    closedir(stream);
    assert_int_equal(remove(path), 0);
}

/* Writes `bytes` bytes to folder/name; the path, valid until the next call. */
static inline const char *test_file(const test_folder *folder, const char *name,
                                    const void *data, size_t bytes)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
    return path;
}

#endif
