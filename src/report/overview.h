/* SPDX-License-Identifier: MIT
 *
 * overview.h - studies of several tasks, maybe of several models, beside each other, as
 * tables; with the published numbers where the paper has that model and task.
 */
#ifndef TWINLENS_REPORT_OVERVIEW_H
#define TWINLENS_REPORT_OVERVIEW_H

#include "twinlens/finding.h"
#include "report/table.h"

typedef struct tl_overview {
    const tl_table *tables; /* those that have rows */
    size_t n_tables;
} tl_overview;

tl_status tl_overview_make(const tl_findings *studies, size_t n_studies,
                           tl_arena *arena, tl_overview *out, tl_error *err);

#endif
