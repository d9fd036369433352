/* SPDX-License-Identifier: MIT
 * both_circuits.c - see both_circuits.h. */
#include "study/both_circuits.h"

#include "circuit/random_set.h"
#include "store/score_file.h"
#include "study/row_lengths.h"
#include "study/score_origin.h"
#include "twinlens/log.h"

tl_status tl_fraction_read(const char *of, const char *text, tl_fraction *out,
                           tl_error *err)
{
    tl_error problem = {0};
    return tl_fraction_parse(text, out, &problem) == TL_OK
               ? TL_OK
               : tl_fail(err, TL_ERR_ARGUMENT, "--%s-fraction: %s", of, problem.text);
}

static tl_status read_circuit(tl_session *s, const tl_both_options *o,
                              tl_modality modality, size_t n_pos, tl_component_set *out,
                              tl_error *err)
{
    tl_fraction fraction[TL_KIND_COUNT];
    for (size_t k = 0; k < TL_KIND_COUNT; k++) {
        const char *own = o->kind_fraction[k];
        const tl_status found =
            own != NULL ? tl_fraction_read(k == TL_KIND_HEADS ? "head" : "neuron", own,
                                           &fraction[k], err)
                        : tl_fraction_read(tl_modality_name(modality),
                                           o->fraction[modality], &fraction[k], err);
        if (found != TL_OK)
            return found;
    }
    tl_scores scores;
    tl_status status = tl_score_file_read(o->scores[modality], tl_model_dims(s->model),
                                          n_pos, s->arena, &scores, err);
    tl_ranking ranking;
    if (status == TL_OK)
        status =
            tl_fail_while(err, tl_ranking_from_scores(&scores, s->arena, &ranking, err),
                          "%s", o->scores[modality]);
    if (status != TL_OK)
        return status;
    const tl_circuit circuit =
        tl_circuit_of(&ranking, fraction[TL_KIND_HEADS], fraction[TL_KIND_NEURONS],
                      (tl_fraction_rounding)s->settings.rounding);
    return tl_set_from_circuit(&circuit, s->arena, out, err);
}

void tl_both_circuits_warn(const tl_both_circuits *both)
{
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const size_t begin = both->map.span[m].data_begin;
        const size_t heads =
                         tl_set_count_between(&both->set[m], TL_KIND_HEADS, 0, begin),
                     neurons =
                         tl_set_count_between(&both->set[m], TL_KIND_NEURONS, 0, begin);
        if (heads + neurons > 0)
            tl_log(
                TL_LOG_WARNING,
                "%zu heads and %zu neurons of the %s circuit are at positions before "
                "the data, in no segment: left out of overlap and interchange",
                heads, neurons, tl_modality_name((tl_modality)m));
    }
}

tl_status tl_both_circuits_read(tl_session *s, const tl_both_options *o,
                                tl_both_circuits *out, tl_error *err)
{
    tl_both_circuits both;
    tl_span span[TL_MODALITY_COUNT];
    tl_status status = TL_OK;
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        status = tl_session_span(s, (tl_modality)m, 0, &span[m], err);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK && !o->any_scores; m++)
        status = tl_score_origin_check(s, o->scores[m], (tl_modality)m, o->judged,
                                       o->settings, err);
    if (status == TL_OK && !o->any_scores)
        status = tl_score_origin_compare(o->scores[TL_IMAGE], o->scores[TL_TEXT], err);
    for (size_t m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
        status = read_circuit(s, o, (tl_modality)m, span[m].n_pos, &both.set[m], err);
    if (status == TL_OK)
        status = tl_position_map_init(&both.map, &span[TL_TEXT], &span[TL_IMAGE],
                                      s->arena, err);
    if (status != TL_OK)
        return status;
    tl_both_circuits_warn(&both);
    *out = both;
    return TL_OK;
}
