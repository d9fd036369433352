/* SPDX-License-Identifier: MIT
 *
 * backends.h - a backend by its name.
 */
#ifndef TWINLENS_BACKENDS_H
#define TWINLENS_BACKENDS_H

#include "backend/backend.h"

/* The best backend of this build: "cpu", or "ref" in one without oneDNN. */
const char *tl_backend_default(void);

/* By name, "ref" or "cpu". */
tl_status tl_backend_create(const char *name, size_t n_threads, size_t cache_bytes,
                            tl_backend **out, tl_error *err);
void tl_backend_destroy(tl_backend *backend); /* NULL does nothing */

/* Bytes that products of layers within max_in x max_out take at most beside the cache:
 * panels, tiles, tables, what the library wants, and with layers in `bf16` rounded rows.
 * For a memory plan; n_threads as when the backend was created. */
size_t tl_backend_scratch_bytes(const char *name, size_t n_threads, size_t max_in,
                                size_t max_out, bool bf16);

/* Whether the backend keeps converted weights; one that does not has no cache. */
bool tl_backend_keeps_weights(const char *name);

#endif
