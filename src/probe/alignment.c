/* SPDX-License-Identifier: MIT
 *
 * alignment.c - how alike the states of an image's tokens and of the words for the same
 * content are, layer by layer (include/twinlens/probe.h; docs/math.md eq. 14).
 *
 * One pass runs the image, its text and another text; a tap keeps resid_post at their
 * data positions.
 */
#include <math.h>
#include <string.h>

#include "twinlens/alloc.h"
#include "twinlens/pass.h"
#include "twinlens/probe.h"

/* resid_post of one prompt's data positions, [n_layers, n, d_model]. */
typedef struct states {
    size_t begin, n, width;
    float *values;
} states;

struct tl_alignment {
    const tl_dims *dims;
    tl_pass *pass;
    size_t memory_budget;
    tl_arena *arena;                /* of one call */
    double *sum[TL_MODALITY_COUNT]; /* [n_layers, d_model], of states that were taken */
    size_t n_taken[TL_MODALITY_COUNT];
};

tl_status tl_alignment_create(tl_model *model, size_t memory_budget, tl_alignment **out,
                              tl_error *err)
{
    tl_alignment *a = tl_alloc_zero(1, sizeof *a);
    if (a == NULL || (a->arena = tl_arena_create()) == NULL) {
        tl_alignment_destroy(a);
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for an alignment");
    }
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
    memcpy(s->values + e->layer * s->n * s->width,
           e->values + (s->begin - e->first_pos) * e->width,
           s->n * e->width * sizeof(float));
    return TL_OK;
}

static tl_status run(tl_alignment *a, const tl_input *const *inputs,
                     const tl_span *const *spans, size_t n, states *out, tl_error *err)
{
    enum { MOST = 3 };
    tl_pass_prompt prompts[MOST];
    for (size_t i = 0; i < n; i++) {
        if (spans[i]->data_begin >= spans[i]->data_end ||
            spans[i]->data_end > inputs[i]->n_pos)
            return tl_fail(err, TL_ERR_ARGUMENT, "a prompt without data positions");
        prompts[i] = (tl_pass_prompt){.input = *inputs[i]};
        out[i] = (states){.begin = spans[i]->data_begin,
                          .n = spans[i]->data_end - spans[i]->data_begin,
                          .width = a->dims->d_model};
        out[i].values = tl_arena_alloc(
            a->arena, a->dims->n_layers * out[i].n * out[i].width, sizeof(float));
        if (out[i].values == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY,
                           "no memory for the states of %zu tokens", out[i].n);
    }
    const tl_tap tap = {keep, out, TL_SITE_BIT(TL_SITE_RESID_POST)};
    const tl_pass_options options = {
        .taps = &tap, .n_taps = 1, .memory_budget = a->memory_budget};
    return tl_pass_forward(a->pass, prompts, n, &options, err);
}

static void add_rows(const states *s, size_t n_layers, double *sum)
{
    for (size_t l = 0; l < n_layers; l++)
        for (size_t i = 0; i < s->n; i++)
            for (size_t k = 0; k < s->width; k++)
                sum[l * s->width + k] +=
                    (double)s->values[(l * s->n + i) * s->width + k];
}

tl_status tl_alignment_take(tl_alignment *a, const tl_parallel *pair, tl_error *err)
{
    const tl_input *const inputs[TL_MODALITY_COUNT] = {&pair->text, &pair->image};
    const tl_span *const spans[TL_MODALITY_COUNT] = {&pair->text_span,
                                                     &pair->image_span};
    states s[TL_MODALITY_COUNT];
    const tl_arena_mark mark = tl_arena_get_mark(a->arena);
    const tl_status status = run(a, inputs, spans, TL_MODALITY_COUNT, s, err);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        add_rows(&s[m], a->dims->n_layers, a->sum[m]);
        a->n_taken[m] += s[m].n;
    }
    tl_arena_rewind(a->arena, mark);
    return status;
}

/* ---- cosines --------------------------------------------------------------------- */

/* States of a layer to unit length, less sum / n first (n 0: nothing); zero stays zero. */
static void normalise(const states *s, size_t layer, const double *sum, size_t n,
                      double *out)
{
    const float *x = s->values + layer * s->n * s->width;
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

enum { IMAGE, TEXT, OTHER, PROMPTS };

/* All layers; unit[p] has room for the states of prompt p. */
static void compare(const tl_alignment *a, const states *s, bool centred,
                    double *const *unit, double *matched, double *other)
{
    static const tl_modality modality[PROMPTS] = {TL_IMAGE, TL_TEXT, TL_TEXT};
    const size_t width = a->dims->d_model;
    for (size_t l = 0; l < a->dims->n_layers; l++) {
        for (size_t p = 0; p < PROMPTS; p++)
            normalise(&s[p], l, a->sum[modality[p]],
                      centred ? a->n_taken[modality[p]] : 0, unit[p]);
        matched[l] =
            mean_of_best(unit[IMAGE], s[IMAGE].n, unit[TEXT], s[TEXT].n, width);
        other[l] =
            mean_of_best(unit[IMAGE], s[IMAGE].n, unit[OTHER], s[OTHER].n, width);
    }
}

static tl_status measure(tl_alignment *a, const tl_parallel *pair,
                         const tl_parallel *other, tl_alignment_values *out,
                         tl_error *err)
{
    const tl_input *const inputs[PROMPTS] = {&pair->image, &pair->text, &other->text};
    const tl_span *const spans[PROMPTS] = {&pair->image_span, &pair->text_span,
                                           &other->text_span};
    states s[PROMPTS];
    double *unit[PROMPTS];
    const tl_status status = run(a, inputs, spans, PROMPTS, s, err);
    if (status != TL_OK)
        return status;
    for (size_t p = 0; p < PROMPTS; p++)
        if ((unit[p] = tl_arena_alloc(a->arena, s[p].n * s[p].width, sizeof(double))) ==
            NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY,
                           "no memory for the states of %zu tokens", s[p].n);
    compare(a, s, false, unit, out->matched, out->other);
    if (out->centred_matched != NULL)
        compare(a, s, true, unit, out->centred_matched, out->centred_other);
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
