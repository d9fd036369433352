/* SPDX-License-Identifier: MIT
 *
 * fuzz.h - what the targets share. A target takes any bytes as one kind of input and may do
 * anything with them but crash, read what is not its own, or accept what it must refuse:
 *
 *     int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
 *
 * Built with clang (cmake --preset fuzz) it is libFuzzer that makes the bytes up; in all
 * other builds replay.c hands over those of tests/fuzz/corpus, which is a test.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FUZZ_DATA TWINLENS_SOURCE_DIR "/tests/data/"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* A folder for the files of this process. It is empty again when the target returns: who
 * puts a file there removes it. */
static inline const char *fuzz_folder(void)
{
    static char path[256];
    const char *parent = getenv("TMPDIR");
    if (path[0] != '\0')
        return path;
    snprintf(path, sizeof path, "%s/twinlens-fuzz-XXXXXX",
             parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    if (mkdtemp(path) == NULL)
        abort();
    return path;
}

/* Writes folder/name; the path, in `path`. */
static inline const char *fuzz_write(char path[512], const char *name,
                                     const uint8_t *data, size_t bytes)
{
    snprintf(path, 512, "%s/%s", fuzz_folder(), name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0)
        abort();
    return path;
}

/* One input can be two files: the second begins behind a line that is "---". The length of
 * the first; *second and *second_bytes are empty without such a line. */
static inline size_t fuzz_cut(const uint8_t *data, size_t bytes, const uint8_t **second,
                              size_t *second_bytes)
{
    static const char line[] = "\n---\n";
    const size_t n = sizeof line - 1;
    for (size_t i = 0; i + n <= bytes; i++)
        if (memcmp(data + i, line, n) == 0) {
            *second = data + i + n;
            *second_bytes = bytes - i - n;
            return i;
        }
    *second = data + bytes;
    *second_bytes = 0;
    return bytes;
}

#endif
