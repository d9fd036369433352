/* SPDX-License-Identifier: MIT
 * json_result.c - see json_result.h. */
#include "cli/json_result.h"

#include <math.h>

json_t *tl_json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *tl_json_pairing(const size_t counts[TL_PAIRING_COUNT])
{
    return json_pack("{s:I, s:I}", "no_partner", (json_int_t)counts[TL_ALONE],
                     "other_length", (json_int_t)counts[TL_OTHER_LENGTH]);
}

tl_status tl_json_print(json_t *result, FILE *out, tl_error *err)
{
    if (result == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the result");
    json_dumpf(result, out, JSON_COMPACT);
    fputc('\n', out);
    json_decref(result);
    return TL_OK;
}
