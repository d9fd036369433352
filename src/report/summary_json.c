/* SPDX-License-Identifier: MIT
 * summary_json.c - a study for a program: docs/formats.md (include/twinlens/report.h). */
#include "twinlens/report.h"

#include <jansson.h>
#include <math.h>

#include "report/json_interval.h"
#include "report/summary.h"
#include "report/top_table.h"

static const char *const modality_names[TL_MODALITY_COUNT] = {"text", "image"};
static const char *const kind_names[TL_STUDY_KIND_COUNT] = {"circuit", "magnitude",
                                                            "random"};

/* ---- one modality ---------------------------------------------------------------- */

static json_t *point_json(const tl_finding_point *p)
{
    return json_pack("{s:s, s:I, s:I, s:o, s:o, s:o, s:I, s:I}", "fraction",
                     p->point->fraction, "n_heads", (json_int_t)p->point->n_heads,
                     "n_neurons", (json_int_t)p->point->n_neurons, "mean_of_ratios",
                     tl_json_interval(&p->mean_of_ratios), "ratio_of_means",
                     tl_json_interval(&p->ratio_of_means), "median",
                     tl_json_interval(&p->median), "n", (json_int_t)p->point->n,
                     "n_excluded", (json_int_t)p->point->n_excluded);
}

static json_t *check_json(const tl_finding_check *c)
{
    return json_pack("{s:I, s:s, s:o, s:I, s:I, s:o, s:o}", "ig_steps",
                     (json_int_t)c->ig_steps, "kind", tl_kind_name(c->kind), "layer",
                     c->layer < 0 ? json_null() : json_integer(c->layer), "n",
                     (json_int_t)c->n, "prompts", (json_int_t)c->n_pairs, "pearson",
                     tl_json_interval(&c->pearson), "spearman",
                     tl_json_interval(&c->spearman));
}

static json_t *area_json(const tl_finding_area *a)
{
    return json_pack("{s:o, s:o}", "cpr", tl_json_interval(&a->performance), "cmd",
                     tl_json_interval(&a->distance));
}

static json_t *validation_json(const tl_finding_validation *v)
{
    json_t *checks = json_array(), *gaps = json_array(), *ranked = json_array();
    for (size_t i = 0; i < v->n_checks; i++)
        json_array_append_new(checks, check_json(&v->checks[i]));
    for (size_t k = 0; k < TL_KIND_COUNT; k++)
        if (v->ranked[k].n > 0)
            json_array_append_new(ranked, check_json(&v->ranked[k]));
    for (size_t i = 0; i < v->n_gaps; i++)
        json_array_append_new(gaps, json_pack("{s:I, s:o}", "ig_steps",
                                              (json_int_t)v->gaps[i].ig_steps, "gap",
                                              tl_json_interval(&v->gaps[i].gap)));
    return json_pack("{s:o, s:o, s:o}", "correlations", checks, "as_ranked", ranked,
                     "completeness", gaps);
}

/* null in a study whose precision is f32. */
static json_t *precision_json(const tl_study_precision *p)
{
    return p->n_pairs == 0
               ? json_null()
               : json_pack("{s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "pairs",
                           (json_int_t)p->n_pairs, "fraction", p->fraction,
                           "spearman_heads", tl_json_number(p->spearman_heads),
                           "spearman_neurons", tl_json_number(p->spearman_neurons),
                           "jaccard_heads", tl_json_number(p->jaccard_heads),
                           "jaccard_neurons", tl_json_number(p->jaccard_neurons),
                           "faithfulness_f32", tl_json_number(p->faithfulness_f32),
                           "faithfulness", tl_json_number(p->faithfulness),
                           "logit_diff", tl_json_number(p->logit_diff));
}

static json_t *needed_json(const tl_finding_needed *n)
{
    return json_pack("{s:o, s:o, s:I}", "needed", tl_json_interval(&n->needed),
                     "threshold", tl_json_number(n->threshold), "outside",
                     (json_int_t)n->n_outside);
}

/* null when the circuit was not tested. */
static json_t *tests_json(const tl_finding_tests *t)
{
    return t->n_pairs == 0
               ? json_null()
               : json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "pairs",
                           (json_int_t)t->n_pairs, "faithfulness",
                           tl_json_interval(&t->faithfulness), "random",
                           tl_json_interval(&t->random), "most_faithful_random",
                           tl_json_number(t->most), "random_less_faithful",
                           tl_json_interval(&t->less), "p", tl_json_number(t->p),
                           "heads", needed_json(&t->needed[TL_KIND_HEADS]), "neurons",
                           needed_json(&t->needed[TL_KIND_NEURONS]), "complement",
                           tl_json_interval(&t->complement));
}

