/* SPDX-License-Identifier: MIT
 *
 * stage.h - a stage of a study is a row of a table: units of work that are done in order,
 * and what a unit does. One loop runs all stages: it looks up which are over, makes what
 * the units of a stage share, runs those that an earlier run has not done, puts their rows
 * into the store and says how far it is.
 *
 * In a team every rank runs this loop, over a store with the same rows. What comes next is
 * handed out, a call of `run` for each rank; then the rows of rank 0 are put at all ranks,
 * those of rank 1, and so on: the order is that of one process alone.
 *
 *     const tl_stage tl_stage_evaluate = {
 *         .name = "evaluate",
 *         .of = TL_STAGE_EACH,
 *         .guess = guess,
 *         .begin = begin,
 *         .run = evaluate_pairs,
 *         .end = summarise,
 *         .release = release,
 *     };
 */
#ifndef TWINLENS_STUDY_STAGE_H
#define TWINLENS_STUDY_STAGE_H

#include "study/row_pairs.h"
#include "study/shape.h"
#include "study/study_private.h"

/* Rows of one transaction. */
typedef struct tl_stage_rows {
    tl_rows kinds[6];
    size_t n;
} tl_stage_rows;

/* A stage under way. */
typedef struct tl_stage_run {
    tl_study *study;
    tl_modality modality; /* TL_IMAGE in a stage of both */
    tl_arena *arena; /* of the stage; what a unit puts there is taken back after it */
    tl_arena
        *arrays; /* the same for arrays of all components: `arena`, or on the disk */
    size_t n_units;
    size_t n_done;     /* by an earlier run: the first units */
    size_t n_together; /* units that one call may do; 0: one */
    size_t n_block; /* no call does units of two blocks of so many; 0: there are none */
    void *state;    /* what the units share, in `arena` */
} tl_stage_run;

typedef enum tl_stage_of {
    TL_STAGE_EACH,         /* each modality that is studied, by itself */
    TL_STAGE_IMAGE,        /* image prompts, when they are studied */
    TL_STAGE_CONTROLLED,   /* image prompts, and those of text when both are studied */
    TL_STAGE_EACH_OF_BOTH, /* each modality, when both are studied */
    TL_STAGE_BOTH,         /* once, when both are studied */
    TL_STAGE_ONCE          /* once, when image prompts are studied */
} tl_stage_of;

/* What a stage is expected to do, and the floating-point operations of products that a unit
 * takes. */
typedef struct tl_stage_guess {
    size_t n_units;
    double flops;
} tl_stage_guess;

/* From which that follows. */
typedef struct tl_stage_sizes {
    const tl_model *model;
    const tl_settings *settings;
    const tl_sizes *fractions; /* of the curve */
    const tl_study_shape *shape;
    tl_modality modality;
    size_t n_rows;                    /* of the modality */
    size_t n_predicted;               /* of these */
    size_t n_discovery, n_evaluation; /* pairs */
} tl_stage_sizes;

typedef struct tl_stage {
    const char *name; /* with that of a modality behind it, but in a stage that runs once */
    tl_stage_of of;
    bool of_circuits; /* not where rows of the modality are all of no part */

    /* NULL: a moment, nobody needs to see it pass. */
    tl_status (*guess)(const tl_stage_sizes *sizes, tl_stage_guess *out, tl_error *err);

    /* The least memory that it can do with for prompts like these; NULL: not more than
     * other stages. */
    tl_status (*bytes)(const tl_study *study, tl_modality modality, size_t *out,
                       tl_error *err);

    /* Fills in n_units, n_done, n_together and state; no units: there is nothing to do,
     * and `end` is not called. Rows that the units' rows need. */
    tl_status (*begin)(tl_stage_run *run, tl_stage_rows *rows, tl_error *err);

    /* Units [first, first + n), n at most n_together; their rows, in the arena. */
    tl_status (*run)(tl_stage_run *run, size_t first, size_t n, tl_stage_rows *rows,
                     tl_error *err);

    /* The end of the units from `first` on that can be run without knowing the rows of
     * each other; NULL: of all. */
    size_t (*reach)(const tl_stage_run *run, size_t first);

    /* Takes what `run` found, besides the rows' being put: for all units in their order, at
     * every rank, `from` is that which ran them. NULL: there is nothing to take. */
    tl_status (*take)(tl_stage_run *run, size_t from, size_t first, size_t n,
                      const tl_rows *rows, size_t n_rows, tl_error *err);

    /* Rows of the whole, of which those of rank 0 are put; NULL: there are none. */
    tl_status (*end)(tl_stage_run *run, tl_stage_rows *rows, tl_error *err);

    /* Of the state, also when `begin` failed half-way; NULL: the arena is all of it. */
    void (*release)(tl_stage_run *run);

    /* What the stage is known to leave behind when it is over, in this run or in an
     * earlier one; NULL: nothing. */
    tl_status (*after)(tl_study *study, tl_modality modality, tl_error *err);
} tl_stage;

