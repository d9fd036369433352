/* SPDX-License-Identifier: MIT
 * study_db_private.h - what study_db.c and study_rows.c share. */
#ifndef TWINLENS_STORE_STUDY_DB_PRIVATE_H
#define TWINLENS_STORE_STUDY_DB_PRIVATE_H

#include "store/sql.h"
#include "store/study_db.h"
#include "store/study_lock.h"

struct tl_study_db {
    tl_sql sql;
    tl_study_lock lock; /* held by a writer */
    tl_arena *arena;    /* the path */
};

/* ---- study_rows.c ------------------------------------------------------------- */

extern const char *const tl_study_modality_names[TL_MODALITY_COUNT];

/* A select with text parameters, ready to be stepped. */
tl_status tl_study_select(const tl_study_db *db, const char *text,
                          const char *const *parameters, size_t n_parameters,
                          tl_sql_statement *statement, tl_error *err);
/* The single number that such a select gives. */
tl_status tl_study_count(const tl_study_db *db, const char *text,
                         const char *const *parameters, size_t n_parameters,
                         size_t *count, tl_error *err);
/* Memory for the rows, cleared; `out` is a pointer to their pointer. */
tl_status tl_study_take(const tl_study_db *db, tl_arena *arena, size_t count,
                        size_t size, void *out, tl_error *err);

#endif
