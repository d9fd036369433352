/* SPDX-License-Identifier: MIT
 *
 * summary.h - what a study found, from its folder alone: for a person, for a program,
 * or one line per modality of many studies. Nothing here needs the model.
 *
 *     status = tl_summary_print("runs/my-task", stdout, &err);
 */
#ifndef TWINLENS_REPORT_SUMMARY_H
#define TWINLENS_REPORT_SUMMARY_H

#include <stdio.h>

#include "twinlens/status.h"

tl_status tl_summary_print(const char *folder, FILE *out, tl_error *err);
tl_status tl_summary_json(const char *folder, FILE *out, tl_error *err);

/* Task, modality, accuracy, minimal circuit and faithfulness, a line each. */
tl_status tl_summary_table(const char *const *folders, size_t n_folders, FILE *out,
                           tl_error *err);

#endif
