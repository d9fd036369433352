/* SPDX-License-Identifier: MIT
 *
 * sample.h - one scene: what is in it, where, and what is asked.
 */
#ifndef TWINLENS_SCENE_SAMPLE_H
#define TWINLENS_SCENE_SAMPLE_H

#include "base/random.h"
#include "twinlens/scene.h"

enum { TL_SCENE_ITEMS = 8, TL_SCENE_LABELS = 64 };

typedef enum tl_shape {
    TL_SHAPE_EMOJI,
    TL_SHAPE_GLYPH,
    TL_SHAPE_SPHERE,
    TL_SHAPE_CUBE,
    TL_SHAPE_CYLINDER,
} tl_shape;

/* Something that is drawn. Its name is what a person would say; x and y are its centre
 * and size its larger side, in pixels, set by tl_scene_place(). */
typedef struct tl_item {
    char name[32];
    tl_shape shape;
    const char *symbol; /* emoji or glyph, UTF-8 */
    size_t color;       /* of a solid: index into tl_colors */
    double x, y, size, angle;
} tl_item;

typedef struct tl_scene {
    char before[32], data[224], query[192]; /* the text prompt is the three */
    char image_query[192];                  /* the image prompt: picture, then this */
    char answer[24];
    char content[96];  /* what decides the side it is on: see tl_content */
    const char *group; /* of its counterfactuals; NULL: any */
    tl_item items[TL_SCENE_ITEMS];
    size_t n_items;
} tl_scene;

/* One scene, whatever its content. */
void tl_scene_sample(tl_task task, tl_style style, tl_random *random, tl_scene *scene);

/* Is the scene on that side? */
bool tl_scene_is_in(const tl_scene *scene, tl_content content);

/* The answers to choose from: of the task, or (factual recall) of the group when it is
 * not NULL. Returns how many. */
size_t tl_scene_labels(tl_task task, const char *group,
                       const char *labels[TL_SCENE_LABELS]);

/* Of every group of the task, or of the task: tells in one warning each which labels begin
 * with the same token of options->tokenizer, so that no scene has them as its answer. */
tl_status tl_scene_labels_warn(const tl_scene_options *options, tl_error *err);

/* How long a scene's prompts are, in tokens, and where the data lie in the text. */
typedef struct tl_scene_fit {
    size_t text, data_begin, data_end, image_query;
} tl_scene_fit;

/* The order of sampling: scenes with different prompts, from one seed. */
typedef struct tl_scene_stream {
    const tl_scene_options *options;
    tl_random random;
    uint64_t *seen; /* hashes of prompts, open addressing; 0 = free */
    size_t n_seen, n_given, capacity;
    tl_scene_fit fit; /* what all scenes have; of use with a tokenizer */
    tl_arena *arena;  /* for tokens */
} tl_scene_stream;

/* On failure there is nothing to release. */
tl_status tl_scene_stream_init(tl_scene_stream *stream, const tl_scene_options *options,
                               uint64_t seed, tl_error *err);
/* The next scene with a prompt not given before, its items placed in the picture.
 * TL_ERR_DATA when there is none, as far as long trying tells. */
tl_status tl_scene_stream_next(tl_scene_stream *stream, tl_scene *scene, tl_error *err);
void tl_scene_stream_release(tl_scene_stream *stream);

/* *out receives the caller's options, with the default size where there is none.
 * TL_ERR_ARGUMENT naming what is wrong, and the smallest size when it is too small. */
tl_status tl_scene_options_take(const tl_scene_options *given, tl_scene_options *out,
                                tl_error *err);
void tl_scene_place(const tl_scene_options *options, tl_random *random,
                    tl_scene *scene);

#endif
