/* SPDX-License-Identifier: MIT
 * cmd_align.c - `twinlens align`: in which layer image tokens look like the words for
 * the same content. */
#include <jansson.h>

#include "cli/command.h"
#include "cli/shared_options.h"
#include "finding/finding_rows.h"
#include "result/json_result.h"
#include "study/aligned_rows.h"

typedef struct options {
    tl_settings settings;
    bool centred, json;
} options;

/* Matched, other, difference. */
enum { NUMBERS = 3 };
typedef struct numbers {
    const tl_interval *of[NUMBERS];
} numbers;

static numbers choose(const tl_finding_layer *l, bool centred)
{
    return centred ? (numbers){{&l->centred_matched, &l->centred_other,
                                &l->centred_difference}}
                   : (numbers){{&l->matched, &l->other, &l->difference}};
}

static tl_status print_json(const tl_model *model, const tl_aligned_rows *a,
                            const tl_finding_layer *layers, size_t n_layers,
                            bool centred, FILE *out, tl_error *err)
{
    json_t *matched = json_array(), *others = json_array(), *intervals = json_array();
    for (size_t l = 0; l < n_layers; l++) {
        const numbers n = choose(&layers[l], centred);
        json_array_append_new(matched, tl_json_number(n.of[0]->value));
        json_array_append_new(others, tl_json_number(n.of[1]->value));
        json_array_append_new(intervals,
                              json_pack("{s:o, s:o, s:o}", "matched",
                                        tl_json_interval(n.of[0]), "other",
                                        tl_json_interval(n.of[1]), "difference",
                                        tl_json_interval(n.of[2])));
    }
    json_t *all = json_pack(
        "{s:I, s:o, s:o, s:o, s:I, s:o}", "n", (json_int_t)a->pairs.n, "left_out",
        tl_json_pairing(a->pairs.counts), "layers", matched, "other_pairs", others,
        "n_other_pairs", (json_int_t)a->n_other, "intervals", intervals);
    return tl_json_print_work(all, model, out, err);
}

static tl_status align(tl_session *s, const void *options_given, FILE *out,
                       tl_error *err)
{
    const options *o = options_given;
    tl_aligned_rows a;
    const tl_finding_layer *layers = NULL;
    size_t n_layers = tl_model_dims(s->model)->n_layers;
    tl_status status = tl_aligned_rows_run(s, o->centred, &a, err);
    if (status == TL_OK)
        status = tl_finding_layers_of(a.rows, a.pairs.n * n_layers, s->arena, &layers,
                                      &n_layers, err);
    if (status == TL_OK && o->json)
        return print_json(s->model, &a, layers, n_layers, o->centred, out, err);
    if (status != TL_OK)
        return status;
    fprintf(out, "layer\tsimilarity\tlow\thigh\tother_pairs\tother_low\tother_high\t"
                 "difference\tdifference_low\tdifference_high\tpairs\tn_other_pairs\n");
    for (size_t l = 0; l < n_layers; l++) {
        const numbers n = choose(&layers[l], o->centred);
        fprintf(out, "%zu", l);
        for (size_t i = 0; i < NUMBERS; i++) {
            fputc('\t', out);
            tl_print_interval(out, n.of[i]);
        }
        fprintf(out, "\t%zu\t%zu\n", a.pairs.n, a.n_other);
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
