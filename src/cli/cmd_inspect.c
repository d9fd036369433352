/* SPDX-License-Identifier: MIT
 *
 * cmd_inspect.c - `twinlens inspect`: what a model is, how many components it has, how
 * much memory prompts of a given length and images of a given size take, and how long a
 * study. Without weights (a folder with only a config.json) it says what the configuration
 * tells.
 */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "backend/backends.h"
#include "base/file.h"
#include "base/json.h"
#include "circuit/circuit_work.h"
#include "cli/shared_options.h"
#include "cli/options.h"
#include "model/memory_plan.h"
#include "model/model_parts.h"
#include "study/plan.h"
#include "study/session.h"
#include "twinlens/safetensors.h"

enum {
    MOST_TOKENS = 1000 * 1000 * 1000, /* of a plan; its numbers stay exact */
    MOST_PIXELS = 1 << 28,            /* as of an image file */
    STUDY_ROWS = 250,                 /* of each modality, if --prompts does not say */
};

typedef struct options {
    tl_settings settings;
    const char *image_size;
    size_t n_pos, batch, image_width, image_height;
    bool json;
} options;

/* All tensors of the weights: parameters and bytes. */
static void count_tensors(const tl_safetensors *file, size_t *parameters, size_t *bytes)
{
    for (size_t i = 0; i < tl_safetensors_count(file); i++) {
        const tl_tensor *t = tl_safetensors_at(file, i);
        *parameters += tl_tensor_count(t);
        *bytes += tl_tensor_count(t) * tl_dtype_bytes(t->dtype);
    }
}

/* One property for the table and the JSON alike: a number, or words. */
typedef struct fact {
    const char *key;
    size_t value;
    const char *text; /* NULL: `value` */
} fact;

enum { MOST_FACTS = 48, TEXT_BYTES = 96 };
typedef struct facts {
    fact list[MOST_FACTS];
    char text[MOST_FACTS][TEXT_BYTES];
    size_t n;
} facts;

static void add_number(facts *f, const char *key, size_t value)
{
    f->list[f->n++] = (fact){key, value, NULL};
}

/* Its text is formatted as by printf. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static void
add_text(facts *f, const char *key, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(f->text[f->n], TEXT_BYTES, format, arguments);
    va_end(arguments);
    f->list[f->n] = (fact){key, 0, f->text[f->n]};
    f->n++;
}

/* Shapes of the sites for T positions; a third dimension of 0 is none. */
typedef struct site_shape {
    const char *name;
    size_t d1, d2;
} site_shape;
enum { SITES = TL_SITE_COUNT + 2 };

static void list_sites(const tl_dims *d, site_shape sites[SITES])
{
    size_t n = 0;
    sites[n++] = (site_shape){"embed", d->d_model, 0};
    for (size_t s = 0; s < TL_SITE_COUNT; s++) {
        const bool z = s == TL_SITE_Z;
        sites[n++] = (site_shape){tl_site_name((tl_site)s),
                                  z                       ? d->n_heads
                                  : s == TL_SITE_MLP_POST ? d->d_mlp
                                                          : d->d_model,
                                  z ? d->d_head : 0};
    }
    sites[n++] = (site_shape){"logits", d->n_vocab, 0};
}

/* What a study takes, stage by stage. */
typedef struct work {
    tl_stage_cost costs[TL_STUDY_COSTS];
    size_t n;
} work;

static json_t *work_json(const work *w)
{
    json_t *list = json_array();
    for (size_t i = 0; i < w->n; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:I, s:f, s:f}", "stage", w->costs[i].name, "units",
                            (json_int_t)w->costs[i].n_units, "forward_passes",
                            w->costs[i].forwards, "product_flops", w->costs[i].flops));
    return list;
}

