/* SPDX-License-Identifier: MIT
 *
 * alignment.c - how alike the states of an image's tokens and of the words for the same
 * content are, layer by layer (include/twinlens/probe.h; docs/math.md eq. 14).
 *
 * One pass runs the image, its text and another text; a tap keeps resid_post at their
 * data positions. Rows of the unembedding are states of a text that is not run, the
 * same in every layer.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "twinlens/alloc.h"
#include "twinlens/pass.h"
#include "twinlens/probe.h"

/* resid_post of one prompt's data positions, [n_layers, n, d_model]. */
typedef struct states {
    size_t begin, n, width;
    size_t stride; /* from layer to layer: 0 when all have the same states */
    float *values;
} states;

struct tl_alignment {
    tl_model *model;
    tl_align with;
    const tl_dims *dims;
    tl_pass *pass;
    size_t memory_budget;
    tl_arena *arena;                /* of one call */
    double *sum[TL_MODALITY_COUNT]; /* [n_layers, d_model], of states that were taken */
    size_t n_taken[TL_MODALITY_COUNT];
};

tl_status tl_alignment_create(tl_model *model, tl_align with, size_t memory_budget,
                              tl_alignment **out, tl_error *err)
{
    tl_alignment *a = tl_alloc_zero(1, sizeof *a);
    if (a == NULL || (a->arena = tl_arena_create()) == NULL) {
        tl_alignment_destroy(a);
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an alignment");
    }
    a->model = model;
    a->with = with;
    a->dims = tl_model_dims(model);
    a->memory_budget = memory_budget;
    const size_t count = a->dims->n_layers * a->dims->d_model;
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if ((a->sum[m] = tl_alloc_zero(count, sizeof *a->sum[m])) == NULL)
            status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the mean states");
    if (status == TL_OK)
        status = tl_pass_create(model, &a->pass, err);
    if (status == TL_OK)
        *out = a;
    else
        tl_alignment_destroy(a);
    return status;
}

void tl_alignment_destroy(tl_alignment *a)
{
    if (a == NULL)
        return;
    tl_pass_destroy(a->pass);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        tl_free(a->sum[m]);
    tl_arena_destroy(a->arena);
    tl_free(a);
}

/* ---- states ---------------------------------------------------------------------- */

/* Of the prompts of a pass. */
static tl_status keep(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const states *s = (const states *)user + e->prompt;
    memcpy(s->values + e->layer * s->stride,
           e->values + (s->begin - e->first_pos) * e->width,
           s->n * e->width * sizeof(float));
    return TL_OK;
}

/* The prompts of an alignment, in the order in which their states are kept. */
enum { IMAGE, TEXT, OTHER, PROMPTS };
static const tl_modality modality[PROMPTS] = {TL_IMAGE, TL_TEXT, TL_TEXT};

static tl_status make_room(tl_alignment *a, const tl_input *input, const tl_span *span,
                           size_t n_layers, states *out, tl_error *err)
{
    if (span->data_begin >= span->data_end || span->data_end > input->n_pos)
        return tl_fail(err, TL_ERR_ARGUMENT, "a prompt without data positions");
    states s = {.begin = span->data_begin,
                .n = span->data_end - span->data_begin,
                .width = a->dims->d_model};
    s.stride = n_layers > 1 ? s.n * s.width : 0;
    s.values = tl_arena_alloc(a->arena, n_layers * s.n * s.width, sizeof(float));
    if (s.values == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the states of %zu tokens",
                       s.n);
    *out = s;
    return TL_OK;
}

static tl_status run(tl_alignment *a, const tl_input *const *inputs,
                     const tl_span *const *spans, size_t n, states *out, tl_error *err)
{
    tl_pass_prompt prompts[PROMPTS];
    tl_status status = TL_OK;
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        prompts[i] = (tl_pass_prompt){.input = *inputs[i]};
        status = make_room(a, inputs[i], spans[i], a->dims->n_layers, &out[i], err);
    }
    const tl_tap tap = {
        .on_site = keep, .user = out, .sites = TL_SITE_BIT(TL_SITE_RESID_POST)};
    const tl_pass_options options = {
        .taps = &tap, .n_taps = 1, .memory_budget = a->memory_budget};
    return status != TL_OK ? status
                           : tl_pass_forward(a->pass, prompts, n, &options, err);
}

static tl_status look_up(tl_alignment *a, const tl_input *input, const tl_span *span,
                         const int32_t *ids, states *out, tl_error *err)
{
    if (ids == NULL)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "a text without its tokens, whose unembedding is wanted");
    const tl_status status = make_room(a, input, span, 1, out, err);
    return status != TL_OK ? status
                           : tl_model_unembedding(a->model, ids + out->begin, out->n,
                                                  out->values, err);
}

/* Of the first n prompts. */
static tl_status read_states(tl_alignment *a, const tl_parallel *pair,
                             const tl_parallel *other, size_t n, states *out,
                             tl_error *err)
{
    const tl_input *const inputs[PROMPTS] = {&pair->image, &pair->text, &other->text};
    const tl_span *const spans[PROMPTS] = {&pair->image_span, &pair->text_span,
                                           &other->text_span};
    const int32_t *const ids[PROMPTS] = {NULL, pair->text_ids, other->text_ids};
    const size_t n_run = a->with == TL_ALIGN_ACT ? n : TEXT;
    tl_status status = run(a, inputs, spans, n_run, out, err);
    for (size_t i = n_run; i < n && status == TL_OK; i++)
        status = look_up(a, inputs[i], spans[i], ids[i], &out[i], err);
    return status;
}

