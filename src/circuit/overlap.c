/* SPDX-License-Identifier: MIT
 *
 * overlap.c - intersection over union of two circuits (include/twinlens/overlap.h;
 * docs/math.md eq. 11).
 */
#include <math.h>
#include <stdint.h>

#include "base/random.h"
#include "circuit/random_set.h"
#include "twinlens/overlap.h"

static const uint8_t *members(const tl_component_set *set, tl_component_kind kind,
                              size_t *per_pos)
{
    *per_pos = kind == TL_KIND_HEADS ? set->n_heads : set->d_mlp;
    return kind == TL_KIND_HEADS ? set->heads : set->neurons;
}

/* Components that two sets have in common, and that either has. */
typedef struct shared {
    size_t both, any;
} shared;

static double share_of(shared s)
{
    return s.any > 0 ? (double)s.both / (double)s.any : 0.0;
}

/* Over positions [begin, end). */
static shared count_shared(const tl_component_set *a, const tl_component_set *b,
                           tl_component_kind kind, size_t begin, size_t end)
{
    size_t per_pos;
    shared n = {0, 0};
    const uint8_t *in_a = members(a, kind, &per_pos),
                  *in_b = members(b, kind, &per_pos);
    for (size_t l = 0; l < a->n_layers; l++) {
        const size_t from = (l * a->n_pos + begin) * per_pos,
                     to = (l * a->n_pos + end) * per_pos;
        for (size_t i = from; i < to; i++) {
            n.both += in_a[i] & in_b[i];
            n.any += in_a[i] | in_b[i];
        }
    }
    return n;
}

/* Is component i of layer l there at any position of [begin, end)? */
static bool is_anywhere(const uint8_t *in, size_t n_pos, size_t per_pos, size_t l,
                        size_t i, size_t begin, size_t end)
{
    for (size_t t = begin; t < end; t++)
        if (in[(l * n_pos + t) * per_pos + i])
            return true;
    return false;
}

/* Positions dropped: a component counts once. */
static shared count_data(const tl_component_set *text, const tl_component_set *image,
                         tl_component_kind kind, const tl_position_map *map)
{
    size_t per_pos;
    shared n = {0, 0};
    const uint8_t *in_text = members(text, kind, &per_pos),
                  *in_image = members(image, kind, &per_pos);
    const tl_span *t = &map->span[TL_TEXT], *v = &map->span[TL_IMAGE];
    for (size_t l = 0; l < text->n_layers; l++)
        for (size_t i = 0; i < per_pos; i++) {
            const bool a = is_anywhere(in_text, text->n_pos, per_pos, l, i,
                                       t->data_begin, t->data_end),
                       b = is_anywhere(in_image, image->n_pos, per_pos, l, i,
                                       v->data_begin, v->data_end);
            n.both += a && b;
            n.any += a || b;
        }
    return n;
}

/* In positions of the text and of the image. */
typedef struct directions {
    shared in[TL_MODALITY_COUNT];
} directions;

static void add_shared(const directions *d, directions *sum)
{
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        sum->in[m].both += d->in[m].both;
        sum->in[m].any += d->in[m].any;
    }
}

static tl_iou iou_of(const directions *d)
{
    const double in_text = share_of(d->in[TL_TEXT]),
                 in_image = share_of(d->in[TL_IMAGE]);
    return (tl_iou){.iou = (in_text + in_image) / 2,
                    .in_image = in_image,
                    .in_text = in_text,
                    .empty = d->in[TL_TEXT].any == 0 && d->in[TL_IMAGE].any == 0};
}

/* A segment whose positions count, of both kinds. */
static tl_status count_segment(const tl_component_set *text,
                               const tl_component_set *image,
                               const tl_position_map *map, tl_segment segment,
                               tl_arena *arena, directions out[TL_KIND_COUNT],
                               tl_error *err)
{
    tl_component_set to_image, to_text;
    size_t t0, t1, v0, v1;
    tl_span_segment(&map->span[TL_TEXT], segment, &t0, &t1);
    tl_span_segment(&map->span[TL_IMAGE], segment, &v0, &v1);
    tl_status status = tl_set_create(image->n_layers, image->n_pos, image->n_heads,
                                     image->d_mlp, arena, &to_image, err);
    if (status == TL_OK)
        status = tl_set_create(text->n_layers, text->n_pos, text->n_heads, text->d_mlp,
                               arena, &to_text, err);
    if (status != TL_OK)
        return status;
    tl_set_carry(text, TL_TEXT, t0, t1, map, &to_image);
    tl_set_carry(image, TL_IMAGE, v0, v1, map, &to_text);
    for (size_t k = 0; k < TL_KIND_COUNT; k++) {
        const tl_component_kind kind = (tl_component_kind)k;
        out[k].in[TL_IMAGE] = count_shared(&to_image, image, kind, v0, v1);
        out[k].in[TL_TEXT] = count_shared(&to_text, text, kind, t0, t1);
    }
    return TL_OK;
}

const char *tl_overlap_part_name(size_t part)
{
    return part == TL_OVERLAP_WHOLE ? "whole" : tl_segment_name((tl_segment)part);
}

