/* SPDX-License-Identifier: MIT
 *
 * safetensors_writer.c - writing (include/twinlens/safetensors.h).
 *
 * Tensors lie each behind the other, the widest elements first and in order of name
 * among equals, nearly as the reference implementation does; the header is padded with
 * blanks to a multiple of 8. So every tensor is aligned to its elements in a mapped
 * file, and the bytes depend on the arguments alone.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "twinlens/alloc.h"
#include "twinlens/safetensors.h"

enum { LENGTH_BYTES = 8, ALIGNMENT = 8 };

static size_t bytes_of(const tl_tensor *t)
{
    return tl_tensor_count(t) * tl_dtype_bytes(t->dtype);
}

/* ---- what the caller passed ------------------------------------------------------- */

/* A string that jansson takes unchecked but not checked is no UTF-8. */
static tl_status check_text(const char *text, const char *what, tl_error *err)
{
    if (text == NULL)
        return tl_fail(err, TL_ERR_ARGUMENT, "%s is NULL", what);
    json_t *checked = json_string(text), *unchecked = json_string_nocheck(text);
    tl_status status = TL_OK;
    if (unchecked == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %s", what);
    else if (checked == NULL)
        status = tl_fail(err, TL_ERR_ARGUMENT, "%s is not UTF-8", what);
    json_decref(checked);
    json_decref(unchecked);
    return status;
}

static tl_status check_tensor(const tl_named_tensor *named, tl_error *err)
{
    const tl_tensor *t = &named->tensor;
    const tl_status status = check_text(named->name, "the name of a tensor", err);
    if (status != TL_OK)
        return status;
    if (strcmp(named->name, "__metadata__") == 0)
        return tl_fail(err, TL_ERR_ARGUMENT, "no tensor can have the name '%s'",
                       named->name);
    if ((int)t->dtype < 0 || (int)t->dtype >= TL_DTYPE_COUNT)
        return tl_fail(err, TL_ERR_ARGUMENT, "'%s' has no dtype", named->name);
    if (t->n_dims > TL_MAX_DIMS)
        return tl_fail(err, TL_ERR_ARGUMENT, "'%s' has %zu dimensions, at most %d fit",
                       named->name, t->n_dims, TL_MAX_DIMS);
    size_t bytes = tl_dtype_bytes(t->dtype);
    for (size_t i = 0; i < t->n_dims; i++) {
        size_t product = 0;
        if (!tl_size_muladd(bytes, t->dims[i], &product) || product > INT64_MAX)
            return tl_fail(err, TL_ERR_ARGUMENT,
                           "the shape of '%s' makes more bytes than can be counted",
                           named->name);
        bytes = product;
    }
    if (t->data == NULL && bytes > 0)
        return tl_fail(err, TL_ERR_ARGUMENT, "'%s' has no data", named->name);
    return TL_OK;
}

static tl_status check_metadata(const char *const (*metadata)[2], size_t n_metadata,
                                tl_error *err)
{
    for (size_t i = 0; i < n_metadata; i++) {
        tl_status status = check_text(metadata[i][0], "a key of the metadata", err);
        if (status == TL_OK)
            status = check_text(metadata[i][1], "a value of the metadata", err);
        if (status != TL_OK)
            return status;
        for (size_t k = 0; k < i; k++)
            if (strcmp(metadata[i][0], metadata[k][0]) == 0)
                return tl_fail(err, TL_ERR_ARGUMENT,
                               "'%s' is in the metadata more than once",
                               metadata[i][0]);
    }
    return TL_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const tl_named_tensor *const *)a)->name,
                  (*(const tl_named_tensor *const *)b)->name);
}

static int by_width_then_name(const void *a, const void *b)
{
    const size_t x = tl_dtype_bytes((*(const tl_named_tensor *const *)a)->tensor.dtype);
    const size_t y = tl_dtype_bytes((*(const tl_named_tensor *const *)b)->tensor.dtype);
    return x != y ? (x < y ? 1 : -1) : by_name(a, b);
}

