/* SPDX-License-Identifier: MIT
 * observed_result.c - see observed_result.h. */
#include "result/observed_result.h"

#include "result/json_result.h"
#include "twinlens/setting.h"

enum { ALL_LAYERS = -1 };

/* What a way is called, in the words of the settings. */
typedef struct way_names {
    const char *method, *rule; /* no rule: NULL */
    size_t steps;
} way_names;

static way_names names_of(const tl_attribution_options *way)
{
    const char *method =
        tl_choice_name(tl_settings_find("method")->choices, (int)way->method);
    return way->method == TL_METHOD_RELP
               ? (way_names){method, NULL, 0}
               : (way_names){method,
                             tl_choice_name(tl_settings_find("ig-rule")->choices,
                                            (int)way->ig_rule),
                             way->ig_steps};
}

static json_t *way_json(const tl_attribution_options *way)
{
    const way_names n = names_of(way);
    return json_pack("{s:s, s:s?, s:o}", "method", n.method, "ig_rule", n.rule,
                     "ig_steps",
                     n.rule != NULL ? json_integer((json_int_t)n.steps) : json_null());
}

static void print_way(const tl_attribution_options *way, FILE *out)
{
    const way_names n = names_of(way);
    if (n.rule != NULL)
        fprintf(out, "%s\t%s\t%zu", n.method, n.rule, n.steps);
    else
        fprintf(out, "%s\t-\t-", n.method);
}

static void write_row(const tl_attribution_options *way, const char *kind, int layer,
                      const tl_correlation *c, FILE *out)
{
    print_way(way, out);
    if (layer == ALL_LAYERS)
        fprintf(out, "\t%s\tall", kind);
    else
        fprintf(out, "\t%s\t%d", kind, layer);
    fprintf(out, "\t%zu\t%zu\t", c->pearson.n, c->n_clusters);
    tl_print_interval(out, &c->pearson);
    fputc('\t', out);
    tl_print_interval(out, &c->spearman);
    fputc('\n', out);
}

static json_t *row_json(const tl_attribution_options *way, const char *kind, int layer,
                        const tl_correlation *c)
{
    json_t *row = way_json(way);
    json_object_update_new(
        row, json_pack("{s:s, s:o, s:I, s:I, s:o, s:o}", "kind", kind, "layer",
                       layer == ALL_LAYERS ? json_null() : json_integer(layer), "n",
                       (json_int_t)c->pearson.n, "prompts", (json_int_t)c->n_clusters,
                       "pearson", tl_json_interval(&c->pearson), "spearman",
                       tl_json_interval(&c->spearman)));
    return row;
}

static tl_status write_rows(const tl_observed_effects *r, size_t n_layers,
                            tl_arena *arena, FILE *out, json_t *list, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t m = 0; m < r->n_ways; m++)
        for (size_t k = 0; k < TL_KIND_COUNT; k++)
            for (int layer = ALL_LAYERS; layer < (int)n_layers; layer++) {
                const char *kind = tl_kind_name((tl_component_kind)k);
                tl_correlation c;
                status = tl_observed_correlate(r, (tl_component_kind)k, layer, m, arena,
                                               &c, err);
                if (status != TL_OK)
                    return status;
                if (list != NULL)
                    json_array_append_new(list, row_json(&r->ways[m], kind, layer, &c));
                else
                    write_row(&r->ways[m], kind, layer, &c, out);
            }
    return status;
}

static tl_status write_gaps(const tl_observed_effects *r, tl_arena *arena, FILE *out,
                            json_t *list, tl_error *err)
{
    tl_status status = TL_OK;
    for (size_t m = 0; m < r->n_ways && status == TL_OK; m++) {
        tl_interval gap;
        status = tl_observed_gap(r, m, arena, &gap, err);
        if (status != TL_OK)
            return status;
        if (list != NULL) {
            json_t *row = way_json(&r->ways[m]);
            json_object_set_new(row, "gap", tl_json_interval(&gap));
            json_object_set_new(row, "prompts", json_integer((json_int_t)gap.n));
            json_array_append_new(list, row);
            continue;
        }
        print_way(&r->ways[m], out);
        fputc('\t', out);
        tl_print_interval(out, &gap);
        fprintf(out, "\t%zu\n", gap.n);
    }
    return status;
}

static json_t *observations_json(const tl_observed_effects *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n; i++) {
        const tl_observed_effect *seen = &r->all[i];
        json_t *attributed = json_array();
        for (size_t m = 0; m < r->n_ways; m++)
            json_array_append_new(attributed, tl_json_number(seen->attributed[m]));
        json_array_append_new(
            list, json_pack("{s:I, s:s, s:I, s:I, s:I, s:o, s:o}", "prompt",
                            (json_int_t)seen->prompt, "kind",
                            tl_kind_name(seen->component.kind), "layer",
                            (json_int_t)seen->component.layer, "position",
                            (json_int_t)seen->component.pos, "index",
                            (json_int_t)seen->component.index, "exact",
                            tl_json_number(seen->exact), "attributed", attributed));
    }
    return list;
}

tl_status tl_print_observed(const tl_model *model, const tl_observed_effects *r,
                            bool as_json, tl_arena *arena, FILE *out, tl_error *err)
{
    const size_t n_layers = tl_model_dims(model)->n_layers;
    if (!as_json) {
        fprintf(out, "method\tig_rule\tig_steps\tkind\tlayer\tn\tprompts\tpearson\t"
                     "pearson_low\tpearson_high\tspearman\tspearman_low\t"
                     "spearman_high\n");
        tl_status status = write_rows(r, n_layers, arena, out, NULL, err);
        fprintf(out, "\nmethod\tig_rule\tig_steps\tcompleteness_gap\tgap_low\t"
                     "gap_high\tprompts\n");
        return status == TL_OK ? write_gaps(r, arena, out, NULL, err) : status;
    }
    json_t *rows = json_array(), *gaps = json_array();
    tl_status status = write_rows(r, n_layers, arena, out, rows, err);
    if (status == TL_OK)
        status = write_gaps(r, arena, out, gaps, err);
    json_t *all = json_pack("{s:I, s:o, s:o, s:o}", "prompts", (json_int_t)r->n_prompts,
                            "correlations", rows, "completeness", gaps, "components",
                            observations_json(r));
    if (status == TL_OK)
        return tl_json_print_work(all, model, out, err);
    json_decref(all);
    return status;
}

tl_status tl_print_precision_check(const tl_precision_check *c, const char *precision,
                                   const char *fraction, bool json, FILE *out,
                                   tl_error *err)
{
    static const char *const names[] = {
        "spearman_heads",   "spearman_neurons", "jaccard_heads", "jaccard_neurons",
        "faithfulness_f32", "faithfulness",     "logit_diff"};
    const double values[] = {c->spearman[0], c->spearman[1],     c->jaccard[0],
                             c->jaccard[1],  c->faithfulness[0], c->faithfulness[1],
                             c->logit_diff};
    if (json) {
        json_t *all = json_pack("{s:s, s:s, s:I}", "precision", precision, "fraction",
                                fraction, "prompts", (json_int_t)c->n_pairs);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            json_object_set_new(all, names[i], tl_json_number(values[i]));
        return tl_json_print(all, out, err);
    }
    fprintf(out, "precision\tfraction\tprompts");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        fprintf(out, "\t%s", names[i]);
    fprintf(out, "\n%s\t%s\t%zu\t", precision, fraction, c->n_pairs);
    tl_print_numbers(out, values, sizeof values / sizeof *values);
    fputc('\n', out);
    return TL_OK;
}
