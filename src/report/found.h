/* SPDX-License-Identifier: MIT
 * found.h - a study in plain words, made from its findings: what was found, each number with its
 * interval, and what is not shown, and why. */
#ifndef TWINLENS_REPORT_FOUND_H
#define TWINLENS_REPORT_FOUND_H

#include <stdio.h>

#include "twinlens/finding.h"

/* Items of a list (<li>). */
void tl_found_write(const tl_findings *findings, FILE *page);
void tl_found_write_not_shown(const tl_findings *findings, FILE *page);

#endif
