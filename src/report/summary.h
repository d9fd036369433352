/* SPDX-License-Identifier: MIT
 * summary.h - summaries of findings that have been read already. */
#ifndef TWINLENS_REPORT_SUMMARY_H
#define TWINLENS_REPORT_SUMMARY_H

#include <stdio.h>

#include "twinlens/finding.h"

tl_status tl_summary_write_json(const tl_findings *findings, FILE *out, tl_error *err);

#endif
