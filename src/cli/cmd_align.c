/* SPDX-License-Identifier: MIT
 * cmd_align.c - `twinlens align`: in which layer image tokens look like the words for
 * the same content. */
#include <jansson.h>
#include <math.h>

#include "cli/command.h"
#include "cli/json_result.h"
#include "study/row_pairs.h"
#include "cli/shared_options.h"
#include "twinlens/probe.h"

typedef struct options {
    tl_settings settings;
    bool centred, json;
} options;

static tl_status read_pairs(tl_session *s, const tl_row_pairs *from, tl_parallel **out,
                            tl_error *err)
{
    tl_parallel *pairs = tl_arena_alloc(s->arena, from->n, sizeof *pairs);
    if (pairs == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", from->n);
    tl_status status = TL_OK;
    for (size_t i = 0; i < from->n && status == TL_OK; i++)
        status = tl_session_parallel(s, &from->rows[i], s->arena, &pairs[i], err);
    *out = pairs;
    return status;
}

/* Over the pairs that have a value, as all layers of a pair have or have not. */
static double mean_of_layer(const double *values, size_t n, size_t n_layers,
                            size_t layer)
{
    double sum = 0.0;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(values[i * n_layers + layer])) {
            sum += values[i * n_layers + layer];
            kept++;
        }
    return sum / (double)kept;
}

static size_t count_pairs(const size_t *others, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        kept += others[i] != TL_NO_PAIR;
    return kept;
}

static tl_status print_json(const tl_model *model, const double *matched,
                            const double *other, const tl_row_pairs *pairs,
                            size_t n_other, FILE *out, tl_error *err)
{
    const size_t n_layers = tl_model_dims(model)->n_layers;
    const size_t n = pairs->n;
    json_t *layers = json_array(), *others = json_array();
    for (size_t l = 0; l < n_layers; l++) {
        json_array_append_new(layers,
                              tl_json_number(mean_of_layer(matched, n, n_layers, l)));
        json_array_append_new(others,
                              tl_json_number(mean_of_layer(other, n, n_layers, l)));
    }
    json_t *all =
        json_pack("{s:I, s:o, s:o, s:o, s:I}", "n", (json_int_t)n, "left_out",
                  tl_json_pairing(pairs->counts), "layers", layers, "other_pairs",
                  others, "n_other_pairs", (json_int_t)n_other);
    return tl_json_print_work(all, model, out, err);
}

static tl_status align(tl_session *s, const void *options_given, FILE *out,
                       tl_error *err)
{
    const options *o = options_given;
    tl_row_pairs rows;
    tl_parallel *pairs = NULL;
    tl_status status =
        tl_session_row_pairs(s, (tl_bp_filter)o->settings.bp_filter, &rows, err);
    if (status == TL_OK)
        status = read_pairs(s, &rows, &pairs, err);
    if (status != TL_OK)
        return status;
    tl_pairing_log(s, rows.counts, rows.length);
    const size_t n = rows.n, n_layers = tl_model_dims(s->model)->n_layers;
    double *values = tl_arena_alloc(s->arena, 4 * n * n_layers, sizeof *values);
    size_t *others = tl_arena_alloc(s->arena, n, sizeof *others);
    if (values == NULL || others == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu pairs", n);
    tl_row_pairs_others(s->dataset, &rows, o->settings.seed, others);
    const size_t count = n * n_layers, first = o->centred ? 2 * count : 0;
    tl_alignment *alignment = NULL;
    status = tl_alignment_create(s->model, (tl_align)o->settings.align,
                                 s->settings.memory, &alignment, err);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = tl_alignment_add(alignment, &pairs[i], err);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        const size_t j = others[i];
        double *of_pair = values + i * n_layers;
        tl_alignment_values out_values = {of_pair, of_pair + count,
                                          o->centred ? of_pair + 2 * count : NULL,
                                          of_pair + 3 * count};
        status =
            tl_alignment_measure(alignment, i, &pairs[i], j,
                                 j != TL_NO_PAIR ? &pairs[j] : NULL, &out_values, err);
    }
    tl_alignment_destroy(alignment);
    if (status != TL_OK)
        return status;
    const size_t n_other = count_pairs(others, n);
    const double *matched = values + first, *other = values + first + count;
    if (o->json)
        return print_json(s->model, matched, other, &rows, n_other, out, err);
    fprintf(out, "layer\tsimilarity\tother_pairs\tpairs\tn_other_pairs\n");
    for (size_t l = 0; l < n_layers; l++) {
        const double numbers[] = {mean_of_layer(matched, n, n_layers, l),
                                  mean_of_layer(other, n, n_layers, l)};
        fprintf(out, "%zu\t", l);
        tl_print_numbers(out, numbers, 2);
        fprintf(out, "\t%zu\t%zu\n", n, n_other);
    }
    return TL_OK;
}

static const tl_taken settings[] = {TL_TAKEN_MODEL,
                                    TL_TAKEN_DATASET,
                                    {.name = "rope"},
                                    {.name = "align"},
                                    {.name = "bp-filter"},
                                    {.name = "seed"},
                                    {0}};
static const tl_option own[] = {
    {.setting = {.name = "center",
                 .offset = offsetof(options, centred),
                 .help = "take away each modality's mean of the layer first"},
     .is_flag = true},
    TL_OPTION_JSON(options, "as JSON"),
    TL_OPTIONS_END};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    return tl_session_command(&tl_command_align, argc, argv, out, &o, sizeof o, align,
                              err);
}

const tl_command tl_command_align = {
    .name = "align",
    .summary = "in which layer image tokens look like the words for the same",
    .settings = settings,
    .options = own,
    .run = run,
};
