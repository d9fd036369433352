/* SPDX-License-Identifier: MIT
 *
 * safetensors.c - reading (include/twinlens/safetensors.h; writing is in
 * safetensors_writer.c).
 *
 * A file is 8 bytes of header length, that much JSON, then the data:
 *
 *     {"name": {"dtype": "BF16", "shape": [640, 48], "data_offsets": [0, 61440]}, ...}
 *
 * Nothing of it is believed. Sorted by offset, the tensors must cover the data from
 * its first byte to its last without gap or overlap, which is checked after each
 * alone has been found to have the size of its shape. Names and metadata cannot hold
 * a 0: jansson refuses one in a key always, in a value unless asked to allow it.
 *
 * What no check can help: a file that another process cuts while it is mapped.
 */
#include "twinlens/safetensors.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/file.h"
#include "base/json.h"
#include "tensor/missing.h"
#include "twinlens/alloc.h"
#include "twinlens/arena.h"

/* The second is the reference implementation's limit as well. */
enum { LENGTH_BYTES = 8, MAX_HEADER_BYTES = 100000000 };

typedef struct entry {
    const char *name;
    tl_tensor tensor;
    size_t begin, end; /* in the data of its file */
    size_t shard;
    const char *problem; /* why it cannot be read, "%s: '%s' has ..."; NULL: it can */
} entry;

typedef struct shard {
    char *path;
    unsigned char *map;
    size_t bytes;
} shard;

struct tl_safetensors {
    tl_arena *arena; /* names, paths, metadata, tensors that had to be aligned */
    shard *shards;
    size_t n_shards;
    entry *entries; /* once open in order of name, behind them those with a problem */
    size_t n_entries, n_readable, capacity;
    const char *(*metadata)[2];
    size_t n_metadata;
};

/* ---- the header of one file ------------------------------------------------------ */

/* Keeps what is said of it, such as "has dtype 'U16', which cannot be read". */
static tl_status note_problem(tl_safetensors *file, entry *e, tl_error *err,
                              const char *format, ...) TL_PRINTF(4, 5);
static tl_status note_problem(tl_safetensors *file, entry *e, tl_error *err,
                              const char *format, ...)
{
    char text[256];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    e->problem = tl_arena_strdup(file->arena, text);
    return e->problem != NULL
               ? TL_OK
               : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the names");
}

/* A type that is not known is no error as long as nobody asks for the tensor. */
static tl_status parse_dtype(tl_safetensors *file, const json_t *value, entry *e,
                             tl_error *err)
{
    const char *text = json_string_value(value);
    if (text == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "'%s' has no dtype that is a string",
                       e->name);
    for (int i = 0; i < TL_DTYPE_COUNT; i++)
        if (strcmp(text, tl_dtype_name((tl_dtype)i)) == 0) {
            e->tensor.dtype = (tl_dtype)i;
            return TL_OK;
        }
    return note_problem(file, e, err, "has dtype '%.64s', which cannot be read", text);
}

