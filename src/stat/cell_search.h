/* SPDX-License-Identifier: MIT
 *
 * cell_search.h - successive halving over the cells of a grid and the prompts in a seeded
 * order (docs/math.md eq. 20): every round runs the cells that are left on prompts that are
 * new, and half of them go on. What is left in the end is judged on prompts that no round
 * saw, and a sample of all cells with it, as a control.
 *
 *     tl_cell_plan_make(costs, n_cells, n_layers, n_prompts, true, &plan);
 *     tl_cell_search_init(&search, &plan, seed, arena, &err);
 *     for (size_t i = 0; i < n_prompts; i++)
 *         tl_cell_search_add(&search, outcomes of prompt order[i], &err);
 *     search.found
 */
#ifndef TWINLENS_STAT_CELL_SEARCH_H
#define TWINLENS_STAT_CELL_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "twinlens/arena.h"
#include "twinlens/status.h"

/* More rounds than halving any number of cells takes. */
enum { TL_CELL_ROUNDS = 64 };

/* Follows from the numbers of cells and prompts, and from what cells cost, alone. */
typedef struct tl_cell_plan {
    size_t n_cells, n_prompts;
    size_t n_rounds; /* 0: there is nothing to search, all cells run on all prompts */
    size_t cells[TL_CELL_ROUNDS], prompts[TL_CELL_ROUNDS]; /* of each round */
    size_t n_seen;          /* by the rounds: the first prompts; the others judge */
    size_t n_control_cells; /* a sample, which runs on the first of those that judge, */
    size_t n_control_prompts; /* in both modalities */
    double full, most; /* layer runs of all cells on all prompts, and at most of this */
} tl_cell_plan;

/*
 * A tenth of what all cells on all prompts would take is the budget; a fifth of what clean
 * runs leave of it is for the control. It is kept unless it is too little for a prompt in
 * each round, judgement, and two cells of the control on one prompt.
 *
 * costs         layers that a cell runs on a prompt, [n_cells]
 * clean         those of a run without patching, which every prompt gets
 * with_control  of two modalities, the second of which runs control cells alone
 */
void tl_cell_plan_make(const size_t *costs, size_t n_cells, size_t clean,
                       size_t n_prompts, bool with_control, tl_cell_plan *out);

/* order[n] receives 0 ... n - 1 as the seed has them. */
void tl_cell_search_order(size_t n, uint64_t seed, size_t *order);

typedef struct tl_cell_search {
    tl_cell_plan plan;
    bool *alive, *control; /* [n_cells] */
    size_t *right;         /* [n_cells], over the prompts of rounds so far */
    size_t n_done, round, n_of_round;
    size_t found; /* the cell that is left after the last round */
} tl_cell_search;

tl_status tl_cell_search_init(tl_cell_search *search, const tl_cell_plan *plan,
                              uint64_t seed, tl_arena *arena, tl_error *err);

/* Whether prompt i runs a cell for the control, in both modalities. */
bool tl_cell_search_controls(const tl_cell_search *search, size_t i, size_t cell);

/* Whether prompt i runs a cell: one of those from the next to tl_cell_search_reach(), the
 * end of those that need not know each other's outcomes. */
bool tl_cell_search_runs(const tl_cell_search *search, size_t i, size_t cell);
size_t tl_cell_search_reach(const tl_cell_search *search);

/* The outcomes of the next prompt: '0', '1', or '-' of a cell that it does not run.
 * TL_ERR_FORMAT naming the cell where they are not those that it runs. */
tl_status tl_cell_search_add(tl_cell_search *search, const char *outcomes,
                             tl_error *err);

#endif
