/* SPDX-License-Identifier: MIT
 * picture_text.c - see picture_text.h. */
#include "input/picture_text.h"

#include <stdio.h>
#include <string.h>

void tl_picture_put(tl_picture_text *out, const char *token, size_t n)
{
    const size_t bytes = strlen(token);
    for (size_t i = 0; i < n && out->at != NULL; i++)
        memcpy(out->at + out->bytes + i * bytes, token, bytes);
    out->bytes += n * bytes;
    out->n_tokens += n;
}

/* A word between rows of features, and another behind the last. */
void tl_picture_put_pixtral(const tl_pixels *pixels, tl_picture_text *out)
{
    const tl_image_view *view = &pixels->views[0];
    for (size_t row = 0; row < view->n_rows; row++) {
        tl_picture_put(out, "[IMG]", view->n_columns);
        tl_picture_put(out, row + 1 < view->n_rows ? "[IMG_BREAK]" : "[IMG_END]", 1);
    }
}

/* The tiles row by row, each behind its place, and the small whole between two words. Two
 * ends of line are one token of these vocabularies. */
void tl_picture_put_idefics3(const tl_pixels *pixels, tl_picture_text *out)
{
    static const char around[] = "<fake_token_around_image>", image[] = "<image>";
    const size_t n = pixels->n_tokens / pixels->dims[0];
    for (size_t row = 1; row <= pixels->tile_rows; row++) {
        for (size_t column = 1; column <= pixels->tile_columns; column++) {
            char place[64];
            snprintf(place, sizeof place, "<row_%zu_col_%zu>", row, column);
            tl_picture_put(out, around, 1);
            tl_picture_put(out, place, 1);
            tl_picture_put(out, image, n);
        }
        tl_picture_put(out, row < pixels->tile_rows ? "\n" : "\n\n", 1);
    }
    tl_picture_put(out, around, 1);
    tl_picture_put(out, "<global-img>", 1);
    tl_picture_put(out, image, n);
    tl_picture_put(out, around, 1);
}
