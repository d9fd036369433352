/* SPDX-License-Identifier: MIT
 * forecast.c - see forecast.h. */
#include "study/forecast.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backends.h"
#include "base/file.h"
#include "base/json.h"
#include "circuit/circuit_work.h"
#include "model/memory_plan.h"
#include "model/model_parts.h"
#include "study/plan.h"
#include "tensor/missing.h"
#include "twinlens/processor.h"
#include "twinlens/safetensors.h"

enum { STUDY_ROWS = 250 }; /* of each modality, if the settings do not say */

/* What is forecast, and of what. */
typedef struct maker {
    const char *folder;
    const tl_settings *settings;
    const tl_forecast_prompts *prompts;
    tl_arena *arena;
    const tl_model *model;
    size_t n_pos, image_tokens; /* of a prompt, its image counted; of the image alone */
    const tl_pixels *pixels;    /* NULL: no image */
    tl_forecast *out;
} maker;

static void add_number(maker *m, const char *key, size_t value)
{
    m->out->facts[m->out->n_facts++] = (tl_fact){.key = key, .value = value};
}

/* Its text is formatted as by printf. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static void
add_text(maker *m, const char *key, const char *format, ...)
{
    tl_fact *fact = &m->out->facts[m->out->n_facts++];
    va_list arguments;
    va_start(arguments, format);
    *fact = (tl_fact){.key = key};
    vsnprintf(fact->text, sizeof fact->text, format, arguments);
    va_end(arguments);
}

/* ---- the model ------------------------------------------------------------------- */

static void add_architecture(maker *m)
{
    const tl_spec *spec = tl_model_spec(m->model);
    const tl_dims *d = &spec->dims;
    add_text(m, "family", "%s", spec->family);
    add_number(m, "layers", d->n_layers);
    add_number(m, "d_model", d->d_model);
    add_number(m, "heads", d->n_heads);
    add_number(m, "kv_heads", d->n_kv_heads);
    add_number(m, "d_head", d->d_head);
    add_number(m, "d_mlp", d->d_mlp);
    add_number(m, "vocabulary", d->n_vocab);
    add_text(m, "lm_head", "%s", spec->tied_head ? "tied" : "own");
    add_text(m, "rope_theta", "%g", spec->rope.theta);
    if (spec->rope.sections[0] > 0)
        add_text(m, "mrope_sections", "%zu/%zu/%zu", spec->rope.sections[0],
                 spec->rope.sections[1], spec->rope.sections[2]);
    if (spec->window > 0)
        add_text(
            m, "sliding_window", "%zu, all positions in %s%zu", spec->window,
            spec->global_every > 0 ? "one layer of " : "layers: ", spec->global_every);
    add_text(m, "attention", "%s",
             spec->bidirectional         ? "both ways"
             : spec->image_bidirectional ? "causal, images both ways"
                                         : "causal");
    add_number(m, "vision_layers", spec->vision.depth);
    add_number(m, "vision_width", spec->vision.width);
}

/* Weight files that the folder names, and how many of them are not there: a folder of a
 * configuration alone can be planned for. */
static tl_status look_for_weights(const maker *m, size_t *n_files, size_t *n_missing,
                                  tl_error *err)
{
    const char *index =
                   tl_path_join(m->arena, m->folder, "model.safetensors.index.json"),
               *single = tl_path_join(m->arena, m->folder, "model.safetensors");
    if (index == NULL || single == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    *n_files = tl_file_exists(single);
    *n_missing = 0;
    if (*n_files > 0 || !tl_file_exists(index))
        return TL_OK;
    json_t *root = NULL, *shards = json_object(); /* each file once */
    tl_status status = tl_json_read(index, &root, err);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(root, "weight_map"), key, value)
        json_object_set_new(
            shards, json_is_string(value) ? json_string_value(value) : "", json_null());
    json_object_foreach(shards, key, value)
    {
        const char *path = tl_path_join(m->arena, m->folder, key);
        (*n_files)++;
        *n_missing += path == NULL || !tl_file_exists(path);
    }
    json_decref(shards);
    json_decref(root);
    return status;
}