/* Dimensions, and the bytes that they make with the dtype. */
static tl_status parse_shape(tl_safetensors *file, const json_t *value, entry *e,
                             size_t *bytes, tl_error *err)
{
    const char *name = e->name;
    tl_tensor *t = &e->tensor;
    if (!json_is_array(value))
        return tl_fail(err, TL_ERR_FORMAT, "'%s' has no shape that is an array", name);
    t->n_dims = json_array_size(value);
    if (t->n_dims > TL_MAX_DIMS)
        return note_problem(file, e, err, "has %zu dimensions, at most %d can be read",
                            t->n_dims, TL_MAX_DIMS);
    size_t size = tl_dtype_bytes(t->dtype);
    for (size_t i = 0; i < t->n_dims; i++) {
        const json_t *dim = json_array_get(value, i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return tl_fail(err, TL_ERR_FORMAT,
                           "dimension %zu of '%s' is no integer from 0 up", i, name);
        t->dims[i] = (size_t)json_integer_value(dim);
        size_t product = 0;
        if (!tl_size_muladd(size, t->dims[i], &product))
            return tl_fail(err, TL_ERR_FORMAT,
                           "the shape of '%s' makes more bytes than can be counted",
                           name);
        size = product;
    }
    *bytes = size;
    return TL_OK;
}

static tl_status parse_offsets(const char *name, const json_t *value, size_t data_bytes,
                               entry *e, tl_error *err)
{
    const json_t *begin = json_array_get(value, 0), *end = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return tl_fail(err, TL_ERR_FORMAT, "'%s' has no data_offsets [begin, end]",
                       name);
    if (json_integer_value(begin) < 0 ||
        json_integer_value(end) < json_integer_value(begin))
        return tl_fail(err, TL_ERR_FORMAT,
                       "'%s' has data_offsets [%" JSON_INTEGER_FORMAT
                       ",%" JSON_INTEGER_FORMAT "], wanted 0 <= begin <= end",
                       name, json_integer_value(begin), json_integer_value(end));
    e->begin = (size_t)json_integer_value(begin);
    e->end = (size_t)json_integer_value(end);
    if (e->end > data_bytes)
        return tl_fail(err, TL_ERR_FORMAT,
                       "truncated: '%s' ends at byte %zu of the data, which has %zu",
                       name, e->end, data_bytes);
    return TL_OK;
}

static tl_status parse_entry(tl_safetensors *file, const json_t *value,
                             const unsigned char *data, size_t data_bytes, entry *e,
                             tl_error *err)
{
    const char *name = e->name;
    size_t bytes = 0;
    tl_status status;
    if (!json_is_object(value))
        return tl_fail(err, TL_ERR_FORMAT,
                       "'%s' is no object with dtype, shape and data_offsets", name);
    if ((status = parse_dtype(file, json_object_get(value, "dtype"), e, err)) !=
            TL_OK ||
        (status = parse_shape(file, json_object_get(value, "shape"), e, &bytes, err)) !=
            TL_OK ||
        (status = parse_offsets(name, json_object_get(value, "data_offsets"),
                                data_bytes, e, err)) != TL_OK ||
        e->problem != NULL)
        return status;
    if (e->end - e->begin != bytes) {
        char shape[128];
        return tl_fail(
            err, TL_ERR_FORMAT, "'%s' is %s %s, which is %zu bytes, and has %zu", name,
            tl_dtype_name(e->tensor.dtype),
            tl_shape_text(e->tensor.dims, e->tensor.n_dims, shape, sizeof shape), bytes,
            e->end - e->begin);
    }
    e->tensor.data = data + e->begin;
    return TL_OK;
}

static tl_status append(tl_safetensors *file, const entry *e, tl_error *err)
{
    if (file->n_entries == file->capacity) {
        const size_t capacity = file->capacity > 0 ? 2 * file->capacity : 256;
        entry *grown =
            tl_realloc(file->entries, file->n_entries, capacity, sizeof *grown);
        if (grown == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu tensors",
                           capacity);
        file->entries = grown;
        file->capacity = capacity;
    }
    file->entries[file->n_entries++] = *e;
    return TL_OK;
}

/* Of several shards the first that has metadata gives it. */
static tl_status keep_metadata(tl_safetensors *file, json_t *object, tl_error *err)
{
    if (!json_is_object(object))
        return tl_fail(err, TL_ERR_FORMAT, "'__metadata__' is no object");
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value))
            return tl_fail(err, TL_ERR_FORMAT, "'%s' in '__metadata__' is no string",
                           key);
    }
    if (file->n_metadata > 0)
        return TL_OK;
    file->metadata =
        tl_arena_alloc(file->arena, json_object_size(object), sizeof *file->metadata);
    if (file->metadata == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the metadata");
    json_object_foreach(object, key, value)
    {
        const char *k = tl_arena_strdup(file->arena, key);
        const char *v = tl_arena_strdup(file->arena, json_string_value(value));
        if (k == NULL || v == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the metadata");
        file->metadata[file->n_metadata][0] = k;
        file->metadata[file->n_metadata++][1] = v;
    }
    return TL_OK;
}

static int by_offset(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* The entries from `first` on are one file's: no gap, no overlap, nothing left. */
static tl_status check_cover(entry *entries, size_t n, size_t data_bytes, tl_error *err)
{
    if (n > 0)
        qsort(entries, n, sizeof *entries, by_offset);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (entries[i].begin < at)
            return tl_fail(err, TL_ERR_FORMAT, "'%s' and '%s' overlap",
                           entries[i - 1].name, entries[i].name);
        if (entries[i].begin > at)
            return tl_fail(err, TL_ERR_FORMAT,
                           "%zu bytes in front of '%s' belong to no tensor",
                           entries[i].begin - at, entries[i].name);
        at = entries[i].end;
    }
    if (at != data_bytes)
        return tl_fail(err, TL_ERR_FORMAT, "the last %zu bytes belong to no tensor",
                       data_bytes - at);
    return TL_OK;
}

static tl_status read_length(const shard *s, size_t *out, tl_error *err)
{
    if (s->bytes < LENGTH_BYTES)
        return tl_fail(err, TL_ERR_FORMAT,
                       "truncated: is %zu bytes long, the length of the header takes "
                       "%d",
                       s->bytes, LENGTH_BYTES);
    if (tl_file_is_lfs_pointer(s->map, s->bytes))
        return tl_fail(err, TL_ERR_FORMAT,
                       "is a git-lfs pointer to the weights, wanted the weights");
    uint64_t length = 0;
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        length |= (uint64_t)s->map[i] << 8 * i;
    if (length > MAX_HEADER_BYTES)
        return tl_fail(err, TL_ERR_FORMAT,
                       "claims a header of %llu bytes, at most %d are allowed",
                       (unsigned long long)length, MAX_HEADER_BYTES);
    if (length > s->bytes - LENGTH_BYTES)
        return tl_fail(err, TL_ERR_FORMAT,
                       "truncated, or no safetensors file: claims a header of %llu bytes "
                       "and is %zu bytes long",
                       (unsigned long long)length, s->bytes);
    *out = (size_t)length;
    return TL_OK;
}

static tl_status read_entries(tl_safetensors *file, size_t index, json_t *header,
                              const unsigned char *data, size_t data_bytes,
                              tl_error *err)
{
    const size_t first = file->n_entries;
    tl_status status;
    const char *name;
    json_t *value;
    json_object_foreach(header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) {
            if ((status = keep_metadata(file, value, err)) != TL_OK)
                return status;
            continue;
        }
        entry e = {.name = tl_arena_strdup(file->arena, name), .shard = index};
        if (e.name == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the names");
        if ((status = parse_entry(file, value, data, data_bytes, &e, err)) != TL_OK ||
            (status = append(file, &e, err)) != TL_OK)
            return status;
    }
    if (file->n_entries == first)
        return check_cover(NULL, 0, data_bytes, err);
    return check_cover(file->entries + first, file->n_entries - first, data_bytes, err);
}

/*
 * The format aligns nothing: data begins where the header ends, and what lies behind
 * a tensor of bytes begins where that ends. Files written today pad the header and
 * put the widest elements first, so that the copy is for old ones.
 */
static tl_status align_entries(tl_safetensors *file, size_t first, tl_error *err)
{
    for (size_t i = first; i < file->n_entries; i++) {
        entry *e = &file->entries[i];
        if (e->problem != NULL ||
            (uintptr_t)e->tensor.data % tl_dtype_bytes(e->tensor.dtype) == 0)
            continue;
        const size_t bytes = e->end - e->begin;
        void *copy = tl_arena_alloc(file->arena, bytes, 1);
        if (copy == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY,
                           "'%s' is not aligned, and there is no memory for a copy of "
                           "its %zu bytes",
                           e->name, bytes);
        memcpy(copy, e->tensor.data, bytes);
        e->tensor.data = copy;
    }
    return TL_OK;
}

static tl_status read_header(tl_safetensors *file, size_t index, tl_error *err)
{
    const shard *s = &file->shards[index];
    const size_t first = file->n_entries;
    size_t length = 0;
    json_t *header = NULL;
    tl_status status = read_length(s, &length, err);
    if (status == TL_OK)
        status = tl_json_parse((const char *)s->map + LENGTH_BYTES, length, "header",
                               &header, err);
    if (status == TL_OK && !json_is_object(header))
        status = tl_fail(err, TL_ERR_FORMAT, "the header is no JSON object");
    if (status == TL_OK)
        status = read_entries(file, index, header, s->map + LENGTH_BYTES + length,
                              s->bytes - LENGTH_BYTES - length, err);
    if (status == TL_OK)
        status = align_entries(file, first, err);
    json_decref(header);
    return status;
}

/* ---- files ------------------------------------------------------------------------ */

static tl_status map_file(shard *s, tl_error *err)
{
    FILE *file = NULL;
    size_t bytes = 0;
    tl_status status = tl_file_open(s->path, &file, &bytes, err);
    if (status != TL_OK)
        return status;
    if (bytes > 0) {
        void *map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fileno(file), 0);
        if (map == MAP_FAILED)
            status =
                tl_fail(err, TL_ERR_IO, "%s: cannot map: %s", s->path, strerror(errno));
        else {
            s->map = map;
            s->bytes = bytes;
        }
    }
    fclose(file);
    return status;
}

