/* SPDX-License-Identifier: MIT
 * own_circuit.c - see own_circuit.h. */
#include "study/own_circuit.h"

#include <string.h>

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

tl_status tl_own_circuit_read(tl_session *s, tl_modality modality, size_t n_pos,
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
