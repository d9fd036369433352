/* SPDX-License-Identifier: MIT
 * backpatch_work.h - what back-patching takes, before it is done. */
#ifndef TWINLENS_PROBE_BACKPATCH_WORK_H
#define TWINLENS_PROBE_BACKPATCH_WORK_H

#include "twinlens/probe.h"

/* Floating-point operations of the products of one prompt under cells, of each of which
 * `share` is run: 1: all of them; less: so many of them, drawn at random. The clean run is
 * not in it; that they share runs, where there is memory for it, is. */
tl_status tl_backpatch_flops(const tl_model *model, const tl_span *span,
                             const tl_backpatch_cell *cells, size_t n_cells,
                             double share, double *out, tl_error *err);

#endif