extern const tl_stage tl_stage_predict, tl_stage_split, tl_stage_tokens,
    tl_stage_attribute, tl_stage_evaluate, tl_stage_circuit_tests, tl_stage_validate,
    tl_stage_precision, tl_stage_pictures, tl_stage_overlap, tl_stage_interchange,
    tl_stage_align, tl_stage_backpatch, tl_stage_iterate;

/* All of them, in the order in which they run. */
enum { TL_STAGE_COUNT = 14 };
extern const tl_stage *const tl_stages[TL_STAGE_COUNT];

/* Adds rows of a kind to those of a transaction. */
static inline void tl_stage_put(tl_stage_rows *rows, tl_row_kind kind, const void *of,
                                size_t n)
{
    rows->kinds[rows->n++] = (tl_rows){kind, of, n};
}

/* Puts how many rows of a modality are in no pair, by why; `use` of the pairs. */
tl_status tl_stage_put_left_out(const tl_stage_run *run, tl_modality modality,
                                const char *use, const tl_row_pairs *pairs,
                                tl_stage_rows *rows, tl_error *err);

/* Whether the stage has something to do in a study of these prompts. */
bool tl_stage_is_of(const tl_stage *stage, const tl_study_shape *shape,
                    tl_modality modality);

/* How many rows the study has of each modality, and whether circuits are of them; lengths
 * are those of the longest. */
void tl_study_shape_of(const tl_study *study, tl_study_shape *out);

/* The leading positions that are not computed again: with means none. */
size_t tl_stage_prefix(const tl_stage_sizes *sizes);

/* Adds what the runs of a pair take that all circuits share, if n_units pairs are run: with
 * means, a part of the runs of all evaluation pairs that these are taken over. */
tl_status tl_stage_add_pair(const tl_stage_sizes *sizes, size_t n_units, bool no_clean,
                            double *sum, tl_error *err);

/* Adds what circuits that are known take, of which each pair runs all. */
tl_status tl_stage_add_circuits(const tl_stage_sizes *sizes, const tl_circuit *circuits,
                                size_t n, double *sum, tl_error *err);

/* An evaluator of the study's evaluation pairs beside so many bytes that the stage holds; with
 * means, over all of them. */
tl_status tl_stage_evaluator(tl_stage_run *run, const tl_part_pairs *pairs, size_t held,
                             bool no_clean, tl_evaluator **out, tl_error *err);

/* Has an arena take the bytes of n sets, of a byte for each component, at once: one by one
 * they would leave parts of its chunks empty. */
void tl_stage_make_room(tl_arena *arena, size_t n, size_t components);

/* What a ranking of a modality's components takes while it is made: scores, and an order
 * beside it. */
size_t tl_stage_ranking_bytes(const tl_study *study, tl_modality modality);

/* The least memory of an evaluator. */
tl_status tl_stage_evaluator_bytes(const tl_study *study, tl_modality modality,
                                   size_t *out, tl_error *err);

/* Every guess, of the modalities that have rows, goes through `take`. */
typedef tl_status tl_take_guess(void *user, size_t stage, tl_modality modality,
                                const char *name, const tl_stage_guess *guess,
                                tl_error *err);
tl_status tl_stages_guess(const tl_model *model, const tl_settings *settings,
                          const tl_sizes *fractions, const tl_study_shape *shape,
                          tl_take_guess *take, void *user, tl_error *err);

/* Announces all stages to the progress line. */
tl_status tl_stages_announce(tl_study *study, tl_error *err);

/* A better guess of how many units a stage has. */
void tl_stage_resize(tl_study *study, const tl_stage *stage, tl_modality modality,
                     size_t n_units);

/* What the stage under way has taken for rows that were put, by this run and those before,
 * and for these, which are to be put next. */
int64_t tl_stage_work(const tl_study *study, const tl_rows *rows, size_t n);

/* The study does without circuits of a modality, whose rows are too few. */
void tl_stages_drop_circuits(tl_study *study, tl_modality modality);

/* Leaves out what the stage has taken since its last rows. */
void tl_stage_skip_work(tl_study *study);

/* Runs what is left of the study. */
tl_status tl_stages_run(tl_study *study, tl_error *err);

#endif
