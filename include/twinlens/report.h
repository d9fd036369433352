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

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "twinlens/api.h"
#include "twinlens/status.h"
#include "twinlens/terms.h"

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

/* Which of the leading heads and neurons are written, and how. */
typedef struct tl_top_options {
    size_t size; /* sizeof(tl_top_options); 0: that of today */
    size_t n;    /* of each kind and modality; 0: 20 */
    bool one_modality, one_kind; /* those below alone */
    tl_modality modality;
    tl_component_kind kind;
    bool json; /* as one JSON object (docs/formats.md), else as tables */
} tl_top_options;

/* Of a study's folder, or of a score file, of which no more than the scores is known. Options
 * may be NULL. TL_ERR_DATA where none is left of a file: it is of the other modality. */
tl_status tl_top_write(const char *path, const tl_top_options *options, FILE *out,
                       tl_error *err);

/* Several studies, of several models and tasks, as one JSON object (docs/formats.md): the paper's
 * figures 4 to 9 and tables 1 and 4 to 7, with its own numbers where the study is the paper's. */
tl_status tl_summary_models_json(const char *const *folders, size_t n_folders, FILE *out,
                                 tl_error *err);

/* One study as files: summary.json, a CSV file of each table of its database,
 * importance.csv and top.csv. Makes the folder `out` when it is not there. */
tl_status tl_export_write(const char *folder, const char *out, tl_error *err);

/* Several studies as files: models.json, studies.csv, settings.csv, and of each of those figures
 * and tables a CSV file and the SVG drawings of its panels. */
tl_status tl_export_models(const char *const *folders, size_t n_folders, const char *out,
                           tl_error *err);

TL_END_DECLS

#endif
