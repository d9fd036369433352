/* SPDX-License-Identifier: MIT
 * stage_overlap.c - how far the two smallest circuits are the same parts. See stage.h. */
#include "study/stage.h"

#include "twinlens/log.h"

static tl_status begin(tl_stage_run *run, tl_stage_rows *rows, tl_error *err)
{
    (void)rows;
    const tl_both_circuits *both = NULL;
    const tl_status status = tl_study_both_circuits(run->study, &both, err);
    run->n_units = both != NULL;
    if (status == TL_OK && both == NULL)
        tl_log(
            TL_LOG_WARNING,
            "no circuit of the grid is faithful enough in both modalities: no overlap, "
            "no interchange");
    return status;
}

static tl_study_overlap both_kinds(const tl_overlap *o, const tl_overlap_baseline *b,
                                   size_t s)
{
    const tl_iou *heads = &o->of[s][TL_KIND_HEADS],
                 *neurons = &o->of[s][TL_KIND_NEURONS];
    return (tl_study_overlap){.segment = tl_overlap_part_name(s),
                              .kind = "both",
                              .iou = (heads->iou + neurons->iou) / 2,
                              .in_text = (heads->in_text + neurons->in_text) / 2,
                              .in_image = (heads->in_image + neurons->in_image) / 2,
                              .is_empty = heads->empty && neurons->empty,
                              .random = b->segment[s].mean,
                              .deviation = b->segment[s].deviation};
}

static tl_status measure_overlap(tl_stage_run *run, size_t first, size_t n,
                                 tl_stage_rows *out, tl_error *err)
{
    (void)first;
    (void)n;
    const tl_settings *how = &run->study->settings;
    const tl_both_circuits *c = &run->study->circuits;
    tl_overlap o;
    tl_overlap_baseline b;
    tl_study_overlap *rows = tl_arena_alloc(
        run->arena, TL_OVERLAP_PARTS * (TL_KIND_COUNT + 1), sizeof *rows);
    size_t n_rows = 0;
    if (rows == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to compare circuits");
    tl_status status =
        tl_overlap_measure(&c->set[TL_TEXT], &c->set[TL_IMAGE], &c->map, &o, err);
    if (status == TL_OK)
        status = tl_overlap_random(&c->set[TL_TEXT], &c->set[TL_IMAGE], &c->map,
                                   (tl_random_match)how->rand_match, how->rand_draws,
                                   how->seed, &b, err);
    if (status != TL_OK)
        return status;
    for (size_t s = 0; s < TL_OVERLAP_PARTS; s++) {
        for (size_t k = 0; k < TL_KIND_COUNT; k++)
            rows[n_rows++] =
                (tl_study_overlap){.segment = tl_overlap_part_name(s),
                                   .kind = tl_kind_name((tl_component_kind)k),
                                   .iou = o.of[s][k].iou,
                                   .in_text = o.of[s][k].in_text,
                                   .in_image = o.of[s][k].in_image,
                                   .is_empty = o.of[s][k].empty,
                                   .random = b.of[s][k].mean,
                                   .deviation = b.of[s][k].deviation};
        rows[n_rows++] = both_kinds(&o, &b, s);
    }
    tl_stage_put(out, TL_ROW_OVERLAP, rows, n_rows);
    return TL_OK;
}

const tl_stage tl_stage_overlap = {
    .name = "overlap", .of = TL_STAGE_BOTH, .begin = begin, .run = measure_overlap};