static void add_rows(const states *s, size_t n_layers, double *sum)
{
    for (size_t l = 0; l < n_layers; l++)
        for (size_t i = 0; i < s->n; i++)
            for (size_t k = 0; k < s->width; k++)
                sum[l * s->width + k] +=
                    (double)s->values[l * s->stride + i * s->width + k];
}

tl_status tl_alignment_take(tl_alignment *a, const tl_parallel *pair, tl_error *err)
{
    states s[PROMPTS];
    const tl_arena_mark mark = tl_arena_get_mark(a->arena);
    const tl_status status = read_states(a, pair, pair, OTHER, s, err);
    for (size_t p = 0; p < OTHER && status == TL_OK; p++) {
        add_rows(&s[p], a->dims->n_layers, a->sum[modality[p]]);
        a->n_taken[modality[p]] += s[p].n;
    }
    tl_arena_rewind(a->arena, mark);
    return status;
}

/* ---- cosines --------------------------------------------------------------------- */

/* States of a layer to unit length, less sum / n first (n 0: nothing); zero stays zero. */
static void normalise(const states *s, size_t layer, const double *sum, size_t n,
                      double *out)
{
    const float *x = s->values + layer * s->stride;
    for (size_t i = 0; i < s->n; i++) {
        double squares = 0.0;
        for (size_t k = 0; k < s->width; k++) {
            const double mean = n > 0 ? sum[layer * s->width + k] / (double)n : 0.0,
                         v = (double)x[i * s->width + k] - mean;
            out[i * s->width + k] = v;
            squares += v * v;
        }
        const double scale = squares > 0.0 ? 1.0 / sqrt(squares) : 0.0;
        for (size_t k = 0; k < s->width; k++)
            out[i * s->width + k] *= scale;
    }
}

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Mean over rows of x of the mean of the n_best largest products with rows of y;
 * `products` has room for [n_y]. */
static double mean_of_best(const double *x, size_t n_x, const double *y, size_t n_y,
                           size_t width, size_t n_best, double *products)
{
    double total = 0.0;
    for (size_t i = 0; i < n_x; i++) {
        for (size_t j = 0; j < n_y; j++) {
            products[j] = 0.0;
            for (size_t k = 0; k < width; k++)
                products[j] += x[i * width + k] * y[j * width + k];
        }
        qsort(products, n_y, sizeof *products, descending);
        double best = 0.0;
        for (size_t j = 0; j < n_best; j++)
            best += products[j];
        total += best / (double)n_best;
    }
    return total / (double)n_x;
}

/* How many of the similarities to n tokens count. */
static size_t count_best(tl_align with, size_t n)
{
    return with == TL_ALIGN_ACT || n < 20 ? 1 : n / 20;
}

/* Room for what is computed of one layer. */
typedef struct scratch {
    double *unit[PROMPTS]; /* the states of each prompt */
    double *products;      /* with the tokens of either text */
} scratch;

/* All layers. */
static void compare(const tl_alignment *a, const states *s, bool centred,
                    const scratch *room, double *matched, double *other)
{
    double *const out[PROMPTS] = {NULL, matched, other};
    for (size_t l = 0; l < a->dims->n_layers; l++) {
        for (size_t p = 0; p < PROMPTS; p++)
            normalise(&s[p], l, a->sum[modality[p]],
                      centred ? a->n_taken[modality[p]] : 0, room->unit[p]);
        for (size_t p = TEXT; p < PROMPTS; p++)
            out[p][l] = mean_of_best(room->unit[IMAGE], s[IMAGE].n, room->unit[p],
                                     s[p].n, a->dims->d_model,
                                     count_best(a->with, s[p].n), room->products);
    }
}

static tl_status take_scratch(tl_arena *arena, const states *s, scratch *out,
                              tl_error *err)
{
    const size_t most = s[TEXT].n > s[OTHER].n ? s[TEXT].n : s[OTHER].n;
    scratch room = {.products = tl_arena_alloc(arena, most, sizeof(double))};
    bool whole = room.products != NULL;
    for (size_t p = 0; p < PROMPTS; p++) {
        room.unit[p] = tl_arena_alloc(arena, s[p].n * s[p].width, sizeof(double));
        whole = whole && room.unit[p] != NULL;
    }
    *out = room;
    return whole ? TL_OK
                 : tl_fail(err, TL_ERR_NO_MEMORY, "no memory to compare %zu tokens",
                           s[IMAGE].n);
}

static tl_status measure(tl_alignment *a, const tl_parallel *pair,
                         const tl_parallel *other, tl_alignment_values *out,
                         tl_error *err)
{
    states s[PROMPTS];
    scratch room;
    tl_status status = read_states(a, pair, other, PROMPTS, s, err);
    if (status == TL_OK)
        status = take_scratch(a->arena, s, &room, err);
    if (status != TL_OK)
        return status;
    compare(a, s, false, &room, out->matched, out->other);
    if (out->centred_matched != NULL)
        compare(a, s, true, &room, out->centred_matched, out->centred_other);
    return TL_OK;
}

tl_status tl_alignment_measure(tl_alignment *a, const tl_parallel *pair,
                               const tl_parallel *other, tl_alignment_values *out,
                               tl_error *err)
{
    if (out->centred_matched != NULL && a->n_taken[TL_TEXT] == 0)
        return tl_fail(err, TL_ERR_ARGUMENT, "no pair was taken to centre by");
    const tl_arena_mark mark = tl_arena_get_mark(a->arena);
    const tl_status status = measure(a, pair, other, out, err);
    tl_arena_rewind(a->arena, mark);
    return status;
}
