/* SPDX-License-Identifier: MIT
 * models.c - see models.h: which models and tasks there are, and what they are called. */
#include "finding/models.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct maker {
    const tl_findings *all;
    size_t n;
    tl_models_study *studies;
    tl_arena *arena;
    tl_error *err;
} maker;

enum { LONGEST = 100 }; /* of a name in a text, in bytes */

/* So many bytes of a text, no letter of UTF-8 cut in two. */
static int cut(const char *text, int longest)
{
    int length = (int)strnlen(text, (size_t)longest + 1);
    if (length > longest)
        for (length = longest;
             length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80;)
            length--;
    return length;
}

static tl_status no_memory(const maker *m)
{
    return tl_fail(m->err, TL_ERR_NO_MEMORY, "no memory for %zu studies", m->n);
}

static const char *key_of(const maker *m, size_t i, const char *key)
{
    return tl_findings_key(&m->all[i], key);
}

static bool is_same(const maker *m, size_t i, size_t k, const char *key)
{
    return strcmp(key_of(m, i, key), key_of(m, k, key)) == 0;
}

static const char *recorded(const char *value)
{
    return value[0] != '\0' ? value : "not recorded";
}

/* A study without a task is one of its own. */
static const char *task_of(const maker *m, size_t i)
{
    const char *task = key_of(m, i, "task");
    return task[0] != '\0' ? task : m->all[i].folder;
}

static bool same_task(const maker *m, size_t i, size_t k)
{
    return strcmp(task_of(m, i), task_of(m, k)) == 0;
}

static bool same_model(const maker *m, size_t i, size_t k)
{
    return is_same(m, i, k, "model");
}

/* ---- models ------------------------------------------------------------------------ */

static const char *short_name(const maker *m, size_t i)
{
    const char *name = key_of(m, i, "model-name"), *slash = strrchr(name, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : name;
}

/* The name without who offers it; with it, or with the beginning of the hash, where another
 * model is called the same. */
static const char *model_name(const maker *m, size_t i)
{
    const char *name = short_name(m, i), *full = key_of(m, i, "model-name");
    bool is_short = name[0] != '\0', is_full = is_short;
    char text[300];
    for (size_t k = 0; k < m->n; k++) {
        if (same_model(m, i, k))
            continue;
        is_short = is_short && strcmp(name, short_name(m, k)) != 0;
        is_full = is_full && !is_same(m, i, k, "model-name");
    }
    if (is_full)
        snprintf(text, sizeof text, "%.*s", cut(is_short ? name : full, 2 * LONGEST),
                 is_short ? name : full);
    else if (name[0] != '\0')
        snprintf(text, sizeof text, "%.*s (%.12s)", cut(name, 2 * LONGEST), name,
                 key_of(m, i, "model"));
    else
        snprintf(text, sizeof text, "%.12s", recorded(key_of(m, i, "model")));
    return tl_arena_strdup(m->arena, text);
}

/* The first study of each model or task, ordered by place, then as they come. */
static void put_in_order(size_t *firsts, const size_t *places, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const size_t first = firsts[i];
        size_t at = i;
        for (; at > 0 && places[firsts[at - 1]] > places[first]; at--)
            firsts[at] = firsts[at - 1];
        firsts[at] = first;
    }
}

/* `room` [2 n]: firsts and places. */
static tl_status name_models(const maker *m, size_t *room, tl_models *out)
{
    size_t *firsts = room, *places = room + m->n, n = 0;
    for (size_t i = 0; i < m->n; i++) {
        size_t k = 0;
        while (k < i && !same_model(m, i, k))
            k++;
        places[i] = tl_published_model_place(key_of(m, i, "model-name"));
        if (k == i)
            firsts[n++] = i;
    }
    put_in_order(firsts, places, n);
    const char **names = tl_arena_alloc(m->arena, n, sizeof *names);
    const tl_published_layer **layers =
        tl_arena_alloc_zero(m->arena, n, sizeof *layers);
    if (names == NULL || layers == NULL)
        return no_memory(m);
    for (size_t k = 0; k < n; k++) {
        names[k] = model_name(m, firsts[k]);
        if (names[k] == NULL)
            return no_memory(m);
        for (size_t i = 0; i < m->n; i++)
            if (same_model(m, i, firsts[k])) {
                m->studies[i].model = k;
                if (m->studies[i].published != NULL)
                    layers[k] = tl_published_alignment(places[firsts[k]]);
            }
    }
    out->models = names;
    out->published_layers = layers;
    out->n_models = n;
    return TL_OK;
}

