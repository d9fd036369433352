/* SPDX-License-Identifier: MIT
 *
 * report.h - findings for people and for programs: a page, a text, JSON, CSV. All of it
 * is made from study folders; no model is needed.
 *
 *     const char *const folders[] = {"runs/counting", "runs/sentiment"};
 *     status = tl_report_write(folders, 2, "report.html", &err);
 *     status = tl_summary_print(folders[0], stdout, &err);
 *
 * Errors of every function are those of tl_findings_read, and TL_ERR_IO where a file or
 * stream cannot be written. A file appears under its name only when it is whole.
 */
#ifndef TWINLENS_REPORT_H
#define TWINLENS_REPORT_H

#include <stddef.h>
#include <stdio.h>

#include "twinlens/api.h"
#include "twinlens/status.h"

TL_BEGIN_DECLS

/* One HTML page of one or more studies: no script, nothing from the network, and every plot
 * carries its numbers. */
tl_status tl_report_write(const char *const *folders, size_t n_folders,
                          const char *path, tl_error *err);

/* One study in full, as text. */
tl_status tl_summary_print(const char *folder, FILE *out, tl_error *err);

/* One study in full, as one JSON object (docs/formats.md). */
tl_status tl_summary_json(const char *folder, FILE *out, tl_error *err);

/* Several studies beside each other, as tables. */
tl_status tl_summary_table(const char *const *folders, size_t n_folders, FILE *out,
                           tl_error *err);

/* One study as files: summary.json, a CSV file of each table of its database, and
 * importance.csv. Makes the folder `out` when it is not there. */
tl_status tl_export_write(const char *folder, const char *out, tl_error *err);

TL_END_DECLS

#endif