static json_t *part_json(const tl_findings *f, tl_modality modality)
{
    const tl_finding_part *p = &f->parts[modality];
    const tl_finding_validation *v = &f->validations[modality];
    json_t *curves = json_object(), *areas = json_object(), *minimal = json_object();
    for (size_t k = 0; k < TL_STUDY_KIND_COUNT; k++) {
        json_t *curve = json_array();
        for (size_t i = 0; i < p->n_points; i++)
            json_array_append_new(curve, point_json(&p->curves[k][i]));
        json_object_set_new(curves, kind_names[k], curve);
        json_object_set_new(areas, kind_names[k],
                            json_pack("{s:o, s:o}", "mean_of_ratios",
                                      area_json(&p->areas[k][TL_FAITH_MEAN_RATIO]),
                                      "ratio_of_means",
                                      area_json(&p->areas[k][TL_FAITH_RATIO_MEAN])));
        if (p->minimal.found)
            json_object_set_new(minimal, kind_names[k],
                                point_json(tl_findings_smallest(p, (tl_study_kind)k)));
    }
    return json_pack(
        "{s:I, s:o, s:o, s:I, s:I, s:I, s:[I,I], s:o, s:o, s:o, s:o, s:o, s:o, s:b, "
        "s:s?, s:s?, s:s?, s:b, s:o, s:I}",
        "prompts", (json_int_t)p->n_prompts, "accuracy_limited",
        tl_json_interval(&p->limited), "accuracy_full", tl_json_interval(&p->full),
        "discovery", (json_int_t)p->n_discovery, "evaluation",
        (json_int_t)p->n_evaluation, "positions", (json_int_t)p->n_pos, "data",
        (json_int_t)p->data_begin, (json_int_t)p->data_end, "curves", curves, "areas",
        p->n_points > 0 ? areas : (json_decref(areas), json_null()), "minimal",
        p->minimal.found ? minimal : (json_decref(minimal), json_null()),
        "circuit_tests", tests_json(&f->tests[modality]), "validation",
        v->n_effects > 0 ? validation_json(v) : json_null(), "precision_check",
        precision_json(&f->precisions[modality]), "finished", (int)p->done, "scores",
        p->scores.file, "no_circuits", p->no_circuits, "remedy", p->remedy,
        "minimal_is_shown", (int)p->is_shown, "smallest_shown",
        p->shown != NULL ? json_string(p->shown->point->fraction) : json_null(),
        "mirrored_pairs", (json_int_t)p->n_mirrored);
}

/* ---- both ------------------------------------------------------------------------ */

static json_t *overlaps_json(const tl_findings *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->n_overlaps; i++) {
        const tl_study_overlap *o = f->overlaps[i].row;
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:b, s:o, s:o, s:o}", "segment",
                            o->segment, "kind", o->kind, "iou",
                            tl_json_interval(&f->overlaps[i].iou), "in_text",
                            tl_json_number(o->in_text), "in_image",
                            tl_json_number(o->in_image), "empty", (int)o->is_empty,
                            "random", tl_json_interval(&f->overlaps[i].random),
                            "deviation", tl_json_number(o->deviation), "normalised",
                            tl_json_interval(&f->overlaps[i].normalised)));
    }
    return list;
}

static json_t *swaps_json(const tl_findings *f)
{
    json_t *list = json_array();
    for (size_t seg = 0; seg < TL_SEGMENT_COUNT; seg++) {
        const char *segment = tl_segment_name((tl_segment)seg);
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            const tl_finding_swap *w = &f->swaps[m][seg];
            if (f->has_swaps[m])
                json_array_append_new(
                    list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "host",
                                    modality_names[m], "swapped", segment,
                                    "faithfulness", tl_json_interval(&w->value),
                                    "random", tl_json_interval(&w->random), "own",
                                    tl_json_interval(&w->own), "sd_over_draws",
                                    tl_json_number(w->spread), "normalised",
                                    tl_json_interval(&w->normalised)));
        }
        if (f->has_swaps[TL_TEXT] && f->has_swaps[TL_IMAGE])
            json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "host", "both",
                                                  "swapped", segment, "normalised",
                                                  tl_json_interval(&f->swapped[seg])));
    }
    return list;
}

static json_t *layers_json(const tl_findings *f)
{
    json_t *list = json_array();
    for (size_t l = 0; l < f->n_layers; l++) {
        const tl_finding_layer *x = &f->layers[l];
        json_array_append_new(
            list, json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "layer",
                            (json_int_t)l, "matched", tl_json_interval(&x->matched),
                            "other", tl_json_interval(&x->other), "difference",
                            tl_json_interval(&x->difference), "centred_matched",
                            tl_json_interval(&x->centred_matched), "centred_other",
                            tl_json_interval(&x->centred_other), "centred_difference",
                            tl_json_interval(&x->centred_difference)));
    }
    return list;
}