/* ---- what tells studies of one task apart ------------------------------------------- */

/* Whether two studies of the task and one model have other values of it. */
static bool tells_apart(const maker *m, size_t of, const char *key)
{
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < i; k++)
            if (same_task(m, of, i) && same_task(m, of, k) && same_model(m, i, k) &&
                !is_same(m, i, k, key))
                return true;
    return false;
}

static bool has_twin(const maker *m, size_t of)
{
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < i; k++)
            if (same_task(m, of, i) && same_task(m, of, k) && same_model(m, i, k))
                return true;
    return false;
}

typedef struct line {
    char text[400];
    size_t used;
} line;

/* What has no room is left out. */
static void put(line *l, const char *format, ...)
{
    const size_t room = sizeof l->text - l->used;
    va_list arguments;
    va_start(arguments, format);
    const int n = vsnprintf(l->text + l->used, room, format, arguments);
    va_end(arguments);
    if (n > 0 && (size_t)n < room)
        l->used += (size_t)n;
    l->text[l->used] = '\0';
}

static void put_key(line *l, const char *key, const char *value)
{
    value = recorded(value);
    put(l, "%s%.40s %.*s", l->used > 0 ? ", " : "", key, cut(value, LONGEST), value);
}

/* What is studied, not how. */
static bool is_input(const char *key)
{
    static const char *const inputs[] = {"model",         "model-name", "model-files",
                                         "family",        "dataset",    "dataset-name",
                                         "dataset-files", "task",       "prompts-of"};
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        if (strcmp(key, inputs[i]) == 0)
            return true;
    return false;
}

/* Whether an earlier study has that key, so that each is looked at once. */
static bool is_known(const maker *m, size_t study, const char *key)
{
    for (size_t i = 0; i < study; i++)
        for (size_t k = 0; k < m->all[i].n_keys; k++)
            if (strcmp(m->all[i].keys[k].key, key) == 0)
                return true;
    return false;
}

/* By dataset and settings; in the words of all studies of the task, so that those of other
 * models that agree have the same. */
static void describe(const maker *m, size_t of, line *l)
{
    if (tells_apart(m, of, "dataset-name"))
        put_key(l, "dataset", key_of(m, of, "dataset-name"));
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < m->all[i].n_keys; k++) {
            const char *key = m->all[i].keys[k].key;
            if (!is_input(key) && !is_known(m, i, key) && tells_apart(m, of, key))
                put_key(l, key, key_of(m, of, key));
        }
}

static bool same_variant(const maker *m, size_t i, size_t k,
                         const char *const *variants)
{
    return i != k && same_task(m, i, k) && same_model(m, i, k) &&
           strcmp(variants[i], variants[k]) == 0;
}

/* Where names and settings do not: by the dataset's hash or the folder; the same again, by how
 * often. */
static tl_status tell_rest_apart(const maker *m)
{
    const char **before = tl_arena_alloc(m->arena, m->n, sizeof *before),
               **after = tl_arena_alloc(m->arena, m->n, sizeof *after);
    if (before == NULL || after == NULL)
        return no_memory(m);
    for (size_t i = 0; i < m->n; i++)
        before[i] = m->studies[i].variant;
    for (size_t i = 0; i < m->n; i++) {
        const char *folder = m->all[i].folder;
        bool is_alone = true, has_dataset = true;
        for (size_t k = 0; k < m->n; k++)
            if (same_variant(m, i, k, before)) {
                is_alone = false;
                has_dataset = has_dataset && !is_same(m, i, k, "dataset");
            }
        after[i] = before[i];
        for (size_t time = 1, k = 0; !is_alone && k <= i; k++) {
            line l = {.used = 0};
            if (k > 0 && !same_variant(m, i, k - 1, after))
                continue;
            put(&l, "%.*s%s", cut(before[i], LONGEST), before[i],
                before[i][0] != '\0' ? ", " : "");
            if (has_dataset)
                put(&l, "dataset %.12s", recorded(key_of(m, i, "dataset")));
            else
                put(&l, "in %.*s", cut(folder, 2 * LONGEST), folder);
            if (time > 1)
                put(&l, ", time %zu", time);
            after[i] = tl_arena_strdup(m->arena, l.text);
            if (after[i] == NULL)
                return no_memory(m);
            time++;
        }
    }
    for (size_t i = 0; i < m->n; i++)
        m->studies[i].variant = after[i];
    return TL_OK;
}

