/* SPDX-License-Identifier: MIT
 * overlap_rows.c - see overlap_rows.h. */
#include "study/overlap_rows.h"

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

tl_status tl_overlap_rows_measure(const tl_both_circuits *c, const tl_settings *how,
                                  tl_study_overlap rows[TL_OVERLAP_ROWS], tl_error *err)
{
    tl_overlap o;
    tl_overlap_baseline b;
    size_t n_rows = 0;
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
    return TL_OK;
}
