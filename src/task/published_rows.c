/* SPDX-License-Identifier: MIT
 * published_rows.c - see published_rows.h. */
#include "task/published_rows.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "task/csv.h"
#include "task/published_task.h"

typedef struct reader {
    const tl_published_source *source;
    tl_arena *arena;
    tl_published_row *rows[TL_MODALITY_COUNT];
    size_t n[TL_MODALITY_COUNT];
} reader;

static tl_status fail_memory(tl_error *err)
{
    return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the published prompts");
}

/* ---- columns ---------------------------------------------------------------------- */

enum { PROMPT, ANSWER, PREDICTED, PICTURE, COLUMNS };
static const char *const column_names[COLUMNS] = {"prompt", "gt_answer", "pred_answer",
                                                  "relative_image_path"};

static tl_status find_columns(const tl_csv *csv, const char *path, tl_modality modality,
                              size_t columns[COLUMNS], tl_error *err)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        columns[i] = tl_csv_column(csv, column_names[i]);
        const bool found = columns[i] != TL_CSV_NO_COLUMN;
        if (i == PICTURE && modality == TL_TEXT) {
            if (found)
                return tl_fail(err, TL_ERR_FORMAT,
                               "%s: has a column '%s', so its prompts have pictures; "
                               "wanted the table of textual prompts",
                               path, column_names[i]);
        } else if (!found) {
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s: no column '%s'; the first line has %zu others, "
                           "beginning with '%s'",
                           path, column_names[i], csv->n_columns, csv->header[0]);
        }
    }
    return TL_OK;
}

/* ---- one row ---------------------------------------------------------------------- */

static bool is_utf8(const char *text)
{
    json_t *value = json_string(text);
    json_decref(value);
    return value != NULL;
}

static bool contains(const char *const *list, const char *text)
{
    for (; list != NULL && *list != NULL; list++)
        if (strcmp(*list, text) == 0)
            return true;
    return false;
}

static tl_status check_answer(const tl_published_source *source, const char *answer,
                              tl_error *err)
{
    const tl_published_task task = tl_published_task_of(source->family, source->task);
    const char *const *answers = task.answers != NULL ? task.answers : task.labels;
    if (*answer == '\0')
        return tl_fail(err, TL_ERR_DATA, "'gt_answer' is empty");
    if (answers == NULL || contains(answers, answer))
        return TL_OK;
    char all[128];
    size_t n = 0;
    for (size_t i = 0; answers[i] != NULL && n < sizeof all; i++)
        n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", i > 0 ? ", " : "",
                              answers[i]);
    return tl_fail(err, TL_ERR_DATA, "'gt_answer' is '%s', wanted one of %s", answer,
                   all);
}

/* The name of a picture must lead into the folder, not out of it. */
static tl_status check_picture(const reader *r, const char *picture, tl_error *err)
{
    const char *at = picture;
    bool inside = *at != '/' && *at != '\0';
    for (; inside && at != NULL; at = strchr(at, '/')) {
        at += *at == '/';
        const size_t n = strcspn(at, "/");
        inside = n > 0 && !(n <= 2 && strncmp(at, "..", n) == 0);
    }
    if (!inside)
        return tl_fail(
            err, TL_ERR_DATA,
            "'relative_image_path' is '%s', wanted the path of a file in the "
            "folder of pictures",
            picture);
    if (r->source->pictures == NULL)
        return TL_OK;
    const char *path = tl_path_join(r->arena, r->source->pictures, picture);
    if (path == NULL)
        return fail_memory(err);
    if (!tl_file_exists(path) || tl_file_is_folder(path))
        return tl_fail(err, TL_ERR_NOT_FOUND,
                       "%s: no such file; wanted the folder that '%s' starts from",
                       path, picture);
    return TL_OK;
}

static tl_status read_row(const reader *r, tl_modality modality,
                          const char *const fields[COLUMNS], tl_published_row *row,
                          tl_error *err)
{
    for (size_t i = 0; i < COLUMNS; i++)
        if (fields[i] != NULL && !is_utf8(fields[i]))
            return tl_fail(err, TL_ERR_DATA, "'%s' is not valid UTF-8",
                           column_names[i]);
    const tl_published_source *source = r->source;
    row->answer = fields[ANSWER];
    row->predicted = fields[PREDICTED];
    row->picture = fields[PICTURE];
    tl_status status =
        tl_published_prompt_parse(source->family, source->task, modality,
                                  fields[PROMPT], r->arena, &row->prompt, err);
    if (status == TL_OK)
        status = check_answer(source, row->answer, err);
    return status == TL_OK && modality == TL_IMAGE ? check_picture(r, row->picture, err)
                                                   : status;
}

static tl_status read_table(reader *r, tl_modality modality, tl_error *err)
{
    const char *path = r->source->csv[modality];
    tl_csv csv;
    size_t columns[COLUMNS];
    tl_status status = tl_csv_read(path, r->arena, &csv, err);
    if (status == TL_OK)
        status = find_columns(&csv, path, modality, columns, err);
    if (status != TL_OK)
        return status;
    if (csv.n_rows == 0)
        return tl_fail(err, TL_ERR_FORMAT, "%s: has no rows behind its header", path);
    tl_published_row *rows = tl_arena_alloc_zero(r->arena, csv.n_rows, sizeof *rows);
    if (rows == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < csv.n_rows && status == TL_OK; i++) {
        const char *fields[COLUMNS] = {0};
        for (size_t c = 0; c < COLUMNS; c++)
            if (columns[c] != TL_CSV_NO_COLUMN)
                fields[c] = csv.fields[i * csv.n_columns + columns[c]];
        rows[i].line = csv.lines[i];
        status = tl_fail_while(err, read_row(r, modality, fields, &rows[i], err),
                               "%s:%zu", path, rows[i].line);
    }
    r->rows[modality] = rows;
    r->n[modality] = csv.n_rows;
    return status;
}

