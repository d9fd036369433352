/* SPDX-License-Identifier: MIT
 *
 * bundled.c - where the model lies that comes with twinlens. An installation may have been
 * moved, so its place is known from that of the library or the program that runs.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>

#include "base/file.h"
#include "model/model_private.h"

/* Seen from libtwinlens.so, from a program, and from one in a build folder of the sources. */
static const char *const places[] = {TWINLENS_DATA_FROM_LIB "/models/organism",
                                     TWINLENS_DATA_FROM_BIN "/models/organism",
                                     "../../models/organism"};
enum { PLACES = sizeof places / sizeof places[0] };

/* Whether the model lies beside `file`. TL_OK with *out unchanged when it does not. */
static tl_status look_beside(const char *file, tl_arena *arena, const char **out,
                             tl_error *err)
{
    char real[PATH_MAX];
    if (file == NULL || realpath(file, real) == NULL)
        return TL_OK;
    const char *folder = tl_path_folder(arena, real);
    for (size_t i = 0; i < PLACES && folder != NULL; i++) {
        const char *model = tl_path_join(arena, folder, places[i]),
                   *config =
                       model != NULL ? tl_path_join(arena, model, "config.json") : NULL;
        if (config == NULL)
            folder = NULL;
        else if (tl_file_exists(config)) {
            *out = model;
            return TL_OK;
        }
    }
    return folder != NULL ? TL_OK
                          : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
}

tl_status tl_model_find_bundled(tl_arena *arena, const char **out, tl_error *err)
{
    const char *found = NULL;
    /* What holds this very file: the library, or a program that it is part of. The name of
     * a program is that by which it was started, which need not be a path. */
    Dl_info holder = {0};
    dladdr(places, &holder);
    tl_status status = look_beside(holder.dli_fname, arena, &found, err);
    if (status == TL_OK && found == NULL)
        status = look_beside("/proc/self/exe", arena, &found, err);
    if (status == TL_OK && found == NULL)
        status = tl_fail(err, TL_ERR_NOT_FOUND,
                         "no model is given, and the bundled one is neither at %s nor "
                         "at %s, seen from the program's folder",
                         places[1], places[2]);
    if (status == TL_OK)
        *out = found;
    return status;
}