/* Checks all tensors and puts them in the order of the file. */
static tl_status sort_tensors(const tl_named_tensor *tensors, size_t count,
                              const tl_named_tensor **sorted, tl_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const tl_status status = check_tensor(&tensors[i], err);
        if (status != TL_OK)
            return status;
        sorted[i] = &tensors[i];
    }
    qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 1; i < count; i++)
        if (strcmp(sorted[i]->name, sorted[i - 1]->name) == 0)
            return tl_fail(err, TL_ERR_ARGUMENT, "two tensors have the name '%s'",
                           sorted[i]->name);
    qsort(sorted, count, sizeof *sorted, by_width_then_name);
    return TL_OK;
}

/* ---- the file --------------------------------------------------------------------- */

/* One entry of the header; NULL when there is no memory. */
static json_t *describe(const tl_tensor *t, size_t begin)
{
    json_t *shape = json_array();
    for (size_t i = 0; i < t->n_dims; i++)
        if (json_array_append_new(shape, json_integer((json_int_t)t->dims[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", tl_dtype_name(t->dtype), "shape",
                     shape, "data_offsets", (json_int_t)begin,
                     (json_int_t)(begin + bytes_of(t)));
}

/* The header's text, to be freed with free(). */
static tl_status make_header(const tl_named_tensor *const *sorted, size_t count,
                             const char *const (*metadata)[2], size_t n_metadata,
                             char **text, tl_error *err)
{
    json_t *header = json_object(), *strings = json_object();
    bool failed = header == NULL || strings == NULL;
    for (size_t i = 0; i < n_metadata && !failed; i++)
        failed = json_object_set_new(strings, metadata[i][0],
                                     json_string(metadata[i][1])) != 0;
    if (n_metadata > 0 && !failed)
        failed = json_object_set(header, "__metadata__", strings) != 0;
    size_t at = 0;
    for (size_t i = 0; i < count && !failed; i++) {
        failed = json_object_set_new(header, sorted[i]->name,
                                     describe(&sorted[i]->tensor, at)) != 0;
        at += bytes_of(&sorted[i]->tensor);
    }
    *text = failed ? NULL : json_dumps(header, JSON_COMPACT);
    json_decref(strings);
    json_decref(header);
    return *text != NULL ? TL_OK
                         : tl_fail(err, TL_ERR_NO_MEMORY,
                                   "no memory for the header of %zu tensors", count);
}

static tl_status put_header(tl_file_writer *writer, const char *text, tl_error *err)
{
    static const char blanks[ALIGNMENT] = "        ";
    const size_t length = strlen(text),
                 padding = (ALIGNMENT - length % ALIGNMENT) % ALIGNMENT;
    unsigned char bytes[LENGTH_BYTES];
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        bytes[i] = (unsigned char)((uint64_t)(length + padding) >> 8 * i);
    tl_status status = tl_file_writer_put(writer, bytes, sizeof bytes, err);
    if (status == TL_OK)
        status = tl_file_writer_put(writer, text, length, err);
    if (status == TL_OK)
        status = tl_file_writer_put(writer, blanks, padding, err);
    return status;
}

tl_status tl_safetensors_write(const char *path, const tl_named_tensor *tensors,
                               size_t count, const char *const (*metadata)[2],
                               size_t n_metadata, tl_error *err)
{
    tl_file_writer writer = {0};
    char *header = NULL;
    const tl_named_tensor **sorted = tl_alloc(count, sizeof *sorted);
    if (sorted == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    tl_status status = sort_tensors(tensors, count, sorted, err);
    if (status == TL_OK)
        status = check_metadata(metadata, n_metadata, err);
    if (status == TL_OK)
        status = make_header(sorted, count, metadata, n_metadata, &header, err);
    if (status != TL_OK) {
        tl_fail_while(err, status, "%s", path);
        goto done;
    }
    status = tl_file_writer_open(&writer, path, err);
    if (status == TL_OK)
        status = put_header(&writer, header, err);
    for (size_t i = 0; i < count && status == TL_OK; i++)
        status = tl_file_writer_put(&writer, sorted[i]->tensor.data,
                                    bytes_of(&sorted[i]->tensor), err);
    if (status == TL_OK)
        status = tl_file_writer_commit(&writer, err);
done:
    tl_file_writer_abandon(&writer);
    free(header);
    tl_free(sorted);
    return status;
}
