/* SPDX-License-Identifier: MIT
 * json_interval.c - see json_interval.h. */
#include "report/json_interval.h"

#include <math.h>

json_t *tl_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *tl_json_interval(const tl_interval *i)
{
    return json_pack("{s:o, s:[o,o], s:o, s:I, s:I}", "value", tl_json_number(i->value),
                     "interval", tl_json_number(i->low), tl_json_number(i->high), "sd",
                     tl_json_number(i->deviation), "n", (json_int_t)i->n,
                     "undefined_resamples", (json_int_t)i->n_undefined);
}
