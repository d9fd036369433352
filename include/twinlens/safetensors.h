/* SPDX-License-Identifier: MIT
 *
 * safetensors.h - named tensors in files: read by mmap, written atomically.
 *
 *     tl_safetensors *file = NULL;
 *     if (tl_safetensors_open("model.safetensors", &file, &err) == TL_OK) {
 *         const tl_tensor *w = tl_safetensors_find(file, "lm_head.weight");
 *         ... w->dims, w->data ...
 *         tl_safetensors_close(file);
 *     }
 *
 * Every number of a header is checked before it is used: a file that opens has
 * tensors that lie inside it, do not overlap, leave no gap, and have the size
 * that their shape and dtype say. Tensors stay mapped (or are copied, where the file
 * did not align them) and are valid until close.
 */
#ifndef TWINLENS_SAFETENSORS_H
#define TWINLENS_SAFETENSORS_H

#include <stdbool.h>

#include "twinlens/api.h"
#include "twinlens/tensor.h"

TL_BEGIN_DECLS

typedef struct tl_safetensors tl_safetensors;

/*
 * Opens one file; a "*.safetensors.index.json" with all its shards; or a folder,
 * which must hold model.safetensors or model.safetensors.index.json.
 * A tensor that cannot be read (an unknown dtype, too many dimensions, named by the
 * index and in no shard) is no error: it is as if it were not there, but for
 * tl_safetensors_need() and tl_safetensors_has().
 * Errors: TL_ERR_NOT_FOUND (file or shard missing), TL_ERR_IO, TL_ERR_FORMAT,
 * TL_ERR_NO_MEMORY.
 */
tl_status tl_safetensors_open(const char *path, tl_safetensors **out, tl_error *err);
void tl_safetensors_close(tl_safetensors *file);

/* NULL if there is none of that name. The tensor, like all that is returned below, is the
 * file's and valid until it is closed. */
const tl_tensor *tl_safetensors_find(const tl_safetensors *file, const char *name);

/* The same for one that has to be there: the error says why it cannot be had,
 * TL_ERR_NOT_FOUND or TL_ERR_UNSUPPORTED. */
tl_status tl_safetensors_need(const tl_safetensors *file, const char *name,
                              const tl_tensor **out, tl_error *err);

/* Whether there is one of that name, be it one that cannot be read. */
bool tl_safetensors_has(const tl_safetensors *file, const char *name);

/* In the order of names; index < tl_safetensors_count(). */
size_t tl_safetensors_count(const tl_safetensors *file);
const char *tl_safetensors_name(const tl_safetensors *file, size_t index);
const tl_tensor *tl_safetensors_at(const tl_safetensors *file, size_t index);

/* Value of a key of the header's __metadata__; NULL if absent. */
const char *tl_safetensors_metadata(const tl_safetensors *file, const char *key);

/* The files behind it (1, or the shards in order of name), for hashing. */
size_t tl_safetensors_file_count(const tl_safetensors *file);
const char *tl_safetensors_file_path(const tl_safetensors *file, size_t index);

typedef struct tl_named_tensor {
    const char *name;
    tl_tensor tensor;
} tl_named_tensor;

/*
 * Writes tensors (and string metadata: n_metadata pairs key, value) to `path`:
 * to a temporary name in the same folder, synced, renamed, folder synced. Either
 * the new file is whole or an old one of that name is untouched. The bytes depend
 * only on the arguments: tensors are laid out by falling element size, then by name.
 * Errors: TL_ERR_ARGUMENT (two of one name, a name or value that is not UTF-8, no
 * data), TL_ERR_IO, TL_ERR_NO_MEMORY.
 */
tl_status tl_safetensors_write(const char *path, const tl_named_tensor *tensors,
                               size_t count, const char *const (*metadata)[2],
                               size_t n_metadata, tl_error *err);

TL_END_DECLS

#endif
