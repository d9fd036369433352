/* SPDX-License-Identifier: MIT
 *
 * draw.h - the figures of a report. Each writes itself into the page, or nothing when the
 * study has not got what it shows.
 */
#ifndef TWINLENS_REPORT_DRAW_H
#define TWINLENS_REPORT_DRAW_H

#include <stdio.h>

#include "twinlens/finding.h"

/* `prefix` begins all names: figures of several studies stand in one page. */
typedef tl_status tl_draw(const tl_findings *findings, const char *prefix, FILE *page,
                          tl_error *err);

tl_draw tl_draw_accuracy;     /* draw_bars.c */
tl_draw tl_draw_importance;   /* draw_maps.c */
tl_draw tl_draw_pictures;     /* draw_pictures.c */
tl_draw tl_draw_leading;      /* top_table.c; tables */
tl_draw tl_draw_faithfulness; /* draw_curves.c */
tl_draw tl_draw_validation;   /* draw_checks.c */
tl_draw tl_draw_overlap;      /* draw_bars.c */
tl_draw tl_draw_interchange;  /* draw_bars.c */
tl_draw tl_draw_alignment;    /* draw_curves.c */
tl_draw tl_draw_gap;          /* draw_bars.c */
tl_draw tl_draw_backpatch;    /* draw_matrix.c */
tl_draw tl_draw_iterations;   /* draw_curves.c */

/* "text", "image" */
extern const char *const tl_draw_modalities[TL_MODALITY_COUNT];
/* "0.873 (0.811 to 0.912, over prompts)", not to be broken between the ends; "-" without a
 * number. */
void tl_draw_interval(FILE *out, const tl_interval *interval, const char *over);
/* Which faithfulness the study goes by, in words. */
const char *tl_draw_faith(const tl_findings *findings);
/* How the study's overlap is normalised, as a formula. */
const char *tl_draw_niou(const tl_findings *findings);

#endif
