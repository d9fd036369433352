/* SPDX-License-Identifier: MIT
 *
 * alignment.c - how alike the states of an image's tokens and of the words for the same
 * content are, layer by layer (include/twinlens/probe.h; docs/math.md eq. 14).
 *
 * One pass runs a text and an image prompt; a tap keeps resid_post at their data
 * positions. The states of two texts are kept at a time, a pair's own and the next one's.
 */
#include <math.h>
#include <string.h>

#include "twinlens/pass.h"
#include "twinlens/probe.h"

/* resid_post of one prompt's data positions, [n_layers, n, d_model]. */
typedef struct states {
    size_t begin, n, d_model;
    float *values;
} states;

/* Of the prompts of a pass. */
static tl_status keep(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const states *s = (const states *)user + e->prompt;
    memcpy(s->values + e->layer * s->n * s->d_model,
           e->values + (s->begin - e->first_pos) * e->width,
           s->n * e->width * sizeof(float));
    return TL_OK;
}

static bool take_states(tl_arena *arena, const tl_dims *d, size_t most, states *s)
{
    s->d_model = d->d_model;
    s->values = tl_arena_alloc(arena, d->n_layers * most * d->d_model, sizeof(float));
    return s->values != NULL;
}

/* Fills the states of up to two prompts. */
static tl_status run(tl_pass *pass, const tl_input *inputs, const tl_span *spans,
                     size_t n, size_t memory_budget, states *out, tl_error *err)
{
    tl_pass_prompt prompts[2];
    for (size_t i = 0; i < n; i++) {
        prompts[i] = (tl_pass_prompt){.input = inputs[i]};
        out[i].begin = spans[i].data_begin;
        out[i].n = spans[i].data_end - spans[i].data_begin;
    }
    const tl_tap tap = {keep, out, TL_SITE_BIT(TL_SITE_RESID_POST)};
    const tl_pass_options options = {
        .taps = &tap, .n_taps = 1, .memory_budget = memory_budget};
    return tl_pass_forward(pass, prompts, n, &options, err);
}

/* ---- one pair -------------------------------------------------------------------- */

/* To unit length, less `mean` first (NULL: nothing); zero stays zero. */
static void normalise(const states *s, size_t layer, const double *mean, double *out)
{
    const float *x = s->values + layer * s->n * s->d_model;
    for (size_t i = 0; i < s->n; i++) {
        double sum = 0.0;
        for (size_t k = 0; k < s->d_model; k++) {
            const double v =
                (double)x[i * s->d_model + k] - (mean != NULL ? mean[k] : 0.0);
            out[i * s->d_model + k] = v;
            sum += v * v;
        }
        const double scale = sum > 0.0 ? 1.0 / sqrt(sum) : 0.0;
        for (size_t k = 0; k < s->d_model; k++)
            out[i * s->d_model + k] *= scale;
    }
}

/* Mean over rows of x of the largest product with a row of y. */
static double mean_of_best(const double *x, size_t n_x, const double *y, size_t n_y,
                           size_t width)
{
    double total = 0.0;
    for (size_t i = 0; i < n_x; i++) {
        double best = -1.0;
        for (size_t j = 0; j < n_y; j++) {
            double sum = 0.0;
            for (size_t k = 0; k < width; k++)
                sum += x[i * width + k] * y[j * width + k];
            best = sum > best ? sum : best;
        }
        total += best;
    }
    return total / (double)n_x;
}

/* ---- all of them ----------------------------------------------------------------- */

typedef struct work {
    const tl_dims *d;
    tl_pass *pass;
    const tl_parallel *pairs;
    size_t n, memory_budget;
    states text, next, image;
    double *unit_text, *unit_next, *unit_image;
    double *mean[TL_MODALITY_COUNT]; /* [n_layers, d_model]; NULL: not centred */
} work;

static tl_status check_pairs(const tl_parallel *pairs, size_t n, size_t *most_text,
                             size_t *most_image, tl_error *err)
{
    if (n == 0)
        return tl_fail(err, TL_ERR_ARGUMENT, "no pairs to align");
    for (size_t i = 0; i < n; i++) {
        const tl_span *t = &pairs[i].text_span, *v = &pairs[i].image_span;
        if (t->data_begin >= t->data_end || t->data_end > pairs[i].text.n_pos ||
            v->data_begin >= v->data_end || v->data_end > pairs[i].image.n_pos)
            return tl_fail(err, TL_ERR_ARGUMENT, "pair %zu has no data positions", i);
        const size_t n_text = t->data_end - t->data_begin,
                     n_image = v->data_end - v->data_begin;
        *most_text = n_text > *most_text ? n_text : *most_text;
        *most_image = n_image > *most_image ? n_image : *most_image;
    }
    return TL_OK;
}

