/* SPDX-License-Identifier: MIT
 * models_files.c - studies of several models and tasks as CSV and JSON (models_page.h). */
#include "report/models_page.h"

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/csv_write.h"
#include "report/json_interval.h"
#include "twinlens/report.h"

/* ---- CSV --------------------------------------------------------------------------------- */

void tl_models_write_csv(const tl_models *models, const tl_models_list *list, FILE *out)
{
    fprintf(out, "model,task,%s,", list->part);
    if (list->at != NULL)
        fprintf(out, "%s,", list->at);
    fprintf(out, "%s,low,high,n,undefined,published,missing,folder\r\n",
            list->value_name);
    for (size_t i = 0; i < list->n; i++) {
        const tl_models_number *x = &list->numbers[i];
        const tl_models_study *s = &models->studies[x->study];
        const char *const words[] = {models->models[s->model], models->rows[s->row],
                                     x->part};
        for (size_t k = 0; k < 3; k++) {
            tl_csv_write_text(out, words[k]);
            fputc(',', out);
        }
        const double numbers[] = {x->at, x->value.value, x->value.low, x->value.high};
        for (size_t k = list->at == NULL; k < 4; k++) {
            tl_csv_write_number(out, 9, numbers[k]);
            fputc(',', out);
        }
        fprintf(out, "%zu,%zu,", x->value.n, x->value.n_undefined);
        tl_csv_write_number(out, 9, x->published);
        fputc(',', out);
        tl_csv_write_text(out, x->missing != NULL ? x->missing : "");
        fputc(',', out);
        tl_csv_write_text(out, s->findings->folder);
        fputs("\r\n", out);
    }
}

void tl_models_write_settings_csv(const tl_models *models, FILE *out)
{
    fputs("setting,value,model,task,folder\r\n", out);
    for (size_t i = 0; i < models->n_settings; i++) {
        const tl_models_value *v = &models->settings[i];
        for (size_t k = 0; k < v->n; k++) {
            const tl_models_study *s = &models->studies[v->studies[k]];
            const char *const words[] = {v->setting, v->value, models->models[s->model],
                                         models->rows[s->row], s->findings->folder};
            for (size_t c = 0; c < 5; c++) {
                tl_csv_write_text(out, words[c]);
                fputs(c < 4 ? "," : "\r\n", out);
            }
        }
    }
}

/* ---- JSON -------------------------------------------------------------------------------- */

/* Takes `value`; whether there was memory for all of it. */
static bool put(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

static bool append(json_t *array, json_t *value)
{
    return json_array_append_new(array, value) == 0;
}

/* Names of folders may be any bytes: what is no UTF-8 is "?". */
static json_t *text_json(tl_arena *arena, const char *text)
{
    json_t *value = json_string(text);
    char *copy = value == NULL ? tl_arena_strdup(arena, text) : NULL;
    for (char *c = copy; c != NULL && *c != '\0'; c++)
        *c = (*c & 0x80) != 0 ? '?' : *c;
    return copy != NULL ? json_string(copy) : value;
}

static json_t *study_json(const tl_models *models, const tl_models_study *s,
                          tl_arena *arena)
{
    const tl_findings *f = s->findings;
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:[I,I]}", "name",
        text_json(arena, s->name), "model", text_json(arena, models->models[s->model]),
        "model_name", text_json(arena, tl_findings_key(f, "model-name")), "model_hash",
        text_json(arena, tl_findings_key(f, "model")), "task",
        text_json(arena, models->rows[s->row]), "told_apart_by",
        text_json(arena, s->variant), "dataset_name",
        text_json(arena, tl_findings_key(f, "dataset-name")), "dataset_hash",
        text_json(arena, tl_findings_key(f, "dataset")), "folder",
        text_json(arena, f->folder), "finished", (int)f->finished, "as_published",
        (int)(s->published != NULL), "prompts", (json_int_t)f->parts[TL_TEXT].n_prompts,
        (json_int_t)f->parts[TL_IMAGE].n_prompts);
}

static json_t *number_json(const tl_models *models, const tl_models_list *list,
                           const tl_models_number *x, tl_arena *arena)
{
    const tl_models_study *s = &models->studies[x->study];
    json_t *object = json_pack("{s:I, s:o, s:o, s:o}", "study", (json_int_t)x->study,
                               "model", text_json(arena, models->models[s->model]),
                               "task", text_json(arena, models->rows[s->row]),
                               list->part, text_json(arena, x->part));
    const bool whole =
        object != NULL &&
        (list->at == NULL || put(object, list->at, tl_json_number(x->at))) &&
        put(object, "value",
            isnan(x->value.value) ? json_null() : tl_json_interval(&x->value)) &&
        put(object, "published", tl_json_number(x->published)) &&
        put(object, "missing",
            x->missing != NULL ? text_json(arena, x->missing) : json_null());
    if (whole)
        return object;
    json_decref(object);
    return NULL;
}

