/* SPDX-License-Identifier: MIT
 *
 * experiment.h - what every experiment owns from its first prompt to its last: a pass that
 * keeps its memory, an arena for the tables of one call, and a budget.
 *
 *     struct tl_evaluator {
 *         tl_experiment on;
 *         ...
 *     };
 *     status = tl_experiment_init(&evaluator->on, model, memory_budget, err);
 *
 * A budget is for everything that an experiment holds. Before it allocates buffers, and
 * before a pass, it asks what these leave to the pass:
 *
 *     status = tl_experiment_room(&e->on, buffer_bytes, &options.memory_budget, err);
 */
#ifndef TWINLENS_TRACE_EXPERIMENT_H
#define TWINLENS_TRACE_EXPERIMENT_H

#include "twinlens/arena.h"
#include "twinlens/array.h"
#include "twinlens/pass.h"

/* What an experiment holds beside its buffers and what a pass says that it takes: itself, the
 * tables of one call, which are a chunk of the arena, and what the plan of a pass takes
 * for a moment. */
enum { TL_EXPERIMENT_BYTES = 112 << 10 };

typedef struct tl_experiment {
    tl_model *model;
    const tl_dims *d;
    tl_pass *pass;
    size_t memory_budget; /* bytes; 0: no limit */
    tl_arena *arena;      /* of one call */
} tl_experiment;

/* TL_ERR_NO_MEMORY; nothing is left to release then. */
tl_status tl_experiment_init(tl_experiment *experiment, tl_model *model,
                             size_t memory_budget, tl_error *err);
/* Of a zeroed one does nothing. */
void tl_experiment_release(tl_experiment *experiment);

/* TL_ERR_NO_MEMORY naming `what`, its length and both figures, when an experiment needs more
 * bytes than a budget has. */
tl_status tl_budget_check(size_t budget, size_t need, const char *what, size_t n_pos,
                          tl_error *err);

/* *out receives the bytes that a pass may use beside `buffers` ones, never 0 unless there
 * is no limit. What the pass keeps beyond that is given back, so that the buffers can be
 * allocated next. TL_ERR_NO_MEMORY naming both figures when nothing is left. */
tl_status tl_experiment_room(tl_experiment *experiment, size_t buffers, size_t *out,
                             tl_error *err);
/* The same for a pass and a budget. */
tl_status tl_pass_room(tl_pass *pass, size_t budget, size_t buffers, size_t *out,
                       tl_error *err);

/* tl_array_reset() to so many numbers of f32, beside `others` bytes of the experiment; *room
 * receives what a pass may use beside both, as above. */
tl_status tl_experiment_reset(tl_experiment *experiment, tl_array *buffers,
                              size_t count, size_t others, size_t *room, tl_error *err);

/* One of the prompts of a pass: its length, how many of its leading positions are not
 * computed, and the bytes that the experiment takes for it: of tables and of the host,
 * and of other buffers. */
typedef struct tl_batch_prompt {
    size_t n_pos, n_prefix;
    size_t table_bytes, buffer_bytes;
} tl_batch_prompt;

/* How many such prompts make a good pass within `room` bytes (0: no limit), their buffers
 * included: 1 at least, and no more than there is room for in the tables of a call. */
tl_status tl_experiment_batch(const tl_model *model, const tl_pass_options *options,
                              const tl_batch_prompt *prompt, size_t room, size_t *out,
                              tl_error *err);

#endif
