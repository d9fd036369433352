/* SPDX-License-Identifier: MIT
 * folded_labels.h - labels of a dataset that a model cannot tell apart. */
#ifndef TWINLENS_TASK_FOLDED_LABELS_H
#define TWINLENS_TASK_FOLDED_LABELS_H

#include "twinlens/dataset.h"

/*
 * Warns, once for each set of labels, of those that begin with the same token and are no
 * row's answer: they count as one. That they are, is refused where the row is used
 * (tl_dataset_answer_id). Labels that have no token are left to the rows as well.
 */
tl_status tl_folded_labels_warn(const tl_dataset *dataset,
                                const tl_processor *processor, tl_error *err);

#endif
