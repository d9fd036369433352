/* SPDX-License-Identifier: MIT
 * top_table.h - the leading heads and neurons of a study: on a terminal, in JSON, as CSV; in a
 * page they are tl_draw_leading() of draw.h. */
#ifndef TWINLENS_REPORT_TOP_TABLE_H
#define TWINLENS_REPORT_TOP_TABLE_H

#include <jansson.h>
#include <stdio.h>

#include "twinlens/finding.h"

enum { TL_TOP = 20 }; /* of each kind and modality, unless more or less is wanted */

/* A table for each kind and modality that has any. */
tl_status tl_top_print(const tl_findings *findings, FILE *out, tl_error *err);

/* {"pairs": n, "heads": [...], "neurons": [...]} of a modality; `part` NULL: nothing is known of its
 * positions. */
json_t *tl_top_json(const tl_finding_part *part, const tl_finding_leaders *leaders);

/* A line for each, after a line of names. */
tl_status tl_top_csv(const tl_findings *findings, FILE *out, tl_error *err);

#endif
