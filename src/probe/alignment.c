/* SPDX-License-Identifier: MIT
 *
 * alignment.c - how alike the states of an image's tokens and of the words for the same
 * content are, layer by layer (include/twinlens/probe.h; docs/math.md eq. 14).
 *
 * A pair is run once, when it is added: its image and its text, in one pass, with readings
 * of resid_post at their data positions. The states go into the means and are kept. When
 * the budget has no room for those of all pairs, the last that were kept are dropped, and
 * those pairs are run again when they are measured; the bits are the same. Rows of
 * the unembedding are states of a text that is not run, the same in every layer.
 */
#include <math.h>
#include <stdlib.h>

#include "trace/experiment.h"
#include "twinlens/alloc.h"
#include "twinlens/array.h"
#include "twinlens/pass.h"
#include "twinlens/probe.h"

/* States of the data positions of one prompt: in an array from `first` on, [n, d_model] in
 * each layer. */
typedef struct prompt_states {
    size_t n, first;
    size_t stride; /* from layer to layer: 0 when all have the same states */
} prompt_states;

/* Of a pair, by modality. A text that is measured alone has no image. */
typedef struct pair_states {
    prompt_states of[TL_MODALITY_COUNT];
    tl_array values; /* empty: not kept */
} pair_states;

struct tl_alignment {
    tl_experiment on;
    tl_align with;
    /* Over all pairs: states [modalities, n_layers, d_model], then how many [modalities]. */
    double *sums;
    pair_states *pairs; /* in the order in which they were added */
    size_t n_pairs, room;

    /* Of the pair that was run last, until it is added. */
    double *sums_of_one;
    pair_states one;
    size_t kept_bytes;
};

/* Where the sum of a layer's states is among the sums, [d_model]. */
static size_t sum_at(const tl_dims *d, tl_modality m, size_t layer)
{
    return ((size_t)m * d->n_layers + layer) * d->d_model;
}

/* Where the number of a modality's states is. */
static size_t count_at(const tl_dims *d, tl_modality m)
{
    return (size_t)TL_MODALITY_COUNT * d->n_layers * d->d_model + (size_t)m;
}

static size_t sum_count(const tl_dims *d)
{
    return count_at(d, (tl_modality)TL_MODALITY_COUNT);
}