static tl_status open_shards(tl_safetensors *file, tl_error *err)
{
    for (size_t i = 0; i < file->n_shards; i++) {
        tl_status status = map_file(&file->shards[i], err);
        if (status == TL_OK)
            status = tl_fail_while(err, read_header(file, i, err), "%s",
                                   file->shards[i].path);
        if (status != TL_OK)
            return status;
    }
    return TL_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

static int by_problem_and_name(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return (x->problem == NULL) != (y->problem == NULL) ? (x->problem != NULL ? 1 : -1)
                                                        : strcmp(x->name, y->name);
}

/* Those that cannot be read go behind the others. */
static void set_apart(tl_safetensors *file)
{
    if (file->n_entries > 0)
        qsort(file->entries, file->n_entries, sizeof *file->entries,
              by_problem_and_name);
    file->n_readable = 0;
    while (file->n_readable < file->n_entries &&
           file->entries[file->n_readable].problem == NULL)
        file->n_readable++;
}

/* By name in entries [begin, end), which are in order. */
static const entry *find_entry(const tl_safetensors *file, size_t begin, size_t end,
                               const char *name)
{
    const entry key = {.name = name};
    return begin == end ? NULL
                        : bsearch(&key, file->entries + begin, end - begin,
                                  sizeof *file->entries, by_name);
}

static tl_status sort_entries(tl_safetensors *file, tl_error *err)
{
    if (file->n_entries > 0)
        qsort(file->entries, file->n_entries, sizeof *file->entries, by_name);
    for (size_t i = 1; i < file->n_entries; i++) {
        const entry *a = &file->entries[i - 1], *b = &file->entries[i];
        if (strcmp(a->name, b->name) == 0)
            return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is also in %s",
                           file->shards[b->shard].path, b->name,
                           file->shards[a->shard].path);
    }
    set_apart(file);
    return TL_OK;
}

