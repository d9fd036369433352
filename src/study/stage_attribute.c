/* SPDX-License-Identifier: MIT
 *
 * stage_attribute.c - from pairs to scores. See stage.h.
 *
 * The sums of an attribution under way are kept in partial.MODALITY.safetensors: a
 * resumed study reads them back and adds the pairs that are missing, in the same
 * order, so the result is the same to the last bit. The scores then get a file of
 * their own, the store the hash of that file, and the partial sums go; whichever of
 * these steps a killed study had reached, doing them again changes nothing.
 */
#include "study/stage.h"

#include "circuit/circuit_work.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/sha256.h"
#include "store/score_file.h"
#include "study/score_origin.h"
#include "study/score_parts.h"
#include "twinlens/safetensors.h"

enum { MOST_PAIRS = TL_ATTRIBUTION_BLOCK }; /* of one unit of work */

/* Writing the sums may take this share of the time. */
static const double checkpoint_share = 0.05;

typedef struct attribute_stage {
    tl_attribution *sums;
    tl_part_pairs pairs;
    const char *partial;  /* the file of the sums */
    double written, cost; /* when they were written, and the seconds that it took */
    size_t n_parts; /* at whose ends the sums are kept for the overlap; 0: for none */
} attribute_stage;

/* ---- the sums under way ------------------------------------------------------ */

/* With the products that they took. */
static tl_status write_sums(const char *path, const tl_attribution_state *state,
                            int64_t work, tl_error *err)
{
    enum { COUNTS = 2 };
    const uint64_t n_pairs = state->n_pairs;
    tl_named_tensor tensors[TL_ATTRIBUTION_SUMS + COUNTS] = {
        {"pairs", {.dtype = TL_I64, .n_dims = 1, .dims = {1}, .data = &n_pairs}},
        {"product_flops", {.dtype = TL_I64, .n_dims = 1, .dims = {1}, .data = &work}}};
    for (size_t i = 0; i < state->n_sums; i++)
        tensors[COUNTS + i] = (tl_named_tensor){state->sums[i].name,
                                                {.dtype = TL_F64,
                                                 .n_dims = 1,
                                                 .dims = {state->sums[i].n},
                                                 .data = state->sums[i].values}};
    return tl_safetensors_write(path, tensors, COUNTS + state->n_sums, NULL, 0, err);
}

static bool is_vector(const tl_tensor *tensor, tl_dtype dtype, size_t count)
{
    return tensor != NULL && tensor->dtype == dtype && tensor->n_dims == 1 &&
           tensor->dims[0] == count;
}

/* Puts back what write_sums wrote, if it is there. */
static tl_status read_sums(const char *path, tl_attribution *attribution,
                           size_t n_pairs, int64_t *work, tl_error *err)
{
    if (!tl_file_exists(path))
        return TL_OK;
    tl_safetensors *file = NULL;
    tl_status status = tl_safetensors_open(path, &file, err);
    if (status != TL_OK)
        return status;
    const tl_attribution_state state = tl_attribution_get_state(attribution);
    const tl_tensor *sums[TL_ATTRIBUTION_SUMS];
    const tl_tensor *pairs = tl_safetensors_find(file, "pairs"),
                    *flops = tl_safetensors_find(file, "product_flops");
    uint64_t done = 0;
    bool whole = is_vector(pairs, TL_I64, 1);
    for (size_t i = 0; i < state.n_sums; i++) {
        sums[i] = tl_safetensors_find(file, state.sums[i].name);
        whole = whole && is_vector(sums[i], TL_F64, state.sums[i].n);
    }
    if (!whole) {
        status = tl_fail(err, TL_ERR_DATA,
                         "%s: not the sums of this attribution; remove the file to "
                         "attribute again",
                         path);
        goto done;
    }
    memcpy(&done, pairs->data, sizeof done);
    if (done > n_pairs) {
        status = tl_fail(err, TL_ERR_DATA,
                         "%s: holds the sums of %llu pairs, the study has %zu; remove "
                         "the file to attribute again",
                         path, (unsigned long long)done, n_pairs);
        goto done;
    }
    for (size_t i = 0; i < state.n_sums; i++)
        memcpy(state.sums[i].values, sums[i]->data, state.sums[i].n * sizeof(double));
    tl_attribution_set_count(attribution, (size_t)done);
    if (is_vector(flops, TL_I64, 1)) /* version 0.2.0 did not count them */
        memcpy(work, flops->data, sizeof *work);
done:
    tl_safetensors_close(file);
    return status;
}

