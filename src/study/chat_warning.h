/* SPDX-License-Identifier: MIT
 *
 * chat_warning.h - says where a model's own chat template would have made another prompt.
 */
#ifndef TWINLENS_STUDY_CHAT_WARNING_H
#define TWINLENS_STUDY_CHAT_WARNING_H

#include "twinlens/dataset.h"

/*
 * Compares the first prompt of each modality, and logs a warning with both texts where they
 * differ, or one that says why they could not be compared; at most one. Nothing where the
 * folder brings no template, or prompts are without chat. A prompt that cannot be written at
 * all is not judged here. Errors: TL_ERR_NO_MEMORY.
 */
tl_status tl_chat_warn(const tl_dataset *dataset, const tl_processor *processor,
                       tl_chat_form form, tl_error *err);

#endif
