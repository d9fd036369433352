/* SPDX-License-Identifier: MIT
 *
 * cmd_inspect.c - `twinlens inspect`: what a model is, how many components it has, how
 * much memory prompts of a given length and images of a given size take, and how long a
 * study. Without weights (a folder with only a config.json) it says what the configuration
 * tells.
 */
#include <jansson.h>
#include <stdio.h>

#include "cli/options.h"
#include "cli/shared_options.h"
#include "study/forecast.h"
#include "study/session.h"

enum {
    MOST_TOKENS = 1000 * 1000 * 1000, /* of a plan; its numbers stay exact */
    MOST_PIXELS = 1 << 28,            /* as of an image file */
};

typedef struct options {
    tl_settings settings;
    const char *image_size;
    tl_forecast_prompts prompts;
    bool json;
} options;

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

static json_t *costs_json(const tl_forecast *f)
{
    json_t *list = json_array();
    for (size_t i = 0; i < f->n_costs; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:I, s:f, s:f}", "stage", f->costs[i].name, "units",
                            (json_int_t)f->costs[i].n_units, "forward_passes",
                            f->costs[i].forwards, "product_flops", f->costs[i].flops));
    return list;
}

static tl_status print_json(const tl_forecast *f, FILE *out, tl_error *err)
{
    json_t *object = json_object(), *shapes = json_object();
    bool whole = object != NULL && shapes != NULL;
    for (size_t i = 0; i < f->n_facts && whole; i++) {
        const tl_fact *one = &f->facts[i];
        whole = json_object_set_new(object, one->key,
                                    one->text[0] != '\0'
                                        ? json_string(one->text)
                                        : json_integer((json_int_t)one->value)) == 0;
    }
    site_shape sites[SITES];
    list_sites(&f->dims, sites);
    for (size_t i = 0; i < SITES && whole; i++) {
        json_t *shape = json_pack("[s, I]", "T", (json_int_t)sites[i].d1);
        if (sites[i].d2 > 0)
            whole = json_array_append_new(shape,
                                          json_integer((json_int_t)sites[i].d2)) == 0;
        whole = json_object_set_new(shapes, sites[i].name, shape) == 0 && whole;
    }
    whole = json_object_set_new(object, "sites", shapes) == 0 && whole;
    whole = json_object_set_new(object, "stages", costs_json(f)) == 0 && whole;
    if (whole) {
        json_dumpf(object, out, JSON_INDENT(1));
        fputc('\n', out);
    }
    json_decref(object);
    return whole ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the result");
}

static void print_table(const tl_forecast *f, FILE *out)
{
    site_shape sites[SITES];
    char text[96];
    list_sites(&f->dims, sites);
    fprintf(out, "property\tvalue\n");
    for (size_t i = 0; i < f->n_facts; i++) {
        tl_fact_say(&f->facts[i], text);
        fprintf(out, "%s\t%s\n", f->facts[i].key, text);
    }
    for (size_t i = 0; i < f->n_costs; i++)
        fprintf(out, "stage %s\t%.0f forward passes, %.4g FLOP\n", f->costs[i].name,
                f->costs[i].forwards, f->costs[i].flops);
    for (size_t i = 0; i < SITES; i++)
        if (sites[i].d2 > 0)
            fprintf(out, "site %s\t[T,%zu,%zu]\n", sites[i].name, sites[i].d1,
                    sites[i].d2);
        else
            fprintf(out, "site %s\t[T,%zu]\n", sites[i].name, sites[i].d1);
}

static const tl_taken settings[] = {
    {.name = "model"},     {.name = "backend"},       {.name = "threads"},
    {.name = "precision"}, {.name = "prompts"},       {.name = "method"},
    {.name = "ig-steps"},  {.name = "ig-rule"},       {.name = "grid"},
    {.name = "fractions"}, {.name = "circuit-tests"}, {.name = "pictures"},
    {.name = "validate"},  {.name = "inter-draws"},   {.name = "align"},
    {.name = "bp-grid"},   {.name = "bp-search"},     {0}};
static const tl_option own[] = {
    TL_OPTION_COUNT(options, prompts.n_pos, MOST_TOKENS, "256", "prompt-tokens", "T",
                    "plan memory for prompts of this length, images not counted"),
    TL_OPTION_TEXT(options, image_size, false, "image-size", "WxH",
                   "and with a picture of so many pixels in each"),
    TL_OPTION_COUNT(options, prompts.batch, MOST_TOKENS, "1", "batch", "N",
                    "and this many of them in a pass"),
    TL_OPTION_JSON(options, "as JSON, with exact numbers"), TL_OPTIONS_END};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    tl_status status =
        tl_options_read(&tl_command_inspect, argc, argv, &o, sizeof o, err);
    if (status != TL_OK)
        return status;
    if (o.prompts.n_pos > MOST_TOKENS / o.prompts.batch)
        return tl_cli_misuse(err,
                             "--prompt-tokens %zu times --batch %zu, wanted at most %d",
                             o.prompts.n_pos, o.prompts.batch, MOST_TOKENS);
    tl_forecast_prompts *p = &o.prompts;
    if (o.image_size != NULL &&
        (status = tl_options_extent("image-size", o.image_size, &p->image_width,
                                    &p->image_height, err)) != TL_OK)
        return status;
    if (o.image_size != NULL && p->image_width > MOST_PIXELS / p->image_height)
        return tl_cli_misuse(err, "--image-size %s, wanted at most %d pixels",
                             o.image_size, MOST_PIXELS);
    const char *folder = NULL;
    tl_forecast f;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    status = tl_session_model(&o.settings, arena, &folder, err);
    if (status == TL_OK)
        status = tl_forecast_make(folder, &o.settings, p, arena, &f, err);
    if (status == TL_OK && o.json)
        status = print_json(&f, out, err);
    else if (status == TL_OK)
        print_table(&f, out);
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