/* ---- attribute --------------------------------------------------------------- */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* What the stage holds beside the attribution: the inputs of pairs, in the end scores and
 * magnitudes if they are in memory. */
static size_t held(const tl_study *study, tl_modality modality)
{
    const size_t n_pos = study->spans[modality].n_pos;
    const size_t inputs = tl_study_input_bytes(study, modality, n_pos, 2 * MOST_PAIRS),
                 scores = tl_study_array_bytes(study, n_pos, 2 * sizeof(float));
    return inputs > scores ? inputs : scores;
}

static tl_attribution_options how(const tl_study *study, tl_modality modality)
{
    const size_t budget = tl_study_budget(study, held(study, modality));
    tl_attribution_options options = tl_study_attribution(study, budget);
    options.magnitudes = true;
    return options;
}

static tl_status bytes(const tl_study *study, tl_modality modality, size_t *out,
                       tl_error *err)
{
    const tl_attribution_options options = how(study, modality);
    const tl_status status = tl_attribution_bytes(
        study->session.model, study->spans[modality].n_pos, &options, out, err);
    *out += held(study, modality);
    return status;
}

static tl_status begin(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    (void)rows;
    tl_study *study = run->study;
    attribute_stage *a = run->state = tl_arena_alloc_zero(run->arena, 1, sizeof *a);
    if (a == NULL ||
        (a->partial = tl_study_path(study, "partial", run->modality)) == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to attribute");
    tl_status status = tl_study_find_pairs(study, run->modality, TL_STUDY_DISCOVERY,
                                           run->arena, &a->pairs, err);
    if (status != TL_OK)
        return status;
    const size_t n_pos = a->pairs.span.n_pos;
    const tl_attribution_options options = how(study, run->modality);
    status =
        tl_attribution_create(study->session.model, n_pos, &options, &a->sums, err);
    if (status == TL_OK && study->team->rank == 0)
        status =
            read_sums(a->partial, a->sums, a->pairs.n, &study->work.product_flops, err);
    if (status != TL_OK)
        return status;
    run->n_units = a->pairs.n;
    run->n_done = tl_attribution_get_state(a->sums).n_pairs;
    const size_t group = tl_attribution_group(a->sums);
    run->n_together = group < MOST_PAIRS ? group : MOST_PAIRS;
    if (tl_team_size(study->team) > 1)
        run->n_together = run->n_block = TL_ATTRIBUTION_BLOCK;
    a->written = seconds_now();
    tl_study_shape shape;
    tl_study_shape_of(study, &shape);
    if (tl_stage_is_of(&tl_stage_overlap, &shape, TL_IMAGE))
        a->n_parts = tl_score_parts_count(a->pairs.n);
    return TL_OK;
}

/* Adds pairs to the sums; other ranks than 0 have those of these pairs alone. */
static tl_status add_pairs(tl_stage_run *run, size_t first, size_t n,
                           tl_stage_rows *rows, tl_error *err)
{
    (void)rows;
    attribute_stage *a = run->state;
    tl_pair *made = NULL;
    const tl_status status = tl_study_make_pairs(run->study, a->pairs.pairs + first, n,
                                                 run->arena, &made, err);
    if (status != TL_OK)
        return status;
    if (run->study->team->rank != 0)
        tl_attribution_clear(a->sums);
    return tl_attribution_add(a->sums, made, n, err);
}

/* The sums of n pairs, which begin a block, from another rank to rank 0. */
static tl_status carry_block(tl_stage_run *run, size_t from, size_t n, tl_error *err)
{
    const tl_team *team = run->study->team;
    attribute_stage *a = run->state;
    const tl_attribution_state state = tl_attribution_get_state(a->sums);
    const bool is_whole = n == TL_ATTRIBUTION_BLOCK;
    tl_status status = TL_OK;
    for (size_t i = 0; i < state.n_sums && status == TL_OK; i++) {
        const size_t half = state.sums[i].n / 2, bytes = half * sizeof(double);
        double *total = state.sums[i].values, *block = total + half;
        if (team->rank == from)
            status = team->send(team->user, 0, is_whole ? total : block, bytes, err);
        else if (team->rank == 0)
            status = team->receive(team->user, from, block, bytes, err);
    }
    if (status == TL_OK && team->rank == 0)
        tl_attribution_count_block(a->sums, n);
    return status;
}

/* Keeps the sums for the overlap if pairs [first, end) ended a part: in whole blocks, where the
 * total has no more than them, or as the last of all. */
static tl_status keep_parts(tl_stage_run *run, size_t first, size_t end, tl_error *err)
{
    attribute_stage *a = run->state;
    const tl_attribution_state state = tl_attribution_get_state(a->sums);
    const size_t whole = end - end % TL_ATTRIBUTION_BLOCK;
    tl_status status = TL_OK;
    for (size_t p = 0; p < a->n_parts && status == TL_OK; p++) {
        const size_t last = tl_score_parts_end(run->n_units, p);
        if (last > first && (last == whole || (last == end && last == run->n_units)))
            status =
                tl_score_parts_write(run->study, run->modality, p, last, &state, err);
    }
    return status;
}

/* Saves the sums now and then. */
static tl_status take_pairs(tl_stage_run *run, size_t from, size_t first, size_t n,
                            const tl_rows *rows, size_t n_rows, tl_error *err)
{
    attribute_stage *a = run->state;
    tl_status status = from != 0 ? carry_block(run, from, n, err) : TL_OK;
    if (status != TL_OK || run->study->team->rank != 0)
        return status;
    if ((status = keep_parts(run, first, first + n, err)) != TL_OK)
        return status;
    const double now = seconds_now();
    if ((now - a->written) * checkpoint_share < a->cost && first + n < run->n_units)
        return TL_OK;
    const tl_attribution_state state = tl_attribution_get_state(a->sums);
    status =
        write_sums(a->partial, &state, tl_stage_work(run->study, rows, n_rows), err);
    a->written = seconds_now();
    a->cost = a->written - now;
    return status;
}

static tl_status write_scores(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    const tl_study *study = run->study;
    const attribute_stage *a = run->state;
    const tl_span *span = &a->pairs.span;
    const char *path = tl_study_path(study, "scores", run->modality);
    char *hex = tl_arena_alloc(run->arena, TL_SHA256_HEX, 1);
    tl_study_scores *row = tl_arena_alloc(run->arena, 1, sizeof *row);
    if (study->team->rank != 0)
        return TL_OK;
    if (path == NULL || hex == NULL || row == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for scores");
    const tl_score_origin origin = {
        .modality = run->modality,
        .split = "discovery",
        .n_pairs = a->pairs.n,
        .is_drawn = true,
    };
    const char *const(*lines)[2] = NULL;
    size_t n_lines = 0;
    tl_status status =
        tl_score_origin_write(&study->session, &origin, &lines, &n_lines, err);
    tl_scores s, magnitudes;
    if (status == TL_OK)
        status = tl_attribution_scores(a->sums, run->arrays, &s, err);
    if (status == TL_OK)
        status = tl_attribution_magnitudes(a->sums, run->arrays, &magnitudes, err);
    if (status == TL_OK)
        status = tl_score_file_write(path, &s, &magnitudes, lines, n_lines, err);
    if (status == TL_OK)
        status = tl_sha256_of_file(path, hex, err);
    if (status != TL_OK)
        return status;
    *row = (tl_study_scores){.modality = run->modality,
                             .file = strrchr(path, '/') + 1,
                             .sha256 = hex,
                             .n_pairs = a->pairs.n,
                             .n_layers = s.n_layers,
                             .n_pos = s.n_pos,
                             .n_heads = s.n_heads,
                             .d_mlp = s.d_mlp,
                             .data_begin = span->data_begin,
                             .data_end = span->data_end};
    tl_stage_put(rows, TL_ROW_SCORES, row, 1);
    return TL_OK;
}

static void release(tl_stage_run *run)
{
    attribute_stage *a = run->state;
    tl_attribution_destroy(a->sums);
}

static tl_status remove_sums(tl_study *study, tl_modality modality, tl_error *err)
{
    const char *path = tl_study_path(study, "partial", modality);
    if (study->team->rank != 0)
        return TL_OK;
    if (path == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    return tl_file_remove(path, err);
}

static tl_status guess(const tl_stage_sizes *sizes, tl_stage_guess *out, tl_error *err)
{
    const tl_modality m = sizes->modality;
    const tl_attribution_options options = tl_settings_attribution(sizes->settings, 0);
    out->n_units = sizes->n_discovery;
    return tl_attribution_flops(sizes->model, sizes->shape->spans[m].n_pos,
                                sizes->shape->n_prefix[m], &options, &out->flops, err);
}

const tl_stage tl_stage_attribute = {.name = "attribute",
                                     .of = TL_STAGE_EACH,
                                     .of_circuits = true,
                                     .guess = guess,
                                     .bytes = bytes,
                                     .begin = begin,
                                     .run = add_pairs,
                                     .take = take_pairs,
                                     .end = write_scores,
                                     .release = release,
                                     .after = remove_sums};
