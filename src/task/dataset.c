/* SPDX-License-Identifier: MIT
 *
 * dataset.c - reads a dataset folder; see dataset.h. What the processor makes of
 * the rows is in dataset_encode.c.
 */
#include "twinlens/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "task/dataset_told.h"
#include "twinlens/log.h"

enum { LARGEST_SIDE = 16384 }; /* of images after the first resize */

/* An unknown key that has been warned of. */
typedef struct warned {
    const char *key;
    struct warned *next;
} warned;

typedef struct reader {
    tl_arena *arena;   /* the dataset's */
    tl_arena *scratch; /* until the dataset is read */
    tl_dataset *dataset;
    tl_dataset_row *rows;
    const char **counterfactuals; /* [n_rows]: what `cf` says, or NULL */
    char *where;                  /* "path:line" of the row being read */
    size_t where_bytes;
    warned *warned;
} reader;

static tl_status fail_memory(tl_error *err)
{
    return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a dataset");
}

static void warn_of_unknown(reader *r, json_t *object, const char *where,
                            const char *const *known)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        bool is_known = strncmp(key, "x_", 2) == 0;
        for (size_t i = 0; !is_known && known[i] != NULL; i++)
            is_known = strcmp(key, known[i]) == 0;
        for (const warned *w = r->warned; !is_known && w != NULL; w = w->next)
            is_known = strcmp(key, w->key) == 0;
        if (is_known)
            continue;
        tl_log(TL_LOG_WARNING, "%s: key '%s' is not known and not used", where, key);
        warned *w = tl_arena_alloc(r->scratch, 1, sizeof *w);
        const char *copy = tl_arena_strdup(r->scratch, key);
        if (w != NULL && copy != NULL) {
            *w = (warned){copy, r->warned};
            r->warned = w;
        }
    }
}

/* A copy of the string in the dataset; *out stays when the key is absent or null. */
static tl_status copy_string(const reader *r, const json_t *object, const char *key,
                             const char *where, const char **out, tl_error *err)
{
    const char *text = NULL;
    const tl_status status = tl_json_get_string(object, key, where, &text, err);
    if (status != TL_OK || text == NULL)
        return status;
    const char *copy = tl_arena_strdup(r->arena, text);
    if (copy == NULL)
        return fail_memory(err);
    *out = copy;
    return TL_OK;
}

/* A list of answers: `key` is "labels" or "answers". */
static tl_status copy_labels(const reader *r, const json_t *object, const char *key,
                             const char *where, const char *const **out, size_t *count,
                             tl_error *err)
{
    const json_t *labels = json_object_get(object, key);
    if (labels == NULL || json_is_null(labels))
        return TL_OK;
    const size_t n = json_array_size(labels);
    if (!json_is_array(labels) || n == 0)
        return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is not a list of answers", where,
                       key);
    const char **copies = tl_arena_alloc(r->arena, n, sizeof *copies);
    if (copies == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        const char *label = json_string_value(json_array_get(labels, i));
        if (label == NULL || *label == '\0')
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s: '%s' has an entry that is not a string, or is empty",
                           where, key);
        copies[i] = tl_arena_strdup(r->arena, label);
        if (copies[i] == NULL)
            return fail_memory(err);
    }
    *out = copies;
    *count = n;
    return TL_OK;
}

/* [width, height], or one number for both. */
static tl_status read_image_size(const json_t *task, const char *where, size_t *width,
                                 size_t *height, tl_error *err)
{
    const json_t *size = json_object_get(task, "image_size");
    if (size == NULL || json_is_null(size))
        return TL_OK;
    const bool is_pair = json_is_array(size) && json_array_size(size) == 2;
    const json_t *w = is_pair ? json_array_get(size, 0) : size;
    const json_t *h = is_pair ? json_array_get(size, 1) : size;
    const json_int_t w_value = json_integer_value(w), h_value = json_integer_value(h);
    if (w_value < 1 || w_value > LARGEST_SIDE || h_value < 1 || h_value > LARGEST_SIDE)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: 'image_size' is not [width, height], each in 1..%d", where,
                       LARGEST_SIDE);
    *width = (size_t)w_value;
    *height = (size_t)h_value;
    return TL_OK;
}

