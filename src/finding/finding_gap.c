/* SPDX-License-Identifier: MIT
 *
 * finding_gap.c - how much of the gap between text and image prompts back-patching closes,
 * over several studies (include/twinlens/finding.h).
 */
#include "twinlens/finding.h"

#include <math.h>
#include <stdlib.h>

#include "twinlens/alloc.h"

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

tl_status tl_findings_gap(const tl_findings *studies, size_t n_studies, bool elsewhere,
                          tl_gap_closed *out, tl_error *err)
{
    tl_gap_closed g = {NAN, NAN, NAN, NAN, NAN, 0};
    double sum = 0.0, within = 0.0, gains = 0.0, gaps = 0.0, all_gains = 0.0;
    size_t n_within = 0, n_patched = 0;
    double *shares = tl_alloc(n_studies > 0 ? n_studies : 1, sizeof *shares);
    if (shares == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu studies", n_studies);
    for (size_t i = 0; i < n_studies; i++) {
        const tl_finding_backpatch *b = &studies[i].backpatch;
        if (b->n_cells == 0)
            continue;
        const double gap = b->clean[TL_TEXT].value - b->clean[TL_IMAGE].value,
                     gain = (elsewhere ? b->chosen_elsewhere : b->chosen_here).gain.value,
                     share = gain / gap;
        if (isnan(gain))
            continue;
        all_gains += gain;
        n_patched++;
        if (!(gap > 0.0))
            continue;
        shares[g.n++] = share;
        sum += share;
        gains += gain;
        gaps += gap;
        if (share > 0.0 && share <= 1.0) {
            within += share;
            n_within++;
        }
    }
    if (n_patched > 0)
        g.mean_gain = all_gains / (double)n_patched;
    if (g.n > 0) {
        qsort(shares, g.n, sizeof *shares, by_value);
        g.mean = sum / (double)g.n;
        g.median = (shares[(g.n - 1) / 2] + shares[g.n / 2]) / 2;
        g.pooled = gains / gaps;
    }
    if (n_within > 0)
        g.published_way = within / (double)n_within;
    tl_free(shares);
    *out = g;
    return TL_OK;
}
