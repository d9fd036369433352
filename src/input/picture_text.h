/* SPDX-License-Identifier: MIT
 *
 * picture_text.h - the tokens that stand for a picture in a prompt, written one behind the
 * other: once to count them, once more into memory.
 */
#ifndef TWINLENS_INPUT_PICTURE_TEXT_H
#define TWINLENS_INPUT_PICTURE_TEXT_H

#include "twinlens/encoding.h"

typedef struct tl_picture_text {
    char *at; /* NULL: only counted */
    size_t bytes, n_tokens;
} tl_picture_text;

/* The text of one token, n times. */
void tl_picture_put(tl_picture_text *out, const char *token, size_t n);

/* How pictures are written by families whose prompts hold more than their features. */
void tl_picture_put_pixtral(const tl_pixels *pixels, tl_picture_text *out);
void tl_picture_put_idefics3(const tl_pixels *pixels, tl_picture_text *out);

#endif
