/* SPDX-License-Identifier: MIT
 * study_db_private.h - what the files of this folder share. */
#ifndef TWINLENS_STORE_STUDY_DB_PRIVATE_H
#define TWINLENS_STORE_STUDY_DB_PRIVATE_H

#include "store/sql.h"
#include "store/study_db.h"
#include "store/study_lock.h"

struct tl_study_db {
    tl_sql sql;
    tl_study_lock lock; /* held by a writer */
    bool is_copy;       /* no file, TL_STUDY_COPY */
    tl_arena *arena;    /* the path */
    bool is_old;        /* without the tables of version 5; then it is only read */
};

#endif
