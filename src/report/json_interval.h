/* SPDX-License-Identifier: MIT
 * json_interval.h - numbers and intervals for a program: what is not finite, which JSON has
 * no number for, is null. */
#ifndef TWINLENS_REPORT_JSON_INTERVAL_H
#define TWINLENS_REPORT_JSON_INTERVAL_H

#include <jansson.h>

#include "twinlens/statistics.h"

json_t *tl_json_number(double value);

/* {"value", "interval": [low, high], "sd", "n", "undefined_resamples"} */
json_t *tl_json_interval(const tl_interval *interval);

#endif
