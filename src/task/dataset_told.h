/* SPDX-License-Identifier: MIT
 *
 * dataset_told.h - what rows of a dataset have been warned of, so that it is said once.
 */
#ifndef TWINLENS_TASK_DATASET_TOLD_H
#define TWINLENS_TASK_DATASET_TOLD_H

#include <stdatomic.h>

struct tl_dataset_told {
    atomic_bool alpha; /* rows may be encoded by several threads */
};

#endif
