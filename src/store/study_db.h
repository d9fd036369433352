/* SPDX-License-Identifier: MIT
 *
 * study_db.h - the database of a study folder: what made the study (the manifest),
 * and every number it found, as the rows of include/twinlens/rows.h.
 *
 *     tl_study_db *db = NULL;
 *     status = tl_study_db_open("runs/my-task", TL_STUDY_WRITE, &db, &err);
 *     status = tl_study_db_adopt(db, keys, n_keys, files, n_files, &err);
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
    TL_STUDY_READ,  /* the study must be there; nothing is changed */
    TL_STUDY_WRITE, /* made when the folder is missing or empty; locked for others */
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

/* Fills in the row that has the key of `row`; leaves it alone when there is none. */
tl_status tl_study_db_find(const tl_study_db *db, tl_row_kind kind, void *row,
                           tl_arena *arena, bool *found, tl_error *err);

/* ---- what made the study ----------------------------------------------------- */

/*
 * Makes the study that of these keys. A study that has none yet takes them; one that
 * has others is refused, TL_ERR_DATA with each difference, and left as it was. The
 * files are remembered in the same transaction.
 */
tl_status tl_study_db_adopt(tl_study_db *db, const tl_study_key *keys, size_t n_keys,
                            const tl_study_file *files, size_t n_files, tl_error *err);

/* The hash remembered for a file, if it still looks the same; NULL if not. */
tl_status tl_study_db_get_hash(const tl_study_db *db, const char *path, int64_t bytes,
                               int64_t modified_ns, tl_arena *arena,
                               const char **sha256, tl_error *err);

/* ---- what the model says to each prompt -------------------------------------- */

tl_status tl_study_db_get_prompts(const tl_study_db *db, tl_modality modality,
                                  tl_arena *arena, const tl_study_prompt **prompts,
                                  size_t *n_prompts, tl_error *err);

/* ---- which prompts are used -------------------------------------------------- */

/* Both parts of a modality at once; a part's pairs are in order. */
tl_status tl_study_db_put_split(tl_study_db *db, tl_modality modality,
                                const tl_study_pair *discovery, size_t n_discovery,
                                const tl_study_pair *evaluation, size_t n_evaluation,
                                tl_error *err);
tl_status tl_study_db_get_pairs(const tl_study_db *db, tl_modality modality,
                                tl_study_part part, tl_arena *arena,
                                const tl_study_pair **pairs, size_t *n_pairs,
                                tl_error *err);

/* ---- the scores, which are in a file of their own ---------------------------- */

tl_status tl_study_db_put_scores(tl_study_db *db, tl_modality modality,
                                 const tl_study_scores *scores, tl_error *err);
/* scores->file is NULL when there are none yet. */
tl_status tl_study_db_get_scores(const tl_study_db *db, tl_modality modality,
                                 tl_arena *arena, tl_study_scores *scores,
                                 tl_error *err);

/* ---- what stands at each position -------------------------------------------- */

tl_status tl_study_db_put_tokens(tl_study_db *db, tl_modality modality,
                                 const tl_study_token *tokens, size_t n_pos,
                                 tl_error *err);
tl_status tl_study_db_get_tokens(const tl_study_db *db, tl_modality modality,
                                 tl_arena *arena, const tl_study_token **tokens,
                                 size_t *n_pos, tl_error *err);

/* ---- some image prompts, to look at ------------------------------------------ */

tl_status tl_study_db_put_picture(tl_study_db *db, size_t pair,
                                  const tl_study_picture *picture, tl_error *err);
tl_status tl_study_db_get_pictures(const tl_study_db *db, tl_arena *arena,
                                   const tl_study_picture **pictures, size_t *n,
                                   tl_error *err);

/* ---- does attribution tell the truth? ---------------------------------------- */

/* All of a pair, components in order, the steps of one side by side. */
tl_status tl_study_db_put_validation(tl_study_db *db, tl_modality modality, size_t pair,
                                     const tl_study_effect *effects, size_t n_effects,
                                     const tl_study_completeness *completeness,
                                     size_t n_completeness, tl_error *err);
tl_status tl_study_db_get_effects(const tl_study_db *db, tl_modality modality,
                                  tl_arena *arena, const tl_study_effect **effects,
                                  size_t *n, tl_error *err);
tl_status tl_study_db_get_completeness(const tl_study_db *db, tl_modality modality,
                                       tl_arena *arena,
                                       const tl_study_completeness **completeness,
                                       size_t *n, tl_error *err);

/* ---- how well circuits do the job -------------------------------------------- */

tl_status tl_study_db_put_evaluation(tl_study_db *db, tl_modality modality,
                                     const tl_study_evaluation *evaluation,
                                     size_t n_points, tl_error *err);