static tl_status print_json(const tl_dims *dims, const facts *f, const work *w,
                            FILE *out, tl_error *err)
{
    json_t *object = json_object(), *shapes = json_object();
    bool whole = object != NULL && shapes != NULL;
    for (size_t i = 0; i < f->n && whole; i++) {
        const fact *one = &f->list[i];
        whole = json_object_set_new(object, one->key,
                                    one->text != NULL
                                        ? json_string(one->text)
                                        : json_integer((json_int_t)one->value)) == 0;
    }
    site_shape sites[SITES];
    list_sites(dims, sites);
    for (size_t i = 0; i < SITES && whole; i++) {
        json_t *shape = json_pack("[s, I]", "T", (json_int_t)sites[i].d1);
        if (sites[i].d2 > 0)
            whole = json_array_append_new(shape,
                                          json_integer((json_int_t)sites[i].d2)) == 0;
        whole = json_object_set_new(shapes, sites[i].name, shape) == 0 && whole;
    }
    whole = json_object_set_new(object, "sites", shapes) == 0 && whole;
    whole = json_object_set_new(object, "stages", work_json(w)) == 0 && whole;
    if (whole) {
        json_dumpf(object, out, JSON_INDENT(1));
        fputc('\n', out);
    }
    json_decref(object);
    return whole ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the result");
}

static void print_table(const tl_dims *dims, const facts *f, const work *w, FILE *out)
{
    site_shape sites[SITES];
    list_sites(dims, sites);
    fprintf(out, "property\tvalue\n");
    for (size_t i = 0; i < f->n; i++)
        if (f->list[i].text != NULL)
            fprintf(out, "%s\t%s\n", f->list[i].key, f->list[i].text);
        else
            fprintf(out, "%s\t%zu\n", f->list[i].key, f->list[i].value);
    for (size_t i = 0; i < w->n; i++)
        fprintf(out, "stage %s\t%.0f forward passes, %.4g FLOP\n", w->costs[i].name,
                w->costs[i].forwards, w->costs[i].flops);
    for (size_t i = 0; i < SITES; i++)
        if (sites[i].d2 > 0)
            fprintf(out, "site %s\t[T,%zu,%zu]\n", sites[i].name, sites[i].d1,
                    sites[i].d2);
        else
            fprintf(out, "site %s\t[T,%zu]\n", sites[i].name, sites[i].d1);
}

/*
 * Floating-point operations per second of this machine's matrix products, from one of 256
 * rows. What is timed by it is an estimate within a factor of two: it counts no attention,
 * and no reading of weights.
 */
static tl_status time_products(const tl_settings *settings, double *rate, tl_error *err)
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
    const tl_linear layer = {
        .weight = {
            .dtype = TL_F32, .n_dims = 2, .dims = {WIDTH, WIDTH}, .data = weight}};
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

/* Weight files that the folder names, and how many of them are not there: a folder of a
 * configuration alone can be planned for. */
static tl_status look_for_weights(const char *folder, tl_arena *arena, size_t *n_files,
                                  size_t *n_missing, tl_error *err)
{
    const char *index = tl_path_join(arena, folder, "model.safetensors.index.json"),
               *single = tl_path_join(arena, folder, "model.safetensors");
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
        const char *path = tl_path_join(arena, folder, key);
        (*n_files)++;
        *n_missing += path == NULL || !tl_file_exists(path);
    }
    json_decref(shards);
    json_decref(root);
    return status;
}

static void add_architecture(const tl_spec *spec, facts *f)
{
    const tl_dims *d = &spec->dims;
    add_text(f, "family", "%s", spec->family);
    add_number(f, "layers", d->n_layers);
    add_number(f, "d_model", d->d_model);
    add_number(f, "heads", d->n_heads);
    add_number(f, "kv_heads", d->n_kv_heads);
    add_number(f, "d_head", d->d_head);
    add_number(f, "d_mlp", d->d_mlp);
    add_number(f, "vocabulary", d->n_vocab);
    add_text(f, "lm_head", "%s", spec->tied_head ? "tied" : "own");
    add_text(f, "rope_theta", "%g", spec->rope.theta);
    if (spec->rope.sections[0] > 0)
        add_text(f, "mrope_sections", "%zu/%zu/%zu", spec->rope.sections[0],
                 spec->rope.sections[1], spec->rope.sections[2]);
    if (spec->window > 0)
        add_text(
            f, "sliding_window", "%zu, all positions in %s%zu", spec->window,
            spec->global_every > 0 ? "one layer of " : "layers: ", spec->global_every);
    add_text(f, "attention", "%s",
             spec->bidirectional         ? "both ways"
             : spec->image_bidirectional ? "causal, images both ways"
                                         : "causal");
    add_number(f, "vision_layers", spec->vision.depth);
    add_number(f, "vision_width", spec->vision.width);
}

