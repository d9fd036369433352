/* SPDX-License-Identifier: MIT
 *
 * models_page.h - studies of several models and tasks as the paper has its own: figures 4 to 9
 * and tables 1 and 4 to 7, as a part of a page, as files, as JSON.
 */
#ifndef TWINLENS_REPORT_MODELS_PAGE_H
#define TWINLENS_REPORT_MODELS_PAGE_H

#include <stdio.h>

#include "finding/models.h"
#include "report/table.h"

tl_status tl_models_write_page(const tl_models *models, tl_arena *arena, FILE *page,
                               tl_error *err);

/* What was studied: a line for each study. */
tl_status tl_models_studies(const tl_models *models, tl_arena *arena, tl_table *out,
                            tl_error *err);
/* ---- models_files.c ---------------------------------------------------------------- */

/* A line for each number of a list. */
void tl_models_write_csv(const tl_models *models, const tl_models_list *list,
                         FILE *out);
/* A line for each study and setting of which the studies have several values. */
void tl_models_write_settings_csv(const tl_models *models, FILE *out);
/* All of it as one JSON object (docs/formats.md). */
tl_status tl_models_write_json(const tl_models *models, tl_arena *arena, FILE *out,
                               tl_error *err);

#endif
