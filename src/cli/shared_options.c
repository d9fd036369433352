/* SPDX-License-Identifier: MIT
 * shared_options.c - see shared_options.h. */
#include "cli/shared_options.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

const tl_choice tl_modality_choices[] = {{"text", TL_TEXT}, {"image", TL_IMAGE}, {0}};
const tl_choice tl_part_choices[] = {{"all", TL_PART_NONE},
                                     {"discovery", TL_DISCOVERY},
                                     {"evaluation", TL_EVALUATION},
                                     {0}};

tl_status tl_session_command(const tl_command *command, int argc, char **argv,
                             FILE *out, void *values, size_t bytes,
                             tl_session_body *body, tl_error *err)
{
    tl_session s;
    tl_status status = tl_options_read(command, argc, argv, values, bytes, err);
    if (status == TL_OK)
        status = tl_session_open(values, &s, err);
    if (status != TL_OK)
        return status;
    status = body(&s, values, out, err);
    tl_session_close(&s);
    return status;
}

tl_status tl_options_check_drawing(const tl_session *s, const tl_selection *selection,
                                   tl_error *err)
{
    const tl_modality modality = (tl_modality)selection->modality;
    if (!selection->draws || !tl_session_is_paired(s, modality))
        return TL_OK;
    return tl_cli_misuse(err,
                         "--seed draws counterfactuals, and all %s rows of %s name "
                         "theirs; `twinlens pair` draws their parts",
                         tl_modality_name(modality), s->dataset->path);
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
