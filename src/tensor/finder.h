/* SPDX-License-Identifier: MIT
 *
 * finder.h - tensors by name, checked against the shape that the spec wants. A stem is a
 * name without its ".weight" or ".bias".
 *
 *     snprintf(stem, sizeof stem, "%sblocks.%zu.fc1", finder->prefix, l);
 *     status = tl_find_linear(finder, stem, n_out, n_in, true, &block->fc1, err);
 */
#ifndef TWINLENS_TENSOR_FINDER_H
#define TWINLENS_TENSOR_FINDER_H

#include <stdbool.h>

#include "tensor/parameters.h"
#include "twinlens/arena.h"
#include "twinlens/safetensors.h"

enum { TL_STEM_BYTES = 256, TL_NAME_BYTES = TL_STEM_BYTES + 16 };

/* Tensors of a part: how many numbers, and what they take in the file. */
typedef struct tl_weight_size {
    size_t parameters, bytes;
} tl_weight_size;

typedef struct tl_finder {
    const tl_safetensors *file; /* NULL: everything is there, without data */
    tl_arena *arena;
    tl_weight_size *size; /* what is found is added to it */
    bool norm_plus_one;   /* RMS norms are stored minus one */
    char prefix[64];      /* of the part's names, with its dot */
} tl_finder;

/* Exactly [d0], or with d1 > 0 [d0, d1]; a trailing run of dimensions of the file may
 * stand for their product (a convolution's kernel). */
tl_status tl_find_tensor(const tl_finder *f, const char *name, size_t d0, size_t d1,
                         tl_tensor *out, tl_error *err);

/* As f32, with `add` added to each. */
tl_status tl_find_vector(const tl_finder *f, const char *name, size_t n, float add,
                         const float **out, tl_error *err);

/* RMS norms have a weight, layer norms also a bias. */
typedef enum tl_norm_kind { TL_NORM_RMS, TL_NORM_LAYER } tl_norm_kind;
tl_status tl_find_norm(const tl_finder *f, const char *stem, size_t width,
                       tl_norm_kind kind, tl_norm *out, tl_error *err);

tl_status tl_find_linear(const tl_finder *f, const char *stem, size_t n_out,
                         size_t n_in, bool has_bias, tl_linear *out, tl_error *err);

/* Several below one stem with its dot, "layers.3."; an entry without `out` is left
 * out. */
typedef struct tl_linear_field {
    const char *name;
    size_t n_out, n_in;
    bool has_bias;
    tl_linear *out;
} tl_linear_field;
tl_status tl_find_linears(const tl_finder *f, const char *stem,
                          const tl_linear_field *fields, size_t n, tl_error *err);
typedef struct tl_norm_field {
    const char *name;
    size_t width;
    tl_norm *out;
} tl_norm_field;
tl_status tl_find_norms(const tl_finder *f, const char *stem, tl_norm_kind kind,
                        const tl_norm_field *fields, size_t n, tl_error *err);

/* Rows [part * n, part * n + n) of a fused layer. */
tl_linear tl_linear_slice(const tl_linear *fused, size_t part, size_t n);

/* Puts the first of the prefixes under which `tensor` is in the file into `out`; ""
 * if none; the first of all without a file. */
void tl_find_prefix(const tl_safetensors *file, const char *const *prefixes, size_t n,
                    const char *tensor, char *out, size_t bytes);

#endif
