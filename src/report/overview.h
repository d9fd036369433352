/* SPDX-License-Identifier: MIT
 *
 * overview.h - studies of several tasks, maybe of several models, beside each other, as
 * tables; with the published numbers where the paper has that model and task.
 */
#ifndef TWINLENS_REPORT_OVERVIEW_H
#define TWINLENS_REPORT_OVERVIEW_H

#include "finding/findings.h"
#include "report/table.h"

typedef struct tl_overview {
    const tl_table *tables; /* those that have rows */
    size_t n_tables;
} tl_overview;

tl_status tl_overview_make(const tl_findings *studies, size_t n_studies,
                           tl_arena *arena, tl_overview *out, tl_error *err);

/* How much of the gap between text and image back-patching closes, over studies with a
 * gap: mean and median of the shares, the same as published (mean of shares in 0..1
 * only), and the sum of gains over the sum of gaps. NaN when there is none. */
typedef struct tl_gap_closed {
    double mean, median, published_way, pooled, mean_gain;
    size_t n; /* studies with a gap */
} tl_gap_closed;
tl_status tl_overview_gap(const tl_findings *studies, size_t n_studies,
                          tl_gap_closed *out, tl_error *err);

/* Mean of values, with the interval that their own deviations leave, taken as
 * independent: sd = sqrt(sum sd_i^2) / n. It says how sure the mean over these tasks is,
 * not what other tasks would give. */
tl_interval tl_overview_mean(const tl_interval *values, size_t n);

#endif
