/* SPDX-License-Identifier: MIT
 * findings_private.h - the parts in which findings are read. */
#ifndef TWINLENS_FINDING_FINDINGS_PRIVATE_H
#define TWINLENS_FINDING_FINDINGS_PRIVATE_H

#include "store/study_db.h"
#include "twinlens/finding.h"

/* The mean of values[n], with its interval. */
tl_status tl_findings_mean(const double *values, size_t n, tl_interval *out,
                           tl_error *err);

/* ---- finding_part.c ---------------------------------------------------------------- */

tl_status tl_findings_part(const tl_study_db *db, const char *folder,
                           tl_modality modality, tl_arena *arena, tl_finding_part *out,
                           tl_error *err);

/* ---- finding_tests.c --------------------------------------------------------------- */

/* Of a study whose manifest has been read. */
tl_status tl_findings_tests(const tl_study_db *db, const tl_findings *findings,
                            tl_modality modality, tl_arena *arena,
                            tl_finding_tests *out, tl_error *err);

/* ---- finding_validation.c ---------------------------------------------------------- */

/* Of a modality whose part, and the manifest, have been read. */
tl_status tl_findings_validation(const tl_study_db *db, tl_findings *findings,
                                 tl_modality modality, tl_arena *arena, tl_error *err);

/* ---- finding_caveats.c ------------------------------------------------------------- */

/* Of findings that are read but for these: which circuits are shown, and caveats. */
tl_status tl_findings_caveats(tl_findings *findings, tl_arena *arena, tl_error *err);

/* ---- finding_picture.c ------------------------------------------------------------- */

tl_status tl_findings_pictures(const tl_study_db *db, tl_arena *arena, tl_findings *out,
                               tl_error *err);

/* ---- finding_compare.c ------------------------------------------------------------- */

tl_status tl_findings_overlaps(const tl_study_db *db, tl_arena *arena, tl_findings *out,
                               tl_error *err);
tl_status tl_findings_swaps(const tl_study_db *db, tl_arena *arena, tl_findings *out,
                            tl_error *err);
tl_status tl_findings_layers(const tl_study_db *db, tl_arena *arena, tl_findings *out,
                             tl_error *err);

/* ---- finding_backpatch.c ----------------------------------------------------------- */

/* Of all pairs, or of those of the most frequent length; *out stays as it is where there is
 * nothing to tell of. */
tl_status tl_findings_backpatch(const tl_study_db *db, bool is_modal, tl_arena *arena,
                                tl_finding_backpatch *out, tl_error *err);

#endif
