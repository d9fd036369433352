/* SPDX-License-Identifier: MIT
 *
 * missing.c - why a folder of a model has no weights that can be read: what lies there
 * instead, and what makes weights of it.
 */
#include <dirent.h>
#include <string.h>

#include "base/file.h"
#include "tensor/missing.h"

/* What a name's end tells. */
static const struct {
    const char *end, *is;
} instead[] = {
    {".incomplete", "half a download; fetch the rest"},
    {".bin",
     "weights as PyTorch pickles them, wanted safetensors: from_pretrained() and "
     "save_pretrained() of transformers make them"},
    {".pth",
     "weights as PyTorch pickles them, wanted safetensors: from_pretrained() and "
     "save_pretrained() of transformers make them"},
    {".gguf", "weights as llama.cpp has them, wanted the model's own safetensors"},
    {".h5", "weights of TensorFlow, wanted safetensors"},
    {".msgpack", "weights of Flax, wanted safetensors"},
};
enum { ENDINGS = sizeof instead / sizeof *instead };

/* What training leaves beside the weights. */
static bool is_of_training(const char *name)
{
    static const char *const begins[] = {"training_args", "optimizer", "scheduler",
                                         "rng_state", "scaler"};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (strncmp(name, begins[i], strlen(begins[i])) == 0)
            return true;
    return false;
}

static size_t ending_of(const char *name)
{
    size_t i = 0;
    for (; i < ENDINGS; i++) {
        const size_t n = strlen(name), m = strlen(instead[i].end);
        if (n > m && strcmp(name + n - m, instead[i].end) == 0 && !is_of_training(name))
            break;
    }
    return i;
}

/* The first of the list of endings that a file of the folder has; of two files the one
 * whose name comes first. */
static size_t look(const char *folder, char name[static 256])
{
    size_t best = ENDINGS;
    DIR *dir = opendir(folder);
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        const size_t found = ending_of(e->d_name);
        if (found == ENDINGS || found > best ||
            (found == best && strcmp(e->d_name, name) > 0))
            continue;
        best = found;
        snprintf(name, 256, "%s", e->d_name);
    }
    if (dir != NULL)
        closedir(dir);
    return best;
}

/* Whether `name` is a link in the folder whose file is missing; its error, then. */
static bool is_dangling(const char *folder, const char *name, tl_error *err)
{
    tl_arena *arena = tl_arena_create();
    const char *path = arena != NULL ? tl_path_join(arena, folder, name) : NULL;
    const bool dangling = path != NULL && tl_file_is_dangling(path);
    if (dangling)
        tl_file_check(path, err);
    tl_arena_destroy(arena);
    return dangling;
}

tl_status tl_safetensors_missing(const char *folder, tl_error *err)
{
    /* Of an entry of the hub's cache, what is not whole lies two folders up. */
    static const char *const places[] = {"", "/../../blobs"};
    if (is_dangling(folder, "model.safetensors", err) ||
        is_dangling(folder, "model.safetensors.index.json", err))
        return TL_ERR_NOT_FOUND;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char name[256] = "", where[1024];
        if (snprintf(where, sizeof where, "%s%s", folder, places[i]) >=
            (int)sizeof where)
            continue;
        const size_t found = look(where, name);
        if (found < ENDINGS && (i == 0 || found == 0))
            return tl_fail(err, TL_ERR_NOT_FOUND,
                           "%s: no model.safetensors is there, but %s: %s", folder,
                           name, instead[found].is);
    }
    return tl_fail(
        err, TL_ERR_NOT_FOUND,
        "%s: neither model.safetensors nor model.safetensors.index.json is there",
        folder);
}
