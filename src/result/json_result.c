/* SPDX-License-Identifier: MIT
 * json_result.c - see json_result.h. */
#include "result/json_result.h"

#include <math.h>

void tl_print_numbers(FILE *out, const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *tab = i > 0 ? "\t" : "";
        if (isfinite(values[i]))
            fprintf(out, "%s%.4f", tab, values[i]);
        else
            fprintf(out, "%sundefined", tab);
    }
}

void tl_print_interval(FILE *out, const tl_interval *i)
{
    const double numbers[] = {i->value, i->low, i->high};
    tl_print_numbers(out, numbers, 3);
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

tl_status tl_json_print_work(json_t *result, const tl_model *model, FILE *out,
                             tl_error *err)
{
    const uint64_t flops = tl_model_product_flops(model);
    if (result != NULL && json_object_set_new(result, "product_flops",
                                              json_integer((json_int_t)flops)) != 0) {
        json_decref(result);
        result = NULL;
    }
    return tl_json_print(result, out, err);
}
