/* SPDX-License-Identifier: MIT
 *
 * expression.h - regular expressions as Oniguruma reads them, written for PCRE2. One that
 * the two might read differently is refused.
 */
#ifndef TWINLENS_INPUT_EXPRESSION_H
#define TWINLENS_INPUT_EXPRESSION_H

#include "twinlens/arena.h"
#include "twinlens/status.h"

/* An expression for PCRE2 (UTF, UCP, newline LF) that means what `expression` means to
 * Oniguruma as the tokenizers library calls it (UTF-8, Ruby syntax), in `arena`. */
tl_status tl_expression_translate(const char *expression, tl_arena *arena,
                                  const char **out, tl_error *err);

#endif