/* Null: all cells ran on all prompts. */
static json_t *search_json(const tl_finding_backpatch *b)
{
    if (b->n_rounds == 0)
        return json_null();
    json_t *rounds = json_array();
    for (size_t i = 0; i < b->n_rounds; i++)
        json_array_append_new(
            rounds, json_pack("{s:I, s:I}", "cells", (json_int_t)b->rounds[i].n_cells,
                              "prompts", (json_int_t)b->rounds[i].n_prompts));
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "rounds", rounds,
                     "judging_prompts", (json_int_t)b->chosen_elsewhere.gain.n,
                     "control_cells", (json_int_t)b->n_control_cells, "control_pairs",
                     (json_int_t)b->no_worse.n, "runs", (json_int_t)b->n_runs,
                     "all_runs", (json_int_t)b->n_all_runs);
}

static json_t *change_json(const tl_finding_change *c)
{
    return json_pack("{s:o, s:o, s:I, s:I, s:o, s:b, s:o}", "accuracy",
                     tl_json_interval(&c->accuracy), "gain", tl_json_interval(&c->gain),
                     "fixed", (json_int_t)c->n_fixed, "broken", (json_int_t)c->n_broken,
                     "p", tl_json_number(c->p), "helps", (int)tl_finding_helps(c),
                     "gap_closed", tl_json_interval(&c->closed));
}

static json_t *windows_json(const tl_finding_backpatch *b)
{
    json_t *list = json_array();
    for (size_t i = 0; i < b->n_windows; i++) {
        const tl_finding_window *w = &b->windows[i];
        json_array_append_new(
            list, json_pack("{s:I, s:I, s:o, s:[I,I,I]}", "window",
                            (json_int_t)w->window, "cells", (json_int_t)w->n_cells,
                            "no_worse_than_on_text", tl_json_interval(&w->no_worse),
                            "gain_more_as_much_less", (json_int_t)w->n_better,
                            (json_int_t)w->n_equal, (json_int_t)w->n_worse));
    }
    return list;
}

static json_t *left_out_json(const tl_findings *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->n_left_out; i++) {
        const tl_study_left_out *l = &f->left_out[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I}", "use", l->use,
                                              "reason", l->reason, "modality",
                                              modality_names[l->modality], "n",
                                              (json_int_t)l->n));
    }
    return list;
}

static json_t *caveats_json(const tl_findings *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->n_caveats; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "modality",
                                              modality_names[f->caveats[i].modality],
                                              "text", f->caveats[i].text));
    return list;
}

static json_t *times_json(const tl_finding_backpatch *b)
{
    json_t *list = json_array();
    for (size_t k = 0; k < b->n_times; k++) {
        const tl_finding_time *t = &b->times[k];
        json_array_append_new(
            list,
            json_pack("{s:o, s:o, s:I, s:I, s:o}", "accuracy",
                      tl_json_interval(&t->accuracy), "above_once",
                      tl_json_interval(&t->above_once), "more", (json_int_t)t->n_more,
                      "fewer", (json_int_t)t->n_fewer, "p", tl_json_number(t->p)));
    }
    return list;
}

static json_t *modal_json(const tl_finding_backpatch *b)
{
    if (b->n_cells == 0)
        return json_null();
    return json_pack("{s:I, s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "n", (json_int_t)b->n,
                     "text", tl_json_interval(&b->clean[TL_TEXT]), "image",
                     tl_json_interval(&b->clean[TL_IMAGE]), "best", (json_int_t)b->best,
                     "chosen_elsewhere", change_json(&b->chosen_elsewhere),
                     "chosen_here", change_json(&b->chosen_here), "p",
                     tl_json_number(b->p), "cells_no_worse_than_on_text",
                     tl_json_interval(&b->no_worse));
}

