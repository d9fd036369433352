/* SPDX-License-Identifier: MIT
 *
 * stage_precision.c - what a precision other than f32 does to the study's scores and
 * circuits, on a few of its prompts. See stage.h.
 */
#include "study/stage.h"

#include "circuit/circuit_work.h"
#include "twinlens/validate.h"

enum { PAIRS = 4 };

/* The size when no circuit of the grid is faithful enough. */
static const char fraction_of_none[] = "0.1";

static bool is_f32(const tl_settings *settings)
{
    return settings->precision == TL_PRECISION_F32;
}

/* Beside the memory of the comparison. */
static size_t held(const tl_study *study, tl_modality modality)
{
    return tl_study_input_bytes(study, modality, study->spans[modality].n_pos,
                                2 * PAIRS);
}

static tl_precision_options options_of(const tl_study *study, tl_modality modality)
{
    return (tl_precision_options){
        .attribution = tl_study_attribution(study, 0),
        .rounding = (tl_fraction_rounding)study->settings.rounding,
        .memory_budget = tl_study_budget(study, held(study, modality))};
}

static tl_status begin(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    (void)rows;
    const tl_study_precision like = {.modality = run->modality};
    tl_part_pairs *pairs = run->state =
        tl_arena_alloc_zero(run->arena, 1, sizeof *pairs);
    tl_rows known = {0};
    if (pairs == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to compare precisions");
    if (is_f32(&run->study->settings))
        return TL_OK;
    run->n_units = 1;
    tl_status status = tl_study_db_get(run->study->db, TL_ROW_PRECISION, &like, 1,
                                       run->arena, &known, err);
    run->n_done = known.n;
    if (status == TL_OK)
        status = tl_study_find_pairs(run->study, run->modality, TL_STUDY_DISCOVERY,
                                     run->arena, pairs, err);
    return status;
}

/* That of the smallest faithful circuit, as written. */
static tl_status find_fraction(const tl_stage_run *run, const char **out, tl_error *err)
{
    tl_study_minimal minimal = {.modality = run->modality};
    bool known = false;
    const tl_status status = tl_study_db_find(run->study->db, TL_ROW_MINIMAL, &minimal,
                                              run->arena, &known, err);
    if (status == TL_OK)
        *out = known && minimal.found ? run->study->sizes.texts[minimal.point]
                                      : fraction_of_none;
    return status;
}

static tl_status compare(tl_stage_run *run, size_t first, size_t n, tl_stage_rows *rows,
                         tl_error *err)
{
    (void)first, (void)n;
    tl_study *study = run->study;
    const tl_part_pairs *pairs = run->state;
    const size_t n_pairs = pairs->n < PAIRS ? pairs->n : PAIRS;
    tl_precision_options how = options_of(study, run->modality);
    tl_precision_check c;
    tl_pair *made = NULL;
    const char *fraction = NULL;
    tl_study_precision *row = tl_arena_alloc(run->arena, 1, sizeof *row);
    if (row == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to compare precisions");
    tl_status status = find_fraction(run, &fraction, err);
    if (status == TL_OK)
        status = tl_fraction_parse(fraction, &how.fraction, err);
    if (status == TL_OK)
        status =
            tl_study_make_pairs(study, pairs->pairs, n_pairs, run->arena, &made, err);
    if (status == TL_OK)
        status =
            tl_precision_compare(study->session.model, made, n_pairs, &how, &c, err);
    if (status != TL_OK)
        return status;
    *row = (tl_study_precision){.modality = run->modality,
                                .n_pairs = c.n_pairs,
                                .fraction = fraction,
                                .spearman_heads = c.spearman[TL_KIND_HEADS],
                                .spearman_neurons = c.spearman[TL_KIND_NEURONS],
                                .jaccard_heads = c.jaccard[TL_KIND_HEADS],
                                .jaccard_neurons = c.jaccard[TL_KIND_NEURONS],
                                .faithfulness_f32 = c.faithfulness[0],
                                .faithfulness = c.faithfulness[1],
                                .logit_diff = c.logit_diff};
    tl_stage_put(rows, TL_ROW_PRECISION, row, 1);
    return TL_OK;
}

static tl_status bytes(const tl_study *study, tl_modality modality, size_t *out,
                       tl_error *err)
{
    const tl_precision_options options = options_of(study, modality);
    *out = 0;
    if (is_f32(&study->settings))
        return TL_OK;
    const tl_status status = tl_precision_bytes(
        study->session.model, study->spans[modality].n_pos, &options, out, err);
    *out += held(study, modality);
    return status;
}

/* Twice an attribution of each pair and an evaluation of one circuit. */
static tl_status guess(const tl_stage_sizes *sizes, tl_stage_guess *out, tl_error *err)
{
    const tl_modality m = sizes->modality;
    const tl_span *span = &sizes->shape->spans[m];
    const size_t n_prefix = sizes->shape->n_prefix[m],
                 n = sizes->n_discovery < PAIRS ? sizes->n_discovery : PAIRS;
    const tl_attribution_options options = tl_settings_attribution(sizes->settings, 0);
    const tl_circuit_share share = {.data = sizes->shape->circuit,
                                    .rest = sizes->shape->circuit};
    double attribution = 0.0, runs = 0.0, circuit = 0.0;
    if (is_f32(sizes->settings))
        return TL_OK;
    tl_status status = tl_attribution_flops(sizes->model, span->n_pos, n_prefix,
                                            &options, &attribution, err);
    if (status == TL_OK)
        status = tl_pair_flops(sizes->model, span->n_pos, n_prefix, false, &runs, err);
    if (status == TL_OK)
        status =
            tl_circuit_flops(sizes->model, span, n_prefix, 0, &share, &circuit, err);
    out->n_units = 1;
    out->flops = 2.0 * (double)n * (attribution + runs + circuit);
    return status;
}

const tl_stage tl_stage_precision = {.name = "precision",
                                     .of = TL_STAGE_EACH,
                                     .of_circuits = true,
                                     .guess = guess,
                                     .bytes = bytes,
                                     .begin = begin,
                                     .run = compare};
