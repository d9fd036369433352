/* SPDX-License-Identifier: MIT
 * chosen_circuits.c - see chosen_circuits.h. */
#include "study/chosen_circuits.h"

#include <stdio.h>
#include <string.h>

#include "store/score_file.h"
#include "study/both_circuits.h"
#include "study/row_lengths.h"
#include "study/score_origin.h"
#include "twinlens/log.h"

static size_t count_places(const tl_component_set *set)
{
    return set->n_layers * set->n_pos;
}

static tl_status make_whole(const tl_circuit_shape *s, tl_arena *arena,
                            tl_component_set *out, tl_error *err)
{
    const tl_status status = tl_set_create(s->n_layers, s->span.n_pos, s->n_heads,
                                           s->d_mlp, arena, out, err);
    if (status != TL_OK)
        return status;
    memset(out->heads, 1, count_places(out) * out->n_heads);
    memset(out->neurons, 1, count_places(out) * out->d_mlp);
    return TL_OK;
}

/* What leaves the set is less than what is to be taken out, where some was not in it. */
static void take_out(const tl_component_set *without, const char *name,
                     tl_component_set *set)
{
    size_t absent[TL_KIND_COUNT];
    for (size_t k = 0; k < TL_KIND_COUNT; k++)
        absent[k] = tl_set_count(without, (tl_component_kind)k) -
                    tl_set_count(set, (tl_component_kind)k);
    tl_set_remove(without, set);
    for (size_t k = 0; k < TL_KIND_COUNT; k++)
        absent[k] += tl_set_count(set, (tl_component_kind)k);
    if (absent[TL_KIND_HEADS] + absent[TL_KIND_NEURONS] > 0)
        tl_log(TL_LOG_WARNING,
               "%zu heads and %zu neurons of %s are not in the circuit: nothing is "
               "taken out for them",
               absent[TL_KIND_HEADS], absent[TL_KIND_NEURONS], name);
}

static tl_status read_own(tl_session *s, tl_modality modality, size_t n_pos,
                          const char *circuit, const char *without,
                          tl_component_set *out, tl_error *err)
{
    const tl_dims *d = tl_model_dims(s->model);
    tl_circuit_shape shape = {d->n_layers, d->n_heads, d->d_mlp, {0}};
    tl_component_set set, others;
    tl_status status = tl_session_span(s, modality, n_pos, &shape.span, err);
    if (status == TL_OK)
        status = circuit != NULL ? tl_circuit_read(circuit, &shape, s->arena, &set, err)
                                 : make_whole(&shape, s->arena, &set, err);
    if (status == TL_OK && without != NULL)
        status = tl_circuit_read(without, &shape, s->arena, &others, err);
    if (status != TL_OK)
        return status;
    if (without != NULL)
        take_out(&others, without, &set);
    *out = set;
    return TL_OK;
}

/* Of several sizes by rank. */
static tl_status rank_circuits(tl_session *s, const tl_chosen_options *o,
                               const tl_selection *selection, size_t n_pos,
                               tl_chosen_circuits *c, tl_error *err)
{
    tl_arena *arena = s->arena;
    tl_sizes sizes;
    tl_scores scores;
    tl_ranking *ranking = tl_arena_alloc(arena, 1, sizeof *ranking);
    tl_status status = ranking != NULL
                           ? tl_settings_sizes(&s->settings, false, arena, &sizes, err)
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a ranking");
    if (status == TL_OK && !o->any_scores)
        status = tl_score_origin_check(
            s, o->scores, (tl_modality)selection->modality,
            tl_session_part(s, selection),
            (const char *const[]){"rope", "chat", "precision", "metric", NULL}, err);
    if (status == TL_OK)
        status = tl_score_file_read(o->scores, tl_model_dims(s->model), n_pos, arena,
                                    &scores, err);
    if (status == TL_OK)
        status = tl_fail_while(
            err, tl_ranking_from_scores(&scores, arena, ranking, err), "%s", o->scores);
    if (status == TL_OK && o->random_given) {
        const tl_ranking shape = *ranking;
        status = tl_ranking_random(&shape, o->random, arena, ranking, err);
    }
    tl_fraction given[TL_KIND_COUNT];
    const tl_fraction *kinds[TL_KIND_COUNT] = {NULL};
    for (size_t k = 0; k < TL_KIND_COUNT && status == TL_OK; k++) {
        if (o->kind_fraction[k] == NULL)
            continue;
        status = tl_fraction_read(k == TL_KIND_HEADS ? "head" : "neuron",
                                  o->kind_fraction[k], &given[k], err);
        kinds[k] = &given[k];
    }
    if (status != TL_OK)
        return status;
    c->n = kinds[TL_KIND_HEADS] && kinds[TL_KIND_NEURONS] ? 1 : sizes.n;
    c->texts = sizes.texts;
    c->kinds = o->kind_fraction;
    tl_circuit *circuits = tl_arena_alloc(arena, c->n, sizeof *circuits);
    if (circuits == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu circuits", c->n);
    for (size_t i = 0; i < c->n; i++)
        circuits[i] = tl_circuit_of(
            ranking, kinds[TL_KIND_HEADS] ? *kinds[TL_KIND_HEADS] : sizes.fractions[i],
            kinds[TL_KIND_NEURONS] ? *kinds[TL_KIND_NEURONS] : sizes.fractions[i],
            (tl_fraction_rounding)s->settings.rounding);
    c->circuits = circuits;
    return TL_OK;
}

/* The one that --circuit and --without name; its sizes are shares of all components. */
static tl_status own_circuit(tl_session *s, const tl_chosen_options *o,
                             const tl_selection *selection, size_t n_pos,
                             tl_chosen_circuits *c, tl_error *err)
{
    enum { SHARE_BYTES = 32 };
    tl_component_set *set = tl_arena_alloc(s->arena, 1, sizeof *set);
    tl_circuit *circuit = tl_arena_alloc_zero(s->arena, 1, sizeof *circuit);
    char(*text)[SHARE_BYTES] = tl_arena_alloc(s->arena, TL_KIND_COUNT, sizeof *text);
    const char **kinds = tl_arena_alloc(s->arena, TL_KIND_COUNT, sizeof *kinds);
    if (set == NULL || circuit == NULL || text == NULL || kinds == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a circuit");
    const tl_status status = read_own(s, (tl_modality)selection->modality, n_pos,
                                      o->circuit, o->without, set, err);
    if (status != TL_OK)
        return status;
    for (size_t k = 0; k < TL_KIND_COUNT; k++) {
        const double all = (double)set->n_layers * (double)n_pos *
                           (double)(k == TL_KIND_HEADS ? set->n_heads : set->d_mlp);
        snprintf(text[k], SHARE_BYTES, "%.6g",
                 (double)tl_set_count(set, (tl_component_kind)k) / all);
        kinds[k] = text[k];
    }
    circuit->set = set;
    c->kinds = kinds;
    c->n = 1;
    c->circuits = circuit;
    return TL_OK;
}

tl_status tl_chosen_circuits_read(tl_session *s, const tl_chosen_options *options,
                                  const tl_selection *selection, size_t n_pos,
                                  tl_chosen_circuits *out, tl_error *err)
{
    tl_chosen_circuits c = {0};
    const tl_status status = (options->scores != NULL ? rank_circuits : own_circuit)(
        s, options, selection, n_pos, &c, err);
    if (status == TL_OK)
        *out = c;
    return status;
}
