/* SPDX-License-Identifier: MIT
 *
 * jinja_private.h - what the parts of jinja.h share: a template that is being rendered.
 *
 * The template is cut into pieces (jinja_pieces.c). Statements walk over them
 * (jinja.c); a loop walks over its pieces again. Expressions are read and computed at
 * once (jinja_expression.c), and where a branch is not taken read only. Values are
 * jansson's (jinja_value.c): NULL is undefined, null is none.
 *
 * Whoever finds something wrong calls tl_jinja_fail and returns; everybody looks at
 * `status`.
 */
#ifndef TWINLENS_INPUT_JINJA_PRIVATE_H
#define TWINLENS_INPUT_JINJA_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

#include "input/jinja.h"

enum {
    TL_JINJA_DEPTH = 100,       /* of expressions and statements within each other */
    TL_JINJA_STEPS = 100000,    /* statements that are gone over */
    TL_JINJA_LONGEST = 1 << 20, /* bytes of a text, elements of a list */
    TL_JINJA_MOST = 1 << 26,    /* bytes of all values that are made */
    TL_JINJA_LISTS = 1000,      /* that are made, so that they nest no deeper */
    TL_JINJA_WORK = 1 << 26,    /* values and bytes that are compared or written out */
};

typedef enum tl_jinja_kind {
    TL_JINJA_TEXT,
    TL_JINJA_PRINT, /* {{ }} */
    TL_JINJA_TAG,   /* {% %} */
} tl_jinja_kind;

typedef struct tl_jinja_piece {
    tl_jinja_kind kind;
    const char *begin, *end; /* of the text, or of what is inside */
} tl_jinja_piece;

typedef struct tl_jinja {
    tl_arena *arena;
    const tl_jinja_piece *pieces;
    size_t n_pieces, piece;
    const char *at, *end; /* what is left of the piece that is read */
    bool run;             /* false: read it, compute nothing */
    json_t *scopes;       /* list of objects, the innermost last */
    json_t *made;         /* list that holds every value */
    size_t made_bytes, lists, depth, steps, work;
    char *text; /* what has been written */
    size_t bytes, capacity;
    tl_status status;
    tl_error *err;
} tl_jinja;

/* Keeps the first failure. Returns NULL, so that a value can be returned with it. */
json_t *tl_jinja_fail(tl_jinja *j, tl_status status, const char *format, ...)
    TL_PRINTF(3, 4);

/* jinja_pieces.c: cuts `source`, which must live as long. */
void tl_jinja_cut(tl_jinja *j, const char *source);

/* jinja_expression.c: reads from j->at on. Without `with_if` an `if` behind it is left, as
 * a loop's condition is. */
json_t *tl_jinja_expression(tl_jinja *j, bool with_if);
bool tl_jinja_take(tl_jinja *j, const char *sign);      /* skips blanks */
bool tl_jinja_take_word(tl_jinja *j, const char *word); /* and no letter behind it */
/* A name in the arena; NULL with a failure if there is none. */
const char *tl_jinja_name(tl_jinja *j);
bool tl_jinja_at_end(tl_jinja *j);

/* jinja_value.c. Values that are made live as long as the rendering. */
json_t *tl_jinja_keep(tl_jinja *j, json_t *value, size_t bytes);
json_t *tl_jinja_string(tl_jinja *j, const char *text, size_t bytes);
/* Counts all that is in a value, as often as it is there: a list may have itself in it many
 * times over. False with a failure beyond TL_JINJA_WORK. */
bool tl_jinja_weigh(tl_jinja *j, const json_t *value);
bool tl_jinja_truth(const json_t *value);
const char *tl_jinja_text(tl_jinja *j, const json_t *value); /* as it is printed */
json_t *tl_jinja_get(tl_jinja *j, const char *name);         /* a variable */
json_t *tl_jinja_member(tl_jinja *j, json_t *value, const json_t *key);
json_t *tl_jinja_slice(tl_jinja *j, json_t *value, const json_t *from, const json_t *to,
                       const json_t *step);
json_t *tl_jinja_binary(tl_jinja *j, const char *sign, json_t *left, json_t *right);
/* jinja_call.c. `arguments` is a list of the values without a name, `named` an object. */
json_t *tl_jinja_filter(tl_jinja *j, const char *name, json_t *value,
                        const json_t *arguments, const json_t *named);
bool tl_jinja_test(tl_jinja *j, const char *name, json_t *value,
                   const json_t *arguments);
json_t *tl_jinja_method(tl_jinja *j, const char *name, json_t *value,
                        const json_t *arguments);
json_t *tl_jinja_function(tl_jinja *j, const char *name, const json_t *arguments,
                          const json_t *named);

#endif
