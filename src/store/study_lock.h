/* SPDX-License-Identifier: MIT
 *
 * study_lock.h - one process at a time works on a study folder. The lock is the
 * operating system's, on a file study.lock in the folder: it goes when the process
 * does, however that ends; the file stays and means nothing.
 */
#ifndef TWINLENS_STORE_STUDY_LOCK_H
#define TWINLENS_STORE_STUDY_LOCK_H

#include "twinlens/status.h"

#define TL_STUDY_LOCK_NAME "study.lock"

typedef struct tl_study_lock {
    int descriptor; /* of the lock file, plus 1; 0 when nothing is held */
} tl_study_lock;

/* TL_ERR_IO when another process holds it (the text names that process), or when
 * the folder cannot be written. `lock` must be empty. */
tl_status tl_study_lock_init(tl_study_lock *lock, const char *folder, tl_error *err);
void tl_study_lock_release(tl_study_lock *lock);

#endif
