/* SPDX-License-Identifier: MIT
 * feature_cache.c - see feature_cache.h. */
#include "vision/feature_cache.h"

#include <string.h>

#include "twinlens/alloc.h"

static void forget(tl_feature_cache *cache, tl_feature_entry *entry)
{
    tl_free(entry->features);
    entry->features = NULL;
    cache->bytes -= entry->bytes;
}

void tl_feature_cache_release(tl_feature_cache *cache)
{
    for (size_t i = 0; i < cache->n_images; i++)
        tl_free(cache->entries[i].features);
    tl_free(cache->entries);
    *cache = (tl_feature_cache){0};
}

/* Makes room for so many bytes below the limit. */
static void make_room(tl_feature_cache *cache, size_t bytes)
{
    while (cache->bytes > 0 && cache->bytes + bytes > cache->limit) {
        tl_feature_entry *oldest = NULL;
        for (size_t i = 0; i < cache->n_images; i++) {
            tl_feature_entry *e = &cache->entries[i];
            if (e->features != NULL &&
                (oldest == NULL || e->last_use < oldest->last_use))
                oldest = e;
        }
        forget(cache, oldest);
    }
}

void tl_feature_cache_set_limit(tl_feature_cache *cache, size_t limit)
{
    cache->limit = limit;
    make_room(cache, 0);
}

void tl_feature_cache_key(const tl_pixels *pixels, char key[TL_SHA256_HEX])
{
    size_t n = 1;
    tl_sha256 hash;
    tl_sha256_init(&hash);
    for (size_t i = 0; i < pixels->n_dims; i++)
        n *= pixels->dims[i];
    const size_t shape[] = {
        pixels->n_dims,          pixels->grid_t,
        pixels->grid_h,          pixels->grid_w,
        pixels->tile_rows,       pixels->tile_columns,
        pixels->n_tokens,        pixels->n_views,
        pixels->views[0].n_rows, pixels->views[0].n_columns,
        pixels->views[1].n_rows, pixels->views[1].n_columns,
    };
    tl_sha256_update(&hash, shape, sizeof shape);
    tl_sha256_update(&hash, pixels->dims, pixels->n_dims * sizeof *pixels->dims);
    tl_sha256_update(&hash, pixels->values, n * sizeof *pixels->values);
    tl_sha256_hex(&hash, key);
}

static tl_feature_entry *find_entry(tl_feature_cache *cache, const char *key)
{
    for (size_t i = 0; i < cache->n_images; i++)
        if (strcmp(cache->entries[i].key, key) == 0)
            return &cache->entries[i];
    return NULL;
}

const float *tl_feature_cache_find(tl_feature_cache *cache, const char *key,
                                   size_t *count)
{
    tl_feature_entry *e = find_entry(cache, key);
    if (e == NULL || e->features == NULL)
        return NULL;
    e->last_use = ++cache->clock;
    *count = e->count;
    return e->features;
}

/* A new entry; NULL without memory for it. */
static tl_feature_entry *add_entry(tl_feature_cache *cache, const char *key)
{
    if (cache->n_images == cache->capacity) {
        const size_t capacity = cache->capacity > 0 ? 2 * cache->capacity : 64;
        tl_feature_entry *more = tl_alloc(capacity, sizeof *more);
        if (more == NULL)
            return NULL;
        if (cache->n_images > 0)
            memcpy(more, cache->entries, cache->n_images * sizeof *more);
        tl_free(cache->entries);
        cache->entries = more;
        cache->capacity = capacity;
    }
    tl_feature_entry *e = &cache->entries[cache->n_images++];
    *e = (tl_feature_entry){.features = NULL};
    memcpy(e->key, key, TL_SHA256_HEX);
    return e;
}

void tl_feature_cache_add(tl_feature_cache *cache, const char *key,
                          const float *features, size_t count, size_t width)
{
    const size_t bytes = count * width * sizeof *features;
    tl_feature_entry *e = find_entry(cache, key);
    cache->n_runs++;
    if (e == NULL)
        e = add_entry(cache, key);
    if (e == NULL || e->features != NULL || bytes > cache->limit)
        return;
    make_room(cache, bytes);
    e->features = tl_alloc(count * width, sizeof *features);
    if (e->features == NULL)
        return;
    memcpy(e->features, features, bytes);
    e->count = count;
    e->bytes = bytes;
    e->last_use = ++cache->clock;
    cache->bytes += bytes;
}
