/* SPDX-License-Identifier: MIT
 *
 * manifest.h - what makes a study the one it is: the program, the bytes of model and
 * dataset, and every setting that touches a number. `model` and `dataset` are the fingerprints
 * that score files have too (fingerprint.h); `model-files` and `dataset-files` the hashes of all
 * bytes, tokenizer and images with them.
 */
#ifndef TWINLENS_STUDY_MANIFEST_H
#define TWINLENS_STUDY_MANIFEST_H

#include "store/study_db.h"
#include "study/progress.h"
#include "study/session.h"

typedef struct tl_manifest {
    tl_study_key *keys;
    size_t n_keys;
    tl_study_file *files; /* what was hashed, or was found hashed in `known` */
    size_t n_files, capacity;
} tl_manifest;

/*
 * Hashes the files of model and dataset, except those whose hash `known` remembers
 * for the size and time that they have; all results live in `arena`.
 */
tl_status tl_manifest_make(const tl_settings *settings, const tl_session *session,
                           const bool modalities[TL_MODALITY_COUNT],
                           const tl_study_db *known, tl_progress *progress,
                           tl_arena *arena, tl_manifest *out, tl_error *err);

#endif
