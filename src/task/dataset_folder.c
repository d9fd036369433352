/* SPDX-License-Identifier: MIT
 * dataset_folder.c - see dataset_folder.h. */
#include "task/dataset_folder.h"

#include "base/file.h"

static tl_status remove_rows(const char *folder, tl_arena *arena, tl_error *err)
{
    static const char *const names[] = {"dataset.jsonl", "drawing.jsonl"};
    tl_status status = TL_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && status == TL_OK; i++) {
        const char *path = tl_path_join(arena, folder, names[i]);
        status = path != NULL ? tl_file_remove(path, err)
                              : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    }
    return status;
}

tl_status tl_dataset_folder_make(const char *folder, bool replace, tl_arena *arena,
                                 tl_error *err)
{
    const tl_status status = replace ? remove_rows(folder, arena, err)
                                     : tl_file_check_empty(folder, true, err);
    return status == TL_OK ? tl_file_make_folder(folder, err) : status;
}
