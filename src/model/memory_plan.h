/* SPDX-License-Identifier: MIT
 *
 * memory_plan.h - what `predict` has in memory at most, from the sizes of a model, its
 * prompts and their images, without running it.
 */
#ifndef TWINLENS_MODEL_MEMORY_PLAN_H
#define TWINLENS_MODEL_MEMORY_PLAN_H

#include "twinlens/encoding.h"
#include "twinlens/pass.h"

typedef struct tl_memory_plan {
    size_t weights;   /* mapped from the files, as far as they are read */
    size_t cache;     /* converted weights */
    size_t products;  /* panels and tiles of a product */
    size_t inputs;    /* pixels, and what enters the decoder */
    size_t vision;    /* while an image becomes features, with attention's scratch */
    size_t forward;   /* a pass over the batch, with attention's scratch */
    size_t attention; /* scratch of both, which is one memory: in the peak only once */
    size_t process;   /* the program, its libraries and tables, here and now */
    size_t peak;      /* vision and forward overlap in their scratch alone */
} tl_memory_plan;

/*
 * A batch of n_prompts prompts of n_pos positions, each with an image if `pixels` is not
 * NULL (its dimensions count, not its values). Of `model` the spec and the sizes of the
 * weights are read, and the backend that it was opened with. n_threads 0: all there are.
 * Errors: TL_ERR_NO_MEMORY, TL_ERR_DATA.
 */
tl_status tl_memory_plan_make(const tl_model *model, size_t n_threads, size_t n_pos,
                              size_t n_prompts, const tl_pixels *pixels,
                              tl_memory_plan *out, tl_error *err);

/* Bytes of panels and tiles of the widest product; n_threads 0: all there are. */
size_t tl_memory_plan_products(const tl_model *model, const char *backend,
                               size_t n_threads, bool has_image);

/* Values of an image as it enters the tower. */
size_t tl_pixels_count(const tl_pixels *pixels);

/* Bytes of one pass over them. */
tl_status tl_memory_plan_pass(const tl_model *model, size_t n_pos, size_t n_prompts,
                              const tl_pass_options *options, size_t *out,
                              tl_error *err);

/* Bytes of converted weights, there and back, if there is room for that many. */
size_t tl_memory_plan_cache(const tl_model *model, size_t most);

/* What the tower takes for an image beside a pass over a prompt of n_pos positions: attention's
 * scratch is one memory for both, which are not at work at the same time. */
tl_status tl_memory_plan_tower(const tl_model *model, size_t n_pos,
                               const tl_pixels *pixels, size_t *out, tl_error *err);

#endif
