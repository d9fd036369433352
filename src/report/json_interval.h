/* SPDX-License-Identifier: MIT
 * json_interval.h - numbers and intervals for a program: what is not finite, which JSON has
 * no number for, is null. */
#ifndef TWINLENS_REPORT_JSON_INTERVAL_H
#define TWINLENS_REPORT_JSON_INTERVAL_H

#include <jansson.h>
#include <stdio.h>

#include "twinlens/statistics.h"

json_t *tl_json_number(double value);

/* {"value", "interval": [low, high], "sd", "n", "undefined_resamples"} */
json_t *tl_json_interval(const tl_interval *interval);

/* Writes a result, indented, and gives it back. TL_ERR_NO_MEMORY when it is NULL. */
tl_status tl_json_dump(json_t *root, FILE *out, tl_error *err);

#endif