/* ---- both tables -------------------------------------------------------------------- */

/* The answers to the same question in the table with pictures, each once. */
static const char *const *list_seen(const reader *r, const char *question)
{
    const tl_published_row *rows = r->rows[TL_IMAGE];
    const size_t n_rows = r->n[TL_IMAGE];
    const char **labels = tl_arena_alloc_zero(r->arena, n_rows + 1, sizeof *labels);
    size_t n = 0;
    for (size_t i = 0; labels != NULL && i < n_rows; i++)
        if (strcmp(rows[i].prompt.asked, question) == 0 &&
            !contains(labels, rows[i].answer))
            labels[n++] = rows[i].answer;
    return labels;
}

/* All that there are, where a file lists them. */
static tl_status list_labels(const reader *r, const char *question,
                             const char *const **labels, tl_error *err)
{
    tl_status status = TL_OK;
    *labels = NULL;
    if (!r->source->seen_labels)
        status = tl_published_listed_answers(&r->source->files, question, r->arena,
                                             labels, err);
    if (status == TL_OK && *labels == NULL)
        *labels = list_seen(r, question);
    return status == TL_OK && *labels == NULL ? fail_memory(err) : status;
}

static bool is_listed(const reader *r)
{
    return !r->source->seen_labels && r->source->files.entities != NULL;
}

/* Rows of the same question share one list. */
static tl_status set_labels(const reader *r, tl_modality modality, tl_error *err)
{
    tl_published_row *rows = r->rows[modality];
    for (size_t i = 0; i < r->n[modality]; i++) {
        for (size_t k = 0; k < i && rows[i].labels == NULL; k++)
            if (strcmp(rows[k].prompt.asked, rows[i].prompt.asked) == 0)
                rows[i].labels = rows[k].labels;
        const tl_status status =
            rows[i].labels == NULL
                ? list_labels(r, rows[i].prompt.asked, &rows[i].labels, err)
                : TL_OK;
        if (status != TL_OK)
            return status;
        if (!contains(rows[i].labels, rows[i].answer))
            return tl_fail(err, TL_ERR_DATA,
                           "%s:%zu: 'gt_answer' is '%s', and %s %s has that answer to "
                           "'%s'; wanted two tables of one model",
                           r->source->csv[modality], rows[i].line, rows[i].answer,
                           is_listed(r) ? "no entity in" : "no picture in",
                           is_listed(r) ? r->source->files.entities
                                        : r->source->csv[TL_IMAGE],
                           rows[i].prompt.asked);
    }
    return TL_OK;
}

/* What each picture shows, in words. */
static tl_status make_parallel(const reader *r, tl_error *err)
{
    const tl_published_source *source = r->source;
    const size_t n = r->n[TL_IMAGE];
    const char **paths = tl_arena_alloc(r->arena, n, sizeof *paths),
               **contents = tl_arena_alloc(r->arena, n, sizeof *contents);
    tl_published_prompt *made = tl_arena_alloc(r->arena, n, sizeof *made);
    if (paths == NULL || contents == NULL || made == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < n; i++)
        paths[i] = r->rows[TL_IMAGE][i].picture;
    tl_status status =
        tl_fail_while(err,
                      tl_published_contents(source->task, &source->files, paths, n,
                                            r->arena, contents, err),
                      "%s", source->csv[TL_IMAGE]);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        tl_published_row *row = &r->rows[TL_IMAGE][i];
        if (contents[i] == NULL)
            continue;
        row->parallel = &made[i];
        status = tl_fail_while(err,
                               tl_published_prompt_make(source->family, source->task,
                                                        contents[i], row->prompt.asked,
                                                        r->arena, &made[i], err),
                               "%s:%zu", source->csv[TL_IMAGE], row->line);
    }
    return status;
}

tl_status tl_published_rows_read(const tl_published_source *source, tl_arena *arena,
                                 tl_published_rows out[TL_MODALITY_COUNT],
                                 tl_error *err)
{
    reader r = {.source = source, .arena = arena};
    tl_status status = read_table(&r, TL_TEXT, err);
    if (status == TL_OK)
        status = read_table(&r, TL_IMAGE, err);
    if (source->task == TL_TASK_FACTUAL_RECALL)
        for (int m = 0; m < TL_MODALITY_COUNT && status == TL_OK; m++)
            status = set_labels(&r, (tl_modality)m, err);
    if (status == TL_OK && source->pictures != NULL) /* they stand beside pictures */
        status = make_parallel(&r, err);
    if (status != TL_OK)
        return status;
    for (int m = 0; m < TL_MODALITY_COUNT; m++) {
        out[m] = (tl_published_rows){.items = r.rows[m], .n = r.n[m]};
        for (size_t i = 0; i < r.n[m]; i++)
            out[m].n_right += strcmp(r.rows[m][i].answer, r.rows[m][i].predicted) == 0;
    }
    return TL_OK;
}
