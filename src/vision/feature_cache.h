/* SPDX-License-Identifier: MIT
 *
 * feature_cache.h - the features of images that a tower has seen, so that it need not run
 * again for them. Images are told apart by the SHA-256 of their pixels.
 *
 *     features = tl_feature_cache_find(&cache, key, &count);
 *     if (features == NULL) {
 *         ... run the tower ...
 *         tl_feature_cache_add(&cache, key, made, count, width);
 *     }
 */
#ifndef TWINLENS_VISION_FEATURE_CACHE_H
#define TWINLENS_VISION_FEATURE_CACHE_H

#include "base/sha256.h"
#include "twinlens/encoding.h"

typedef struct tl_feature_entry {
    char key[TL_SHA256_HEX];
    float *features; /* [count, width]; NULL: not kept */
    size_t count, bytes;
    size_t last_use;
} tl_feature_entry;

typedef struct tl_feature_cache {
    size_t limit;              /* bytes of features; 0, as in {0}: none are kept */
    tl_feature_entry *entries; /* of every image that was added, kept or not */
    size_t n_images, capacity;
    size_t n_runs; /* images that were added, one that was there before included */
    size_t bytes, clock;
} tl_feature_cache;

void tl_feature_cache_release(tl_feature_cache *cache);

/* Forgets what is over the new limit. */
void tl_feature_cache_set_limit(tl_feature_cache *cache, size_t limit);

/* What tells an image from others: its shape and the values of its pixels. */
void tl_feature_cache_key(const tl_pixels *pixels, char key[TL_SHA256_HEX]);

/* The features of an image, valid until the next change of the cache; NULL when they are
 * not kept. */
const float *tl_feature_cache_find(tl_feature_cache *cache, const char *key,
                                   size_t *count);

/* Notes a run of the tower, and keeps a copy of its features when they fit: what was used
 * least recently goes. Without memory for a copy nothing is kept. */
void tl_feature_cache_add(tl_feature_cache *cache, const char *key,
                          const float *features, size_t count, size_t width);

#endif