/* All tensors of the weights: parameters and bytes. */
static void count_tensors(const tl_safetensors *file, size_t *parameters, size_t *bytes)
{
    for (size_t i = 0; i < tl_safetensors_count(file); i++) {
        const tl_tensor *t = tl_safetensors_at(file, i);
        *parameters += tl_tensor_count(t);
        *bytes += tl_tensor_count(t) * tl_dtype_bytes(t->dtype);
    }
}

/* Opens the model with its weights, if they are there: then every tensor is found and
 * checked. *opened is NULL if they are not. */
static tl_status find_weights(maker *m, const tl_model_options *how, tl_model **opened,
                              tl_error *err)
{
    const tl_weights *w = tl_model_weights(m->model);
    size_t n_files = 0, n_missing = 0, parameters = 0, bytes = 0;
    tl_status status = look_for_weights(m, &n_files, &n_missing, err);
    if (status != TL_OK)
        return status;
    add_number(m, "decoder_parameters",
               w->embed_size.parameters + w->decoder_size.parameters);
    add_number(m, "vision_parameters", w->vision_size.parameters);
    if (n_missing > 0)
        add_text(m, "weights", "%zu of %zu files are not there", n_missing, n_files);
    if (n_files == 0) {
        tl_error why = {0};
        tl_safetensors_missing(m->folder, &why);
        add_text(m, "weights", "%s", why.text);
    }
    if (n_missing > 0 || n_files == 0)
        return TL_OK;
    if ((status = tl_model_open(m->folder, how, opened, err)) != TL_OK)
        return status;
    count_tensors(tl_model_file(*opened), &parameters, &bytes);
    add_number(m, "parameters", parameters);
    add_number(m, "weight_bytes", bytes);
    add_number(m, "weight_files", n_files);
    return TL_OK;
}

/* ---- a study --------------------------------------------------------------------- */

/*
 * Floating-point operations per second of this machine's matrix products, from one of 256
 * rows. What is timed by it is an estimate within a factor of two: it counts no attention,
 * and no reading of weights.
 */