static tl_status read_task(reader *r, tl_error *err)
{
    static const char *const known[] = {"name",       "prompts", "labels", "answers",
                                        "image_size", "system",  NULL};
    tl_dataset *d = r->dataset;
    d->name = "";
    const char *path = tl_path_join(r->scratch, d->folder, "task.json");
    if (path == NULL)
        return fail_memory(err);
    if (!tl_file_exists(path))
        return TL_OK;
    json_t *task = NULL;
    tl_status status = tl_json_read(path, &task, err);
    if (status == TL_OK && !json_is_object(task))
        status = tl_fail(err, TL_ERR_FORMAT, "%s: not an object", path);
    if (status == TL_OK)
        status = copy_string(r, task, "name", path, &d->name, err);
    if (status == TL_OK)
        status = copy_string(r, task, "prompts", path, &d->prompts, err);
    if (status == TL_OK)
        status = copy_string(r, task, "system", path, &d->system, err);
    if (status == TL_OK)
        status = copy_labels(r, task, "labels", path, &d->labels, &d->n_labels, err);
    if (status == TL_OK)
        status = copy_labels(r, task, "answers", path, &d->answers, &d->n_answers, err);
    if (status == TL_OK)
        status = read_image_size(task, path, &d->image_width, &d->image_height, err);
    if (status == TL_OK)
        warn_of_unknown(r, task, path, known);
    json_decref(task);
    return status;
}

/* `split`, and `modality`, which a row has to have. */
static tl_status read_words(const json_t *object, const char *where,
                            tl_dataset_row *row, tl_error *err)
{
    const char *modality = NULL, *part = NULL;
    tl_status status = tl_json_get_string(object, "modality", where, &modality, err);
    if (status == TL_OK)
        status = tl_json_get_string(object, "split", where, &part, err);
    if (status != TL_OK)
        return status;
    if (modality == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "%s: no 'modality'", where);
    if (tl_modality_parse(modality, &row->modality, NULL) != TL_OK)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: 'modality' is '%s', wanted 'text' or 'image'", where,
                       modality);
    if (part != NULL && strcmp(part, "discovery") == 0)
        row->part = TL_DISCOVERY;
    else if (part != NULL && strcmp(part, "evaluation") == 0)
        row->part = TL_EVALUATION;
    else if (part != NULL && strcmp(part, "none") == 0)
        row->part = TL_NO_PART;
    else if (part != NULL)
        return tl_fail(
            err, TL_ERR_FORMAT,
            "%s: 'split' is '%s', wanted 'discovery', 'evaluation' or 'none'", where,
            part);
    return TL_OK;
}

static tl_status check_row(const tl_dataset_row *row, const char *where, tl_error *err)
{
    const bool is_image = row->modality == TL_IMAGE;
    const struct {
        const char *key, *value;
        bool empty_too;
    } needed[] = {
        {"id", row->id, false},
        {"query", row->query, true},
        {"answer", row->answer, false},
        {is_image ? "image" : "data", is_image ? row->image_path : row->data, false}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        if (needed[i].value == NULL)
            return tl_fail(err, TL_ERR_FORMAT, "%s: no '%s'", where, needed[i].key);
        if (*needed[i].value == '\0' && !needed[i].empty_too)
            return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is empty", where,
                           needed[i].key);
    }
    if (is_image && row->data != NULL && *row->data != '\0')
        return tl_fail(
            err, TL_ERR_FORMAT,
            "%s: both 'data' and 'image'; the data of an image row is the image",
            where);
    if (!is_image && row->image_path != NULL && *row->image_path != '\0')
        return tl_fail(err, TL_ERR_FORMAT, "%s: a text row with an 'image'", where);
    return TL_OK;
}

