/* SPDX-License-Identifier: MIT
 * cells.h - the cells of back-patching: which layers are written into which. */
#ifndef TWINLENS_STUDY_CELLS_H
#define TWINLENS_STUDY_CELLS_H

#include "stat/cell_search.h"
#include "twinlens/arena.h"
#include "twinlens/probe.h"
#include "twinlens/study.h"

/* Layers, or windows of layers. */
typedef struct tl_layer_list {
    const size_t *layers; /* NULL: those of the grid */
    size_t n;
} tl_layer_list;

/* 5, 3, 1: the windows of a study, in the order in which the best cell is looked for. */
extern const tl_layer_list tl_cell_windows;

/*
 * The cells of every window, source and destination, in that order, each patched `times`
 * times. Unless both sources and destinations are named, only those whose destination is
 * below the source. The grid is a triangle or that of the paper. TL_ERR_ARGUMENT when the
 * model has no such cell; there may be none, as in the paper's grid of two layers.
 */
typedef struct tl_cell_options {
    tl_bp_grid grid;
    tl_layer_list sources, destinations, windows; /* there must be windows */
    size_t times;
    bool restore;
} tl_cell_options;
tl_status tl_cells_make(const tl_cell_options *options, size_t n_layers,
                        tl_arena *arena, tl_backpatch_cell **cells, size_t *n,
                        tl_error *err);

/* The search among them, and what it takes beside all of them, in layer runs. */
tl_status tl_cells_plan(const tl_backpatch_cell *cells, size_t n, size_t n_layers,
                        size_t n_prompts, bool with_control, tl_arena *arena,
                        tl_cell_plan *out, tl_error *err);

/* Says so when there is nothing to search: then every cell runs on every prompt. */
void tl_cells_log(const tl_cell_plan *plan);

#endif
