/* SPDX-License-Identifier: MIT
 * rope.c - see rope.h. */
#include "model/rope.h"

#include <math.h>

void tl_rope_positions(const int32_t *ids, size_t n_pos, int32_t image_token,
                       size_t grid_h, size_t grid_w, tl_rope rope, int32_t *positions)
{
    int32_t *axis[3] = {positions, positions + n_pos, positions + 2 * n_pos};
    const bool plain = rope == TL_ROPE_SEQUENTIAL || grid_h == 0;
    int32_t next = 0;    /* coordinate of the next text token */
    size_t in_image = 0; /* image tokens seen */
    for (size_t t = 0; t < n_pos; t++) {
        if (plain || ids[t] != image_token) {
            for (size_t a = 0; a < 3; a++)
                axis[a][t] = next;
            next++;
            continue;
        }
        axis[0][t] = next;
        axis[1][t] = next + (int32_t)(in_image / grid_w);
        axis[2][t] = next + (int32_t)(in_image % grid_w);
        if (++in_image == grid_h * grid_w)
            next += (int32_t)(grid_h > grid_w ? grid_h : grid_w);
    }
}

/* Which axis turns frequency f. */
static size_t axis_of(const tl_rope_spec *rope, size_t f)
{
    const size_t *s = rope->sections;
    if (rope->interleaved)
        return f % 3 > 0 && f / 3 < s[f % 3] ? f % 3 : 0;
    return s[0] + s[1] + s[2] == 0 || f < s[0] ? 0 : f < s[0] + s[1] ? 1 : 2;
}

static double frequency_of(const tl_rope_spec *rope, double base, size_t d_head,
                           size_t f)
{
    const double pi = 3.14159265358979323846,
                 plain = pow(base, -2.0 * (double)f / (double)d_head);
    if (rope->context == 0.0)
        return plain / rope->factor;
    const double turns = rope->context * plain / (2.0 * pi),
                 share = (turns - rope->low) / (rope->high - rope->low),
                 kept = fmin(fmax(share, 0.0), 1.0);
    return plain * ((1.0 - kept) / rope->factor + kept);
}

static double base_of(const tl_rope_spec *rope, size_t d_head, size_t n_pos)
{
    if (!(rope->growth > 0.0) || n_pos <= rope->n_plain || d_head <= 2)
        return rope->theta;
    const double longer = (double)n_pos / (double)rope->n_plain;
    return rope->theta * pow(rope->growth * longer - rope->growth + 1.0,
                             (double)d_head / (double)(d_head - 2));
}

void tl_rope_table(const tl_rope_spec *rope, size_t d_head, const int32_t *positions,
                   size_t n_pos, size_t first, size_t rows, float *cosine, float *sine)
{
    const size_t half = d_head / 2;
    const double base = base_of(rope, d_head, n_pos);
    for (size_t f = 0; f < half; f++) {
        const size_t axis = axis_of(rope, f);
        const double frequency = frequency_of(rope, base, d_head, f);
        for (size_t r = 0; r < rows; r++) {
            const double angle =
                (double)positions[axis * n_pos + first + r] * frequency;
            cosine[r * half + f] = (float)cos(angle);
            sine[r * half + f] = (float)sin(angle);
        }
    }
}
