/* SPDX-License-Identifier: MIT
 * observed_result.h - what `validate` prints: a table, or JSON with every component. */
#ifndef TWINLENS_RESULT_OBSERVED_RESULT_H
#define TWINLENS_RESULT_OBSERVED_RESULT_H

#include <stdio.h>

#include "circuit/observed_effects.h"
#include "twinlens/validate.h"

/* Correlations of attributed scores with exact effects by way, kind and layer, and how far each
 * way is from completeness. */
tl_status tl_print_observed(const tl_model *model, const tl_observed_effects *r,
                            bool as_json, tl_arena *arena, FILE *out, tl_error *err);

/* A model's results in a precision beside those in f32. */
tl_status tl_print_precision_check(const tl_precision_check *c, const char *precision,
                                   const char *fraction, bool json, FILE *out,
                                   tl_error *err);

#endif
