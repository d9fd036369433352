/* SPDX-License-Identifier: MIT
 * shared_options.c - see shared_options.h. */
#include "cli/shared_options.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

const tl_choice tl_compat_choices[] = {{"published", 1}, {0}};

tl_status tl_session_command(const char *name, const tl_option *table, size_t n_options,
                             int argc, char **argv, FILE *out,
                             const tl_settings *settings, tl_session_body *body,
                             const void *options, tl_error *err)
{
    bool help = false;
    tl_status status =
        tl_options_parse(table, n_options, name, argc, argv, out, &help, err);
    if (status != TL_OK || help)
        return status;
    tl_session s;
    if ((status = tl_session_open(settings, &s, err)) != TL_OK)
        return status;
    status = body(&s, options, out, err);
    tl_session_close(&s);
    return status;
}

tl_status tl_options_check_output(const char *path, tl_error *err)
{
    tl_status status = TL_OK;
    tl_arena *arena = tl_arena_create();
    const char *folder = arena != NULL ? tl_path_folder(arena, path) : NULL;
    if (folder == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    else if (tl_file_is_folder(path))
        status = tl_fail(err, TL_ERR_IO, "--out %s: is a folder, wanted a file", path);
    else if (!tl_file_is_folder(folder))
        status =
            tl_fail(err, TL_ERR_IO, "--out %s: there is no folder %s", path, folder);
    else if (access(folder, W_OK | X_OK) != 0)
        status = tl_fail(err, TL_ERR_IO, "--out %s: cannot write in %s: %s", path,
                         folder, strerror(errno));
    tl_arena_destroy(arena);
    return status;
}