/* How an image of the size that is asked for enters a prompt. */
static tl_status add_image(const options *o, const char *folder, tl_arena *arena,
                           tl_pixels *pixels, size_t *n_tokens, facts *f, tl_error *err)
{
    const tl_status status = tl_processor_measure(
        folder, o->image_width, o->image_height, arena, pixels, n_tokens, err);
    if (status == TL_OK)
        add_number(f, "image_tokens", *n_tokens);
    return status;
}

static tl_status add_memory(const tl_model *model, const options *o, size_t n_pos,
                            const tl_pixels *pixels, facts *f, tl_error *err)
{
    tl_memory_plan p;
    size_t back = 0;
    const tl_pass_options pass = {.last_only = true, .for_backward = true};
    tl_status status = tl_memory_plan_make(model, o->settings.threads, n_pos, o->batch,
                                           pixels, &p, err);
    if (status == TL_OK)
        status = tl_memory_plan_pass(model, n_pos, o->batch, &pass, &back, err);
    if (status != TL_OK)
        return status;
    add_number(f, "forward_bytes", p.forward);
    add_number(f, "attribution_pass_bytes", back);
    if (pixels != NULL)
        add_number(f, "vision_bytes", p.vision);
    add_number(f, "cache_bytes", p.cache);
    add_number(f, "product_bytes", p.products);
    add_number(f, "input_bytes", p.inputs);
    add_number(f, "process_bytes", p.process);
    add_number(f, "read_weight_bytes", p.weights);
    add_number(f, "predict_peak_bytes", p.peak);
    size_t study = 0, tower = 0;
    if (pixels != NULL)
        status = tl_memory_plan_tower(model, n_pos, pixels, &tower, err);
    if (status == TL_OK)
        status = tl_study_least_memory(model, n_pos, p.products + tower, &study, err);
    if (status == TL_OK)
        add_text(f, "study_least_memory", "%zuM", study);
    return status;
}

/* ---- what a study takes -------------------------------------------------------- */

/* What products cost: of one prompt forward, and of one pair attributed by each method, when
 * its prompts share no prefix. */
static tl_status add_products(const tl_model *model, const tl_settings *settings,
                              size_t n_pos, facts *f, tl_error *err)
{
    const tl_pass_options forward = {.last_only = true};
    tl_attribution_options ig = tl_settings_attribution(settings, 0), relp = ig;
    ig.method = TL_METHOD_IG;
    relp.method = TL_METHOD_RELP;
    double flops[3] = {0.0};
    tl_status status =
        tl_pass_flops_add(model, n_pos, 0, &forward, 1.0, &flops[0], err);
    if (status == TL_OK)
        status = tl_attribution_flops(model, n_pos, 0, &ig, &flops[1], err);
    if (status == TL_OK)
        status = tl_attribution_flops(model, n_pos, 0, &relp, &flops[2], err);
    add_text(f, "forward_flops", "%.0f", flops[0]);
    add_text(f, "ig_flops", "%.0f", flops[1]);
    add_text(f, "relp_flops", "%.0f", flops[2]);
    return status;
}

/* Prompts of one length, which differ from their first position on and are data up to the
 * last: nobody knows them yet. An image is in the image prompts. */
static tl_study_shape shape_of(const options *o, size_t image_tokens)
{
    const size_t n_rows = o->settings.prompts > 0 ? o->settings.prompts : STUDY_ROWS;
    const size_t n_pos[TL_MODALITY_COUNT] = {o->n_pos, o->n_pos + image_tokens};
    tl_study_shape shape = {.circuit = TL_STUDY_CIRCUIT_SHARE};
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        shape.n_rows[m] = n_rows;
        shape.spans[m] = (tl_span){n_pos[m], 0, n_pos[m] > 1 ? n_pos[m] - 1 : 1};
    }
    return shape;
}

/* Forward passes of back-patching alone, by each search. */
static tl_status add_searches(const tl_model *model, const options *o,
                              const tl_sizes *sizes, const tl_study_shape *shape,
                              facts *f, tl_error *err)
{
    static const char *const keys[] = {[TL_BP_FULL] = "backpatch_full_forward_passes",
                                       [TL_BP_HALVING] =
                                           "backpatch_halving_forward_passes"};
    tl_status status = TL_OK;
    for (int search = TL_BP_FULL; search <= TL_BP_HALVING && status == TL_OK;
         search++) {
        tl_stage_cost costs[TL_STUDY_COSTS];
        tl_settings settings = o->settings;
        size_t n = 0;
        double forwards = 0.0;
        settings.bp_search = search;
        status = tl_study_costs(model, &settings, sizes, shape, costs, &n, err);
        for (size_t i = 0; i < n && status == TL_OK; i++)
            if (strncmp(costs[i].name, "back-patch", 10) == 0)
                forwards += costs[i].forwards;
        add_text(f, keys[search], "%.0f", forwards);
    }
    return status;
}

