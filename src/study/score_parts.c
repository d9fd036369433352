/* SPDX-License-Identifier: MIT
 * score_parts.c - see score_parts.h. */
#include "study/score_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "circuit/attribution_sums.h"
#include "study/settings.h"

static size_t count_blocks(size_t n_pairs)
{
    return (n_pairs + TL_ATTRIBUTION_BLOCK - 1) / TL_ATTRIBUTION_BLOCK;
}

size_t tl_score_parts_count(size_t n_pairs)
{
    const size_t n_blocks = count_blocks(n_pairs);
    return n_blocks < 2                     ? 0
           : n_blocks < TL_MOST_SCORE_PARTS ? n_blocks
                                            : TL_MOST_SCORE_PARTS;
}

size_t tl_score_parts_end(size_t n_pairs, size_t part)
{
    const size_t n_parts = tl_score_parts_count(n_pairs),
                 end = (part + 1) * count_blocks(n_pairs) / n_parts *
                       TL_ATTRIBUTION_BLOCK;
    return end < n_pairs ? end : n_pairs;
}

static const char *path_of(const tl_study *study, tl_modality modality, size_t part)
{
    char name[32];
    snprintf(name, sizeof name, "part%zu", part);
    return tl_study_path(study, name, modality);
}

tl_status tl_score_parts_write(const tl_study *study, tl_modality modality, size_t part,
                               size_t n_pairs, const tl_attribution_state *state,
                               tl_error *err)
{
    enum { SUMS = 2 }; /* of heads and of neurons; magnitudes choose no circuit */
    const char *path = path_of(study, modality, part);
    const uint64_t n = n_pairs;
    tl_named_tensor tensors[SUMS + 1] = {
        {"pairs", {.dtype = TL_I64, .n_dims = 1, .dims = {1}, .data = &n}}};
    if (path == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    /* At the end of a block the total is all. */
    const size_t halves = n_pairs % TL_ATTRIBUTION_BLOCK == 0 ? 1 : 2;
    for (size_t i = 0; i < SUMS; i++)
        tensors[i + 1] = (tl_named_tensor){state->sums[i].name,
                                           {.dtype = TL_F64,
                                            .n_dims = 1,
                                            .dims = {state->sums[i].n / 2 * halves},
                                            .data = state->sums[i].values}};
    return tl_safetensors_write(path, tensors, SUMS + 1, NULL, 0, err);
}

tl_status tl_score_parts_open(const tl_study *study, tl_modality modality,
                              size_t n_pairs, tl_score_parts *out, tl_error *err)
{
    tl_score_parts parts = {.n = tl_score_parts_count(n_pairs), .n_pairs = n_pairs};
    tl_status status = TL_OK;
    for (size_t p = 0; p < parts.n && status == TL_OK; p++) {
        const char *path = path_of(study, modality, p);
        if (path == NULL)
            status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
        else if (!tl_file_exists(path))
            break;
        else
            status = tl_safetensors_open(path, &parts.files[p], err);
    }
    *out = parts;
    if (status != TL_OK || (parts.n > 0 && parts.files[parts.n - 1] == NULL)) {
        tl_score_parts_close(out);
        out->n = 0;
    }
    return status;
}

void tl_score_parts_close(tl_score_parts *parts)
{
    for (size_t p = 0; p < TL_MOST_SCORE_PARTS; p++)
        tl_safetensors_close(parts->files[p]);
    memset(parts->files, 0, sizeof parts->files);
}

/* The sums up to the end of a part; *second is NULL when the first are all. */
static tl_status find_sums(const tl_score_parts *parts, size_t part, const char *name,
                           size_t n, const double **first, const double **second,
                           tl_error *err)
{
    const tl_safetensors *file = parts->files[part];
    const tl_tensor *t = tl_safetensors_find(file, name),
                    *pairs = tl_safetensors_find(file, "pairs");
    uint64_t there = 0;
    if (pairs != NULL && pairs->dtype == TL_I64 && tl_tensor_count(pairs) == 1)
        memcpy(&there, pairs->data, sizeof there);
    const size_t end = tl_score_parts_end(parts->n_pairs, part),
                 halves = end % TL_ATTRIBUTION_BLOCK == 0 ? 1 : 2;
    if (t == NULL || t->dtype != TL_F64 || t->n_dims != 1 || t->dims[0] != halves * n ||
        there != end)
        return tl_fail(err, TL_ERR_DATA,
                       "part %zu of the sums: not those of this attribution; remove "
                       "the files part*.safetensors to do without",
                       part);
    *first = t->data;
    *second = halves == 2 ? *first + n : NULL;
    return TL_OK;
}

/* All sums, and those up to the beginning of the part, less those up to its end. */
static tl_status find_terms(const tl_score_parts *parts, size_t part, const char *name,
                            size_t n, tl_sum_terms *out, tl_error *err)
{
    const double *none = NULL;
    tl_sum_terms terms = {{NULL, NULL, NULL}, NULL};
    tl_status status = TL_OK;
    if (part + 1 < parts->n) {
        status = find_sums(parts, parts->n - 1, name, n, &terms.plus[0], &terms.plus[1],
                           err);
        if (status == TL_OK)
            status = find_sums(parts, part, name, n, &terms.minus, &none, err);
    }
    if (part > 0 && status == TL_OK)
        status = find_sums(parts, part - 1, name, n, &terms.plus[2], &none, err);
    *out = terms;
    return status;
}

tl_status tl_score_parts_without(const tl_study *study, const tl_score_parts *parts,
                                 size_t part, size_t n_pos, tl_arena *arena,
                                 tl_scores *out, tl_error *err)
{
    const tl_dims *d = tl_model_dims(study->session.model);
    const tl_attribution_options o = tl_settings_attribution(&study->settings, 0);
    const size_t places = d->n_layers * n_pos,
                 begin = part > 0 ? tl_score_parts_end(parts->n_pairs, part - 1) : 0,
                 end = tl_score_parts_end(parts->n_pairs, part);
    tl_attribution_sums sums = {.n_pairs = parts->n_pairs - (end - begin)};
    tl_status status = find_terms(
        parts, part, "heads", places * d->n_heads * tl_attribution_sums_per_head(&o, d),
        &sums.heads, err);
    if (status == TL_OK)
        status =
            find_terms(parts, part, "neurons", places * d->d_mlp, &sums.neurons, err);
    return status == TL_OK ? tl_attribution_reduce(&o, d, n_pos, &sums, arena, out, err)
                           : status;
}

tl_status tl_score_parts_remove(const tl_study *study, tl_modality modality,
                                tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t p = 0; p < TL_MOST_SCORE_PARTS && status == TL_OK; p++) {
        const char *path = path_of(study, modality, p);
        status = path != NULL
                     ? tl_file_remove(path, err)
                     : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    }
    return status;
}
