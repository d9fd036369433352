/* SPDX-License-Identifier: MIT
 *
 * cmd_inspect.c - `twinlens inspect`: what a model is, how many components it has, and
 * how much memory prompts of a given length, and how long a study, will take. Without weights (a folder with
 * only a config.json) it says what the configuration tells.
 */
#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/session.h"
#include "cli/study.h"
#include "model/model_private.h"
#include "twinlens/safetensors.h"

enum {
    MOST_TOKENS = 1000 * 1000 * 1000, /* of a plan; its numbers stay exact */
    STUDY_ROWS = 250,                 /* of each modality */
};

typedef struct options {
    tl_session_options session;
    size_t n_pos, batch;
    bool json;
} options;

/* Parameters of the decoder, from its sizes. */
static size_t count_parameters(const tl_spec *s)
{
    const tl_dims *d = &s->dims;
    const size_t q = d->n_heads * d->d_head, kv = d->n_kv_heads * d->d_head;
    size_t layer =
        d->d_model * (2 * q + 2 * kv) + 3 * d->d_model * d->d_mlp + 2 * d->d_model;
    layer += s->qkv_bias ? q + 2 * kv : 0;
    layer += s->qk_norm ? 2 * d->d_head : 0;
    layer += s->post_norms ? 2 * d->d_model : 0;
    const size_t table = d->n_vocab * d->d_model;
    return d->n_layers * layer + d->d_model + (s->tied_head ? table : 2 * table);
}

