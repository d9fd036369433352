/* SPDX-License-Identifier: MIT
 *
 * study_private.h - what the stages of a study share (stage.h).
 */
#ifndef TWINLENS_STUDY_STUDY_PRIVATE_H
#define TWINLENS_STUDY_STUDY_PRIVATE_H

#include "store/study_db.h"
#include "study/both_circuits.h"
#include "study/progress.h"
#include "study/session.h"
#include "study/team.h"
#include "twinlens/circuit.h"

enum { TL_STUDY_STAGES = 16 }; /* at most */

typedef struct tl_study {
    tl_settings settings;
    const tl_team *team; /* of this process alone, or of several */
    tl_progress *progress;
    size_t progress_of[TL_STUDY_STAGES]
                      [TL_MODALITY_COUNT]; /* stages of the progress line */
    tl_session session; /* model, processor, dataset, and the study's arena */
    tl_study_db *db;
    bool modalities[TL_MODALITY_COUNT];
    size_t n_rows[TL_MODALITY_COUNT]; /* of the dataset */
    size_t n_circuit_rows[TL_MODALITY_COUNT]; /* those whose split is not 'none' */
    /* Why these have no circuits, and are counted as 0: they are not alike. NULL: they are. */
    const char *lengths_differ[TL_MODALITY_COUNT];
    bool too_few[TL_MODALITY_COUNT]; /* of these to split them: no circuits */
    tl_span
        spans[TL_MODALITY_COUNT]; /* of the longest prompts, with the widest data */
    tl_sizes sizes;               /* of the circuits on a curve */
    size_t memory;                /* bytes for buffers and passes; 0: no limit */
    const char *arrays_in; /* the folder of arrays of all components, in files without a
                            * name; NULL: they are in memory */
    size_t image_tokens;          /* of a prompt; 0: it has no image */
    size_t pixel_bytes;           /* of its image */
    size_t scratch;               /* bytes that the backend needs beside that */
    size_t cache;                 /* bytes for converted weights */
    size_t limit;                 /* bytes for all of it; 0: nobody knows */
    size_t opened;                /* bytes that there were when the inputs were open */

    /* Of the stage under way: what the rows that were put took, what those to be put took,
     * and where the model's count of products was then. */
    tl_study_work work, more_work;
    uint64_t counted;

    /* The smallest faithful circuits, as soon as they are known; then their map. */
    tl_arena *sets;
    tl_both_circuits circuits;
    bool has_circuit[TL_MODALITY_COUNT], has_map;
} tl_study;

/* ---- study_check.c ----------------------------------------------------------- */

/* TL_ERR_FORMAT when the store holds rows that are not of this dataset and model. */
tl_status tl_study_check(const tl_study *study, tl_error *err);

/* ---- stage_predict.c --------------------------------------------------------- */

/* Whether it is a row of the modality that is predicted: one that circuits may be of, or
 * any where there are none such. */
bool tl_study_predicts(const tl_study *study, size_t row, tl_modality modality);

/* ---- study_pairs.c ----------------------------------------------------------- */

/* The pairs of one part, and what all their prompts have in common. */
typedef struct tl_part_pairs {
    const tl_study_pair *pairs;
    size_t n; /* at least one */
    tl_span span;
} tl_part_pairs;
tl_status tl_study_find_pairs(const tl_study *study, tl_modality modality,
                              tl_study_part part, tl_arena *arena, tl_part_pairs *out,
                              tl_error *err);

/* Inputs of pairs, in `arena`. */
tl_status tl_study_make_pairs(tl_study *study, const tl_study_pair *pairs, size_t n,
                              tl_arena *arena, tl_pair **out, tl_error *err);

/* "RUN/scores.text.safetensors"; NULL: no memory. */
const char *tl_study_path(const tl_study *study, const char *what,
                          tl_modality modality);

/* Ranks the scores of the file, which must be the one that the study wrote. */
tl_status tl_study_rank(const tl_study *study, tl_modality modality, bool by_magnitude,
                        tl_arena *arena, tl_ranking *out, tl_error *err);

/* Remembers the smallest faithful circuit of a modality. */
tl_status tl_study_keep_circuit(tl_study *study, tl_modality modality,
                                const tl_circuit *circuit, tl_error *err);

/* That of a modality; NULL when no size was faithful enough. */
tl_status tl_study_circuit(tl_study *study, tl_modality modality,
                           const tl_component_set **out, tl_error *err);

/* Those of both modalities; NULL when one has none. */
tl_status tl_study_both_circuits(tl_study *study, const tl_both_circuits **out,
                                 tl_error *err);

/* ---- plan.c ------------------------------------------------------------------ */

/* Bytes of n_prompts encoded prompts of n_pos positions, with pixels, as what enters the
 * decoder. */
size_t tl_study_input_bytes(const tl_study *study, tl_modality modality, size_t n_pos,
                            size_t n_prompts);

/* Heads and neurons at n_pos positions. */
size_t tl_study_components(const tl_study *study, size_t n_pos);

/* Bytes of memory for `each` of every one of them: none when arrays are on the disk. */
size_t tl_study_array_bytes(const tl_study *study, size_t n_pos, size_t each);

/* How the study attributes, its sums where its arrays are. */
tl_attribution_options tl_study_attribution(const tl_study *study, size_t budget);

/* How many pairs an evaluation takes at a time: more share more work, and a small part of the
 * memory is for their inputs. */
size_t tl_study_evaluated_together(const tl_study *study, tl_modality modality);

/* What is left of the memory beside bytes that a stage holds itself, for an experiment;
 * 0: no limit. When nothing is left it is 1, with which every experiment refuses. */
size_t tl_study_budget(const tl_study *study, size_t held);

/* The most that a stage needs at the least for prompts like the longest. */
tl_status tl_study_least_bytes(const tl_study *study, size_t *out, tl_error *err);

/* Puts arrays on the disk if the memory is too little for them. TL_ERR_NO_MEMORY, saying what
 * would do, if it is too little for the rest as well. */
tl_status tl_study_plan(tl_study *study, tl_error *err);

#endif
