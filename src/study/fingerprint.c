/* SPDX-License-Identifier: MIT
 * fingerprint.c - see fingerprint.h. */
#include "study/fingerprint.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "twinlens/safetensors.h"

enum { HEAD = 1 << 20, PIECE = 4096, PIECES = 255 };
static_assert(HEAD % PIECE == 0, "the head is whole pieces");

static tl_status hash_part(tl_sha256 *hash, FILE *file, off_t from, size_t bytes,
                           const char *path, tl_error *err)
{
    unsigned char buffer[PIECE];
    if (fseeko(file, from, SEEK_SET) != 0)
        return tl_fail(err, TL_ERR_IO, "%s: %s", path, strerror(errno));
    for (size_t n = PIECE; bytes > 0 && n == PIECE; bytes -= n) {
        n = fread(buffer, 1, PIECE, file);
        tl_sha256_update(hash, buffer, n);
    }
    return ferror(file)
               ? tl_fail(err, TL_ERR_IO, "%s: cannot read: %s", path, strerror(errno))
               : TL_OK;
}

static tl_status glance(tl_sha256 *hash, const char *path, tl_error *err)
{
    FILE *file = NULL;
    size_t size = 0;
    tl_status status = tl_file_open(path, &file, &size, err);
    if (status == TL_OK) {
        const uint64_t bytes = size;
        const off_t step = (off_t)(size / PIECES);
        tl_sha256_update(hash, &bytes, sizeof bytes);
        status = hash_part(hash, file, 0, HEAD, path, err);
        for (off_t i = 0; i < PIECES && status == TL_OK; i++)
            status = hash_part(hash, file, step * i, PIECE, path, err);
    }
    if (file != NULL)
        fclose(file);
    return status;
}

static tl_status take_model(const tl_settings *settings, tl_arena *arena,
                            char hex[TL_SHA256_HEX], tl_error *err)
{
    const char *folder = NULL;
    tl_safetensors *weights = NULL;
    tl_sha256 hash;
    tl_sha256_init(&hash);
    tl_status status = tl_session_model(settings, arena, &folder, err);
    const char *config =
        status == TL_OK ? tl_path_join(arena, folder, "config.json") : NULL;
    if (status == TL_OK && config == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    if (status == TL_OK)
        status = tl_sha256_file(&hash, config, err);
    if (status == TL_OK)
        status = tl_safetensors_open(folder, &weights, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < tl_safetensors_file_count(weights) && status == TL_OK; i++)
        status = glance(&hash, tl_safetensors_file_path(weights, i), err);
    tl_safetensors_close(weights);
    tl_sha256_hex(&hash, hex);
    return status;
}

static tl_status take_dataset(const tl_dataset *dataset, tl_arena *arena,
                              char hex[TL_SHA256_HEX], tl_error *err)
{
    tl_sha256 hash;
    tl_sha256_init(&hash);
    const char *task = tl_path_join(arena, dataset->folder, "task.json");
    if (task == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    tl_status status = tl_sha256_file(&hash, dataset->path, err);
    if (status == TL_OK && tl_file_exists(task))
        status = tl_sha256_file(&hash, task, err);
    tl_sha256_hex(&hash, hex);
    return status;
}

tl_status tl_fingerprint_take(const tl_settings *settings, const tl_dataset *dataset,
                              tl_arena *arena, tl_fingerprint *out, tl_error *err)
{
    const tl_status status = take_model(settings, arena, out->model, err);
    return status == TL_OK ? take_dataset(dataset, arena, out->dataset, err) : status;
}
