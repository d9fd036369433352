/* SPDX-License-Identifier: MIT
 * input_names.c - see input_names.h. */
#include "study/input_names.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/json.h"

/* A line of UTF-8 without control characters: a folder may be called anything. */
static tl_status make_printable(char *name, tl_error *err)
{
    if (name == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a name");
    for (char *c = name; *c != '\0';) {
        utf8proc_int32_t letter = 0;
        const utf8proc_ssize_t n =
            utf8proc_iterate((const utf8proc_uint8_t *)c, -1, &letter);
        if (n < 1 || utf8proc_category(letter) == UTF8PROC_CATEGORY_CC) {
            for (utf8proc_ssize_t i = 0; i < n || i < 1; i++)
                *c++ = '?';
            continue;
        }
        c += n;
    }
    return TL_OK;
}

/* The last part of a path; in `arena`. */
static char *last_part(const char *path, tl_arena *arena)
{
    size_t end = strlen(path);
    for (;; end--) { /* "x/" and "x/." are x */
        if (end > 1 && path[end - 1] == '/')
            continue;
        if (end > 1 && path[end - 1] == '.' && path[end - 2] == '/')
            continue;
        break;
    }
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    char *name = tl_arena_strdup(arena, path + begin);
    if (name != NULL)
        name[end - begin] = '\0';
    return name;
}

/* What is no name ("", ".", "..") is that of the folder there. */
static tl_status name_of_folder(const char *folder, tl_arena *arena, const char **out,
                                tl_error *err)
{
    char *name = last_part(folder, arena);
    if (name != NULL &&
        (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)) {
        char *real = realpath(folder, NULL);
        name = last_part(real != NULL ? real : folder, arena);
        if (name != NULL && name[0] == '\0') /* of all files */
            name = tl_arena_strdup(arena, "/");
        free(real);
    }
    const tl_status status = make_printable(name, err);
    if (status == TL_OK)
        *out = name;
    return status;
}

/* ORG/NAME of ".../models--ORG--NAME/snapshots/REVISION"; *out stays NULL if it is no such
 * path. */
static tl_status name_in_cache(const char *path, tl_arena *arena, char **out,
                               tl_error *err)
{
    static const char prefix[] = "models--", below[] = "/snapshots/";
    const char *snapshots = strstr(path, below);
    for (const char *next;
         snapshots != NULL && (next = strstr(snapshots + 1, below)) != NULL;)
        snapshots = next;
    const char *begin = snapshots;
    while (begin != NULL && begin > path && begin[-1] != '/')
        begin--;
    if (begin == NULL || strncmp(begin, prefix, strlen(prefix)) != 0)
        return TL_OK;
    begin += strlen(prefix);
    if (begin >= snapshots)
        return TL_OK;
    char *name = tl_arena_strdup(arena, begin);
    if (name == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a name");
    name[snapshots - begin] = '\0';
    char *dashes = strstr(name, "--");
    if (dashes != NULL) {
        *dashes = '/';
        memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
    }
    *out = name;
    return TL_OK;
}

/* ORG/NAME, of letters, digits, dots, dashes and underlines, no dot in front. */
static bool is_of_the_hub(const char *name)
{
    size_t slashes = 0;
    for (const char *c = name; *c != '\0'; c++) {
        const bool first = c == name || c[-1] == '/';
        slashes += *c == '/';
        if (first ? !isalnum((unsigned char)*c)
                  : !isalnum((unsigned char)*c) && strchr("._-/", *c) == NULL)
            return false;
    }
    return slashes == 1 && name[strlen(name) - 1] != '/';
}

/* *out stays NULL if config.json does not say; what is no JSON or no text does not. */
static tl_status name_in_config(const char *folder, tl_arena *arena, char **out,
                                tl_error *err)
{
    const char *path = tl_path_join(arena, folder, "config.json"), *name = NULL;
    json_t *config = NULL;
    tl_status status =
        path != NULL ? tl_json_read(path, &config, NULL) : TL_ERR_NO_MEMORY;
    if (status == TL_OK &&
        tl_json_get_string(config, "_name_or_path", path, &name, NULL) == TL_OK &&
        name != NULL && is_of_the_hub(name) &&
        (*out = tl_arena_strdup(arena, name)) == NULL)
        status = TL_ERR_NO_MEMORY;
    json_decref(config);
    return status == TL_ERR_NO_MEMORY
               ? tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a name")
               : TL_OK;
}

tl_status tl_model_name(const char *path, tl_arena *arena, const char **out,
                        tl_error *err)
{
    const char *folder = NULL;
    char *name = NULL;
    if (path == NULL) {
        *out = "bundled";
        return TL_OK;
    }
    tl_status status = tl_model_folder(path, arena, &folder, err);
    if (status != TL_OK)
        return status;
    char *real = realpath(folder, NULL);
    status = name_in_cache(real != NULL ? real : folder, arena, &name, err);
    free(real);
    if (status == TL_OK && name == NULL)
        status = name_in_config(folder, arena, &name, err);
    if (status == TL_OK && name == NULL)
        return name_of_folder(folder, arena, out, err);
    if (status == TL_OK)
        status = make_printable(name, err);
    if (status == TL_OK)
        *out = name;
    return status;
}

tl_status tl_dataset_name(const tl_dataset *dataset, tl_arena *arena, const char **out,
                          tl_error *err)
{
    return name_of_folder(dataset->folder, arena, out, err);
}
