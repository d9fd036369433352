/* SPDX-License-Identifier: MIT
 * score_file.c - see score_file.h. */
#include "store/score_file.h"

#include <string.h>

#include "base/sha256.h"
#include "twinlens/safetensors.h"

tl_status tl_score_file_write(const char *path, const tl_scores *s,
                              const tl_scores *magnitudes,
                              const char *const (*metadata)[2], size_t n_metadata,
                              tl_error *err)
{
    const tl_scores *m = magnitudes != NULL ? magnitudes : s;
    const tl_named_tensor tensors[] = {
        {"heads", tl_tensor_f32(s->heads, s->n_layers, s->n_pos, s->n_heads)},
        {"neurons", tl_tensor_f32(s->neurons, s->n_layers, s->n_pos, s->d_mlp)},
        {"head_magnitudes", tl_tensor_f32(m->heads, m->n_layers, m->n_pos, m->n_heads)},
        {"neuron_magnitudes",
         tl_tensor_f32(m->neurons, m->n_layers, m->n_pos, m->d_mlp)},
    };
    return tl_safetensors_write(path, tensors, magnitudes != NULL ? 4 : 2, metadata,
                                n_metadata, err);
}

static tl_status read_scores(const tl_safetensors *file, const char *path,
                             const char *name, const size_t want[3], tl_arena *arena,
                             float **out, tl_error *err)
{
    const tl_tensor *t = tl_safetensors_find(file, name);
    if (t == NULL)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: there is no tensor '%s': not a score file", path, name);
    char have_text[96], want_text[96];
    if (t->n_dims != 3 || t->dims[0] != want[0] || t->dims[1] != want[1] ||
        t->dims[2] != want[2])
        return tl_fail(
            err, TL_ERR_DATA,
            "%s: '%s' is %s, the model and prompts want %s (layers, positions, %s)",
            path, name, tl_shape_text(t->dims, t->n_dims, have_text, sizeof have_text),
            tl_shape_text(want, 3, want_text, sizeof want_text), name);
    const size_t count = tl_tensor_count(t);
    float *values = tl_arena_alloc(arena, count, sizeof *values);
    if (values == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory for %zu scores", path,
                       count);
    const tl_status status =
        tl_fail_while(err, tl_tensor_to_f32(t, 0, count, values, err), "%s", path);
    if (status == TL_OK)
        *out = values;
    return status;
}

static tl_status read_both(const char *path, const char *heads_name,
                           const char *neurons_name, const tl_dims *dims, size_t n_pos,
                           tl_arena *arena, tl_scores *out, tl_error *err)
{
    tl_safetensors *file = NULL;
    tl_scores s = {dims->n_layers, n_pos, dims->n_heads, dims->d_mlp, NULL, NULL};
    tl_status status = tl_safetensors_open(path, &file, err);
    if (status != TL_OK)
        return status;
    const size_t heads[3] = {dims->n_layers, n_pos, dims->n_heads};
    const size_t neurons[3] = {dims->n_layers, n_pos, dims->d_mlp};
    status = read_scores(file, path, heads_name, heads, arena, &s.heads, err);
    if (status == TL_OK)
        status = read_scores(file, path, neurons_name, neurons, arena, &s.neurons, err);
    tl_safetensors_close(file);
    if (status == TL_OK)
        *out = s;
    return status;
}

tl_status tl_score_file_shape(const char *path, size_t *n_layers, size_t *n_pos,
                              size_t *n_heads, size_t *d_mlp, tl_error *err)
{
    tl_safetensors *file = NULL;
    tl_status status = tl_safetensors_open(path, &file, err);
    if (status != TL_OK)
        return status;
    const tl_tensor *heads = tl_safetensors_find(file, "heads"),
                    *neurons = tl_safetensors_find(file, "neurons");
    const char *is_signed = tl_safetensors_metadata(file, "signed");
    if (heads == NULL || neurons == NULL || heads->n_dims != 3 ||
        neurons->n_dims != 3 || heads->dims[0] != neurons->dims[0] ||
        heads->dims[1] != neurons->dims[1])
        status = tl_fail(err, TL_ERR_FORMAT,
                         "%s: no 'heads' and 'neurons' over the same layers and "
                         "positions: not a score file",
                         path);
    else if (is_signed != NULL && strcmp(is_signed, "true") == 0)
        status = tl_fail(err, TL_ERR_DATA,
                         "%s: scores with signs, wanted those of attribute without "
                         "--signed",
                         path);
    if (status == TL_OK) {
        *n_layers = heads->dims[0];
        *n_pos = heads->dims[1];
        *n_heads = heads->dims[2];
        *d_mlp = neurons->dims[2];
    }
    tl_safetensors_close(file);
    return status;
}

tl_status tl_score_file_read(const char *path, const tl_dims *dims, size_t n_pos,
                             tl_arena *arena, tl_scores *out, tl_error *err)
{
    return read_both(path, "heads", "neurons", dims, n_pos, arena, out, err);
}

tl_status tl_score_file_read_magnitudes(const char *path, const tl_dims *dims,
                                        size_t n_pos, tl_arena *arena, tl_scores *out,
                                        tl_error *err)
{
    return read_both(path, "head_magnitudes", "neuron_magnitudes", dims, n_pos, arena,
                     out, err);
}

tl_status tl_score_file_check(const char *path, const char *sha256, tl_error *err)
{
    char hex[TL_SHA256_HEX];
    const tl_status status = tl_sha256_of_file(path, hex, err);
    if (status != TL_OK || strcmp(hex, sha256) == 0)
        return status;
    return tl_fail(err, TL_ERR_DATA,
                   "%s: not what the study wrote: its SHA-256 is %.12s..., wanted "
                   "%.12s...",
                   path, hex, sha256);
}
