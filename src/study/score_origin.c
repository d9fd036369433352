/* SPDX-License-Identifier: MIT
 * score_origin.c - see score_origin.h. */
#include "study/score_origin.h"

#include <stdio.h>
#include <string.h>

#include "store/score_file.h"
#include "study/fingerprint.h"
#include "study/input_names.h"
#include "study/setting_text.h"
#include "twinlens/safetensors.h"
#include "twinlens/version.h"

#define ANY_SCORES "(--any-scores takes them all the same)"

/* How pairs were drawn; absent when the dataset names them. */
static const char *const drawn_by[] = {"seed", "keep", "acc", "prompts", NULL};
enum { N_DRAWN_BY = sizeof drawn_by / sizeof *drawn_by - 1 };

/* ---- writing --------------------------------------------------------------------- */

/* The value that a setting has, as a file has it. */
static tl_status write_value(const tl_settings *settings, const char *name,
                             tl_arena *arena, const char **out, tl_error *err)
{
    *out = NULL;
    const tl_status status = tl_settings_get(settings, name, arena, out, err);
    if (status == TL_OK && *out == NULL)
        *out = "default";
    return status;
}

tl_status tl_score_origin_write(const tl_session *s, const tl_score_origin *o,
                                const char *const (**lines)[2], size_t *n_lines,
                                tl_error *err)
{
    enum { OWN = 8 };
    tl_fingerprint *made_from = tl_arena_alloc(s->arena, 1, sizeof *made_from);
    char *count = tl_arena_alloc(s->arena, TL_SETTING_NUMBER, 1);
    const tl_study_key *keys = NULL;
    size_t n_keys = 0, n = 0;
    if (made_from == NULL || count == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the metadata");
    snprintf(count, TL_SETTING_NUMBER, "%zu", o->n_pairs);
    tl_status status =
        tl_settings_write_scores(&s->settings, s->arena, &keys, &n_keys, err);
    if (status == TL_OK)
        status =
            tl_fingerprint_take(&s->settings, s->dataset, s->arena, made_from, err);
    const char *metric = NULL;
    if (status == TL_OK)
        status = write_value(&s->settings, "metric", s->arena, &metric, err);
    if (status != TL_OK)
        return status;
    const char *const own[OWN][2] = {
        {"twinlens", TL_VERSION},
        {TL_SCORES_MODEL, made_from->model},
        {TL_SCORES_DATASET, made_from->dataset},
        {"modality", tl_modality_name(o->modality)},
        {"split", o->split},
        {"pairs", count},
        {"signed", o->raw_sign ? "true" : "false"},
        {"metric", metric},
    };
    const char *(*all)[2] =
        tl_arena_alloc(s->arena, OWN + N_DRAWN_BY + n_keys, sizeof *all);
    if (all == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the metadata");
    for (; n < OWN; n++)
        memcpy(all[n], own[n], sizeof own[n]);
    for (size_t i = 0; i < n_keys; i++, n++) {
        all[n][0] = keys[i].key;
        all[n][1] = keys[i].value;
    }
    for (size_t i = 0; i < N_DRAWN_BY && o->is_drawn && status == TL_OK; i++, n++) {
        all[n][0] = drawn_by[i];
        status = write_value(&s->settings, drawn_by[i], s->arena, &all[n][1], err);
    }
    *lines = (const char *const(*)[2])all;
    *n_lines = n;
    return status;
}

/* ---- reading --------------------------------------------------------------------- */

static tl_status check_line(const tl_safetensors *file, const char *path,
                            const char *key, const char *name, const char *wanted,
                            tl_error *err)
{
    const char *found = tl_safetensors_metadata(file, key);
    if (found == NULL || strcmp(found, wanted) == 0)
        return TL_OK;
    return tl_fail(err, TL_ERR_DATA, "%s: scores with %s %s, wanted %s " ANY_SCORES,
                   path, name, found, wanted);
}

/* Of another model, dataset or modality; `name`: what the wanted one is called, or NULL. */
static tl_status check_source(const tl_safetensors *file, const char *path,
                              const char *key, const char *what, const char *wanted,
                              const char *name, tl_error *err)
{
    enum { NAME = 100 }; /* of a name that is shown */
    const char *found = tl_safetensors_metadata(file, key);
    if (found == NULL || strcmp(found, wanted) == 0)
        return TL_OK;
    return tl_fail(err, TL_ERR_DATA,
                   "%s: scores of another %s: %.12s, wanted %.*s%s%.12s%s " ANY_SCORES,
                   path, what, found, NAME, name != NULL ? name : "",
                   name != NULL ? " (" : "", wanted, name != NULL ? ")" : "");
}

/* Prompts that circuits were found on do not judge them. */
static tl_status check_part(const tl_safetensors *file, const char *path,
                            tl_part judged, tl_error *err)
{
    return judged == TL_EVALUATION
               ? check_line(file, path, "split", "split", "discovery", err)
               : TL_OK;
}

static tl_status check_settings(const tl_session *s, const tl_safetensors *file,
                                const char *path, const char *const *names,
                                tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t i = 0; names != NULL && names[i] != NULL && status == TL_OK; i++) {
        char key[64];
        const char *wanted = NULL;
        tl_setting_key(names[i], key, sizeof key);
        status = write_value(&s->settings, names[i], s->arena, &wanted, err);
        if (status == TL_OK)
            status = check_line(file, path, key, names[i], wanted, err);
    }
    return status;
}

tl_status tl_score_origin_check(const tl_session *s, const char *path,
                                tl_modality modality, tl_part judged,
                                const char *const *settings, tl_error *err)
{
    tl_fingerprint wanted;
    const char *model = NULL, *dataset = NULL;
    tl_safetensors *file = NULL;
    tl_status status =
        tl_fingerprint_take(&s->settings, s->dataset, s->arena, &wanted, err);
    if (status == TL_OK)
        status = tl_model_name(s->settings.model, s->arena, &model, err);
    if (status == TL_OK)
        status = tl_dataset_name(s->dataset, s->arena, &dataset, err);
    if (status == TL_OK)
        status = tl_safetensors_open(path, &file, err);
    if (status == TL_OK)
        status = check_source(file, path, TL_SCORES_MODEL, "model", wanted.model, model,
                              err);
    if (status == TL_OK)
        status = check_source(file, path, TL_SCORES_DATASET, "dataset", wanted.dataset,
                              dataset, err);
    if (status == TL_OK)
        status = check_source(file, path, "modality", "modality",
                              tl_modality_name(modality), NULL, err);
    if (status == TL_OK)
        status = check_line(file, path, "signed", "signed", "false", err);
    if (status == TL_OK)
        status = check_settings(s, file, path, settings, err);
    if (status == TL_OK && s->is_drawn[modality])
        status = check_settings(s, file, path, drawn_by, err);
    if (status == TL_OK)
        status = check_part(file, path, judged, err);
    tl_safetensors_close(file);
    return status;
}

static tl_status compare_line(const tl_safetensors *file, const char *path,
                              const tl_safetensors *other, const char *other_path,
                              const char *name, tl_error *err)
{
    char key[64];
    tl_setting_key(name, key, sizeof key);
    const char *a = tl_safetensors_metadata(file, key),
               *b = tl_safetensors_metadata(other, key);
    if (a == NULL || b == NULL || strcmp(a, b) == 0)
        return TL_OK;
    return tl_fail(err, TL_ERR_DATA,
                   "%s: scores with %s %s, wanted %s as in %s " ANY_SCORES, path, name,
                   a, b, other_path);
}

tl_status tl_score_origin_compare(const char *path, const char *other_path,
                                  tl_error *err)
{
    size_t n = 0;
    const tl_setting *table = tl_settings_table(&n);
    tl_safetensors *file = NULL, *other = NULL;
    tl_status status = tl_safetensors_open(path, &file, err);
    if (status == TL_OK)
        status = tl_safetensors_open(other_path, &other, err);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        if (table[i].in_scores)
            status = compare_line(file, path, other, other_path, table[i].name, err);
    if (status == TL_OK)
        status = compare_line(file, path, other, other_path, "metric", err);
    if (status == TL_OK)
        status = compare_line(file, path, other, other_path, "split", err);
    for (size_t i = 0; i < N_DRAWN_BY && status == TL_OK; i++)
        status = compare_line(file, path, other, other_path, drawn_by[i], err);
    tl_safetensors_close(other);
    tl_safetensors_close(file);
    return status;
}