/* By model, then of all studies, whose model is null. */
static json_t *means_json(const tl_models *models, const tl_models_list *list,
                          tl_arena *arena)
{
    json_t *means = json_array();
    bool whole = means != NULL;
    for (size_t m = 0; m <= models->n_models && whole; m++)
        for (size_t k = 0; k < list->n_parts && whole; k++) {
            tl_models_mean mean;
            whole = tl_models_mean_of(models, list, m < models->n_models ? m : SIZE_MAX,
                                      list->parts[k], arena, &mean, NULL) == TL_OK &&
                    append(means,
                           json_pack("{s:o, s:s, s:o, s:I, s:o, s:I, s:o}", "model",
                                     m < models->n_models
                                         ? text_json(arena, models->models[m])
                                         : json_null(),
                                     list->part, list->parts[k], "value",
                                     tl_json_interval(&mean.value), "studies",
                                     (json_int_t)mean.n, "published",
                                     tl_json_number(mean.published),
                                     "published_studies", (json_int_t)mean.n_published,
                                     "of_these", tl_json_interval(&mean.same)));
        }
    if (whole)
        return means;
    json_decref(means);
    return NULL;
}

static json_t *list_json(const tl_models *models, const tl_models_list *list,
                         tl_arena *arena)
{
    json_t *numbers = json_array(),
           *object = json_pack("{s:s, s:s, s:O?}", "shows", list->title, "value",
                               list->value_name, "numbers", numbers);
    bool whole = numbers != NULL && object != NULL;
    for (size_t i = 0; i < list->n && whole; i++)
        whole = append(numbers, number_json(models, list, &list->numbers[i], arena));
    if (whole && list->has_means)
        whole = put(object, "means", means_json(models, list, arena));
    json_decref(numbers);
    if (whole)
        return object;
    json_decref(object);
    return NULL;
}

static bool put_studies(const tl_models *models, json_t *root, tl_arena *arena)
{
    json_t *studies = json_array(), *settings = json_array();
    /* Both are put, whatever becomes of the first: the object owns them then. */
    const bool has_studies = put(root, "studies", studies),
               has_settings = put(root, "settings_that_differ", settings);
    bool whole = has_studies && has_settings;
    for (size_t i = 0; i < models->n && whole; i++)
        whole = append(studies, study_json(models, &models->studies[i], arena));
    for (size_t i = 0; i < models->n_settings && whole; i++) {
        const tl_models_value *v = &models->settings[i];
        json_t *of = json_array();
        whole = append(settings, json_pack("{s:o, s:o, s:O?}", "setting",
                                           text_json(arena, v->setting), "value",
                                           text_json(arena, v->value), "studies", of));
        for (size_t k = 0; k < v->n && whole; k++)
            whole = of != NULL && append(of, json_integer((json_int_t)v->studies[k]));
        json_decref(of);
    }
    return whole;
}

/* What the published curves of figure 7 lie between, of models that are the paper's. */
static bool put_published_alignment(const tl_models *models, json_t *root,
                                    tl_arena *arena)
{
    json_t *layers = json_array();
    bool whole = put(root, "published_alignment", layers);
    for (size_t m = 0; m < models->n_models && whole; m++) {
        const tl_published_layer *of = models->published_layers[m];
        for (size_t l = 0; of != NULL && l < TL_PUBLISHED_LAYERS && whole; l++)
            whole = append(layers, json_pack("{s:o, s:I, s:[f,f]}", "model",
                                             text_json(arena, models->models[m]),
                                             "layer", (json_int_t)of[l].layer,
                                             "between", of[l].low, of[l].high));
    }
    return whole;
}

tl_status tl_models_write_json(const tl_models *models, tl_arena *arena, FILE *out,
                               tl_error *err)
{
    json_t *root = json_object();
    bool whole = root != NULL && put_studies(models, root, arena) &&
                 put_published_alignment(models, root, arena);
    for (size_t i = 0; i < TL_MODELS_LISTS && whole; i++)
        whole = put(root, models->lists[i].name,
                    list_json(models, &models->lists[i], arena));
    if (whole)
        return tl_json_dump(root, out, err);
    json_decref(root);
    return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu studies", models->n);
}

tl_status tl_summary_models_json(const char *const *folders, size_t n_folders,
                                 FILE *out, tl_error *err)
{
    tl_models models;
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu studies", n_folders);
    tl_status status = tl_models_read(folders, n_folders, arena, &models, err);
    if (status == TL_OK)
        status = tl_models_write_json(&models, arena, out, err);
    tl_arena_destroy(arena);
    return status;
}
