/* SPDX-License-Identifier: MIT
 *
 * pattern.h - what a Split or a Replace looks for: a string, or a regular
 * expression. The files are written for Oniguruma; here PCRE2 reads the
 * expression, translated (expression.h).
 *
 * Patterns belong to a tl_pattern_set, which releases them all.
 */
#ifndef TWINLENS_INPUT_PATTERN_H
#define TWINLENS_INPUT_PATTERN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "input/pieces.h"
#include "twinlens/arena.h"
#include "twinlens/status.h"

typedef struct tl_pattern tl_pattern;

typedef struct tl_pattern_set {
    tl_pattern *first;
    tl_arena *arena; /* outlives the set */
} tl_pattern_set;

void tl_pattern_set_release(tl_pattern_set *set);

/* From {"String": ...} or {"Regex": ...}; from an expression. */
tl_status tl_pattern_read(tl_pattern_set *set, const json_t *json,
                          const tl_pattern **out, tl_error *err);
tl_status tl_pattern_compile(tl_pattern_set *set, const char *expression,
                             const tl_pattern **out, tl_error *err);
/* Of a string that is not empty. */
tl_status tl_pattern_of_string(tl_pattern_set *set, const char *string,
                               const tl_pattern **out, tl_error *err);
/* The string; NULL for an expression. */
const char *tl_pattern_string(const tl_pattern *pattern);
/* Whether there is a text in which it matches nothing, between two characters. */
bool tl_pattern_may_be_empty(const tl_pattern *pattern);

typedef struct tl_match {
    tl_span at;   /* of `text`; empty only for an expression that matches nothing */
    bool matches; /* false: what lies between two matches */
} tl_match;

/* Cuts `text` into matches and what lies between; together they cover it.
 * *matches is [*count] in `arena`. May run in several threads at once. */
tl_status tl_pattern_find(const tl_pattern *pattern, const char *text, size_t bytes,
                          tl_arena *arena, tl_match **matches, size_t *count,
                          tl_error *err);

#endif