static tl_status read_row(reader *r, json_t *object, tl_dataset_row *out,
                          const char **counterfactual, tl_error *err)
{
    static const char *const known[] = {
        "id", "pair",  "modality", "before", "data",      "query",  "answer", "image",
        "cf", "split", "labels",   "group",  "predicted", "system", NULL};
    const tl_dataset *d = r->dataset;
    tl_dataset_row row = {.before = "",
                          .system = d->system,
                          .counterfactual = TL_NO_ROW,
                          .labels = d->labels,
                          .n_labels = d->n_labels};
    const struct {
        const char *key;
        const char **value;
    } strings[] = {{"id", &row.id},         {"pair", &row.pair},
                   {"before", &row.before}, {"data", &row.data},
                   {"query", &row.query},   {"answer", &row.answer},
                   {"group", &row.group},   {"image", &row.image_path},
                   {"cf", counterfactual},  {"predicted", &row.predicted},
                   {"system", &row.system}};
    if (!json_is_object(object))
        return tl_fail(err, TL_ERR_FORMAT, "%s: not an object", r->where);
    tl_status status = TL_OK;
    for (size_t i = 0; status == TL_OK && i < sizeof strings / sizeof *strings; i++)
        status =
            copy_string(r, object, strings[i].key, r->where, strings[i].value, err);
    if (status == TL_OK)
        status = read_words(object, r->where, &row, err);
    if (status == TL_OK)
        status =
            copy_labels(r, object, "labels", r->where, &row.labels, &row.n_labels, err);
    if (status == TL_OK)
        status = check_row(&row, r->where, err);
    if (status != TL_OK)
        return status;
    warn_of_unknown(r, object, r->where, known);
    if (row.modality == TL_IMAGE) {
        row.data = NULL;
        row.image_path = tl_path_join(r->arena, d->folder, row.image_path);
        if (row.image_path == NULL)
            return fail_memory(err);
    } else {
        row.image_path = NULL;
    }
    *out = row;
    return TL_OK;
}

static tl_status parse_line(reader *r, const char *line, size_t bytes, json_t **out,
                            tl_error *err)
{
    json_error_t problem;
    *out = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, &problem);
    if (*out == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "%s: column %d: %s", r->where,
                       problem.column, problem.text);
    return TL_OK;
}

static bool is_blank(const char *text, size_t bytes)
{
    return strspn(text, " \t\r\n") >= bytes;
}

static tl_status read_rows(reader *r, tl_error *err)
{
    tl_dataset *d = r->dataset;
    char *text = NULL;
    size_t bytes = 0;
    tl_status status = tl_file_read(d->path, r->scratch, &text, &bytes, err);
    if (status != TL_OK)
        return status;
    size_t limit = 1;
    for (size_t i = 0; i < bytes; i++)
        limit += text[i] == '\n';
    r->where_bytes = strlen(d->path) + 32;
    r->where = tl_arena_alloc(r->scratch, r->where_bytes, 1);
    r->rows = tl_arena_alloc(r->arena, limit, sizeof *r->rows);
    r->counterfactuals =
        tl_arena_alloc_zero(r->scratch, limit, sizeof *r->counterfactuals);
    if (r->where == NULL || r->rows == NULL || r->counterfactuals == NULL)
        return fail_memory(err);

    const char *const end = text + bytes;
    const char *at = text;
    if (bytes >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) /* byte order mark */
        at += 3;
    for (size_t line = 1; at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL)
            stop = end;
        const size_t n = (size_t)(stop - at);
        if (!is_blank(at, n)) {
            json_t *object = NULL;
            snprintf(r->where, r->where_bytes, "%s:%zu", d->path, line);
            status = parse_line(r, at, n, &object, err);
            if (status == TL_OK)
                status = read_row(r, object, &r->rows[d->n_rows],
                                  &r->counterfactuals[d->n_rows], err);
            json_decref(object);
            if (status != TL_OK)
                return status;
            r->rows[d->n_rows++].line = line;
        }
        at = stop < end ? stop + 1 : end;
    }
    d->rows = r->rows;
    return d->n_rows > 0 ? TL_OK
                         : tl_fail(err, TL_ERR_FORMAT, "%s: has no rows", d->path);
}

/* Equal ids in order of line, so that the message names the earlier one first. */
static int by_id(const void *left, const void *right)
{
    const tl_dataset_row *a = *(const tl_dataset_row *const *)left;
    const tl_dataset_row *b = *(const tl_dataset_row *const *)right;
    const int order = strcmp(a->id, b->id);
    return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

static tl_status index_ids(reader *r, tl_error *err)
{
    tl_dataset *d = r->dataset;
    const tl_dataset_row **sorted =
        tl_arena_alloc(r->scratch, d->n_rows, sizeof *sorted);
    size_t *order = tl_arena_alloc(r->arena, d->n_rows, sizeof *order);
    if (sorted == NULL || order == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < d->n_rows; i++)
        sorted[i] = &d->rows[i];
    qsort(sorted, d->n_rows, sizeof *sorted, by_id);
    for (size_t i = 0; i < d->n_rows; i++) {
        if (i > 0 && strcmp(sorted[i - 1]->id, sorted[i]->id) == 0)
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s:%zu: id '%s' is that of line %zu too", d->path,
                           sorted[i]->line, sorted[i]->id, sorted[i - 1]->line);
        order[i] = (size_t)(sorted[i] - d->rows);
    }
    d->by_id = order;
    return TL_OK;
}

