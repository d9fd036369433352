/* SPDX-License-Identifier: MIT
 * patched_result.c - see patched_result.h. */
#include "result/patched_result.h"

#include "result/json_result.h"
#include "finding/finding_rows.h"

/* What a cell does to the prompts that a search chose its cell on, or to the others. */
static tl_finding_change change_of(const tl_patched_rows *x, size_t cell, bool unseen)
{
    const tl_patched_count t = tl_patched_rows_count(x, cell, unseen);
    return tl_finding_change_of(t.right, t.fixed, t.broken, t.n);
}

static tl_interval clean_of(const tl_patched_rows *x)
{
    size_t right = 0;
    for (size_t i = 0; i < x->n_prompts; i++)
        right += x->clean[i].right;
    return tl_interval_share(right, x->n_prompts);
}

/* Into the object: null stands for a prompt that was not run. */
static json_t *outcomes_json(const tl_patched_rows *x, const tl_patch_outcome *o,
                             json_t *json)
{
    json_t *diff = json_array(), *right = json_array();
    for (size_t i = 0; i < x->n_prompts; i++) {
        json_array_append_new(diff, o[i].is_run ? tl_json_number(o[i].logit_diff)
                                                : json_null());
        json_array_append_new(right,
                              o[i].is_run ? json_boolean(o[i].right) : json_null());
    }
    json_object_set_new(json, "logit_diff", x->has_pairs ? diff : json_null());
    json_object_set_new(json, "right", x->has_labels ? right : json_null());
    if (!x->has_pairs)
        json_decref(diff);
    if (!x->has_labels)
        json_decref(right);
    return json;
}

static json_t *change_json(const tl_finding_change *c)
{
    return json_pack("{s:o, s:o, s:I, s:I, s:o, s:{s:o, s:o}}", "accuracy",
                     tl_json_number(c->accuracy.value), "gain",
                     tl_json_number(c->gain.value), "fixed", (json_int_t)c->n_fixed,
                     "broken", (json_int_t)c->n_broken, "p", tl_json_number(c->p),
                     "intervals", "accuracy", tl_json_interval(&c->accuracy), "gain",
                     tl_json_interval(&c->gain));
}

static json_t *search_json(const tl_patched_rows *x)
{
    const tl_cell_search *s = &x->search;
    const tl_finding_change c = change_of(x, s->found, true);
    json_t *rounds = json_array(), *unseen = json_array(), *json = change_json(&c);
    for (size_t r = 0; r < s->plan.n_rounds; r++)
        json_array_append_new(rounds, json_pack("{s:I, s:I}", "cells",
                                                (json_int_t)s->plan.cells[r], "prompts",
                                                (json_int_t)s->plan.prompts[r]));
    for (size_t p = 0; p < x->n_prompts; p++)
        if (tl_patched_rows_unseen(x, p))
            json_array_append_new(unseen, json_integer((json_int_t)p));
    json_object_set_new(json, "found", json_integer((json_int_t)s->found));
    json_object_set_new(json, "rounds", rounds);
    json_object_set_new(json, "unseen", unseen);
    json_object_set_new(json, "layer_runs", json_real(x->work));
    json_object_set_new(json, "all_layer_runs", json_real(s->plan.full));
    return json;
}

static json_t *cell_json(const tl_patched_rows *x, size_t c)
{
    const tl_backpatch_cell *cell = &x->cells[c];
    const tl_finding_change change = change_of(x, c, false);
    json_t *json = x->has_labels ? change_json(&change) : json_object();
    json_object_set_new(json, "src", json_integer((json_int_t)cell->source));
    json_object_set_new(json, "dst", json_integer((json_int_t)cell->destination));
    json_object_set_new(json, "window", json_integer((json_int_t)cell->window));
    json_object_set_new(json, "times", json_integer((json_int_t)cell->times));
    return outcomes_json(x, x->patched + c * x->n_prompts, json);
}

tl_status tl_print_patched_json(const tl_model *model, const tl_patched_rows *x,
                                const size_t pairings[TL_PAIRING_COUNT], FILE *out,
                                tl_error *err)
{
    const tl_interval accuracy = clean_of(x);
    json_t *cells = json_array(),
           *clean = x->has_labels
                        ? json_pack("{s:o, s:{s:o}}", "accuracy",
                                    tl_json_number(accuracy.value), "intervals",
                                    "accuracy", tl_json_interval(&accuracy))
                        : json_object();
    for (size_t c = 0; c < x->n_cells; c++)
        json_array_append_new(cells, cell_json(x, c));
    json_t *all = json_pack("{s:I, s:o, s:o, s:o}", "n", (json_int_t)x->n_prompts,
                            "left_out", tl_json_pairing(pairings), "clean",
                            outcomes_json(x, x->clean, clean), "cells", cells);
    if (x->is_search)
        json_object_set_new(all, "search", search_json(x));
    return tl_json_print_work(all, model, out, err);
}

/* Of the prompts whose answer changed: how many became right, how many wrong. */
static void print_cell(const tl_patched_rows *x, size_t c, bool unseen, FILE *out)
{
    const tl_finding_change f = change_of(x, c, unseen);
    fprintf(out, "%zu\t%zu\t%zu\t%zu\t", x->cells[c].source, x->cells[c].destination,
            x->cells[c].window, x->cells[c].times);
    tl_print_interval(out, &f.accuracy);
    fputc('\t', out);
    tl_print_interval(out, &f.gain);
    fprintf(out, "\t%zu\t%zu\t", f.n_fixed, f.n_broken);
    tl_print_numbers(out, &f.p, 1);
    fprintf(out, "\t%zu%s\n", f.accuracy.n,
            !x->is_search ? ""
            : unseen      ? "\tunseen"
                          : "\trounds");
}

void tl_print_patched(const tl_patched_rows *x, FILE *out)
{
    const tl_interval clean = clean_of(x);
    fprintf(out,
            "src\tdst\twindow\ttimes\taccuracy\tlow\thigh\tgain\tgain_low\tgain_high\t"
            "fixed\tbroken\tp\tprompts%s\n-\t-\t-\t0\t",
            x->is_search ? "\tof" : "");
    tl_print_interval(out, &clean);
    fprintf(out, "\t-\t-\t-\t-\t-\t-\t%zu%s\n", x->n_prompts,
            x->is_search ? "\tall" : "");
    for (size_t c = 0; c < x->n_cells; c++)
        print_cell(x, c, false, out);
    if (x->is_search)
        print_cell(x, x->search.found, true, out);
}
