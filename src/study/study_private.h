/* SPDX-License-Identifier: MIT
 *
 * study_private.h - what the stages of a study share. A stage looks in the store for
 * what it has done already, and does the rest.
 */
#ifndef TWINLENS_STUDY_STUDY_PRIVATE_H
#define TWINLENS_STUDY_STUDY_PRIVATE_H

#include "store/study_db.h"
#include "study/plan.h"
#include "study/progress.h"
#include "study/session.h"
#include "twinlens/overlap.h"

enum {
    TL_STAGE_PREDICT,
    TL_STAGE_ATTRIBUTE,
    TL_STAGE_EVALUATE,
    TL_STAGE_PICTURES, /* of the image modality */
    TL_STAGE_VALIDATE,
    TL_STAGE_INTERCHANGE,
    TL_STAGE_ALIGN, /* of the image modality, for both */
    TL_STAGE_BACKPATCH,
    TL_STAGE_COUNT
};

typedef struct tl_study {
    tl_settings settings;
    tl_progress *progress;
    size_t stages[TL_MODALITY_COUNT][TL_STAGE_COUNT]; /* of the progress line */
    tl_session session; /* model, processor, dataset, and the study's arena */
    tl_study_db *db;
    bool modalities[TL_MODALITY_COUNT];
    tl_sizes sizes;      /* of the circuits on a curve */
    size_t memory;       /* bytes for buffers and passes; 0: no limit */
    size_t image_tokens; /* of a prompt; 0: it has no image */
    size_t scratch;      /* bytes that the backend needs beside that */
} tl_study;

/* ---- study_check.c ----------------------------------------------------------- */

/* TL_ERR_FORMAT when the store holds rows that are not of this dataset and model. */
tl_status tl_study_check(const tl_study *study, tl_error *err);

/* ---- study_predict.c --------------------------------------------------------- */

/*
 * Encodes a row that the study may compare with others; `first` has the length that
 * all must have (n_pos 0: none seen yet, and then this row's is put there).
 */
tl_status tl_study_encode(const tl_study *study, size_t row, tl_encoding *first,
                          size_t *first_row, tl_arena *arena, tl_encoding *out,
                          tl_error *err);

tl_status tl_study_predict(tl_study *study, tl_modality modality, tl_error *err);

/* Chooses pairs among the rows that are right; tells the later stages' progress. */
tl_status tl_study_split(tl_study *study, tl_modality modality, tl_error *err);

/* ---- study_circuit.c --------------------------------------------------------- */

tl_status tl_study_attribute(tl_study *study, tl_modality modality, tl_error *err);
tl_status tl_study_evaluate(tl_study *study, tl_modality modality, tl_error *err);

/* Inputs of pairs, in `arena`. */
tl_status tl_study_make_pairs(tl_study *study, const tl_study_pair *pairs, size_t n,
                              tl_arena *arena, tl_pair **out, tl_error *err);

/* What runs circuits on the pairs of a stage, in what is left beside `kept` bytes of
 * buffers; made at the first pair, whose length says how many those are. */
tl_status tl_study_make_evaluator(const tl_study *study, size_t kept,
                                  tl_evaluator **evaluator, tl_error *err);

/* Ranks the scores of the file, which must be the one that the study wrote. */
tl_status tl_study_rank(const tl_study *study, tl_modality modality, bool by_magnitude,
                        tl_arena *arena, tl_ranking *out, tl_error *err);

/* ---- study_look.c ------------------------------------------------------------ */

tl_status tl_study_tokens(tl_study *study, tl_modality modality, tl_error *err);
/* Of image prompts; the modality must be studied. */
tl_status tl_study_pictures(tl_study *study, tl_error *err);

/* ---- study_validate.c -------------------------------------------------------- */

tl_status tl_study_validate(tl_study *study, tl_modality modality, tl_error *err);

/* ---- study_compare.c --------------------------------------------------------- */

/* Both want the minimal circuits of both modalities; without them they do nothing. */
tl_status tl_study_compare_overlap(tl_study *study, tl_error *err);
tl_status tl_study_interchange(tl_study *study, tl_modality host, tl_error *err);

/* Whether there is anything to compare, now that the circuits are there. */
tl_status tl_study_can_compare(const tl_study *study, bool *out, tl_error *err);

/* ---- study_probe.c ----------------------------------------------------------- */

/* Of all pairs of prompts of the same content, right or wrong. */
tl_status tl_study_align(tl_study *study, tl_error *err);

/* Of the same pairs: every cell of the grid, with the text prompts as control; then the
 * best cell again and again. */
tl_status tl_study_backpatch(tl_study *study, tl_error *err);

/* ---- study_plan.c ------------------------------------------------------------ */

/* What the stages do for one modality of so many rows: units of work, and the forward
 * passes that a unit of each takes, more or less. */
typedef struct tl_study_cost {
    size_t units[TL_STAGE_COUNT];
    double forwards[TL_STAGE_COUNT];
} tl_study_cost;
void tl_study_costs(const tl_settings *settings, size_t n_sizes, size_t n_layers,
                    size_t rows, bool both, tl_study_cost *out);

/* Bytes for converted weights when there are `all`; 0: nobody knows how many. */
size_t tl_study_cache_bytes(const tl_settings *settings, size_t all);

/* Bytes that stay allocated during attribution and evaluation beside the passes. */
size_t tl_study_attribution_bytes(const tl_study *study, size_t n_pos);
size_t tl_study_evaluation_bytes(const tl_study *study, size_t n_pos);
size_t tl_study_interchange_bytes(const tl_study *study, size_t n_pos);

/* What passes may use beside so many bytes that stay allocated; 0: no limit. Where the plan
 * leaves nothing it is 1, which every pass refuses. */
size_t tl_study_pass_budget(const tl_study *study, size_t kept);

/* How many pairs, of `most`, may be attributed together: their buffers get half of
 * the memory, the passes the rest. */
size_t tl_study_group(const tl_study *study, size_t n_pos, size_t most);

/* The most that a stage needs at the least for prompts of that length. */
tl_status tl_study_least_bytes(const tl_study *study, size_t n_pos, size_t *out,
                               tl_error *err);

/* TL_ERR_NO_MEMORY, saying what would do, if the memory is too little for prompts of
 * that length. */
tl_status tl_study_plan(const tl_study *study, tl_modality modality, size_t n_pos,
                        tl_error *err);

#endif
