/* SPDX-License-Identifier: MIT
 * edit.c - see edit.h. */
#include "op/edit.h"

#include <assert.h>
#include <string.h>

static bool is_outside(const tl_edit_rows *e, size_t at)
{
    if (e->rule == TL_EDIT_OUTSIDE_SET)
        return e->in[at] == 0;
    return e->cut == 0 || e->rank[at] >= e->cut;
}

void tl_edit_apply(const tl_edit_rows *e, float *x)
{
    const size_t places = e->n_rows * e->n_components, width = e->per_component;
    switch (e->rule) {
    case TL_EDIT_OVERWRITE: memcpy(x, e->from, places * width * sizeof *x); return;
    case TL_EDIT_ADD: tl_read_apply(TL_READ_ADD, places * width, e->from, x); return;
    case TL_EDIT_OUTSIDE_CUT:
    case TL_EDIT_OUTSIDE_SET:
        for (size_t at = 0; at < places; at++)
            if (is_outside(e, at))
                memcpy(x + at * width, e->from + at * width, width * sizeof *x);
        return;
    case TL_EDIT_COMPONENT:
        assert(e->component < e->n_components);
        for (size_t at = e->component; at < places; at += e->n_components)
            memcpy(x + at * width, e->from + at * width, width * sizeof *x);
        return;
    }
}

void tl_read_apply(tl_read_rule rule, size_t count, const float *x, float *y)
{
    switch (rule) {
    case TL_READ_COPY: memcpy(y, x, count * sizeof *y); return;
    case TL_READ_ADD:
        for (size_t i = 0; i < count; i++)
            y[i] += x[i]; /* one rounding: two floats have no better sum */
        return;
    case TL_READ_SUBTRACT:
        for (size_t i = 0; i < count; i++)
            y[i] -= x[i];
        return;
    }
}
