/* SPDX-License-Identifier: MIT
 *
 * study_db.h - the database of a study folder: what made the study (the manifest),
 * and every number it found, as the rows of include/twinlens/rows.h.
 *
 *     tl_study_db *db = NULL;
 *     status = tl_study_db_open("runs/my-task", TL_STUDY_WRITE, &db, &err);
 *     status = tl_study_db_adopt(db, keys, n_keys, files, n_files, NULL, &err);
 *     status = tl_study_db_put(db, &(tl_rows){TL_ROW_PROMPT, prompts, n}, 1, &err);
 *     tl_study_db_close(db);
 *
 * One `put` is one unit of work and one transaction: when it returns TL_OK the rows
 * are on the disk, and a process killed inside it leaves none of them. Putting rows
 * that are there already replaces them by the same. Doubles keep all their bits;
 * NaN is kept as NULL. No table holds a time or a name of a machine, so that equal
 * studies have equal tables.
 *
 * What `get` returns lives in the arena, in the order of the primary key.
 */
#ifndef TWINLENS_STORE_STUDY_DB_H
#define TWINLENS_STORE_STUDY_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "twinlens/arena.h"
#include "twinlens/rows.h"
#include "twinlens/status.h"

#define TL_STUDY_DB_NAME "study.db"

typedef struct tl_study_db tl_study_db;

typedef enum tl_study_access {
    TL_STUDY_READ,  /* the study must be there; it is read as it is now */
    TL_STUDY_WRITE, /* made when the folder is missing or empty; locked for others */
    TL_STUDY_COPY,  /* in memory and empty, for the rows of a study that another process
                       writes; of the folder the name alone is used */
} tl_study_access;

/*
 * Errors: TL_ERR_NOT_FOUND (no study to read), TL_ERR_DATA (a folder with other
 * things in it, or of another schema version), TL_ERR_IO (cannot be written; in use
 * by another process), TL_ERR_FORMAT (not a study's database).
 */
tl_status tl_study_db_open(const char *folder, tl_study_access access,
                           tl_study_db **out, tl_error *err);
void tl_study_db_close(tl_study_db *db);

/* ---- rows ------------------------------------------------------------------- */

/* Puts rows of one or more kinds, all of them or none. */
tl_status tl_study_db_put(tl_study_db *db, const tl_rows *units, size_t n,
                          tl_error *err);

/*
 * Rows whose first n_like keys are those of `like` (NULL when n_like is 0). Errors:
 * TL_ERR_FORMAT with table and row, where the table or one of its columns is missing, a
 * value is none that the column can have, a key is there twice, or, of keys that count,
 * one is not there.
 */
tl_status tl_study_db_get(const tl_study_db *db, tl_row_kind kind, const void *like,
                          size_t n_like, tl_arena *arena, tl_rows *out, tl_error *err);

/* Fills in the row that has the key of `row`; leaves it alone when there is none. That is
 * an error, TL_ERR_FORMAT, when `found` is NULL. */
tl_status tl_study_db_find(const tl_study_db *db, tl_row_kind kind, void *row,
                           tl_arena *arena, bool *found, tl_error *err);

/* ---- what made the study ----------------------------------------------------- */

/* Writes a key with its value as the user would; leaves `text` alone where it does not know
 * the key. `value` NULL: it has none. */
typedef void tl_study_key_say(const char *key, const char *value, char *text,
                              size_t bytes);

/*
 * Makes the study that of these keys. A study that has none yet takes them; one that
 * has others is refused, TL_ERR_DATA with each difference as `say` writes it, and left as
 * it was. The files are remembered in the same transaction, but for a reader, who only
 * compares. `say` may be NULL.
 */
tl_status tl_study_db_adopt(tl_study_db *db, const tl_study_key *keys, size_t n_keys,
                            const tl_study_file *files, size_t n_files,
                            tl_study_key_say *say, tl_error *err);

/* The hash remembered for a file, if it still looks the same; NULL if not. */
tl_status tl_study_db_get_hash(const tl_study_db *db, const char *path, int64_t bytes,
                               int64_t modified_ns, tl_arena *arena,
                               const char **sha256, tl_error *err);

/* ---- rows that are often asked for ------------------------------------------- */

tl_status tl_study_db_get_prompts(const tl_study_db *db, tl_modality modality,
                                  tl_arena *arena, const tl_study_prompt **prompts,
                                  size_t *n_prompts, tl_error *err);
tl_status tl_study_db_get_pairs(const tl_study_db *db, tl_modality modality,
                                tl_study_part part, tl_arena *arena,
                                const tl_study_pair **pairs, size_t *n_pairs,
                                tl_error *err);

/* Evaluation pairs [n_pairs] under the circuits of a grid [TL_STUDY_KIND_COUNT, n_pairs,
 * n_points]. */
typedef struct tl_study_evaluations {
    const tl_study_baseline *pairs;
    const tl_study_evaluation *circuits;
    size_t n_pairs, n_points;
} tl_study_evaluations;

/* TL_ERR_FORMAT when they were made with a grid of another size. */
tl_status tl_study_db_get_evaluations(const tl_study_db *db, tl_modality modality,
                                      size_t n_points, tl_arena *arena,
                                      tl_study_evaluations *out, tl_error *err);

static inline double tl_study_evaluations_at(const tl_study_evaluations *e,
                                             tl_study_kind kind, size_t pair,
                                             size_t point)
{
    return e->circuits[((size_t)kind * e->n_pairs + pair) * e->n_points + point]
        .logit_diff;
}

/* Whether a stage is over, by its name. */
tl_status tl_study_db_has_stage(const tl_study_db *db, const char *name, bool *out,
                                tl_error *err);

/* ---- as text ----------------------------------------------------------------- */

/* The name of a kind's table. */
const char *tl_study_db_table(tl_row_kind kind);

/* A table as CSV (RFC 4180): a line with the names of the columns, then the rows in the
 * order of the primary key; doubles with all their digits, NULL as nothing, a blob in
 * hexadecimal. */
tl_status tl_study_db_write_csv(const tl_study_db *db, tl_row_kind kind, FILE *out,
                                tl_error *err);

#endif
