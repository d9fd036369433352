/* SPDX-License-Identifier: MIT
 * file.c - see file.h. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "twinlens/alloc.h"

static tl_status fail_errno(tl_error *err, const char *doing, const char *path)
{
    const int code = errno;
    return tl_fail(err, code == ENOENT ? TL_ERR_NOT_FOUND : TL_ERR_IO,
                   "%s: cannot %s: %s", path, doing, strerror(code));
}

static tl_status check_kind(const char *path, const struct stat *info, tl_error *err)
{
    const mode_t mode = info->st_mode;
    if (S_ISREG(mode))
        return TL_OK;
    return tl_fail(err, TL_ERR_IO, "%s: is a %s, wanted a regular file", path,
                   S_ISDIR(mode)    ? "folder"
                   : S_ISFIFO(mode) ? "FIFO"
                   : S_ISSOCK(mode) ? "socket"
                                    : "device");
}

bool tl_file_is_dangling(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISLNK(info.st_mode) && stat(path, &info) != 0 &&
           errno == ENOENT;
}

tl_status tl_file_check(const char *path, tl_error *err)
{
    struct stat info;
    char target[256];
    const ssize_t n =
        tl_file_is_dangling(path) ? readlink(path, target, sizeof target - 1) : -1;
    if (n < 0)
        return stat(path, &info) == 0 ? check_kind(path, &info, err)
                                      : fail_errno(err, "open", path);
    target[n] = '\0';
    return tl_fail(err, TL_ERR_NOT_FOUND,
                   "%s: a link to %s, which is not there, as a download that was not "
                   "finished leaves it",
                   path, target);
}

bool tl_file_is_lfs_pointer(const void *bytes, size_t n)
{
    static const char start[] = "version https://git-lfs";
    return n >= sizeof start - 1 && memcmp(bytes, start, sizeof start - 1) == 0;
}

tl_status tl_file_open(const char *path, FILE **out, size_t *bytes, tl_error *err)
{
    struct stat info;
    tl_status status = tl_file_check(path, err);
    if (status != TL_OK)
        return status;
    /* It may have become another file since: opening a FIFO must not wait. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fail_errno(err, "open", path);
    status = fstat(fd, &info) == 0 ? check_kind(path, &info, err)
                                   : fail_errno(err, "stat", path);
    FILE *file = status == TL_OK ? fdopen(fd, "rb") : NULL;
    if (status == TL_OK && file == NULL)
        status = fail_errno(err, "open", path);
    if (status != TL_OK) {
        close(fd);
        return status;
    }
    *out = file;
    *bytes = (size_t)info.st_size;
    return TL_OK;
}

tl_status tl_file_read(const char *path, tl_arena *arena, char **text, size_t *bytes,
                       tl_error *err)
{
    FILE *file = NULL;
    size_t size = 0;
    tl_status status = tl_file_open(path, &file, &size, err);
    if (status != TL_OK)
        return status;
    char *buffer = tl_arena_alloc(arena, size + 1, 1);
    if (buffer == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory for its %zu bytes", path,
                         size);
        goto done;
    }
    size_t have = 0;
    while (have < size) {
        const ssize_t n = read(fileno(file), buffer + have, size - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            status = fail_errno(err, "read", path);
            goto done;
        }
        if (n == 0)
            break; /* it shrank while it was read */
        have += (size_t)n;
    }
    buffer[have] = '\0';
    *text = buffer;
    *bytes = have;
done:
    fclose(file);
    return status;
}

static void writer_clear(tl_file_writer *writer)
{
    tl_free(writer->path);
    tl_free(writer->temporary);
    *writer = (tl_file_writer){0};
}

tl_status tl_file_writer_open(tl_file_writer *writer, const char *path, tl_error *err)
{
    static const char suffix[] = ".part-XXXXXX";
    tl_file_writer w = {.descriptor = -1};
    const size_t bytes = strlen(path) + sizeof suffix;
    w.path = tl_strdup(path);
    w.temporary = tl_alloc(bytes, 1);
    if (w.path == NULL || w.temporary == NULL) {
        writer_clear(&w);
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    }
    snprintf(w.temporary, bytes, "%s%s", path, suffix);
    w.descriptor = mkstemp(w.temporary);
    if (w.descriptor < 0 || fchmod(w.descriptor, 0644) != 0) {
        const tl_status status = fail_errno(err, "write", path);
        if (w.descriptor >= 0)
            tl_file_writer_abandon(&w);
        else
            writer_clear(&w);
        return status;
    }
    *writer = w;
    return TL_OK;
}