static tl_status time_products(const tl_settings *settings, bool bf16, double *rate,
                               tl_error *err)
{
    enum { WIDTH = 2048, ROWS = 256, TIMES = 4 };
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to time a product");
    tl_backend *backend = NULL;
    float *weight = tl_arena_alloc_zero(arena, (size_t)WIDTH * WIDTH, sizeof *weight),
          *x = tl_arena_alloc_zero(arena, (size_t)WIDTH * ROWS, sizeof *x),
          *y = tl_arena_alloc_zero(arena, (size_t)WIDTH * ROWS, sizeof *y);
    tl_status status = TL_OK;
    if (weight == NULL || x == NULL || y == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory to time a product");
    if (status == TL_OK)
        status = tl_backend_create(tl_backend_default(), settings->threads,
                                   (size_t)TL_DEFAULT_CACHE_BYTES, &backend, err);
    const tl_linear layer = {.weight = {.dtype = TL_F32,
                                        .n_dims = 2,
                                        .dims = {WIDTH, WIDTH},
                                        .data = weight},
                             .bf16 = bf16};
    struct timespec begin = {0}, end = {0};
    for (size_t i = 0; i <= TIMES && status == TL_OK; i++) {
        if (i == 1) /* the first warms up */
            clock_gettime(CLOCK_MONOTONIC, &begin);
        status = backend->linear(backend, &layer, ROWS, x, y, false, err);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    tl_backend_destroy(backend);
    const double spent = (double)(end.tv_sec - begin.tv_sec) +
                         (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
    *rate = 2.0 * WIDTH * WIDTH * ROWS * TIMES / spent;
    tl_arena_destroy(arena);
    return status;
}

/* Prompts of one length, which differ from their first position on: nobody knows them yet.
 * They begin with their data: of image prompts the image, without one two thirds. */
static tl_study_shape shape_of(const maker *m)
{
    const size_t n_rows = m->settings->prompts > 0 ? m->settings->prompts : STUDY_ROWS;
    const size_t n_pos[TL_MODALITY_COUNT] = {m->prompts->n_pos, m->n_pos};
    tl_study_shape shape = {.circuit = TL_STUDY_CIRCUIT_SHARE};
    for (size_t k = 0; k < TL_MODALITY_COUNT; k++) {
        shape.n_rows[k] = n_rows;
        const size_t data = k == TL_IMAGE && m->image_tokens > 0
                                ? m->image_tokens
                                : (2 * n_pos[k] + 2) / 3;
        shape.spans[k] = (tl_span){n_pos[k], 0, data};
    }
    return shape;
}

/* Circuits are evaluated by parts of layers, which stay in f32 (math.md eq. 21). */
static bool is_by_parts(const tl_stage_cost *cost)
{
    static const char *const stages[] = {"evaluate", "circuit tests", "interchange"};
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        if (strncmp(cost->name, stages[i], strlen(stages[i])) == 0)
            return true;
    return false;
}

/* Hours of the study's products, at the rates of this machine. */
static tl_status add_hours(maker *m, double tower_flops, tl_error *err)
{
    const bool bf16 = m->settings->precision != TL_PRECISION_F32;
    double rate = 1.0, low_rate = 1.0, seconds = 0.0;
    tl_status status = time_products(m->settings, false, &rate, err);
    if (status == TL_OK && bf16)
        status = time_products(m->settings, true, &low_rate, err);
    for (size_t i = 0; i < m->out->n_costs; i++) {
        const tl_stage_cost *cost = &m->out->costs[i];
        seconds += cost->flops / (bf16 && !is_by_parts(cost) ? low_rate : rate);
    }
    seconds += tower_flops / rate;
    add_text(m, "product_flops_per_second_here", "%.0f", rate);
    if (bf16)
        add_text(m, "bf16_product_flops_per_second_here", "%.0f", low_rate);
    add_text(m, "study_hours_here", "%.4g", seconds / 3600.0);
    return status;
}

/* Forward passes of back-patching alone, by each search. */
static tl_status add_searches(maker *m, const tl_sizes *sizes,
                              const tl_study_shape *shape, tl_error *err)
{
    static const char *const keys[] = {[TL_BP_FULL] = "backpatch_full_forward_passes",
                                       [TL_BP_HALVING] =
                                           "backpatch_halving_forward_passes"};
    tl_status status = TL_OK;
    for (int search = TL_BP_FULL; search <= TL_BP_HALVING && status == TL_OK;
         search++) {
        tl_stage_cost costs[TL_STUDY_COSTS];
        tl_settings settings = *m->settings;
        size_t n = 0;
        double forwards = 0.0;
        settings.bp_search = search;
        status = tl_study_costs(m->model, &settings, sizes, shape, costs, &n, err);
        for (size_t i = 0; i < n && status == TL_OK; i++)
            if (strncmp(costs[i].name, "back-patch", 10) == 0)
                forwards += costs[i].forwards;
        add_text(m, keys[search], "%.0f", forwards);
    }
    return status;
}

/* What products cost: of one prompt forward, and of one pair attributed by each method, when
 * its prompts share no prefix. */
static tl_status add_products(maker *m, tl_error *err)
{
    const tl_pass_options forward = {.last_only = true};
    tl_attribution_options ig = tl_settings_attribution(m->settings, 0), relp = ig;
    ig.method = TL_METHOD_IG;
    relp.method = TL_METHOD_RELP;
    double flops[3] = {0.0};
    tl_status status =
        tl_pass_flops_add(m->model, m->n_pos, 0, &forward, 1.0, &flops[0], err);
    if (status == TL_OK)
        status = tl_attribution_flops(m->model, m->n_pos, 0, &ig, &flops[1], err);
    if (status == TL_OK)
        status = tl_attribution_flops(m->model, m->n_pos, 0, &relp, &flops[2], err);
    add_text(m, "forward_flops", "%.0f", flops[0]);
    add_text(m, "ig_flops", "%.0f", flops[1]);
    add_text(m, "relp_flops", "%.0f", flops[2]);
    return status;
}

static tl_status add_study(maker *m, tl_error *err)
{
    const tl_study_shape shape = shape_of(m);
    tl_forecast *f = m->out;
    tl_sizes sizes;
    double passes = 0.0, flops = 0.0;
    uint64_t tower = 0;
    tl_status status = tl_settings_sizes(m->settings, true, m->arena, &sizes, err);
    if (status == TL_OK)
        status = tl_study_costs(m->model, m->settings, &sizes, &shape, f->costs,
                                &f->n_costs, err);
    if (status == TL_OK && m->pixels != NULL)
        status = tl_model_vision_flops(m->model, m->pixels, &tower, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < f->n_costs; i++) {
        passes += f->costs[i].forwards;
        flops += f->costs[i].flops;
    }
    const double tower_flops = (double)tower * (double)shape.n_rows[TL_IMAGE];
    add_number(m, "study_prompts", shape.n_rows[TL_TEXT]);
    add_text(m, "study_forward_passes", "%.0f", passes);
    add_text(m, "study_flops", "%.0f", flops);
    add_text(m, "study_tower_flops", "%.0f", tower_flops);
    status = add_hours(m, tower_flops, err);
    if (status == TL_OK)
        status = add_searches(m, &sizes, &shape, err);
    return status == TL_OK ? add_products(m, err) : status;
}

/* ---- memory ---------------------------------------------------------------------- */

static tl_status add_memory(maker *m, tl_error *err)
{
    tl_memory_plan p;
    size_t back = 0, study[2] = {0}, tower = 0;
    const tl_pass_options pass = {.last_only = true, .for_backward = true};
    tl_status status = tl_memory_plan_make(m->model, m->settings->threads, m->n_pos,
                                           m->prompts->batch, m->pixels, &p, err);
    if (status == TL_OK)
        status = tl_memory_plan_pass(m->model, m->n_pos, m->prompts->batch, &pass,
                                     &back, err);
    if (status != TL_OK)
        return status;
    add_number(m, "forward_bytes", p.forward);
    add_number(m, "attribution_pass_bytes", back);
    if (m->pixels != NULL)
        add_number(m, "vision_bytes", p.vision);
    add_number(m, "cache_bytes", p.cache);
    add_number(m, "product_bytes", p.products);
    add_number(m, "input_bytes", p.inputs);
    add_number(m, "process_bytes", p.process);
    add_number(m, "read_weight_bytes", p.weights);
    add_number(m, "predict_peak_bytes", p.peak);
    if (m->pixels != NULL)
        status = tl_memory_plan_tower(m->model, m->n_pos, m->pixels, &tower, err);
    for (size_t i = 0; i < 2 && status == TL_OK; i++)
        status = tl_study_least_memory(m->model, m->n_pos, p.products + tower,
                                       i == 0 ? "" : NULL, &study[i], err);
    if (status == TL_OK) {
        add_text(m, "study_least_memory", "%zuM", study[0]);
        add_text(m, "study_memory_without_disk", "%zuM", study[1]);
    }
    return status;
}

/* The memory with the tokenizer, where there is one, in it. */
static tl_status add_memory_beside_tokenizer(maker *m, tl_error *err)
{
    tl_processor *processor = NULL;
    const char *tokenizer = tl_path_join(m->arena, m->folder, "tokenizer.json");
    tl_status status = TL_OK;
    if (tokenizer == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    else if (tl_file_exists(tokenizer))
        status = tl_processor_open(m->folder, tl_model_dims(m->model)->n_vocab,
                                   &processor, err);
    if (status == TL_OK)
        status = add_memory(m, err);
    tl_processor_close(processor);
    return status;
}

/* ---- all of it ------------------------------------------------------------------- */

/* How an image of the size that is asked for enters a prompt. */
static tl_status add_image(maker *m, tl_pixels *pixels, tl_error *err)
{
    if (m->prompts->image_width == 0)
        return TL_OK;
    const tl_status status = tl_processor_measure(m->folder, m->prompts->image_width,
                                                  m->prompts->image_height, m->arena,
                                                  pixels, &m->image_tokens, err);
    if (status == TL_OK)
        add_number(m, "image_tokens", m->image_tokens);
    m->pixels = pixels;
    return status;
}

static void add_components(maker *m)
{
    const tl_dims *d = &m->out->dims;
    m->n_pos = m->prompts->n_pos + m->image_tokens;
    add_number(m, "prompt_tokens", m->n_pos);
    add_number(m, "batch", m->prompts->batch);
    add_number(m, "head_components", d->n_layers * d->n_heads * m->n_pos);
    add_number(m, "neuron_components", d->n_layers * d->d_mlp * m->n_pos);
}

tl_status tl_forecast_make(const char *folder, const tl_settings *settings,
                           const tl_forecast_prompts *prompts, tl_arena *arena,
                           tl_forecast *out, tl_error *err)
{
    const tl_model_options how = {.backend = settings->backend,
                                  .n_threads = settings->threads,
                                  .precision = (tl_precision)settings->precision};
    tl_model *bare = NULL, *opened = NULL;
    tl_pixels pixels = {0};
    tl_status status = tl_model_open_bare(folder, &how, &bare, err);
    if (status != TL_OK)
        return status;
    *out = (tl_forecast){.dims = *tl_model_dims(bare)};
    maker m = {.folder = folder,
               .settings = settings,
               .prompts = prompts,
               .arena = arena,
               .model = bare,
               .out = out};
    add_architecture(&m);
    status = find_weights(&m, &how, &opened, err);
    if (opened != NULL)
        m.model = opened;
    if (status == TL_OK)
        status = add_image(&m, &pixels, err);
    add_components(&m);
    /* First the time: after it the libraries are in memory. */
    if (status == TL_OK)
        status = add_study(&m, err);
    if (status == TL_OK)
        status = add_memory_beside_tokenizer(&m, err);
    tl_model_close(opened);
    tl_model_close(bare);
    return status;
}

/* ---- for people -------------------------------------------------------------------- */

static bool ends(const char *key, const char *with)
{
    const size_t n = strlen(key), m = strlen(with);
    return n >= m && strcmp(key + n - m, with) == 0;
}

/* 1.5e9 as "1.5 G"; steps of `base`. */
static void say_unit(double value, double base, const char *const *units, char *text,
                     size_t bytes)
{
    size_t u = 0;
    for (; value >= 999.5 && units[u + 1] != NULL; u++)
        value /= base;
    snprintf(text, bytes, "%.3g %s", value, units[u]);
}

void tl_fact_say(const tl_fact *f, char text[96])
{
    enum { TEXT = 96 };
    static const char *const bytes[] = {"bytes", "KiB", "MiB", "GiB", "TiB", NULL},
                             *const work[] = {"FLOP",  "kFLOP", "MFLOP", "GFLOP",
                                              "TFLOP", "PFLOP", "EFLOP", NULL},
                             *const rate[] = {"FLOP/s",  "kFLOP/s", "MFLOP/s",
                                              "GFLOP/s", "TFLOP/s", NULL};
    const double value = f->text[0] != '\0' ? strtod(f->text, NULL) : (double)f->value;
    if (ends(f->key, "_bytes"))
        say_unit(value, 1024.0, bytes, text, TEXT);
    else if (ends(f->key, "_flops"))
        say_unit(value, 1000.0, work, text, TEXT);
    else if (ends(f->key, "_per_second_here"))
        say_unit(value, 1000.0, rate, text, TEXT);
    else if (!ends(f->key, "_hours_here") && f->text[0] != '\0')
        snprintf(text, TEXT, "%s", f->text);
    else if (!ends(f->key, "_hours_here"))
        snprintf(text, TEXT, "%zu", f->value);
    else if (value < 1.0)
        snprintf(text, TEXT, value < 1.0 / 30.0 ? "%.0f seconds" : "%.0f minutes",
                 value * (value < 1.0 / 30.0 ? 3600.0 : 60.0));
    else
        snprintf(text, TEXT, value < 72.0 ? "%.3g hours" : "%.3g days",
                 value / (value < 72.0 ? 1.0 : 24.0));
}
