/* SPDX-License-Identifier: MIT
 *
 * circuit_file.h - circuits that people write down: as a JSON file, or as a list such as
 * L3H5,L4N120@17,L4H0@data (docs/formats.md, "Circuits").
 *
 *     const tl_circuit_shape shape = {n_layers, n_heads, d_mlp, span};
 *     status = tl_circuit_read("mine.json", &shape, arena, &set, &err);
 *     const tl_circuit mine = {.set = &set};
 *     ... tl_evaluate(model, pairs, n_pairs, &mine, 1, ...) ...
 *     status = tl_circuit_write("mine.json", &set, &span, "found by hand", &err);
 *
 * Everything that is said is checked: a key that nobody knows, a component that the model
 * or the prompts do not have, and one that is named twice are TL_ERR_FORMAT or TL_ERR_DATA
 * with the place where it stands.
 */
#ifndef TWINLENS_CIRCUIT_FILE_H
#define TWINLENS_CIRCUIT_FILE_H

#include "twinlens/api.h"
#include "twinlens/overlap.h"

TL_BEGIN_DECLS

/* What a set is over. A span without data (data_end 0): nobody says where they are, and
 * only the last position is known to be in a segment. */
typedef struct tl_circuit_shape {
    size_t n_layers, n_heads, d_mlp;
    tl_span span;
} tl_circuit_shape;

/* Whether a text names a file, as against a list: it ends in ".json". */
bool tl_circuit_is_file(const char *text);

/* The shape that a file says, if *found; a list, and a file without one, say none. */
tl_status tl_circuit_shape_read(const char *text, tl_circuit_shape *out, bool *found,
                                tl_error *err);

/* *out receives the components that a file or a list names, over `shape`, in `arena`.
 * TL_ERR_DATA when the file says another shape. */
tl_status tl_circuit_read(const char *text, const tl_circuit_shape *shape,
                          tl_arena *arena, tl_component_set *out, tl_error *err);

/* Writes a set as a file: to a temporary name in the same folder, synced, renamed. `note`
 * may be NULL. TL_ERR_ARGUMENT when the name does not end in ".json", TL_ERR_DATA when the
 * file would be larger than one that is read. */
tl_status tl_circuit_write(const char *path, const tl_component_set *set,
                           const tl_span *span, const char *note, tl_error *err);

TL_END_DECLS

#endif
