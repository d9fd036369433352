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

tl_status tl_json_dump(json_t *root, FILE *out, tl_error *err)
{
    if (root == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the result");
    const bool failed =
        json_dumpf(root, out, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) != 0;
    json_decref(root);
    if (failed)
        return tl_fail(err, TL_ERR_IO, "cannot write the result");
    fputc('\n', out);
    return TL_OK;
}
