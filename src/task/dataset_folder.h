/* SPDX-License-Identifier: MIT
 *
 * dataset_folder.h - the folder that a dataset is written into.
 */
#ifndef TWINLENS_TASK_DATASET_FOLDER_H
#define TWINLENS_TASK_DATASET_FOLDER_H

#include <stdbool.h>

#include "twinlens/arena.h"
#include "twinlens/status.h"

/* Makes it; what is in it is an error, or, with `replace`, loses what another dataset left
 * there and would no longer be true. */
tl_status tl_dataset_folder_make(const char *folder, bool replace, tl_arena *arena,
                                 tl_error *err);

#endif
