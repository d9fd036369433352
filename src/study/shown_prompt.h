/* SPDX-License-Identifier: MIT
 * shown_prompt.h - a prompt as the model gets it, to look at: the chat around the words, and
 * which token stands at which position, in which segment. */
#ifndef TWINLENS_STUDY_SHOWN_PROMPT_H
#define TWINLENS_STUDY_SHOWN_PROMPT_H

#include <stdio.h>

#include "study/session.h"

/* A few lines and a table, or one JSON object in a line (docs/formats.md). */
tl_status tl_prompt_show(const tl_session *session, size_t row, bool json, FILE *out,
                         tl_error *err);

#endif
