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
    int64_t version;    /* of the schema; tables of later ones are not there */
};

/* Whether the table came with the version of this schema or an earlier one; where it did not,
 * there are no rows of the kind. */
bool tl_study_db_has_table(const tl_study_db *db, tl_row_kind kind);

#endif
