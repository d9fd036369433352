/* SPDX-License-Identifier: MIT
 * manifest.c - see manifest.h. */
#include "study/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/sha256.h"
#include "study/fingerprint.h"
#include "study/input_names.h"
#include "twinlens/safetensors.h"
#include "twinlens/setting.h"
#include "twinlens/version.h"

/* Less than this is hashed before a person could read about it. */
enum { SHOWN_BYTES = 256 << 20 };

/* ---- files ------------------------------------------------------------------- */

static tl_status add_file(tl_manifest *manifest, const char *path,
                          const tl_study_db *known, tl_arena *arena, tl_error *err)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return tl_fail(err, errno == ENOENT ? TL_ERR_NOT_FOUND : TL_ERR_IO,
                       "%s: cannot open: %s", path, strerror(errno));
    tl_study_file file = {
        .path = tl_arena_strdup(arena, path),
        .bytes = (int64_t)info.st_size,
        .modified_ns =
            (int64_t)info.st_mtim.tv_sec * 1000000000 + (int64_t)info.st_mtim.tv_nsec,
    };
    if (file.path == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    const tl_status status = tl_study_db_get_hash(
        known, path, file.bytes, file.modified_ns, arena, &file.sha256, err);
    if (status == TL_OK)
        manifest->files[manifest->n_files++] = file;
    return status;
}