static tl_status add_study(const tl_model *model, const options *o,
                           const tl_pixels *pixels, size_t image_tokens,
                           tl_arena *arena, work *w, facts *f, tl_error *err)
{
    const tl_study_shape shape = shape_of(o, image_tokens);
    tl_sizes sizes;
    double rate = 1.0, passes = 0.0, flops = 0.0;
    uint64_t tower = 0;
    tl_status status = tl_settings_sizes(&o->settings, true, arena, &sizes, err);
    if (status == TL_OK)
        status = time_products(&o->settings, &rate, err);
    if (status == TL_OK)
        status =
            tl_study_costs(model, &o->settings, &sizes, &shape, w->costs, &w->n, err);
    if (status == TL_OK && pixels != NULL)
        status = tl_model_vision_flops(model, pixels, &tower, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < w->n; i++) {
        passes += w->costs[i].forwards;
        flops += w->costs[i].flops;
    }
    add_number(f, "study_prompts", shape.n_rows[TL_TEXT]);
    add_text(f, "study_forward_passes", "%.0f", passes);
    add_text(f, "study_flops", "%.4g", flops);
    add_text(f, "study_tower_flops", "%.4g",
             (double)tower * (double)shape.n_rows[TL_IMAGE]);
    flops += (double)tower * (double)shape.n_rows[TL_IMAGE];
    add_text(f, "product_flops_per_second_here", "%.3g", rate);
    add_text(f, "study_hours_here", "%.2g", flops / rate / 3600.0);
    status = add_searches(model, o, &sizes, &shape, f, err);
    return status == TL_OK
               ? add_products(model, &o->settings, o->n_pos + image_tokens, f, err)
               : status;
}

/* The model with its weights, if they are there; *opened is NULL if they are not. */
static tl_status find_weights(const char *folder, const tl_model_options *how,
                              tl_arena *arena, const tl_model *bare, tl_model **opened,
                              facts *f, tl_error *err)
{
    const tl_weights *w = tl_model_weights(bare);
    size_t n_files = 0, n_missing = 0;
    tl_status status = look_for_weights(folder, arena, &n_files, &n_missing, err);
    if (status != TL_OK)
        return status;
    add_number(f, "decoder_parameters",
               w->embed_size.parameters + w->decoder_size.parameters);
    add_number(f, "vision_parameters", w->vision_size.parameters);
    if (n_missing > 0)
        add_text(f, "weights", "%zu of %zu files are not there", n_missing, n_files);
    if (n_missing > 0 || n_files == 0)
        return TL_OK;
    /* Every tensor is found and checked. */
    if ((status = tl_model_open(folder, how, opened, err)) != TL_OK)
        return status;
    size_t parameters = 0, bytes = 0;
    count_tensors(tl_model_file(*opened), &parameters, &bytes);
    add_number(f, "parameters", parameters);
    add_number(f, "weight_bytes", bytes);
    add_number(f, "weight_files", n_files);
    return TL_OK;
}

