/* SPDX-License-Identifier: MIT
 * memory_plan.c - see memory_plan.h. */
#include "model/memory_plan.h"

#include <stdio.h>
#include <unistd.h>

#include "backend/backends.h"
#include "model/pass_private.h"
#include "twinlens/alloc.h"
#include "vision/vision.h"

/* What of this process is in memory; 0 when nobody tells. */
static size_t resident_bytes(void)
{
    unsigned long long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL)
        return 0;
    const int n = fscanf(file, "%llu %llu", &all, &resident);
    fclose(file);
    return n == 2 ? (size_t)resident * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Tensors that are read: of embeddings that are not the head, only rows. */
static size_t weight_bytes(const tl_model *model, bool has_image)
{
    const tl_weights *w = &model->weights;
    return w->decoder_size.bytes + (model->spec.tied_head ? w->embed_size.bytes : 0) +
           (has_image ? w->vision_size.bytes : 0);
}

/* Weights are kept converted as far as there is room. */
static size_t cache_bytes(const tl_model *model, bool has_image)
{
    const tl_weights *w = &model->weights;
    const size_t all =
        (w->decoder_size.parameters + (has_image ? w->vision_size.parameters : 0)) *
        sizeof(float);
    if (!tl_backend_keeps_weights(model->backend->name))
        return 0;
    return all < TL_DEFAULT_CACHE_BYTES ? all : TL_DEFAULT_CACHE_BYTES;
}

size_t tl_memory_plan_cache(const tl_model *model, size_t most)
{
    const tl_weights *w = &model->weights;
    const size_t all = (2 * w->decoder_size.parameters + w->vision_size.parameters) *
                       sizeof(float); /* of the decoder also those of the way back */
    if (!tl_backend_keeps_weights(model->backend->name))
        return 0;
    return all < most ? all : most;
}

tl_status tl_memory_plan_tower(const tl_model *model, size_t n_pos,
                               const tl_pixels *pixels, size_t *out, tl_error *err)
{
    const tl_pass_options options = {.last_only = true};
    size_t all = 0, of_pass = 0, of_tower = 0;
    tl_status status = tl_model_vision_bytes(model, pixels, &all, err);
    if (status == TL_OK)
        status = tl_vision_attention_bytes(model->backend, &model->spec.vision, pixels,
                                           &of_tower, err);
    if (status == TL_OK)
        status = tl_pass_attention_bytes(model, &n_pos, 1, &options, &of_pass, err);
    if (status == TL_OK)
        *out = all - (of_pass < of_tower ? of_pass : of_tower);
    return status;
}

size_t tl_memory_plan_products(const tl_model *model, const char *backend,
                               size_t n_threads, bool has_image)
{
    const tl_dims *d = &model->spec.dims;
    const tl_vision_spec *v = &model->spec.vision;
    size_t widest = larger(larger(d->d_model, d->d_mlp), d->n_heads * d->d_head);
    if (has_image)
        widest = larger(widest, larger(v->d_mlp, v->width * v->merge * v->merge));
    return tl_backend_scratch_bytes(backend, n_threads, widest, widest,
                                    model->precision != TL_PRECISION_F32);
}

size_t tl_pixels_count(const tl_pixels *pixels)
{
    size_t n = 1;
    for (size_t i = 0; i < pixels->n_dims; i++)
        n *= pixels->dims[i];
    return n;
}

/* Of one pass over them all bytes, and those of attention's scratch. */
static tl_status plan_pass(const tl_model *model, size_t n_pos, size_t n_prompts,
                           const tl_pass_options *options, size_t *all,
                           size_t *attention, tl_error *err)
{
    size_t *each = tl_alloc(n_prompts, sizeof *each);
    if (each == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a plan of %zu prompts",
                       n_prompts);
    for (size_t i = 0; i < n_prompts; i++)
        each[i] = n_pos;
    tl_status status = tl_pass_bytes(model, each, NULL, n_prompts, options, all, err);
    if (status == TL_OK)
        status =
            tl_pass_attention_bytes(model, each, n_prompts, options, attention, err);
    tl_free(each);
    return status;
}

tl_status tl_memory_plan_pass(const tl_model *model, size_t n_pos, size_t n_prompts,
                              const tl_pass_options *options, size_t *out,
                              tl_error *err)
{
    size_t attention = 0;
    return plan_pass(model, n_pos, n_prompts, options, out, &attention, err);
}

tl_status tl_memory_plan_make(const tl_model *model, size_t n_threads, size_t n_pos,
                              size_t n_prompts, const tl_pixels *pixels,
                              tl_memory_plan *out, tl_error *err)
{
    const tl_dims *d = &model->spec.dims;
    const bool has_image = pixels != NULL;
    tl_memory_plan p = {
        .weights = weight_bytes(model, has_image),
        .cache = cache_bytes(model, has_image),
        .products =
            tl_memory_plan_products(model, model->backend->name, n_threads, has_image),
        .inputs = n_prompts * (has_image ? tl_model_input_bytes(model, n_pos) +
                                               tl_pixels_count(pixels) * sizeof(float)
                                         : n_pos * d->d_model * sizeof(float)) +
                  d->n_vocab * sizeof(float),
        .process = resident_bytes(),
    };
    const tl_pass_options pass = {.last_only = true};
    size_t of_pass = 0, of_tower = 0; /* attention's scratch */
    tl_status status =
        plan_pass(model, n_pos, n_prompts, &pass, &p.forward, &of_pass, err);
    if (status == TL_OK && has_image)
        status = tl_model_vision_bytes(model, pixels, &p.vision, err);
    if (status == TL_OK && has_image)
        status = tl_vision_attention_bytes(model->backend, &model->spec.vision, pixels,
                                           &of_tower, err);
    if (status != TL_OK)
        return status;
    /* The tower and the pass do not overlap; the scratch stays, as large as the larger. */
    p.attention = larger(of_pass, of_tower);
    p.peak = p.weights + p.cache + p.products + p.inputs + p.process + p.attention +
             larger(p.vision - of_tower, p.forward - of_pass);
    *out = p;
    return TL_OK;
}
