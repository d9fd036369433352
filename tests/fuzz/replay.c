/* SPDX-License-Identifier: MIT
 *
 * replay.c - the main of a fuzz target that has no libFuzzer in it: hands the target every
 * file that is named, and every file of the folders that are named.
 *
 *     fuzz_image tests/fuzz/corpus/image
 *
 * Names are printed first, so that the last line tells which input ended it.
 */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"

static void fail(const char *path)
{
    perror(path);
    exit(1);
}

static void replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (file == NULL || fstat(fileno(file), &info) != 0)
        fail(path);
    /* Of exactly this size: AddressSanitizer then sees the byte behind it. */
    const size_t bytes = (size_t)info.st_size;
    uint8_t *data = malloc(bytes > 0 ? bytes : 1);
    if (data == NULL || fread(data, 1, bytes, file) != bytes)
        fail(path);
    fclose(file);
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, bytes);
    free(data);
}

static size_t replay_folder(const char *path)
{
    size_t n = 0;
    DIR *folder = opendir(path);
    if (folder == NULL)
        fail(path);
    for (const struct dirent *e; (e = readdir(folder)) != NULL;) {
        char child[1024];
        if (e->d_name[0] == '.')
            continue;
        snprintf(child, sizeof child, "%s/%s", path, e->d_name);
        replay_file(child);
        n++;
    }
    closedir(folder);
    return n;
}

int main(int argc, char **argv)
{
    size_t n = 0;
    for (int i = 1; i < argc; i++) {
        struct stat info;
        if (stat(argv[i], &info) != 0)
            fail(argv[i]);
        if (S_ISDIR(info.st_mode))
            n += replay_folder(argv[i]);
        else {
            replay_file(argv[i]);
            n++;
        }
    }
    rmdir(fuzz_folder());
    printf("%zu inputs\n", n);
    return n > 0 ? 0 : 1; /* nothing replayed is nothing tested */
}