static tl_status describe_all(const maker *m)
{
    for (size_t i = 0; i < m->n; i++) {
        line l = {.used = 0};
        if (has_twin(m, i))
            describe(m, i, &l);
        m->studies[i].variant = tl_arena_strdup(m->arena, l.text);
        if (m->studies[i].variant == NULL)
            return no_memory(m);
    }
    return tell_rest_apart(m);
}

/* ---- rows --------------------------------------------------------------------------- */

/* The row of a study, by the first study that is in it: one of its task in which its model has
 * none yet, if there is one in which a study is told apart by the same words. */
static size_t row_of(const maker *m, size_t of, const size_t *firsts, size_t n)
{
    size_t alike = SIZE_MAX, first_free = SIZE_MAX;
    for (size_t r = 0; r < n; r++) {
        bool is_free = same_task(m, of, firsts[r]), is_alike = false;
        for (size_t i = 0; i < of && is_free; i++)
            if (m->studies[i].row == firsts[r]) {
                is_free = !same_model(m, of, i);
                is_alike = is_alike ||
                           strcmp(m->studies[of].variant, m->studies[i].variant) == 0;
            }
        if (is_free && first_free == SIZE_MAX)
            first_free = firsts[r];
        if (is_free && is_alike && alike == SIZE_MAX)
            alike = firsts[r];
    }
    return alike != SIZE_MAX ? alike : first_free != SIZE_MAX ? first_free : of;
}

/* The number of a row among those of its task, from 1; *of is how many these are. */
static size_t number_of(const maker *m, const size_t *firsts, size_t n, size_t row,
                        size_t *of)
{
    size_t number = 0;
    *of = 0;
    for (size_t k = 0; k < n; k++) {
        *of += same_task(m, firsts[row], firsts[k]);
        if (k <= row)
            number = *of;
    }
    return number;
}

/* The place of a task is the paper's, or behind these that of its first study. */
static size_t place_of(const maker *m, size_t i)
{
    size_t first = 0;
    while (!same_task(m, first, i))
        first++;
    const size_t place = tl_published_task_place(task_of(m, i)),
                 none = tl_published_task_place("");
    return place < none ? place : none + first;
}

static tl_status name_rows(const maker *m, size_t *room, tl_models *out)
{
    size_t *firsts = room, *places = room + m->n, n = 0;
    for (size_t i = 0; i < m->n; i++) {
        places[i] = place_of(m, i);
        m->studies[i].row = row_of(m, i, firsts, n);
        if (m->studies[i].row == i)
            firsts[n++] = i;
    }
    put_in_order(firsts, places, n);
    const char **names = tl_arena_alloc(m->arena, n, sizeof *names);
    if (names == NULL)
        return no_memory(m);
    for (size_t k = 0; k < n; k++) {
        line l = {.used = 0};
        const char *task = task_of(m, firsts[k]);
        size_t of = 0;
        const size_t number = number_of(m, firsts, n, k, &of);
        put(&l, "%.*s", cut(task, LONGEST), task);
        if (of > 1)
            put(&l, " (%zu)", number);
        out->n_tasks += number == 1;
        names[k] = tl_arena_strdup(m->arena, l.text);
        if (names[k] == NULL)
            return no_memory(m);
    }
    for (size_t i = 0; i < m->n; i++) {
        size_t k = 0;
        while (firsts[k] != m->studies[i].row)
            k++;
        m->studies[i].row = k;
    }
    out->rows = names;
    out->n_rows = n;
    return TL_OK;
}

