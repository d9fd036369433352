/* SPDX-License-Identifier: MIT
 *
 * finding_gap.c - how much of the gap between text and image prompts back-patching closes,
 * over several studies (include/twinlens/finding.h).
 */
#include "twinlens/finding.h"

#include <math.h>

#include "twinlens/alloc.h"

/* Of the studies that patch: their gains; of those with a gap: gains, gaps, their shares,
 * and the shares that lie in 0..1. */
typedef struct gap_numbers {
    double *all_gains, *gains, *gaps, *shares, *within, *room;
    size_t n_patched, n, n_within;
} gap_numbers;

static void gather(const tl_findings *studies, size_t n_studies, bool elsewhere,
                   gap_numbers *g)
{
    for (size_t i = 0; i < n_studies; i++) {
        const tl_finding_backpatch *b = &studies[i].backpatch;
        if (b->n_cells == 0)
            continue;
        const double gap = b->clean[TL_TEXT].value - b->clean[TL_IMAGE].value,
                     gain =
                         (elsewhere ? b->chosen_elsewhere : b->chosen_here).gain.value,
                     share = gain / gap;
        if (isnan(gain))
            continue;
        g->all_gains[g->n_patched++] = gain;
        if (!(gap > 0.0))
            continue;
        g->gains[g->n] = gain;
        g->gaps[g->n] = gap;
        g->shares[g->n++] = share;
        if (share > 0.0 && share <= 1.0)
            g->within[g->n_within++] = share;
    }
}

tl_status tl_findings_gap(const tl_findings *studies, size_t n_studies, bool elsewhere,
                          tl_gap_closed *out, tl_error *err)
{
    tl_gap_closed c = {.n = 0};
    double *room = tl_alloc(6 * (n_studies + 1), sizeof *room);
    if (room == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu studies", n_studies);
    gap_numbers g = {.all_gains = room,
                     .gains = room + n_studies,
                     .gaps = room + 2 * n_studies,
                     .shares = room + 3 * n_studies,
                     .within = room + 4 * n_studies,
                     .room = room + 5 * n_studies};
    gather(studies, n_studies, elsewhere, &g);
    const tl_median_data median = {g.shares, g.room};
    const tl_ratio_data pooled = {g.gains, g.gaps};
    c.n = g.n;
    tl_status status =
        tl_bootstrap(tl_statistic_mean, g.shares, g.n, NULL, &c.mean, err);
    if (status == TL_OK)
        status = tl_bootstrap(tl_statistic_median, &median, g.n, NULL, &c.median, err);
    if (status == TL_OK)
        status = tl_bootstrap(tl_statistic_ratio, &pooled, g.n, NULL, &c.pooled, err);
    if (status == TL_OK)
        status = tl_bootstrap(tl_statistic_mean, g.within, g.n_within, NULL,
                              &c.published_way, err);
    if (status == TL_OK)
        status = tl_bootstrap(tl_statistic_mean, g.all_gains, g.n_patched, NULL,
                              &c.mean_gain, err);
    tl_free(room);
    if (status == TL_OK)
        *out = c;
    return status;
}