/* The memory with the tokenizer, where there is one, in it. */
static tl_status add_memory_beside_tokenizer(const tl_model *model, const options *o,
                                             const char *folder, size_t n_pos,
                                             const tl_pixels *pixels, facts *f,
                                             tl_arena *arena, tl_error *err)
{
    tl_processor *processor = NULL;
    const char *tokenizer = tl_path_join(arena, folder, "tokenizer.json");
    tl_status status = TL_OK;
    if (tokenizer == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    else if (tl_file_exists(tokenizer))
        status =
            tl_processor_open(folder, tl_model_dims(model)->n_vocab, &processor, err);
    if (status == TL_OK)
        status = add_memory(model, o, n_pos, pixels, f, err);
    tl_processor_close(processor);
    return status;
}

static tl_status inspect(const options *o, const char *folder, tl_arena *arena,
                         FILE *out, tl_error *err)
{
    facts f = {.n = 0};
    work w = {.n = 0};
    tl_model *bare = NULL, *opened = NULL;
    tl_pixels pixels = {0};
    size_t image_tokens = 0;
    const bool has_image = o->image_size != NULL;
    const tl_model_options how = {.backend = o->settings.backend,
                                  .n_threads = o->settings.threads};
    tl_status status = tl_model_open_bare(folder, &how, &bare, err);
    if (status != TL_OK)
        return status;
    const tl_dims *d = tl_model_dims(bare);
    add_architecture(tl_model_spec(bare), &f);
    status = find_weights(folder, &how, arena, bare, &opened, &f, err);
    const tl_model *model = opened != NULL ? opened : bare;
    if (status == TL_OK && has_image)
        status = add_image(o, folder, arena, &pixels, &image_tokens, &f, err);
    const size_t n_pos = o->n_pos + image_tokens;
    add_number(&f, "prompt_tokens", n_pos);
    add_number(&f, "batch", o->batch);
    add_number(&f, "head_components", d->n_layers * d->n_heads * n_pos);
    add_number(&f, "neuron_components", d->n_layers * d->d_mlp * n_pos);
    /* First the time: after it the libraries are in memory. */
    if (status == TL_OK)
        status = add_study(model, o, has_image ? &pixels : NULL, image_tokens, arena,
                           &w, &f, err);
    if (status == TL_OK)
        status = add_memory_beside_tokenizer(
            model, o, folder, n_pos, has_image ? &pixels : NULL, &f, arena, err);
    if (status == TL_OK && o->json)
        status = print_json(d, &f, &w, out, err);
    else if (status == TL_OK)
        print_table(d, &f, &w, out);
    tl_model_close(opened);
    tl_model_close(bare);
    return status;
}

static const tl_taken settings[] = {{.name = "model"},     {.name = "backend"},
                                    {.name = "threads"},   {.name = "prompts"},
                                    {.name = "method"},    {.name = "ig-steps"},
                                    {.name = "ig-rule"},   {.name = "grid"},
                                    {.name = "fractions"}, {.name = "pictures"},
                                    {.name = "validate"},  {.name = "inter-draws"},
                                    {.name = "align"},     {.name = "bp-grid"},
                                    {.name = "bp-search"}, {0}};
static const tl_option own[] = {
    {.setting = {.name = "prompt-tokens",
                 .kind = TL_SETTING_COUNT,
                 .offset = offsetof(options, n_pos),
                 .least = 1,
                 .most = MOST_TOKENS,
                 .value = "256",
                 .argument = "T",
                 .help = "plan memory for prompts of this length, images not counted"}},
    {.setting = {.name = "image-size",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, image_size),
                 .argument = "WxH",
                 .help = "and with a picture of so many pixels in each"}},
    {.setting = {.name = "batch",
                 .kind = TL_SETTING_COUNT,
                 .offset = offsetof(options, batch),
                 .least = 1,
                 .most = MOST_TOKENS,
                 .value = "1",
                 .argument = "N",
                 .help = "and this many of them in a pass"}},
    TL_OPTION_JSON(options, "as JSON"),
    TL_OPTIONS_END};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    tl_status status =
        tl_options_read(&tl_command_inspect, argc, argv, &o, sizeof o, err);
    if (status != TL_OK)
        return status;
    if (o.n_pos > MOST_TOKENS / o.batch)
        return tl_cli_misuse(err,
                             "--prompt-tokens %zu times --batch %zu, wanted at most %d",
                             o.n_pos, o.batch, MOST_TOKENS);
    if (o.image_size != NULL &&
        (status = tl_options_extent("image-size", o.image_size, &o.image_width,
                                    &o.image_height, err)) != TL_OK)
        return status;
    if (o.image_size != NULL && o.image_width > MOST_PIXELS / o.image_height)
        return tl_cli_misuse(err, "--image-size %s, wanted at most %d pixels",
                             o.image_size, MOST_PIXELS);
    const char *folder = NULL;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    status = tl_session_model(&o.settings, arena, &folder, err);
    if (status == TL_OK)
        status = inspect(&o, folder, arena, out, err);
    tl_arena_destroy(arena);
    return status;
}

const tl_command tl_command_inspect = {
    .name = "inspect",
    .summary = "what a model is, its components, and the memory that prompts take",
    .settings = settings,
    .options = own,
    .run = run,
};