static tl_status open_single(tl_safetensors *file, const char *path, tl_error *err)
{
    file->shards = tl_arena_alloc_zero(file->arena, 1, sizeof *file->shards);
    char *copy = tl_arena_strdup(file->arena, path);
    if (file->shards == NULL || copy == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    file->shards[0].path = copy;
    file->n_shards = 1;
    const tl_status status = open_shards(file, err);
    return status == TL_OK ? sort_entries(file, err) : status;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The distinct shard names of an index, in order of name, as paths. */
static tl_status list_shards(tl_safetensors *file, const char *path, json_t *weight_map,
                             tl_error *err)
{
    const size_t n = json_object_size(weight_map);
    file->shards = tl_arena_alloc_zero(file->arena, n, sizeof *file->shards);
    const char **names = tl_arena_alloc(file->arena, n, sizeof *names);
    const char *folder = tl_path_folder(file->arena, path);
    if (file->shards == NULL || names == NULL || folder == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory for its %zu entries", path,
                       n);
    size_t count = 0;
    const char *tensor;
    json_t *value;
    json_object_foreach(weight_map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (name == NULL || name[0] == '\0' || name[0] == '.' ||
            strchr(name, '/') != NULL)
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s: '%s' is in '%s', wanted a file name", path, tensor,
                           name != NULL ? name : "(no string)");
        names[count++] = name;
    }
    if (count > 0)
        qsort(names, count, sizeof *names, by_text);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
            continue;
        file->shards[file->n_shards].path = tl_path_join(file->arena, folder, names[i]);
        if (file->shards[file->n_shards].path == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
        file->n_shards++;
    }
    return TL_OK;
}

/* A tensor may lie in another shard than the index says: it is found all the same. One
 * that no shard holds is no error as long as nobody asks for it. */
static tl_status check_index(tl_safetensors *file, json_t *weight_map, tl_error *err)
{
    const size_t n_held = file->n_entries;
    const char *tensor;
    json_t *value;
    json_object_foreach(weight_map, tensor, value)
    {
        if (find_entry(file, 0, file->n_readable, tensor) != NULL ||
            find_entry(file, file->n_readable, n_held, tensor) != NULL)
            continue;
        entry e = {.name = tl_arena_strdup(file->arena, tensor)};
        tl_status status =
            e.name != NULL ? note_problem(file, &e, err,
                                          "is named by the index, in %.128s, but no "
                                          "shard holds it",
                                          json_string_value(value))
                           : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the names");
        if (status == TL_OK)
            status = append(file, &e, err);
        if (status != TL_OK)
            return status;
    }
    set_apart(file);
    return TL_OK;
}

static tl_status open_index(tl_safetensors *file, const char *path, tl_error *err)
{
    json_t *index = NULL;
    tl_status status = tl_json_read(path, &index, err);
    if (status != TL_OK)
        return status;
    json_t *weight_map = json_object_get(index, "weight_map");
    if (!json_is_object(weight_map) || json_object_size(weight_map) == 0)
        status = tl_fail(err, TL_ERR_FORMAT,
                         "%s: has no 'weight_map' of tensors to files", path);
    else if ((status = list_shards(file, path, weight_map, err)) == TL_OK &&
             (status = open_shards(file, err)) == TL_OK &&
             (status = sort_entries(file, err)) == TL_OK)
        status = check_index(file, weight_map, err);
    json_decref(index);
    return status;
}

static tl_status open_folder(tl_safetensors *file, const char *path, tl_error *err)
{
    const char *single = tl_path_join(file->arena, path, "model.safetensors");
    const char *index = tl_path_join(file->arena, path, "model.safetensors.index.json");
    if (single == NULL || index == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    if (tl_file_exists(single)) /* first, as transformers does */
        return open_single(file, single, err);
    if (tl_file_exists(index))
        return open_index(file, index, err);
    return tl_safetensors_missing(path, err);
}

tl_status tl_safetensors_open(const char *path, tl_safetensors **out, tl_error *err)
{
    static const char suffix[] = ".index.json";
    tl_safetensors *file = tl_alloc_zero(1, sizeof *file);
    if (file == NULL || (file->arena = tl_arena_create()) == NULL) {
        tl_safetensors_close(file);
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    }
    const size_t length = strlen(path);
    const bool index = length >= sizeof suffix &&
                       strcmp(path + length + 1 - sizeof suffix, suffix) == 0;
    const tl_status status = tl_file_is_folder(path) ? open_folder(file, path, err)
                             : index                 ? open_index(file, path, err)
                                                     : open_single(file, path, err);
    if (status != TL_OK) {
        tl_safetensors_close(file);
        return status;
    }
    *out = file;
    return TL_OK;
}

void tl_safetensors_close(tl_safetensors *file)
{
    if (file == NULL)
        return;
    for (size_t i = 0; i < file->n_shards; i++)
        if (file->shards[i].map != NULL)
            munmap(file->shards[i].map, file->shards[i].bytes);
    tl_free(file->entries);
    tl_arena_destroy(file->arena);
    tl_free(file);
}

const tl_tensor *tl_safetensors_find(const tl_safetensors *file, const char *name)
{
    const entry *found = find_entry(file, 0, file->n_readable, name);
    return found != NULL ? &found->tensor : NULL;
}

bool tl_safetensors_has(const tl_safetensors *file, const char *name)
{
    return tl_safetensors_find(file, name) != NULL ||
           find_entry(file, file->n_readable, file->n_entries, name) != NULL;
}

tl_status tl_safetensors_need(const tl_safetensors *file, const char *name,
                              const tl_tensor **out, tl_error *err)
{
    const entry *found = find_entry(file, 0, file->n_readable, name);
    if (found != NULL) {
        *out = &found->tensor;
        return TL_OK;
    }
    found = find_entry(file, file->n_readable, file->n_entries, name);
    if (found == NULL)
        return tl_fail(err, TL_ERR_NOT_FOUND, "%s: there is no tensor '%s'",
                       file->shards[0].path, name);
    return tl_fail(err, TL_ERR_UNSUPPORTED, "%s: '%s' %s",
                   file->shards[found->shard].path, name, found->problem);
}

size_t tl_safetensors_count(const tl_safetensors *file)
{
    return file->n_readable;
}

const char *tl_safetensors_name(const tl_safetensors *file, size_t index)
{
    return file->entries[index].name;
}

const tl_tensor *tl_safetensors_at(const tl_safetensors *file, size_t index)
{
    return &file->entries[index].tensor;
}

const char *tl_safetensors_metadata(const tl_safetensors *file, const char *key)
{
    for (size_t i = 0; i < file->n_metadata; i++)
        if (strcmp(file->metadata[i][0], key) == 0)
            return file->metadata[i][1];
    return NULL;
}

size_t tl_safetensors_file_count(const tl_safetensors *file)
{
    return file->n_shards;
}

const char *tl_safetensors_file_path(const tl_safetensors *file, size_t index)
{
    return file->shards[index].path;
}