/* Bytes of one pass over the prompts, forward and for the way back. */
static tl_status plan(const tl_model *model, const options *o, tl_arena *arena,
                      size_t *forward, size_t *back, tl_error *err)
{
    size_t *n_pos = tl_arena_alloc(arena, o->batch, sizeof *n_pos);
    if (n_pos == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a plan of %zu prompts",
                       o->batch);
    for (size_t i = 0; i < o->batch; i++)
        n_pos[i] = o->n_pos;
    const tl_pass_options go = {.last_only = true},
                          go_back = {.last_only = true, .for_backward = true};
    const tl_status status =
        tl_pass_bytes(model, n_pos, NULL, o->batch, &go, forward, err);
    return status != TL_OK
               ? status
               : tl_pass_bytes(model, n_pos, NULL, o->batch, &go_back, back, err);
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

/* One property for the table and the JSON alike: a number, or words. */
typedef struct fact {
    const char *key;
    size_t value;
    const char *text; /* NULL: `value` */
} fact;

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

static tl_status print_json(const tl_dims *dims, const fact *facts, size_t n, FILE *out,
                            tl_error *err)
{
    json_t *object = json_object(), *shapes = json_object();
    bool whole = object != NULL && shapes != NULL;
    for (size_t i = 0; i < n && whole; i++)
        whole =
            json_object_set_new(object, facts[i].key,
                                facts[i].text != NULL
                                    ? json_string(facts[i].text)
                                    : json_integer((json_int_t)facts[i].value)) == 0;
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
    if (whole) {
        json_dumpf(object, out, JSON_INDENT(1));
        fputc('\n', out);
    }
    json_decref(object);
    return whole ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the result");
}

static void print_table(const tl_dims *dims, const fact *facts, size_t n, FILE *out)
{
    site_shape sites[SITES];
    list_sites(dims, sites);
    fprintf(out, "property\tvalue\n");
    for (size_t i = 0; i < n; i++)
        if (facts[i].text != NULL)
            fprintf(out, "%s\t%s\n", facts[i].key, facts[i].text);
        else
            fprintf(out, "%s\t%zu\n", facts[i].key, facts[i].value);
    for (size_t i = 0; i < SITES; i++)
        if (sites[i].d2 > 0)
            fprintf(out, "site %s\t[T,%zu,%zu]\n", sites[i].name, sites[i].d1,
                    sites[i].d2);
        else
            fprintf(out, "site %s\t[T,%zu]\n", sites[i].name, sites[i].d1);
}

/*
 * Seconds that a forward pass over n_pos tokens takes on this machine, from the rate of a
 * matrix product: 2 multiplications and additions per parameter and token, the unembedding at
 * one position. An estimate within a factor of two: it counts no attention, and no
 * reading of weights.
 */
static tl_status time_forward(const tl_spec *spec, size_t n_pos, tl_arena *arena,
                              double *seconds, tl_error *err)
{
    enum { WIDTH = 2048, ROWS = 256, TIMES = 4 };
    const tl_dims *d = &spec->dims;
    tl_backend *backend = NULL;
    float *weight = tl_arena_alloc_zero(arena, (size_t)WIDTH * WIDTH, sizeof *weight),
          *x = tl_arena_alloc_zero(arena, (size_t)WIDTH * ROWS, sizeof *x),
          *y = tl_arena_alloc_zero(arena, (size_t)WIDTH * ROWS, sizeof *y);
    if (weight == NULL || x == NULL || y == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to time a product");
    tl_status status =
        tl_backend_create(tl_backend_default(), 0, (size_t)64 << 20, &backend, err);
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
                         (double)(end.tv_nsec - begin.tv_nsec) / 1e9,
                 rate = 2.0 * WIDTH * WIDTH * ROWS * TIMES / spent;
    const double table = (double)d->n_vocab * (double)d->d_model,
                 inner = (double)count_parameters(spec) -
                         table * (spec->tied_head ? 1.0 : 2.0);
    *seconds = 2.0 * (inner * (double)n_pos + table) / rate;
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

static tl_status inspect(const options *o, const char *folder, tl_arena *arena,
                         FILE *out, tl_error *err)
{
    tl_spec spec;
    tl_status status = tl_spec_read(folder, &spec, err);
    if (status != TL_OK)
        return status;
    const tl_dims *d = &spec.dims;
    char theta[32], sections[96];
    snprintf(theta, sizeof theta, "%g", spec.rope.theta);
    snprintf(sections, sizeof sections, "%zu/%zu/%zu", spec.rope.sections[0],
             spec.rope.sections[1], spec.rope.sections[2]);
    fact facts[32];
    size_t n = 0;
    facts[n++] = (fact){"family", 0, spec.family};
    facts[n++] = (fact){"layers", d->n_layers, NULL};
    facts[n++] = (fact){"d_model", d->d_model, NULL};
    facts[n++] = (fact){"heads", d->n_heads, NULL};
    facts[n++] = (fact){"kv_heads", d->n_kv_heads, NULL};
    facts[n++] = (fact){"d_head", d->d_head, NULL};
    facts[n++] = (fact){"d_mlp", d->d_mlp, NULL};
    facts[n++] = (fact){"vocabulary", d->n_vocab, NULL};
    facts[n++] = (fact){"lm_head", 0, spec.tied_head ? "tied" : "own"};
    facts[n++] = (fact){"rope_theta", 0, theta};
    if (spec.rope.sections[0] > 0)
        facts[n++] = (fact){"mrope_sections", 0, sections};
    facts[n++] = (fact){"decoder_parameters", count_parameters(&spec), NULL};
    facts[n++] = (fact){"vision_layers", spec.vision.depth, NULL};
    facts[n++] = (fact){"vision_width", spec.vision.width, NULL};
    facts[n++] = (fact){"prompt_tokens", o->n_pos, NULL};
    facts[n++] = (fact){"batch", o->batch, NULL};
    facts[n++] = (fact){"head_components", d->n_layers * d->n_heads * o->n_pos, NULL};
    facts[n++] = (fact){"neuron_components", d->n_layers * d->d_mlp * o->n_pos, NULL};

    /* A plan needs the spec alone; weights are opened only to be counted. */
    const tl_model bare = {.spec = spec};
    size_t forward = 0, back = 0;
    if ((status = plan(&bare, o, arena, &forward, &back, err)) != TL_OK)
        return status;
    facts[n++] = (fact){"forward_bytes", forward, NULL};
    facts[n++] = (fact){"attribution_pass_bytes", back, NULL};

    double seconds = 0.0;
    char forwards[32], hours[32];
    const double passes = 2.0 * tl_study_forwards(d->n_layers, STUDY_ROWS);
    if ((status = time_forward(&spec, o->n_pos, arena, &seconds, err)) != TL_OK)
        return status;
    snprintf(forwards, sizeof forwards, "%.0f", passes);
    snprintf(hours, sizeof hours, "%.2g", passes * seconds / 3600.0);
    facts[n++] = (fact){"study_forward_passes", 0, forwards};
    facts[n++] = (fact){"study_hours_here", 0, hours};

    char missing[64];
    size_t n_files = 0, n_missing = 0;
    if ((status = look_for_weights(folder, arena, &n_files, &n_missing, err)) != TL_OK)
        return status;
    if (n_missing > 0) {
        snprintf(missing, sizeof missing, "%zu of %zu files are not there", n_missing,
                 n_files);
        facts[n++] = (fact){"weights", 0, missing};
    } else if (n_files > 0) {
        tl_model *model = NULL; /* every tensor is found and checked */
        const tl_model_options model_options = {.backend = "ref"};
        if ((status = tl_model_open(folder, &model_options, &model, err)) != TL_OK)
            return status;
        size_t parameters = 0, bytes = 0;
        count_tensors(model->file, &parameters, &bytes);
        facts[n++] = (fact){"parameters", parameters, NULL};
        facts[n++] = (fact){"weight_bytes", bytes, NULL};
        facts[n++] = (fact){"weight_files", n_files, NULL};
        tl_model_close(model);
    }
    if (o->json)
        return print_json(d, facts, n, out, err);
    print_table(d, facts, n, out);
    return TL_OK;
}

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o = {.n_pos = 256, .batch = 1};
    const tl_option table[] = {
        {.name = "model",
         .kind = TL_OPTION_STRING,
         .value = &o.session.model,
         .argument = "DIR",
         .help = "a Hugging Face model folder or hub cache entry (the bundled model)"},
        {.name = "prompt-tokens",
         .kind = TL_OPTION_SIZE,
         .value = &o.n_pos,
         .argument = "T",
         .help = "plan memory for prompts of this length (256)"},
        {.name = "batch",
         .kind = TL_OPTION_SIZE,
         .value = &o.batch,
         .argument = "N",
         .help = "and this many of them in a pass (1)"},
        {.name = "json", .kind = TL_OPTION_FLAG, .value = &o.json, .help = "as JSON"},
    };
    bool help = false;
    tl_status status = tl_options_parse(table, sizeof table / sizeof table[0],
                                        "inspect", argc, argv, out, &help, err);
    if (status != TL_OK || help)
        return status;
    if (o.n_pos > MOST_TOKENS / o.batch)
        return tl_cli_misuse(err,
                             "--prompt-tokens %zu times --batch %zu, wanted at most %d",
                             o.n_pos, o.batch, MOST_TOKENS);
    const char *folder = NULL;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    status = tl_session_model(&o.session, arena, &folder, err);
    if (status == TL_OK)
        status = inspect(&o, folder, arena, out, err);
    tl_arena_destroy(arena);
    return status;
}

const tl_command tl_command_inspect = {
    .name = "inspect",
    .summary = "what a model is, its components, and the memory that prompts take",
    .run = run,
};
