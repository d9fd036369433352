/* SPDX-License-Identifier: MIT
 *
 * session.h - what every experiment begins with: an open model, its processor, a
 * dataset, and the prompts of a modality as pairs.
 */
#ifndef TWINLENS_STUDY_SESSION_H
#define TWINLENS_STUDY_SESSION_H

#include "study/settings.h"
#include "twinlens/circuit.h"
#include "twinlens/dataset.h"
#include "twinlens/overlap.h"
#include "twinlens/pass.h"
#include "twinlens/split.h"

/* Which prompts a command takes. */
typedef struct tl_selection {
    int modality, part;
    const char *ids;
    bool part_given; /* else `usual`, where rows of the modality have a part */
    tl_part usual;
    bool draws; /* pairs are drawn, by the settings, where rows do not name theirs */
} tl_selection;

/* The model's folder, which holds its config.json. TL_ERR_NOT_FOUND naming the places
 * where the bundled model was looked for: beside the program, as installed or built. */
tl_status tl_session_model(const tl_settings *settings, tl_arena *arena,
                           const char **folder, tl_error *err);

/* As it was given, for files that name it; "bundled". */
const char *tl_session_model_name(const tl_settings *settings);

typedef struct tl_session {
    tl_model *model;
    tl_processor *processor;
    tl_dataset *dataset; /* NULL when the settings name none */
    tl_arena *arena;     /* lives as long as the session */
    tl_settings settings;
    bool is_drawn[TL_MODALITY_COUNT]; /* pairs, as tl_session_take() was told */
    tl_split drawn[TL_MODALITY_COUNT];
    const struct tl_row_lengths *lengths[TL_MODALITY_COUNT]; /* NULL: not read yet */
} tl_session;

tl_status tl_session_open(const tl_settings *settings, tl_session *out, tl_error *err);
void tl_session_close(tl_session *session);

/* Encodes and assembles one row, in `arena`; `encoding` may be NULL. */
tl_status tl_session_input(tl_session *session, size_t row, tl_arena *arena,
                           tl_encoding *encoding, tl_input *input, tl_error *err);

/* What --memory leaves beside the session, what was put into its arena, and `held` bytes more;
 * 0: it is no limit, 1: nothing. */
size_t tl_session_budget(const tl_session *session, size_t held);

/* How to attribute prompts of n_pos positions within --memory: sums and scores are in memory
 * if there is room for them (the folder is NULL), else on the disk, beside the file `out`. */
tl_status tl_session_attribution(const tl_session *session, size_t n_pos,
                                 const char *out, tl_attribution_options *options,
                                 tl_error *err);

/* What is selected: of no part in particular where prompts are named. */
tl_part tl_session_part(const tl_session *session, const tl_selection *selection);

/* Whether all rows of the modality name their counterfactuals. */
bool tl_session_is_paired(const tl_session *session, tl_modality modality);

/* Those rows, in the session's arena; TL_ERR_DATA when there is none. */
tl_status tl_session_rows(tl_session *session, const tl_selection *selection,
                          size_t **rows, size_t *count, tl_error *err);

/* Index of the row with that id; TL_ERR_NOT_FOUND names the dataset. */
tl_status tl_session_row(const tl_session *session, const char *id, size_t *row,
                         tl_error *err);

#endif
