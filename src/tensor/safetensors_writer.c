/* SPDX-License-Identifier: MIT
 *
 * safetensors_writer.c - writing (include/twinlens/safetensors.h).
 *
 * Tensors lie in order of name, each behind the other, and the header is padded with
 * blanks to a multiple of 8, so that the bytes depend on the content alone and every
 * tensor of 8-byte elements that comes first is aligned.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "twinlens/alloc.h"
#include "twinlens/safetensors.h"

enum { LENGTH_BYTES = 8 };

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const tl_named_tensor *const *)a)->name,
                  (*(const tl_named_tensor *const *)b)->name);
}

static size_t bytes_of(const tl_tensor *t)
{
    return tl_tensor_count(t) * tl_dtype_bytes(t->dtype);
}

/* One entry of the header; NULL when there is no memory. */
static json_t *describe(const tl_tensor *t, size_t begin)
{
    json_t *shape = json_array();
    for (size_t i = 0; i < t->n_dims; i++)
        json_array_append_new(shape, json_integer((json_int_t)t->dims[i]));
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
    int failed = header == NULL || strings == NULL;
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
    return *text != NULL
               ? TL_OK
               : tl_fail(err, TL_ERR_NO_MEMORY,
                         "a header could not be made: no memory, or a name or value "
                         "that is not UTF-8");
}

static tl_status put_header(tl_file_writer *writer, const char *text, tl_error *err)
{
    static const char blanks[8] = "        ";
    const size_t length = strlen(text), padding = (8 - length % 8) % 8;
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
    tl_status status = TL_OK;
    const tl_named_tensor **sorted = tl_alloc(count, sizeof *sorted);
    if (sorted == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    for (size_t i = 0; i < count; i++)
        sorted[i] = &tensors[i];
    qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 0; i < count && status == TL_OK; i++)
        if (strcmp(sorted[i]->name, "__metadata__") == 0 ||
            (i > 0 && strcmp(sorted[i]->name, sorted[i - 1]->name) == 0))
            status = tl_fail(err, TL_ERR_ARGUMENT, "%s: two tensors of the name '%s'",
                             path, sorted[i]->name);
    if (status == TL_OK)
        status = tl_fail_while(
            err, make_header(sorted, count, metadata, n_metadata, &header, err), "%s",
            path);
    if (status == TL_OK)
        status = tl_file_writer_open(&writer, path, err);
    if (status == TL_OK)
        status = put_header(&writer, header, err);
    for (size_t i = 0; i < count && status == TL_OK; i++)
        status = tl_file_writer_put(&writer, sorted[i]->tensor.data,
                                    bytes_of(&sorted[i]->tensor), err);
    if (status == TL_OK)
        status = tl_file_writer_commit(&writer, err);
    tl_file_writer_abandon(&writer);
    free(header);
    tl_free(sorted);
    return status;
}
