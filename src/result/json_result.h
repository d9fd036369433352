/* SPDX-License-Identifier: MIT
 * json_result.h - parts of the results that commands print: a number that is not there is
 * null in JSON and "undefined" in a table, never NaN. */
#ifndef TWINLENS_RESULT_JSON_RESULT_H
#define TWINLENS_RESULT_JSON_RESULT_H

#include <jansson.h>
#include <stdio.h>

#include "report/json_interval.h"
#include "study/row_pairs.h"

/* In a table: tabs between fields, four decimals. */
void tl_print_numbers(FILE *out, const double *values, size_t n);

/* Value, low, high. */
void tl_print_interval(FILE *out, const tl_interval *interval);

/* How many rows were left out, by what became of them. */
json_t *tl_json_pairing(const size_t counts[TL_PAIRING_COUNT]);

/* Prints it as one line and gives it back; TL_ERR_NO_MEMORY when it is NULL. */
tl_status tl_json_print(json_t *result, FILE *out, tl_error *err);

/* The same, with "product_flops": tl_model_product_flops() of all that it took. */
tl_status tl_json_print_work(json_t *result, const tl_model *model, FILE *out,
                             tl_error *err);

#endif
