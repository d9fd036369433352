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

/* Over positions [begin, end). */
static double iou(const tl_component_set *a, const tl_component_set *b,
                  tl_component_kind kind, size_t begin, size_t end)
{
    size_t per_pos, both = 0, any = 0;
    const uint8_t *in_a = members(a, kind, &per_pos),
                  *in_b = members(b, kind, &per_pos);
    for (size_t l = 0; l < a->n_layers; l++) {
        const size_t from = (l * a->n_pos + begin) * per_pos,
                     to = (l * a->n_pos + end) * per_pos;
        for (size_t i = from; i < to; i++) {
            both += in_a[i] & in_b[i];
            any += in_a[i] | in_b[i];
        }
    }
    return any > 0 ? (double)both / (double)any : 0.0;
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
static tl_iou iou_of_data(const tl_component_set *text, const tl_component_set *image,
                          tl_component_kind kind, const tl_position_map *map)
{
    size_t per_pos, both = 0, any = 0;
    const uint8_t *in_text = members(text, kind, &per_pos),
                  *in_image = members(image, kind, &per_pos);
    const tl_span *t = &map->span[TL_TEXT], *v = &map->span[TL_IMAGE];
    for (size_t l = 0; l < text->n_layers; l++)
        for (size_t i = 0; i < per_pos; i++) {
            const bool a = is_anywhere(in_text, text->n_pos, per_pos, l, i,
                                       t->data_begin, t->data_end),
                       b = is_anywhere(in_image, image->n_pos, per_pos, l, i,
                                       v->data_begin, v->data_end);
            both += a && b;
            any += a || b;
        }
    const double value = any > 0 ? (double)both / (double)any : 0.0;
    return (tl_iou){value, value, value, any == 0};
}

static bool is_empty(const tl_component_set *set, tl_component_kind kind, size_t begin,
                     size_t end)
{
    size_t per_pos;
    const uint8_t *in = members(set, kind, &per_pos);
    for (size_t l = 0; l < set->n_layers; l++)
        for (size_t i = (l * set->n_pos + begin) * per_pos;
             i < (l * set->n_pos + end) * per_pos; i++)
            if (in[i])
                return false;
    return true;
}

tl_status tl_overlap_measure(const tl_component_set *text,
                             const tl_component_set *image, const tl_position_map *map,
                             tl_overlap *out, tl_error *err)
{
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an overlap");
    tl_overlap result = {0};
    tl_status status = TL_OK;
    for (size_t k = 0; k < TL_KIND_COUNT; k++)
        result.of[TL_SEGMENT_DATA][k] =
            iou_of_data(text, image, (tl_component_kind)k, map);
    for (size_t s = TL_SEGMENT_QUERY; s < TL_SEGMENT_COUNT && status == TL_OK; s++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        tl_component_set to_image, to_text;
        size_t t0, t1, v0, v1;
        tl_span_segment(&map->span[TL_TEXT], (tl_segment)s, &t0, &t1);
        tl_span_segment(&map->span[TL_IMAGE], (tl_segment)s, &v0, &v1);
        status = tl_set_create(image->n_layers, image->n_pos, image->n_heads,
                               image->d_mlp, arena, &to_image, err);
        if (status == TL_OK)
            status = tl_set_create(text->n_layers, text->n_pos, text->n_heads,
                                   text->d_mlp, arena, &to_text, err);
        if (status != TL_OK)
            break;
        tl_set_carry(text, TL_TEXT, t0, t1, map, &to_image);
        tl_set_carry(image, TL_IMAGE, v0, v1, map, &to_text);
        for (size_t k = 0; k < TL_KIND_COUNT; k++) {
            const tl_component_kind kind = (tl_component_kind)k;
            tl_iou *r = &result.of[s][k];
            r->in_image = iou(&to_image, image, kind, v0, v1);
            r->in_text = iou(&to_text, text, kind, t0, t1);
            r->iou = (r->in_image + r->in_text) / 2;
            r->empty = is_empty(text, kind, t0, t1) && is_empty(image, kind, v0, v1);
        }
        tl_arena_rewind(arena, mark);
    }
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
    sums of[TL_SEGMENT_COUNT][TL_KIND_COUNT] = {{{0, 0}}},
         segment[TL_SEGMENT_COUNT] = {{0, 0}};
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
        for (size_t s = 0; s < TL_SEGMENT_COUNT && status == TL_OK; s++) {
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
    for (size_t s = 0; s < TL_SEGMENT_COUNT && n_draws > 0; s++) {
        for (size_t k = 0; k < TL_KIND_COUNT; k++)
            out->of[s][k] = moments(&of[s][k], n_draws);
        out->segment[s] = moments(&segment[s], n_draws);
    }
    return TL_OK;
}
