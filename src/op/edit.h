/* SPDX-License-Identifier: MIT
 *
 * edit.h - what the edits of twinlens/site.h do to rows of a site.
 *
 *   R, C, W   rows (positions); components of a row; elements of a component
 *             (heads: C = n_heads, W = d_head; neurons: C = d_mlp, W = 1)
 *
 *     overwrite      x = from
 *     add            x += from
 *     outside_cut    x[r,c,:] = from[r,c,:]  where rank[r,c] >= cut
 *     outside_set    x[r,c,:] = from[r,c,:]  where in[r,c] == 0
 *     component      x[r,c,:] = from[r,c,:]  for c = component
 */
#ifndef TWINLENS_OP_EDIT_H
#define TWINLENS_OP_EDIT_H

#include <stddef.h>
#include <stdint.h>

#include "twinlens/site.h"

/* Arrays are addresses of the backend, as x is. */
typedef struct tl_edit_rows {
    tl_edit_rule rule;
    size_t n_rows, n_components, per_component;
    const float *from;    /* [R, C, W] */
    const uint32_t *rank; /* [R, C], outside_cut; NULL with a cut of 0: all is outside */
    size_t cut;
    const uint8_t *in; /* [R, C], outside_set */
    size_t component;  /* below C, component */
} tl_edit_rows;

void tl_edit_apply(const tl_edit_rows *edit, float *x);

/* y = x, y += x or y -= x: what a reading does. */
void tl_read_apply(tl_read_rule rule, size_t count, const float *x, float *y);

#endif