static tl_status name_studies(const maker *m, const tl_models *models)
{
    for (size_t i = 0; i < m->n; i++) {
        tl_models_study *s = &m->studies[i];
        line l = {.used = 0};
        put(&l, "%s", models->rows[s->row]);
        if (models->n_models > 1)
            put(&l, ", %s", models->models[s->model]);
        s->name = tl_arena_strdup(m->arena, l.text);
        if (s->name == NULL)
            return no_memory(m);
    }
    return TL_OK;
}

/* ---- settings ----------------------------------------------------------------------- */

/* Adds the values of a setting, if they are several. */
static tl_status add_setting(const maker *m, const char *key, tl_models_value *values,
                             size_t *n)
{
    const size_t begin = *n;
    for (size_t i = 0; i < m->n; i++) {
        const char *value = key_of(m, i, key);
        size_t at = begin;
        while (at < *n && strcmp(values[at].value, value) != 0)
            at++;
        if (at < *n)
            continue;
        size_t *studies = tl_arena_alloc(m->arena, m->n, sizeof *studies);
        if (studies == NULL)
            return no_memory(m);
        values[*n] = (tl_models_value){key, value, studies, 0};
        for (size_t k = i; k < m->n; k++)
            if (strcmp(key_of(m, k, key), value) == 0)
                studies[values[*n].n++] = k;
        ++*n;
    }
    if (*n == begin + 1)
        *n = begin;
    return TL_OK;
}

static tl_status find_settings(const maker *m, tl_models *out)
{
    size_t n_keys = 0;
    for (size_t i = 0; i < m->n; i++)
        n_keys += m->all[i].n_keys;
    tl_models_value *values = tl_arena_alloc(m->arena, m->n * n_keys, sizeof *values);
    if (values == NULL)
        return no_memory(m);
    tl_status status = TL_OK;
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < m->all[i].n_keys && status == TL_OK; k++) {
            const char *key = m->all[i].keys[k].key;
            if (!is_input(key) && !is_known(m, i, key))
                status = add_setting(m, key, values, &out->n_settings);
        }
    out->settings = values;
    return status;
}

/* ---- all of it ---------------------------------------------------------------------- */

tl_status tl_models_make(const tl_findings *all, size_t n, tl_arena *arena,
                         tl_models *out, tl_error *err)
{
    const maker m = {.all = all,
                     .n = n,
                     .studies = tl_arena_alloc_zero(arena, n, sizeof *m.studies),
                     .arena = arena,
                     .err = err};
    size_t *room = tl_arena_alloc(arena, 2 * n, sizeof *room);
    tl_models models = {.studies = m.studies, .n = n};
    if (m.studies == NULL || room == NULL)
        return no_memory(&m);
    for (size_t i = 0; i < n; i++) {
        m.studies[i].findings = &all[i];
        m.studies[i].published = tl_published_same(&all[i]);
    }
    tl_status status = name_models(&m, room, &models);
    if (status == TL_OK)
        status = describe_all(&m);
    if (status == TL_OK)
        status = name_rows(&m, room, &models);
    if (status == TL_OK)
        status = name_studies(&m, &models);
    if (status == TL_OK)
        status = find_settings(&m, &models);
    if (status == TL_OK)
        status = tl_models_fill(&models, arena, err);
    if (status == TL_OK)
        *out = models;
    return status;
}

size_t tl_models_find(const tl_models *models, size_t model, size_t row)
{
    for (size_t i = 0; i < models->n; i++)
        if (models->studies[i].model == model && models->studies[i].row == row)
            return i;
    return SIZE_MAX;
}

tl_status tl_models_read(const char *const *folders, size_t n_folders, tl_arena *arena,
                         tl_models *out, tl_error *err)
{
    tl_findings *all = NULL;
    const tl_status status = tl_findings_read_all(folders, n_folders, arena, &all, err);
    return status == TL_OK ? tl_models_make(all, n_folders, arena, out, err) : status;
}
