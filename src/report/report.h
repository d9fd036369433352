/* SPDX-License-Identifier: MIT
 *
 * report.h - studies as one HTML page: no network, no script, every plot with its
 * numbers. Out of the study folders alone; no model is needed.
 *
 *     const char *const folders[] = {"runs/counting"};
 *     status = tl_report_write(folders, 1, "report.html", &err);
 */
#ifndef TWINLENS_REPORT_REPORT_H
#define TWINLENS_REPORT_REPORT_H

#include <stddef.h>

#include "twinlens/status.h"

/* The page appears under its name only when it is whole. Errors: those of
 * tl_findings_read, TL_ERR_IO. */
tl_status tl_report_write(const char *const *folders, size_t n_folders,
                          const char *path, tl_error *err);

#endif