static tl_status take(work *w, tl_arena *arena, size_t most_text, size_t most_image,
                      tl_error *err)
{
    const size_t width = w->d->d_model;
    w->unit_text = tl_arena_alloc(arena, most_text * width, sizeof(double));
    w->unit_next = tl_arena_alloc(arena, most_text * width, sizeof(double));
    w->unit_image = tl_arena_alloc(arena, most_image * width, sizeof(double));
    return take_states(arena, w->d, most_text, &w->text) &&
                   take_states(arena, w->d, most_text, &w->next) &&
                   take_states(arena, w->d, most_image, &w->image) &&
                   w->unit_text != NULL && w->unit_next != NULL && w->unit_image != NULL
               ? TL_OK
               : tl_fail(err, TL_ERR_NO_MEMORY,
                         "no memory for the states of %zu and %zu positions", most_text,
                         most_image);
}

static void add_rows(const states *s, size_t n_layers, double *sum)
{
    for (size_t l = 0; l < n_layers; l++)
        for (size_t i = 0; i < s->n; i++)
            for (size_t k = 0; k < s->d_model; k++)
                sum[l * s->d_model + k] +=
                    (double)s->values[(l * s->n + i) * s->d_model + k];
}

/* The mean state of each layer and modality over all data positions of all prompts. */
static tl_status find_means(work *w, tl_arena *arena, tl_error *err)
{
    const size_t count = w->d->n_layers * w->d->d_model;
    size_t rows[TL_MODALITY_COUNT] = {0, 0};
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if ((w->mean[m] = tl_arena_alloc_zero(arena, count, sizeof(double))) == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the mean states");
    for (size_t i = 0; i < w->n; i++) {
        const tl_parallel *p = &w->pairs[i];
        tl_status status =
            run(w->pass, &p->text, &p->text_span, 1, w->memory_budget, &w->text, err);
        if (status == TL_OK)
            status = run(w->pass, &p->image, &p->image_span, 1, w->memory_budget,
                         &w->image, err);
        if (status != TL_OK)
            return status;
        add_rows(&w->text, w->d->n_layers, w->mean[TL_TEXT]);
        add_rows(&w->image, w->d->n_layers, w->mean[TL_IMAGE]);
        rows[TL_TEXT] += w->text.n;
        rows[TL_IMAGE] += w->image.n;
    }
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        for (size_t i = 0; i < count; i++)
            w->mean[m][i] /= (double)rows[m];
    return TL_OK;
}

static void measure(work *w, double *matched, double *other)
{
    const size_t width = w->d->d_model;
    for (size_t l = 0; l < w->d->n_layers; l++) {
        const double *text_mean = w->mean[TL_TEXT], *image_mean = w->mean[TL_IMAGE];
        normalise(&w->text, l, text_mean != NULL ? text_mean + l * width : NULL,
                  w->unit_text);
        normalise(&w->next, l, text_mean != NULL ? text_mean + l * width : NULL,
                  w->unit_next);
        normalise(&w->image, l, image_mean != NULL ? image_mean + l * width : NULL,
                  w->unit_image);
        matched[l] =
            mean_of_best(w->unit_image, w->image.n, w->unit_text, w->text.n, width);
        other[l] =
            mean_of_best(w->unit_image, w->image.n, w->unit_next, w->next.n, width);
    }
}

static tl_status align_all(work *w, double *matched, double *other, tl_error *err)
{
    const tl_parallel *p = w->pairs;
    tl_status status =
        run(w->pass, &p[0].text, &p[0].text_span, 1, w->memory_budget, &w->text, err);
    for (size_t i = 0; i < w->n && status == TL_OK; i++) {
        const tl_parallel *next = &p[(i + 1) % w->n];
        const tl_input inputs[2] = {next->text, p[i].image};
        const tl_span spans[2] = {next->text_span, p[i].image_span};
        states both[2] = {w->next, w->image};
        status = run(w->pass, inputs, spans, 2, w->memory_budget, both, err);
        if (status != TL_OK)
            break;
        w->next = both[0];
        w->image = both[1];
        measure(w, matched + i * w->d->n_layers, other + i * w->d->n_layers);
        const states text = w->text;
        w->text = w->next;
        w->next = text;
    }
    return status;
}

tl_status tl_align(tl_model *model, const tl_parallel *pairs, size_t n,
                   const tl_align_options *options, double *matched, double *other,
                   tl_error *err)
{
    static const tl_align_options defaults = {0};
    if (options == NULL)
        options = &defaults;
    size_t most_text = 0, most_image = 0;
    tl_status status = check_pairs(pairs, n, &most_text, &most_image, err);
    if (status != TL_OK)
        return status;
    work w = {.d = tl_model_dims(model),
              .pairs = pairs,
              .n = n,
              .memory_budget = options->memory_budget};
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an alignment");
    status = take(&w, arena, most_text, most_image, err);
    if (status == TL_OK)
        status = tl_pass_create(model, &w.pass, err);
    if (status == TL_OK && options->centred)
        status = find_means(&w, arena, err);
    if (status == TL_OK)
        status = align_all(&w, matched, other, err);
    tl_pass_destroy(w.pass);
    tl_arena_destroy(arena);
    return status;
}