tl_status tl_alignment_create(tl_model *model, tl_align with, size_t memory_budget,
                              tl_alignment **out, tl_error *err)
{
    tl_alignment *a = tl_alloc_zero(1, sizeof *a);
    if (a == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an alignment");
    tl_status status = tl_experiment_init(&a->on, model, memory_budget, err);
    a->with = with;
    const size_t n_sums = status == TL_OK ? sum_count(a->on.d) : 0;
    a->sums = tl_alloc_zero(n_sums, sizeof *a->sums);
    a->sums_of_one = tl_alloc_zero(n_sums, sizeof *a->sums_of_one);
    if (status == TL_OK && (a->sums == NULL || a->sums_of_one == NULL))
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the mean states");
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
    for (size_t i = 0; i < a->n_pairs; i++)
        tl_array_release(&a->pairs[i].values);
    tl_free(a->pairs);
    tl_array_release(&a->one.values);
    tl_free(a->sums);
    tl_free(a->sums_of_one);
    tl_experiment_release(&a->on);
    tl_free(a);
}

static bool runs_text(tl_align with)
{
    return with == TL_ALIGN_ACT;
}

static size_t data_of(const tl_span *span)
{
    return span->data_end > span->data_begin ? span->data_end - span->data_begin : 0;
}

/* Room for the pairs that have been added: the list doubles when it is full. */
enum { FIRST_ROOM = 64 };

/* Bytes of the list, and of what it was copied from when it grew last. */
static size_t list_bytes(size_t n_pairs)
{
    size_t room = FIRST_ROOM;
    while (room < n_pairs)
        room *= 2;
    return (room > FIRST_ROOM ? room + room / 2 : room) * sizeof(pair_states);
}

/* Of all pairs and of one. */
static size_t sums_bytes(const tl_dims *d)
{
    return 2 * sum_count(d) * sizeof(double);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Rows of the unembedding, of the host, until they are where they are wanted. */
static size_t looked_up_bytes(tl_align with, const tl_dims *d, size_t n_text)
{
    return runs_text(with) ? 0 : n_text * d->d_model * sizeof(float);
}

/* Bytes of states to unit length, and of the products of one with those of either text. */
static size_t unit_bytes(const tl_dims *d, size_t n_image, size_t n_text,
                         size_t n_other)
{
    return ((n_image + n_text + n_other) * d->d_model + larger(n_text, n_other)) *
           sizeof(double);
}

tl_status tl_alignment_bytes(const tl_model *model, tl_align with, const tl_span *text,
                             const tl_span *image, size_t n_pairs, size_t *out,
                             tl_error *err)
{
    const tl_dims *d = tl_model_dims(model);
    const size_t n_pos[TL_MODALITY_COUNT] = {image->n_pos, text->n_pos};
    const size_t row = d->d_model * sizeof(float), n_text = data_of(text),
                 n_image = data_of(image),
                 text_states = (runs_text(with) ? d->n_layers : 1) * n_text * row,
                 image_states = d->n_layers * n_image * row,
                 looked_up = looked_up_bytes(with, d, n_text);
    size_t both = 0, alone = 0;
    tl_status status =
        tl_pass_bytes(model, n_pos, NULL, runs_text(with) ? 2 : 1, NULL, &both, err);
    if (status == TL_OK && runs_text(with))
        status = tl_pass_bytes(model, &text->n_pos, NULL, 1, NULL, &alone, err);
    if (status == TL_OK)
        *out = TL_EXPERIMENT_BYTES + sums_bytes(d) + list_bytes(n_pairs) +
               image_states + text_states +
               larger(both + looked_up,
                      text_states + larger(alone + looked_up,
                                           unit_bytes(d, n_image, n_text, n_text)));
    return status;
}

/* ---- states ---------------------------------------------------------------------- */

static bool is_run(const tl_alignment *a, tl_modality m)
{
    return m == TL_IMAGE || runs_text(a->with);
}

static const tl_input *input_of(const tl_parallel *pair, tl_modality m)
{
    return m == TL_TEXT ? &pair->text : &pair->image;
}

static const tl_span *span_of(const tl_parallel *pair, tl_modality m)
{
    return m == TL_TEXT ? &pair->text_span : &pair->image_span;
}

/* Where the states of a pair will be, without an image if only the text is wanted; the
 * elements that they take. */
static tl_status place_states(const tl_alignment *a, const tl_parallel *pair,
                              bool with_image, pair_states *out, size_t *count,
                              tl_error *err)
{
    pair_states s = {0};
    *count = 0;
    for (int i = 0; i < (with_image ? TL_MODALITY_COUNT : TL_IMAGE); i++) {
        const tl_modality m = (tl_modality)i;
        const tl_span *span = span_of(pair, m);
        if (span->data_begin >= span->data_end ||
            span->data_end > input_of(pair, m)->n_pos)
            return tl_fail(err, TL_ERR_ARGUMENT, "a prompt without data positions");
        if (!is_run(a, m) && pair->text_ids == NULL)
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "a text without its tokens, whose unembedding is wanted");
        const size_t n = span->data_end - span->data_begin,
                     in_layer = n * a->on.d->d_model;
        s.of[m] = (prompt_states){n, *count, is_run(a, m) ? in_layer : 0};
        *count += is_run(a, m) ? a->on.d->n_layers * in_layer : in_layer;
    }
    *out = s;
    return TL_OK;
}

static tl_status look_up_text(tl_alignment *a, const tl_parallel *pair, pair_states *s,
                              tl_error *err)
{
    const prompt_states *text = &s->of[TL_TEXT];
    const size_t count = text->n * a->on.d->d_model;
    float *rows = tl_alloc(count, sizeof *rows);
    if (rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu tokens", text->n);
    tl_status status = tl_model_unembedding(
        a->on.model, pair->text_ids + pair->text_span.data_begin, text->n, rows, err);
    if (status == TL_OK)
        status = tl_array_upload(&s->values, text->first, count, rows, err);
    tl_free(rows);
    return status;
}

/* Runs what has to be run, and fills s->values. */
static tl_status run_pair(tl_alignment *a, const tl_parallel *pair, size_t budget,
                          pair_states *s, tl_error *err)
{
    tl_pass_prompt prompts[TL_MODALITY_COUNT];
    tl_reading readings[TL_MODALITY_COUNT];
    size_t n = 0;
    for (int i = 0; i < TL_MODALITY_COUNT; i++) {
        const tl_modality m = (tl_modality)i;
        if (s->of[m].n == 0 || !is_run(a, m))
            continue;
        prompts[n] = (tl_pass_prompt){.input = *input_of(pair, m)};
        readings[n] = (tl_reading){.at = {.site = TL_SITE_RESID_POST,
                                          .prompt = n,
                                          .first_pos = span_of(pair, m)->data_begin,
                                          .n_pos = s->of[m].n},
                                   .to = tl_array_f32(&s->values, s->of[m].first)};
        n++;
    }
    const tl_pass_options options = {
        .readings = readings, .n_readings = n, .memory_budget = budget};
    tl_status status =
        n > 0 ? tl_pass_forward(a->on.pass, prompts, n, &options, err) : TL_OK;
    if (status == TL_OK && !is_run(a, TL_TEXT))
        status = look_up_text(a, pair, s, err);
    return status;
}

/* Bytes of the pass that runs them, and of the tokens that are looked up after it. */
static tl_status pass_bytes(const tl_alignment *a, const tl_parallel *pair,
                            const pair_states *s, size_t *out, tl_error *err)
{
    size_t n_pos[TL_MODALITY_COUNT], n = 0, bytes = 0;
    for (int m = 0; m < TL_MODALITY_COUNT; m++)
        if (s->of[m].n > 0 && is_run(a, (tl_modality)m))
            n_pos[n++] = input_of(pair, (tl_modality)m)->n_pos;
    const tl_status status =
        n > 0 ? tl_pass_bytes(a->on.model, n_pos, NULL, n, NULL, &bytes, err) : TL_OK;
    if (status == TL_OK)
        *out = bytes + looked_up_bytes(a->with, a->on.d, s->of[TL_TEXT].n);
    return status;
}

/* Bytes that stay from the first pair to the last, with the states that are kept. */
static size_t held_bytes(const tl_alignment *a)
{
    return sums_bytes(a->on.d) + a->room * sizeof *a->pairs + a->kept_bytes;
}

static void drop(tl_alignment *a, size_t k)
{
    a->kept_bytes -= a->pairs[k].values.capacity;
    tl_array_release(&a->pairs[k].values);
}

/* Makes room for `others` bytes and a pass of so many: drops kept states, but not those of
 * pairs i and j, until they fit. *room receives what the pass may use; with a pass of 0 there
 * is none. */
static tl_status make_room(tl_alignment *a, size_t others, size_t pass, size_t i,
                           size_t j, size_t *room, tl_error *err)
{
    const size_t budget = a->on.memory_budget;
    size_t bytes = TL_EXPERIMENT_BYTES;
    if (!tl_size_muladd(others, 1, &bytes) || !tl_size_muladd(pass, 1, &bytes))
        bytes = SIZE_MAX / 2;
    for (size_t k = a->n_pairs;
         k-- > 0 && budget > 0 && held_bytes(a) + bytes > budget;)
        if (k != i && k != j)
            drop(a, k);
    const size_t need = held_bytes(a) + bytes;
    if (budget > 0 && need > budget)
        return tl_fail(err, TL_ERR_NO_MEMORY,
                       "aligning a pair needs %.3f MiB, the budget is %.3f MiB",
                       (double)need / (1 << 20), (double)budget / (1 << 20));
    if (pass > 0)
        return tl_experiment_room(&a->on, held_bytes(a) + others, room, err);
    if (budget > 0)
        tl_pass_shrink(a->on.pass, budget - need);
    return TL_OK;
}

/* Runs a pair, or its text alone; `others` bytes are there at the same time. */
static tl_status make_states(tl_alignment *a, const tl_parallel *pair, bool with_image,
                             size_t others, size_t i, size_t j, pair_states *out,
                             tl_error *err)
{
    pair_states s;
    size_t count = 0, bytes = 0, room = 0;
    tl_status status = place_states(a, pair, with_image, &s, &count, err);
    if (status == TL_OK)
        status = pass_bytes(a, pair, &s, &bytes, err);
    if (status == TL_OK)
        status = make_room(a, count * sizeof(float) + others, bytes, i, j, &room, err);
    if (status == TL_OK)
        status = tl_array_init(a->on.model, TL_F32, count, &s.values, err);
    if (status != TL_OK)
        return status;
    if (room > 0) /* after the pass, its memory is still there */
        room -= looked_up_bytes(a->with, a->on.d, s.of[TL_TEXT].n);
    status = run_pair(a, pair, room, &s, err);
    if (status == TL_OK)
        *out = s;
    else
        tl_array_release(&s.values);
    return status;
}

/* The rows of a layer, for the host. */
static tl_status get_layer(const tl_alignment *a, const pair_states *s, tl_modality m,
                           size_t layer, const float **out, tl_error *err)
{
    const prompt_states *of = &s->of[m];
    const void *values = NULL;
    const tl_status status =
        tl_array_get(&s->values, of->first + layer * of->stride,
                     of->n * a->on.d->d_model, a->on.arena, &values, err);
    if (status == TL_OK)
        *out = values;
    return status;
}

/* Adds up the states of the pair that was run, position after position. */
static tl_status sum_one(tl_alignment *a, tl_error *err)
{
    const tl_dims *d = a->on.d;
    tl_status status = TL_OK;
    for (size_t i = 0; i < sum_count(d); i++)
        a->sums_of_one[i] = 0.0;
    for (int i = 0; i < TL_MODALITY_COUNT; i++) {
        const tl_modality m = (tl_modality)i;
        const size_t n = a->one.of[m].n;
        a->sums_of_one[count_at(d, m)] = (double)n;
        for (size_t l = 0; l < d->n_layers && status == TL_OK; l++) {
            const float *rows = NULL;
            double *sum = a->sums_of_one + sum_at(d, m, l);
            const tl_arena_mark mark = tl_arena_get_mark(a->on.arena);
            status = get_layer(a, &a->one, m, l, &rows, err);
            for (size_t k = 0; k < n * d->d_model && status == TL_OK; k++)
                sum[k % d->d_model] += (double)rows[k];
            tl_arena_rewind(a->on.arena, mark);
        }
    }
    return status;
}

static tl_status check_budget(const tl_alignment *a, const tl_parallel *pair,
                              tl_error *err)
{
    const tl_span text = {pair->text.n_pos, pair->text_span.data_begin,
                          pair->text_span.data_end},
                  image = {pair->image.n_pos, pair->image_span.data_begin,
                           pair->image_span.data_end};
    size_t least = 0;
    if (a->on.memory_budget == 0)
        return TL_OK;
    const tl_status status = tl_alignment_bytes(a->on.model, a->with, &text, &image,
                                                a->n_pairs + 1, &least, err);
    return status == TL_OK ? tl_budget_check(a->on.memory_budget, least,
                                             "aligning an image", image.n_pos, err)
                           : status;
}

/* Twice the room for pairs; for a moment the old list is there as well. */
static tl_status grow_list(tl_alignment *a, tl_error *err)
{
    const size_t room = a->room > 0 ? 2 * a->room : FIRST_ROOM;
    size_t rest = 0;
    const tl_status status =
        make_room(a, room * sizeof *a->pairs, 0, SIZE_MAX, SIZE_MAX, &rest, err);
    if (status != TL_OK)
        return status;
    pair_states *pairs = tl_realloc(a->pairs, a->n_pairs, room, sizeof *pairs);
    if (pairs == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", room);
    a->pairs = pairs;
    a->room = room;
    return TL_OK;
}

/* The pair that was run and not taken. */
static void forget_one(tl_alignment *a)
{
    a->kept_bytes -= a->one.values.capacity;
    tl_array_release(&a->one.values);
    a->one = (pair_states){0};
}

tl_status tl_alignment_run(tl_alignment *a, const tl_parallel *pair, tl_error *err)
{
    tl_status status = check_budget(a, pair, err);
    if (status == TL_OK && a->n_pairs == a->room)
        status = grow_list(a, err);
    forget_one(a);
    if (status == TL_OK)
        status = make_states(a, pair, true, 0, SIZE_MAX, SIZE_MAX, &a->one, err);
    if (status != TL_OK)
        return status;
    a->kept_bytes += a->one.values.capacity;
    return sum_one(a, err);
}

double *tl_alignment_sums(tl_alignment *a, size_t *n)
{
    *n = sum_count(a->on.d);
    return a->sums_of_one;
}

tl_status tl_alignment_take(tl_alignment *a, const double *sums, tl_error *err)
{
    const tl_status status = a->n_pairs == a->room ? grow_list(a, err) : TL_OK;
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < sum_count(a->on.d); i++)
        a->sums[i] += (sums != NULL ? sums : a->sums_of_one)[i];
    a->pairs[a->n_pairs++] = sums == NULL ? a->one : (pair_states){0};
    if (sums == NULL)
        a->one = (pair_states){0};
    return TL_OK;
}

tl_status tl_alignment_add(tl_alignment *a, const tl_parallel *pair, tl_error *err)
{
    const tl_status status = tl_alignment_run(a, pair, err);
    return status == TL_OK ? tl_alignment_take(a, NULL, err) : status;
}

bool tl_alignment_keeps(const tl_alignment *a, size_t i)
{
    return i < a->n_pairs && a->pairs[i].values.data != NULL;
}

/* ---- cosines --------------------------------------------------------------------- */

/* Rows to unit length, sum / n subtracted before (n 0: nothing); zero stays zero. */
static void normalise(const float *x, size_t n_rows, size_t width, const double *sum,
                      size_t n, double *out)
{
    for (size_t i = 0; i < n_rows; i++) {
        double squares = 0.0;
        for (size_t k = 0; k < width; k++) {
            const double mean = n > 0 ? sum[k] / (double)n : 0.0,
                         v = (double)x[i * width + k] - mean;
            out[i * width + k] = v;
            squares += v * v;
        }
        const double scale = squares > 0.0 ? 1.0 / sqrt(squares) : 0.0;
        for (size_t k = 0; k < width; k++)
            out[i * width + k] *= scale;
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

/* What is compared: the image with the pair's text and with the other's. */
enum { IMAGE, TEXT, OTHER, COMPARED };
static const tl_modality modality[COMPARED] = {TL_IMAGE, TL_TEXT, TL_TEXT};

/* Room for what is computed of one layer. */
typedef struct unit_rows {
    size_t n; /* COMPARED, or one less: there is no other */
    const pair_states *from[COMPARED];
    double *rows[COMPARED]; /* to unit length */
    double *products;       /* with the tokens of either text */
} unit_rows;

static size_t count_of(const unit_rows *u, size_t p)
{
    return p < u->n ? u->from[p]->of[modality[p]].n : 0;
}

static tl_status compare_layer(const tl_alignment *a, const unit_rows *u, size_t l,
                               bool centred, double *matched, double *other,
                               tl_error *err)
{
    const size_t width = a->on.d->d_model;
    double *const out[COMPARED] = {NULL, matched, other};
    other[l] = NAN;
    for (size_t p = 0; p < u->n; p++) {
        const tl_modality m = modality[p];
        const float *rows = NULL;
        const tl_status status = get_layer(a, u->from[p], m, l, &rows, err);
        if (status != TL_OK)
            return status;
        normalise(rows, count_of(u, p), width, a->sums + sum_at(a->on.d, m, l),
                  centred ? (size_t)a->sums[count_at(a->on.d, m)] : 0, u->rows[p]);
    }
    for (size_t p = TEXT; p < u->n; p++)
        out[p][l] =
            mean_of_best(u->rows[IMAGE], count_of(u, IMAGE), u->rows[p], count_of(u, p),
                         width, count_best(a->with, count_of(u, p)), u->products);
    return TL_OK;
}

/* `u` has no rows yet, and has none when this is over. */
static tl_status compare(tl_alignment *a, unit_rows *u, tl_alignment_values *out,
                         tl_error *err)
{
    const size_t width = a->on.d->d_model;
    double *units = tl_alloc(
        unit_bytes(a->on.d, count_of(u, IMAGE), count_of(u, TEXT), count_of(u, OTHER)),
        1);
    if (units == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to compare %zu tokens",
                       count_of(u, IMAGE));
    u->products = units;
    for (size_t p = 0; p < u->n; p++) {
        u->rows[p] = u->products;
        u->products += count_of(u, p) * width;
    }
    tl_status status = TL_OK;
    for (size_t l = 0; l < a->on.d->n_layers && status == TL_OK; l++) {
        const tl_arena_mark mark = tl_arena_get_mark(a->on.arena);
        status = compare_layer(a, u, l, false, out->matched, out->other, err);
        if (status == TL_OK && out->centred_matched != NULL)
            status = compare_layer(a, u, l, true, out->centred_matched,
                                   out->centred_other, err);
        tl_arena_rewind(a->on.arena, mark);
    }
    tl_free(units);
    return status;
}

tl_status tl_alignment_measure(tl_alignment *a, size_t i, const tl_parallel *pair,
                               size_t j, const tl_parallel *other,
                               tl_alignment_values *out, tl_error *err)
{
    const bool alone = j == TL_NO_PAIR;
    if (i >= a->n_pairs || (!alone && j >= a->n_pairs))
        return tl_fail(err, TL_ERR_ARGUMENT, "pairs %zu and %zu of %zu", i, j,
                       a->n_pairs);
    if ((!tl_alignment_keeps(a, i) && pair == NULL) ||
        (!alone && !tl_alignment_keeps(a, j) && other == NULL))
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "pair %zu or %zu is not kept, and was not given", i, j);
    pair_states of_pair = {0}, of_other = {0};
    unit_rows u = {.n = alone ? OTHER : COMPARED,
                   .from = {&a->pairs[i], &a->pairs[i], alone ? NULL : &a->pairs[j]}};
    const size_t units = unit_bytes(a->on.d, count_of(&u, IMAGE), count_of(&u, TEXT),
                                    count_of(&u, OTHER));
    /* What is kept of the other pair can be dropped, and its text alone be run. */
    const size_t j_if_needed = other == NULL || i == j ? j : SIZE_MAX;
    tl_status status = TL_OK;
    size_t room = 0;
    if (!tl_alignment_keeps(a, i)) {
        status = make_states(a, pair, true, 0, i, j_if_needed, &of_pair, err);
        u.from[IMAGE] = u.from[TEXT] = &of_pair;
    }
    if (status == TL_OK)
        status = make_room(a, of_pair.values.capacity + units, 0, i, j_if_needed, &room,
                           err);
    if (status == TL_OK && !alone && !tl_alignment_keeps(a, j)) {
        status =
            make_states(a, other, false, of_pair.values.capacity, i, j, &of_other, err);
        u.from[OTHER] = &of_other;
    }
    if (status == TL_OK)
        status =
            make_room(a, of_pair.values.capacity + of_other.values.capacity + units, 0,
                      i, j, &room, err);
    if (status == TL_OK)
        status = compare(a, &u, out, err);
    tl_array_release(&of_other.values);
    tl_array_release(&of_pair.values);
    return status;
}
