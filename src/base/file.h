/* SPDX-License-Identifier: MIT
 *
 * file.h - whole files in, whole files out; and the way to name them.
 */
#ifndef TWINLENS_BASE_FILE_H
#define TWINLENS_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "twinlens/arena.h"
#include "twinlens/status.h"

/*
 * Every input is opened through here. It has to be a regular file or a link to one: a FIFO
 * or a terminal would keep the program waiting for ever. *bytes is the file's size.
 * Errors: TL_ERR_NOT_FOUND, TL_ERR_IO. The text names path and says what it is.
 */
tl_status tl_file_open(const char *path, FILE **out, size_t *bytes, tl_error *err);

/* Whether tl_file_open would open it, for an input that a library opens by its name. */
tl_status tl_file_check(const char *path, tl_error *err);

/* Whether a file that begins so is what a clone without git-lfs leaves in place of one. */
bool tl_file_is_lfs_pointer(const void *bytes, size_t n);

/* The whole file in `arena`, with a 0 behind it that *bytes does not count.
 * Errors: TL_ERR_NOT_FOUND, TL_ERR_IO, TL_ERR_NO_MEMORY. The text names path. */
tl_status tl_file_read(const char *path, tl_arena *arena, char **text, size_t *bytes,
                       tl_error *err);

/*
 * A file that appears under its name only when it is whole: written to a
 * temporary name in the same folder, synced, renamed, the folder synced.
 *
 *     tl_file_writer writer = {0};
 *     status = tl_file_writer_open(&writer, path, err);
 *     if (status == TL_OK) status = tl_file_writer_put(&writer, data, n, err);
 *     if (status == TL_OK) status = tl_file_writer_commit(&writer, err);
 *     tl_file_writer_abandon(&writer);   after a commit this does nothing
 */
typedef struct tl_file_writer {
    int descriptor; /* valid while path != NULL */
    char *path, *temporary;
} tl_file_writer;

tl_status tl_file_writer_open(tl_file_writer *writer, const char *path, tl_error *err);
tl_status tl_file_writer_put(tl_file_writer *writer, const void *data, size_t bytes,
                             tl_error *err);
tl_status tl_file_writer_commit(tl_file_writer *writer, tl_error *err);
void tl_file_writer_abandon(tl_file_writer *writer);

bool tl_file_exists(const char *path); /* as a file or a folder */
bool tl_file_is_folder(const char *path);
bool tl_file_is_same(const char *path, const char *other); /* by whatever names */
bool tl_file_is_dangling(const char *path); /* a link to what is not there */

/* Makes the folder unless it is there; its parent must exist. */
tl_status tl_file_make_folder(const char *path, tl_error *err);

/* TL_ERR_ARGUMENT when there is a folder of that name with something in it. can_replace: the
 * text names --force, which replaces a dataset. */
tl_status tl_file_check_empty(const char *folder, bool can_replace, tl_error *err);

/* It need not be there. */
tl_status tl_file_remove(const char *path, tl_error *err);

/* Gives a file another name: a hard link, or a copy where there cannot be one. What has
 * that name already is replaced. */
tl_status tl_file_link(const char *path, const char *name, tl_error *err);

/* "folder/name" in `arena`; `name` alone when it is absolute or folder is "". */
char *tl_path_join(tl_arena *arena, const char *folder, const char *name);
/* The folder part of a path ("." if it has none), in `arena`. */
char *tl_path_folder(tl_arena *arena, const char *path);

#endif