tl_status tl_overlap_measure(const tl_component_set *text,
                             const tl_component_set *image, const tl_position_map *map,
                             tl_overlap *out, tl_error *err)
{
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an overlap");
    tl_overlap result = {0};
    directions whole[TL_KIND_COUNT] = {0};
    tl_status status = TL_OK;
    for (size_t s = 0; s < TL_SEGMENT_COUNT && status == TL_OK; s++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        directions of[TL_KIND_COUNT] = {0};
        if (s != TL_SEGMENT_DATA)
            status = count_segment(text, image, map, (tl_segment)s, arena, of, err);
        for (size_t k = 0; k < TL_KIND_COUNT && status == TL_OK; k++) {
            if (s == TL_SEGMENT_DATA)
                of[k].in[TL_TEXT] = of[k].in[TL_IMAGE] =
                    count_data(text, image, (tl_component_kind)k, map);
            result.of[s][k] = iou_of(&of[k]);
            add_shared(&of[k], &whole[k]);
        }
        tl_arena_rewind(arena, mark);
    }
    for (size_t k = 0; k < TL_KIND_COUNT; k++)
        result.of[TL_OVERLAP_WHOLE][k] = iou_of(&whole[k]);
    tl_arena_destroy(arena);
    if (status == TL_OK)
        *out = result;
    return status;
}

/* ---- chance ---------------------------------------------------------------------- */

/* A set that matches `like` in size; see tl_random_match. */
static void draw(const tl_component_set *like, const tl_span *span,
                 tl_random_match match, tl_random *random, tl_component_set *out)
{
    for (size_t k = 0; k < TL_KIND_COUNT; k++) {
        const tl_component_kind kind = (tl_component_kind)k;
        if (match == TL_MATCH_WHOLE) {
            tl_set_draw(out, kind, 0, like->n_pos, tl_set_count(like, kind), random);
            continue;
        }
        for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
            size_t begin, end;
            tl_span_segment(span, (tl_segment)s, &begin, &end);
            if (s == TL_SEGMENT_DATA && match == TL_MATCH_UNIQUE) {
                /* At one position of the data, as positions will be dropped. */
                const size_t n = tl_set_count_unique(like, kind, begin, end);
                tl_set_draw(out, kind, begin, begin + 1, n, random);
            } else {
                const size_t n = tl_set_count_between(like, kind, begin, end);
                tl_set_draw(out, kind, begin, end, n, random);
            }
        }
    }
}

/* Running sums of values and of their squares. */
typedef struct sums {
    double sum, squares;
} sums;

static void add(sums *s, double value)
{
    s->sum += value;
    s->squares += value * value;
}

static tl_moments moments(const sums *s, size_t n)
{
    const double mean = s->sum / (double)n;
    const double left = s->squares - s->sum * mean;
    return (tl_moments){mean, n > 1 && left > 0 ? sqrt(left / (double)(n - 1)) : 0.0};
}

tl_status tl_overlap_random(const tl_component_set *text, const tl_component_set *image,
                            const tl_position_map *map, tl_random_match match,
                            size_t n_draws, uint64_t seed, tl_overlap_baseline *out,
                            tl_error *err)
{
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for random circuits");
    sums of[TL_OVERLAP_PARTS][TL_KIND_COUNT] = {{{0, 0}}},
         segment[TL_OVERLAP_PARTS] = {{0, 0}};
    tl_random seeds = {seed};
    tl_status status = TL_OK;
    for (size_t i = 0; i < n_draws && status == TL_OK; i++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        tl_random random = {tl_random_next(&seeds)};
        tl_component_set a, b;
        tl_overlap overlap;
        status = tl_set_create(text->n_layers, text->n_pos, text->n_heads, text->d_mlp,
                               arena, &a, err);
        if (status == TL_OK)
            status = tl_set_create(image->n_layers, image->n_pos, image->n_heads,
                                   image->d_mlp, arena, &b, err);
        if (status == TL_OK) {
            draw(text, &map->span[TL_TEXT], match, &random, &a);
            draw(image, &map->span[TL_IMAGE], match, &random, &b);
            status = tl_overlap_measure(&a, &b, map, &overlap, err);
        }
        for (size_t s = 0; s < TL_OVERLAP_PARTS && status == TL_OK; s++) {
            for (size_t k = 0; k < TL_KIND_COUNT; k++)
                add(&of[s][k], overlap.of[s][k].iou);
            add(&segment[s], (overlap.of[s][TL_KIND_HEADS].iou +
                              overlap.of[s][TL_KIND_NEURONS].iou) /
                                 2);
        }
        tl_arena_rewind(arena, mark);
    }
    tl_arena_destroy(arena);
    if (status != TL_OK)
        return status;
    *out = (tl_overlap_baseline){.n_draws = n_draws};
    for (size_t s = 0; s < TL_OVERLAP_PARTS && n_draws > 0; s++) {
        for (size_t k = 0; k < TL_KIND_COUNT; k++)
            out->of[s][k] = moments(&of[s][k], n_draws);
        out->segment[s] = moments(&segment[s], n_draws);
    }
    return TL_OK;
}