size_t tl_dataset_find(const tl_dataset *dataset, const char *id)
{
    size_t begin = 0, end = dataset->n_rows;
    while (begin < end) {
        const size_t middle = begin + (end - begin) / 2;
        const size_t row = dataset->by_id[middle];
        const int order = strcmp(id, dataset->rows[row].id);
        if (order == 0)
            return row;
        if (order < 0)
            end = middle;
        else
            begin = middle + 1;
    }
    return TL_NO_ROW;
}

static tl_status link_counterfactuals(reader *r, tl_error *err)
{
    const tl_dataset *d = r->dataset;
    for (size_t i = 0; i < d->n_rows; i++) {
        const char *name = r->counterfactuals[i];
        tl_dataset_row *row = &r->rows[i];
        if (name == NULL)
            continue;
        const size_t found = tl_dataset_find(d, name);
        if (found == TL_NO_ROW)
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s:%zu: row '%s': 'cf' is '%s', and there is no such row",
                           d->path, row->line, row->id, name);
        if (found == i)
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s:%zu: row '%s': 'cf' names the row itself", d->path,
                           row->line, row->id);
        if (d->rows[found].modality != row->modality)
            return tl_fail(
                err, TL_ERR_FORMAT,
                "%s:%zu: row '%s': 'cf' is '%s', which is of modality %s and "
                "not %s",
                d->path, row->line, row->id, name,
                tl_modality_name(d->rows[found].modality),
                tl_modality_name(row->modality));
        if (d->rows[found].part == TL_NO_PART && row->part != TL_NO_PART)
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s:%zu: row '%s': 'cf' is '%s', whose 'split' is 'none'",
                           d->path, row->line, row->id, name);
        row->counterfactual = found;
    }
    return TL_OK;
}

static tl_status name_files(const reader *r, const char *path, tl_error *err)
{
    tl_dataset *d = r->dataset;
    if (tl_file_is_folder(path)) {
        d->folder = tl_arena_strdup(r->arena, path);
        d->path = tl_path_join(r->arena, path, "dataset.jsonl");
    } else {
        d->folder = tl_path_folder(r->arena, path);
        d->path = tl_arena_strdup(r->arena, path);
    }
    return d->folder != NULL && d->path != NULL ? TL_OK : fail_memory(err);
}

tl_status tl_dataset_open(const char *path, tl_dataset **out, tl_error *err)
{
    reader r = {.arena = tl_arena_create(), .scratch = tl_arena_create()};
    tl_status status = TL_OK;
    if (r.arena != NULL && r.scratch != NULL)
        r.dataset = tl_arena_alloc_zero(r.arena, 1, sizeof *r.dataset);
    if (r.dataset != NULL)
        r.dataset->told = tl_arena_alloc_zero(r.arena, 1, sizeof *r.dataset->told);
    if (r.dataset == NULL || r.dataset->told == NULL)
        status = fail_memory(err);
    if (status == TL_OK)
        status = name_files(&r, path, err);
    if (status == TL_OK)
        status = read_task(&r, err);
    if (status == TL_OK)
        status = read_rows(&r, err);
    if (status == TL_OK)
        status = index_ids(&r, err);
    if (status == TL_OK)
        status = link_counterfactuals(&r, err);
    if (status == TL_OK) {
        r.dataset->arena = r.arena;
        *out = r.dataset;
        r.arena = NULL;
    }
    tl_arena_destroy(r.scratch);
    tl_arena_destroy(r.arena);
    return status;
}

void tl_dataset_close(tl_dataset *dataset)
{
    if (dataset != NULL)
        tl_arena_destroy(dataset->arena); /* which holds the dataset itself */
}
