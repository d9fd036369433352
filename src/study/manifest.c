/* SPDX-License-Identifier: MIT
 * manifest.c - see manifest.h. */
#include "study/manifest.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/sha256.h"
#include "study/choices.h"
#include "twinlens/safetensors.h"
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
        tl_sha256 hash;
        tl_sha256_init(&hash);
        const tl_status status = tl_sha256_file(&hash, file->path, err);
        if (status != TL_OK)
            return status;
        tl_sha256_hex(&hash, hex);
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
                                        "preprocessor_config.json"};
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

/* A NULL value means that there was no memory for it; make() looks. */
static void add_key(tl_manifest *manifest, const char *key, const char *value)
{
    assert(manifest->n_keys < TL_MANIFEST_KEYS);
    manifest->keys[manifest->n_keys++] = (tl_study_key){key, value};
}

static const char *size_text(tl_arena *arena, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return tl_arena_strdup(arena, text);
}

/* The shortest decimal that reads back as the same double. */
static const char *real_text(tl_arena *arena, double value)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        double back = 0.0;
        if (sscanf(text, "%lf", &back) == 1 && back == value)
            break;
    }
    return tl_arena_strdup(arena, text);
}

static const char *joined(tl_arena *arena, const char *const *texts, size_t n)
{
    size_t bytes = 1;
    for (size_t i = 0; i < n; i++)
        bytes += strlen(texts[i]) + 1;
    char *all = tl_arena_alloc_zero(arena, bytes, 1);
    if (all == NULL)
        return NULL;
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        at +=
            (size_t)snprintf(all + at, bytes - at, "%s%s", i > 0 ? "," : "", texts[i]);
    return all;
}

tl_status tl_manifest_make(const tl_settings *settings, const tl_sizes *sizes,
                           const tl_session *session,
                           const bool modalities[TL_MODALITY_COUNT],
                           const tl_study_db *known, tl_progress *progress,
                           tl_arena *arena, tl_manifest *out, tl_error *err)
{
    const tl_dataset *dataset = session->dataset;
    tl_manifest m = {0};
    const char *hashes[2] = {NULL, NULL};
    const tl_status status = add_hashes(&m, settings, dataset, modalities, known,
                                        progress, hashes, arena, err);
    if (status != TL_OK)
        return status;
    add_key(&m, "program", "twinlens " TL_VERSION);
    add_key(&m, "model", hashes[0]);
    add_key(&m, "family", tl_arena_strdup(arena, tl_model_family(session->model)));
    add_key(&m, "dataset", hashes[1]);
    add_key(&m, "task", dataset->name);
    add_key(&m, "modality",
            !modalities[TL_IMAGE]  ? "text"
            : !modalities[TL_TEXT] ? "image"
                                   : "text,image");
    add_key(&m, "backend", settings->backend);
    add_key(&m, "rope", tl_choice_name(tl_rope_choices, settings->rope));
    add_key(&m, "keep",
            settings->keep == TL_KEEP_CORRECT
                ? tl_choice_name(tl_accuracy_choices, settings->accuracy)
                : tl_choice_name(tl_keep_choices, settings->keep));
    add_key(&m, "prompts",
            settings->prompts > 0 ? size_text(arena, settings->prompts) : "default");
    add_key(&m, "seed", size_text(arena, settings->seed));
    add_key(&m, "ig-steps", size_text(arena, settings->ig_steps));
    add_key(&m, "ig-path", tl_choice_name(tl_ig_path_choices, settings->ig_path));
    add_key(&m, "head-reduce",
            tl_choice_name(tl_head_reduce_choices, settings->head_reduce));
    add_key(&m, "prompt-reduce",
            tl_choice_name(tl_prompt_reduce_choices, settings->prompt_reduce));
    add_key(&m, "fractions", joined(arena, sizes->texts, sizes->n));
    add_key(&m, "pct", tl_choice_name(tl_rounding_choices, settings->rounding));
    add_key(&m, "faith", tl_choice_name(tl_faith_choices, settings->faith));
    add_key(&m, "threshold", real_text(arena, settings->threshold));
    add_key(&m, "pictures", size_text(arena, settings->pictures));
    add_key(&m, "validate", size_text(arena, settings->validate));
    add_key(&m, "rand-match",
            tl_choice_name(tl_random_match_choices, settings->rand_match));
    add_key(&m, "rand-draws", size_text(arena, settings->rand_draws));
    add_key(&m, "niou", tl_choice_name(tl_niou_choices, settings->niou));
    add_key(&m, "inter-rand",
            tl_choice_name(tl_inter_random_choices, settings->inter_rand));
    add_key(&m, "inter-draws", size_text(arena, settings->inter_draws));
    add_key(&m, "align", tl_choice_name(tl_align_choices, settings->align));
    add_key(&m, "bp-filter", tl_choice_name(tl_bp_filter_choices, settings->bp_filter));
    add_key(&m, "bp-repeat", tl_choice_name(tl_bp_repeat_choices, settings->bp_repeat));
    add_key(&m, "iter-labels",
            tl_choice_name(tl_iter_labels_choices, settings->iter_labels));
    add_key(&m, "bp-grid", tl_choice_name(tl_bp_grid_choices, settings->bp_grid));
    for (size_t i = 0; i < m.n_keys; i++)
        if (m.keys[i].value == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the manifest");
    *out = m;
    return TL_OK;
}
