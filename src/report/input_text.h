/* SPDX-License-Identifier: MIT
 * input_text.h - how a study's model and dataset are called in titles and tables. */
#ifndef TWINLENS_REPORT_INPUT_TEXT_H
#define TWINLENS_REPORT_INPUT_TEXT_H

#include "twinlens/finding.h"

enum { TL_INPUT_TEXT = 200 };

/* Of "model" or "dataset": its name with the beginning of its hash, "counting (0123456789ab)";
 * the hash alone where a study does not keep the name. */
const char *tl_input_text(const tl_findings *findings, const char *of,
                          char text[TL_INPUT_TEXT]);

/* "counting": the task; the folder of a study without one. */
const char *tl_study_task(const tl_findings *findings);

#endif