tl_status tl_study_db_get_evaluations(const tl_study_db *db, tl_modality modality,
                                      size_t n_points, tl_arena *arena,
                                      const tl_study_evaluation **evaluations,
                                      size_t *n_evaluations, tl_error *err);

/* Both curves [n_points] and the minimal circuit: the end of a modality. */
tl_status
tl_study_db_put_curves(tl_study_db *db, tl_modality modality,
                       const tl_study_point *const curves[TL_STUDY_KIND_COUNT],
                       size_t n_points, const tl_study_minimal *minimal, tl_error *err);
/* *n_points is 0 while there is no curve. */
tl_status tl_study_db_get_curve(const tl_study_db *db, tl_modality modality,
                                tl_study_kind kind, tl_arena *arena,
                                const tl_study_point **points, size_t *n_points,
                                tl_error *err);
/* *done tells whether the modality has got so far. */
tl_status tl_study_db_get_minimal(const tl_study_db *db, tl_modality modality,
                                  tl_study_minimal *minimal, bool *done, tl_error *err);

/* ---- the two circuits beside each other -------------------------------------- */

/* Stages of a whole study that are over, by name; those of one modality are over when
 * their last rows are there. */
tl_status tl_study_db_put_stage(tl_study_db *db, const char *name, tl_error *err);
tl_status tl_study_db_has_stage(const tl_study_db *db, const char *name, bool *out,
                                tl_error *err);

tl_status tl_study_db_put_swaps(tl_study_db *db, tl_modality host,
                                const tl_study_swap *swaps, size_t n, tl_error *err);
tl_status tl_study_db_get_swaps(const tl_study_db *db, tl_modality host,
                                tl_arena *arena, const tl_study_swap **swaps, size_t *n,
                                tl_error *err);

/* Logit differences of one evaluation pair under the swaps [n_swaps] of a host. Its
 * clean run and that of nothing are those of its evaluation. */
tl_status tl_study_db_put_interchange(tl_study_db *db, tl_modality host, size_t pair,
                                      const double *logit_diff, size_t n_swaps,
                                      tl_error *err);
/* Of the first *n_pairs pairs, [*n_pairs, n_swaps]. */
tl_status tl_study_db_get_interchange(const tl_study_db *db, tl_modality host,
                                      size_t n_swaps, tl_arena *arena,
                                      const double **logit_diff, size_t *n_pairs,
                                      tl_error *err);

/* ---- what image states are like ---------------------------------------------- */

tl_status tl_study_db_put_alignment(tl_study_db *db, size_t pair,
                                    const tl_study_alignment *alignment,
                                    size_t n_layers, tl_error *err);
/* The first *n_pairs pairs; *n_layers is 0 while there is none. */
tl_status tl_study_db_get_alignments(const tl_study_db *db, tl_arena *arena,
                                     const tl_study_alignment **alignments,
                                     size_t *n_pairs, size_t *n_layers, tl_error *err);

/* ---- back-patching ----------------------------------------------------------- */

tl_status tl_study_db_put_cells(tl_study_db *db, const tl_study_cell *cells, size_t n,
                                tl_error *err);
tl_status tl_study_db_get_cells(const tl_study_db *db, tl_arena *arena,
                                const tl_study_cell **cells, size_t *n, tl_error *err);

tl_status tl_study_db_put_backpatch(tl_study_db *db, tl_modality modality, size_t pair,
                                    const tl_study_outcome *outcome, tl_error *err);
tl_status tl_study_db_get_backpatches(const tl_study_db *db, tl_modality modality,
                                      tl_arena *arena,
                                      const tl_study_outcome **outcomes,
                                      size_t *n_pairs, tl_error *err);

/* Under one cell again and again. */
tl_status tl_study_db_put_iteration(tl_study_db *db, size_t pair, size_t cell,
                                    const tl_study_outcome *outcome, tl_error *err);
/* *cell is that of the rows; is_right is not set. */
tl_status tl_study_db_get_iterations(const tl_study_db *db, tl_arena *arena,
                                     const tl_study_outcome **outcomes, size_t *n_pairs,
                                     size_t *cell, tl_error *err);

/* ---- everything, as it is ---------------------------------------------------- */

/* Names of the tables that hold findings, in the order of the stages; NULL ends. */
extern const char *const tl_study_tables[];

/* A table as CSV (RFC 4180): a line with the names of the columns, then the rows in the
 * order of the primary key; doubles with all their digits, NULL as nothing. */
tl_status tl_study_db_write_csv(const tl_study_db *db, const char *table, FILE *out,
                                tl_error *err);

#endif
