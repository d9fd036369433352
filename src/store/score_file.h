/* SPDX-License-Identifier: MIT
 * score_file.h - scores on disk: `heads` and `neurons` of docs/formats.md, and the
 * magnitudes beside them. */
#ifndef TWINLENS_STORE_SCORE_FILE_H
#define TWINLENS_STORE_SCORE_FILE_H

#include "twinlens/circuit.h"

/* Keys of the metadata: what the scores were made from. Names are not among them: equal studies
 * have equal files, whatever their inputs are called. */
#define TL_SCORES_MODEL "model_fingerprint"
#define TL_SCORES_DATASET "dataset_fingerprint"

/* Written atomically; metadata as for tl_safetensors_write. `magnitudes`: NULL for none. */
tl_status tl_score_file_write(const char *path, const tl_scores *scores,
                              const tl_scores *magnitudes,
                              const char *const (*metadata)[2], size_t n_metadata,
                              tl_error *err);

/* Layers, positions, heads and neurons. TL_ERR_FORMAT when the file holds no scores, TL_ERR_DATA
 * when they have signs, so that the first are not those that matter most. */
tl_status tl_score_file_shape(const char *path, size_t *n_layers, size_t *n_pos,
                              size_t *n_heads, size_t *d_mlp, tl_error *err);

/* In `arena`. TL_ERR_FORMAT when the file holds no scores, TL_ERR_DATA when they are
 * of another shape than the model and prompts of n_pos positions want. */
tl_status tl_score_file_read(const char *path, const tl_dims *dims, size_t n_pos,
                             tl_arena *arena, tl_scores *out, tl_error *err);
/* The same for the magnitudes; TL_ERR_FORMAT when the file has none. */
tl_status tl_score_file_read_magnitudes(const char *path, const tl_dims *dims,
                                        size_t n_pos, tl_arena *arena, tl_scores *out,
                                        tl_error *err);

/* TL_ERR_DATA when the file is not the one that the study wrote, whose hash it has. */
tl_status tl_score_file_check(const char *path, const char *sha256, tl_error *err);

#endif