static json_t *backpatch_json(const tl_findings *f)
{
    const tl_finding_backpatch *b = &f->backpatch;
    if (b->n_cells == 0)
        return json_null();
    json_t *cells = json_array(), *iterations = json_array();
    for (size_t c = 0; c < b->n_cells; c++)
        json_array_append_new(
            cells, json_pack("{s:I, s:I, s:I, s:o, s:o}", "window",
                             (json_int_t)b->cells[c].window, "source",
                             (json_int_t)b->cells[c].source, "destination",
                             (json_int_t)b->cells[c].destination, "accuracy_image",
                             tl_json_number(b->cells[c].accuracy[TL_IMAGE].value),
                             "accuracy_text",
                             tl_json_number(b->cells[c].accuracy[TL_TEXT].value)));
    for (size_t i = 0; i < b->n_iterations; i++)
        json_array_append_new(iterations, tl_json_interval(&b->iterations[i]));
    return json_pack(
        "{s:I, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o, s:[I,I,I], s:o, s:o, s:o, s:b, "
        "s:o, "
        "s:I, s:o, s:o}",
        "n", (json_int_t)b->n, "search", search_json(b), "text",
        tl_json_interval(&b->clean[TL_TEXT]), "image",
        tl_json_interval(&b->clean[TL_IMAGE]), "best", (json_int_t)b->best,
        "chosen_elsewhere", change_json(&b->chosen_elsewhere), "chosen_here",
        change_json(&b->chosen_here), "p", tl_json_number(b->p),
        "cells_no_worse_than_on_text", tl_json_interval(&b->no_worse),
        "cells_that_gain_more_as_much_less", (json_int_t)b->n_better,
        (json_int_t)b->n_equal, (json_int_t)b->n_worse, "windows", windows_json(b),
        "cells_that_gain_more", tl_json_interval(&b->better), "cells_that_gain_as_much",
        tl_json_interval(&b->equal), "text_at_ceiling",
        (int)tl_finding_text_at_ceiling(b), "times", times_json(b), "better_time",
        (json_int_t)tl_finding_better_time(b), "iterations", iterations, "cells",
        cells);
}

/* Of each stage, and of all. */
static void add_work(const tl_findings *f, json_t *root)
{
    json_t *stages = json_object(), *memory = json_object();
    int64_t sum = 0;
    for (size_t i = 0; i < f->n_work; i++) {
        sum += f->work[i].product_flops;
        json_object_set_new(stages, f->work[i].stage,
                            json_integer(f->work[i].product_flops));
    }
    for (size_t i = 0; i < f->n_memory; i++)
        json_object_set_new(memory, f->memory[i].what,
                            json_integer(f->memory[i].bytes));
    json_object_set_new(root, "product_flops", json_integer(sum));
    json_object_set_new(root, "stage_product_flops", stages);
    json_object_set_new(root, "memory_bytes", memory);
}

static json_t *study_json(const tl_findings *f)
{
    json_t *root = json_object(), *parts = json_object();
    for (size_t i = 0; i < f->n_keys; i++)
        json_object_set_new(root, f->keys[i].key, json_string(f->keys[i].value));
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        if (f->parts[m].present)
            json_object_set_new(parts, modality_names[m], part_json(f, (tl_modality)m));
    json_object_set_new(root, "modalities", parts);
    json_object_set_new(root, "overlap", overlaps_json(f));
    json_object_set_new(
        root, "overlap_mean_of_segments",
        f->n_overlaps > 0 ? json_pack("{s:o, s:o}", "iou", tl_json_number(f->mean_iou),
                                      "normalised", tl_json_interval(&f->mean_overlap))
                          : json_null());
    json_object_set_new(root, "interchange", swaps_json(f));
    json_object_set_new(root, "circuits_shown",
                        f->n_overlaps > 0 ? json_boolean(f->not_shown == NULL)
                                          : json_null());
    json_object_set_new(root, "caveats", caveats_json(f));
    json_object_set_new(root, "left_out", left_out_json(f));
    json_object_set_new(root, "absent",
                        f->absent != NULL ? json_string(f->absent) : json_null());
    json_object_set_new(root, "alignment", layers_json(f));
    json_object_set_new(root, "backpatch", backpatch_json(f));
    json_object_set_new(root, "backpatch_modal", modal_json(&f->modal_backpatch));
    add_work(f, root);
    json_object_set_new(root, "finished", json_boolean(f->finished));
    return root;
}

/* The leading components of each modality, beside what else is said of it. */
static tl_status add_leading(const tl_findings *f, json_t *root, tl_error *err)
{
    tl_arena *arena = tl_arena_create();
    tl_status status =
        arena != NULL ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++) {
        json_t *part =
            json_object_get(json_object_get(root, "modalities"), modality_names[m]);
        tl_finding_leaders leaders;
        if (part == NULL)
            continue;
        status = tl_findings_leading(f, (tl_modality)m, TL_TOP, arena, &leaders, err);
        if (status == TL_OK)
            json_object_set_new(part, "leading", tl_top_json(&f->parts[m], &leaders));
    }
    tl_arena_destroy(arena);
    return status;
}

tl_status tl_summary_write_json(const tl_findings *findings, FILE *out, tl_error *err)
{
    json_t *root = study_json(findings);
    tl_status status = root != NULL ? add_leading(findings, root, err) : TL_OK;
    if (status == TL_OK)
        return tl_json_dump(root, out, err);
    json_decref(root);
    return status;
}

tl_status tl_summary_json(const char *folder, FILE *out, tl_error *err)
{
    tl_findings f;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", folder);
    tl_status status = tl_findings_read(folder, arena, &f, err);
    if (status == TL_OK)
        status = tl_summary_write_json(&f, out, err);
    tl_arena_destroy(arena);
    return status;
}