/* Hashes what is not known yet, with progress where there is much of it. */
static tl_status hash_files(tl_manifest *manifest, tl_progress *progress,
                            tl_arena *arena, tl_error *err)
{
    int64_t bytes = 0, done = 0;
    for (size_t i = 0; i < manifest->n_files; i++)
        bytes += manifest->files[i].sha256 == NULL ? manifest->files[i].bytes : 0;
    const bool shown = bytes > SHOWN_BYTES;
    const size_t stage =
        shown ? tl_progress_add(progress, "hash files, MiB", (size_t)bytes >> 20, 0.0)
              : 0;
    if (shown)
        tl_progress_begin(progress, stage, 0);
    for (size_t i = 0; i < manifest->n_files; i++) {
        tl_study_file *file = &manifest->files[i];
        if (file->sha256 != NULL)
            continue;
        char *hex = tl_arena_alloc(arena, TL_SHA256_HEX, 1);
        if (hex == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", file->path);
        const tl_status status = tl_sha256_of_file(file->path, hex, err);
        if (status != TL_OK)
            return status;
        file->sha256 = hex;
        done += file->bytes;
        if (shown)
            tl_progress_step(progress, stage, (size_t)done >> 20);
    }
    if (shown)
        tl_progress_end(progress, stage);
    return TL_OK;
}

/* One hash over files [first, end), by their names in the folder and their bytes. */
static tl_status hash_hashes(const tl_manifest *manifest, size_t first, size_t end,
                             tl_arena *arena, const char **out, tl_error *err)
{
    tl_sha256 hash;
    tl_sha256_init(&hash);
    for (size_t i = first; i < end; i++) {
        const tl_study_file *file = &manifest->files[i];
        const char *slash = strrchr(file->path, '/');
        const char *name = slash != NULL ? slash + 1 : file->path;
        tl_sha256_update(&hash, name, strlen(name) + 1);
        tl_sha256_update(&hash, file->sha256, strlen(file->sha256) + 1);
    }
    char *hex = tl_arena_alloc(arena, TL_SHA256_HEX, 1);
    if (hex == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a hash");
    tl_sha256_hex(&hash, hex);
    *out = hex;
    return TL_OK;
}

static tl_status add_model_files(tl_manifest *manifest, const char *folder,
                                 const tl_safetensors *weights,
                                 const tl_study_db *known, tl_arena *arena,
                                 tl_error *err)
{
    static const char *const names[] = {"config.json", "tokenizer.json",
                                        "preprocessor_config.json",
                                        "processor_config.json"};
    tl_status status = TL_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && status == TL_OK; i++) {
        const char *path = tl_path_join(arena, folder, names[i]);
        if (path == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", folder);
        if (tl_file_exists(path))
            status = add_file(manifest, path, known, arena, err);
    }
    for (size_t i = 0; i < tl_safetensors_file_count(weights) && status == TL_OK; i++)
        status =
            add_file(manifest, tl_safetensors_file_path(weights, i), known, arena, err);
    return status;
}

static tl_status add_dataset_files(tl_manifest *manifest, const tl_dataset *dataset,
                                   const bool modalities[TL_MODALITY_COUNT],
                                   const tl_study_db *known, tl_arena *arena,
                                   tl_error *err)
{
    tl_status status = add_file(manifest, dataset->path, known, arena, err);
    const char *task = tl_path_join(arena, dataset->folder, "task.json");
    if (status == TL_OK && task == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", dataset->folder);
    if (status == TL_OK && tl_file_exists(task))
        status = add_file(manifest, task, known, arena, err);
    for (size_t i = 0; i < dataset->n_rows && status == TL_OK; i++)
        if (dataset->rows[i].image_path != NULL && modalities[TL_IMAGE])
            status = add_file(manifest, dataset->rows[i].image_path, known, arena, err);
    return status;
}

static tl_status add_hashes(tl_manifest *manifest, const tl_settings *settings,
                            const tl_dataset *dataset,
                            const bool modalities[TL_MODALITY_COUNT],
                            const tl_study_db *known, tl_progress *progress,
                            const char *hashes[2], tl_arena *arena, tl_error *err)
{
    enum { OTHER_FILES = 8 };
    tl_safetensors *weights = NULL;
    const char *folder = NULL;
    size_t n_model = 0;
    tl_status status = tl_session_model(settings, arena, &folder, err);
    if (status == TL_OK)
        status = tl_safetensors_open(folder, &weights, err);
    if (status != TL_OK)
        goto done;
    const size_t capacity =
        tl_safetensors_file_count(weights) + dataset->n_rows + OTHER_FILES;
    manifest->files = tl_arena_alloc(arena, capacity, sizeof *manifest->files);
    if (manifest->files == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu files", capacity);
        goto done;
    }
    status = add_model_files(manifest, folder, weights, known, arena, err);
    n_model = manifest->n_files;
    if (status == TL_OK)
        status = add_dataset_files(manifest, dataset, modalities, known, arena, err);
    if (status == TL_OK)
        status = hash_files(manifest, progress, arena, err);
    if (status == TL_OK)
        status = hash_hashes(manifest, 0, n_model, arena, &hashes[0], err);
    if (status == TL_OK)
        status =
            hash_hashes(manifest, n_model, manifest->n_files, arena, &hashes[1], err);
done:
    tl_safetensors_close(weights);
    return status;
}

/* ---- keys -------------------------------------------------------------------- */

/* A NULL value means that there was no memory for it. */
static tl_status add_key(tl_manifest *manifest, const char *key, const char *value,
                         tl_error *err)
{
    if (value == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the manifest");
    manifest->keys[manifest->n_keys++] = (tl_study_key){key, value};
    return TL_OK;
}

/* What was studied, which is no setting: what it is known by, as in score files, and the hash of
 * all its bytes, by which a study knows its own inputs again. */
static tl_status add_inputs(tl_manifest *m, const tl_session *session,
                            const char *const hashes[2], tl_arena *arena, tl_error *err)
{
    const char *model = NULL, *dataset = NULL;
    tl_fingerprint known_by;
    tl_status status = tl_fingerprint_take(&session->settings, session->dataset, arena,
                                           &known_by, err);
    if (status == TL_OK)
        status = tl_model_name(session->settings.model, arena, &model, err);
    if (status == TL_OK)
        status = tl_dataset_name(session->dataset, arena, &dataset, err);
    if (status != TL_OK)
        return status;
    const tl_study_key inputs[] = {
        {"program", "twinlens " TL_VERSION},
        {"model", tl_arena_strdup(arena, known_by.model)},
        {"model-files", hashes[0]},
        {"model-name", model},
        {"family", tl_arena_strdup(arena, tl_model_family(session->model))},
        {"dataset", tl_arena_strdup(arena, known_by.dataset)},
        {"dataset-files", hashes[1]},
        {"dataset-name", dataset},
        {"task", session->dataset->name},
    };
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs && status == TL_OK; i++)
        status = add_key(m, inputs[i].key, inputs[i].value, err);
    if (status == TL_OK && session->dataset->prompts != NULL)
        status = add_key(m, "prompts-of", session->dataset->prompts, err);
    return status;
}

tl_status tl_manifest_make(const tl_settings *settings, const tl_session *session,
                           const bool modalities[TL_MODALITY_COUNT],
                           const tl_study_db *known, tl_progress *progress,
                           tl_arena *arena, tl_manifest *out, tl_error *err)
{
    enum { INPUTS = 10 };
    tl_manifest m = {0};
    tl_settings studied = *settings;
    const char *hashes[2] = {NULL, NULL};
    const tl_study_key *keys = NULL;
    size_t n_keys = 0;
    studied.modality = !modalities[TL_IMAGE]  ? TL_TEXT
                       : !modalities[TL_TEXT] ? TL_IMAGE
                                              : TL_MODALITY_COUNT;
    tl_status status = add_hashes(&m, settings, session->dataset, modalities, known,
                                  progress, hashes, arena, err);
    if (status == TL_OK)
        status = tl_settings_write(&studied, arena, &keys, &n_keys, err);
    if (status != TL_OK)
        return status;
    m.keys = tl_arena_alloc(arena, INPUTS + n_keys, sizeof *m.keys);
    if (m.keys == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the manifest");
    status = add_inputs(&m, session, hashes, arena, err);
    for (size_t i = 0; i < n_keys && status == TL_OK; i++)
        status = add_key(&m, keys[i].key, keys[i].value, err);
    if (status == TL_OK)
        *out = m;
    return status;
}