tl_status tl_file_writer_put(tl_file_writer *writer, const void *data, size_t bytes,
                             tl_error *err)
{
    const char *at = data;
    while (bytes > 0) {
        /* Linux writes at most 2 GiB at a time anyway. */
        const ssize_t n =
            write(writer->descriptor, at, bytes < INT_MAX ? bytes : INT_MAX);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(err, "write", writer->path);
        at += n;
        bytes -= (size_t)n;
    }
    return TL_OK;
}

/* A rename is durable once the folder that holds the name is. */
static void sync_folder_of(const char *path)
{
    tl_arena *arena = tl_arena_create();
    const char *folder = arena != NULL ? tl_path_folder(arena, path) : NULL;
    const int fd =
        folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    tl_arena_destroy(arena);
}

tl_status tl_file_writer_commit(tl_file_writer *writer, tl_error *err)
{
    if (fsync(writer->descriptor) != 0)
        return fail_errno(err, "sync", writer->path);
    if (rename(writer->temporary, writer->path) != 0)
        return fail_errno(err, "rename to", writer->path);
    close(writer->descriptor);
    sync_folder_of(writer->path);
    writer_clear(writer);
    return TL_OK;
}

void tl_file_writer_abandon(tl_file_writer *writer)
{
    if (writer->path == NULL)
        return;
    close(writer->descriptor);
    unlink(writer->temporary);
    writer_clear(writer);
}

bool tl_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool tl_file_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool tl_file_is_same(const char *path, const char *other)
{
    struct stat a, b;
    return stat(path, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

tl_status tl_file_make_folder(const char *path, tl_error *err)
{
    if (mkdir(path, 0755) == 0 || (errno == EEXIST && tl_file_is_folder(path)))
        return TL_OK;
    if (errno == EEXIST)
        return tl_fail(err, TL_ERR_IO, "%s: is a file, a folder was wanted", path);
    return fail_errno(err, "make the folder", path);
}

tl_status tl_file_check_empty(const char *folder, bool can_replace, tl_error *err)
{
    DIR *directory = opendir(folder);
    if (directory == NULL)
        return TL_OK; /* making it will tell */
    bool empty = true;
    for (const struct dirent *entry; empty && (entry = readdir(directory)) != NULL;)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(directory);
    return empty ? TL_OK
                 : tl_fail(err, TL_ERR_ARGUMENT,
                           "%s: is not empty; wanted a new folder%s", folder,
                           can_replace ? ", or --force to replace the dataset in it"
                                       : "");
}

static tl_status copy_file(const char *path, const char *name, tl_error *err)
{
    tl_file_writer writer = {0};
    char *content = NULL;
    size_t bytes = 0;
    tl_arena *arena = tl_arena_create();
    tl_status status = arena != NULL
                           ? tl_file_read(path, arena, &content, &bytes, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    if (status == TL_OK)
        status = tl_file_writer_open(&writer, name, err);
    if (status == TL_OK)
        status = tl_file_writer_put(&writer, content, bytes, err);
    if (status == TL_OK)
        status = tl_file_writer_commit(&writer, err);
    tl_file_writer_abandon(&writer);
    tl_arena_destroy(arena);
    return status;
}

tl_status tl_file_remove(const char *path, tl_error *err)
{
    return unlink(path) == 0 || errno == ENOENT
               ? TL_OK
               : tl_fail(err, TL_ERR_IO, "%s: cannot remove: %s", path,
                         strerror(errno));
}

tl_status tl_file_link(const char *path, const char *name, tl_error *err)
{
    struct stat from, to;
    const tl_status status = tl_file_check(path, err);
    if (status != TL_OK)
        return status;
    if (stat(path, &from) != 0)
        return fail_errno(err, "open", path);
    if (stat(name, &to) == 0 && from.st_dev == to.st_dev && from.st_ino == to.st_ino)
        return TL_OK; /* to make way for itself it would have to go */
    if (unlink(name) != 0 && errno != ENOENT)
        return fail_errno(err, "replace", name);
    return linkat(AT_FDCWD, path, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0
               ? TL_OK
               : copy_file(path, name, err);
}

char *tl_path_join(tl_arena *arena, const char *folder, const char *name)
{
    if (name[0] == '/' || folder[0] == '\0')
        return tl_arena_strdup(arena, name);
    const size_t bytes = strlen(folder) + strlen(name) + 2;
    char *path = tl_arena_alloc(arena, bytes, 1);
    if (path != NULL)
        snprintf(path, bytes, "%s%s%s", folder,
                 folder[strlen(folder) - 1] == '/' ? "" : "/", name);
    return path;
}

char *tl_path_folder(tl_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return tl_arena_strdup(arena, ".");
    const size_t bytes = slash == path ? 1 : (size_t)(slash - path);
    char *folder = tl_arena_alloc(arena, bytes + 1, 1);
    if (folder != NULL) {
        memcpy(folder, path, bytes);
        folder[bytes] = '\0';
    }
    return folder;
}
