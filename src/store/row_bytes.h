/* SPDX-License-Identifier: MIT
 *
 * row_bytes.h - rows of any kinds as bytes, for another process of the same program: one
 * computes them, another puts them.
 *
 *     status = tl_rows_pack(units, n_units, arena, &bytes, &n_bytes, &err);
 *     ...
 *     status = tl_rows_unpack(bytes, n_bytes, arena, &units, &n_units, &err);
 *     status = tl_study_db_put(db, units, n_units, &err);
 */
#ifndef TWINLENS_STORE_ROW_BYTES_H
#define TWINLENS_STORE_ROW_BYTES_H

#include <stddef.h>

#include "twinlens/arena.h"
#include "twinlens/rows.h"
#include "twinlens/status.h"

tl_status tl_rows_pack(const tl_rows *units, size_t n_units, tl_arena *arena,
                       const void **bytes, size_t *n_bytes, tl_error *err);

/* TL_ERR_FORMAT when the bytes are none that tl_rows_pack makes; values are checked as
 * those that are read from a database are. */
tl_status tl_rows_unpack(const void *bytes, size_t n_bytes, tl_arena *arena,
                         const tl_rows **units, size_t *n_units, tl_error *err);

#endif
