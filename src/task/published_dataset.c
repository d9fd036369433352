/* SPDX-License-Identifier: MIT
 * published_dataset.c - see published_dataset.h. */
#include "task/published_dataset.h"

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "task/dataset_folder.h"
#include "task/published_task.h"

typedef struct writer {
    const tl_published_source *source;
    const char *folder;
    tl_arena *arena;
} writer;

static tl_status fail_memory(tl_error *err)
{
    return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a dataset");
}

typedef enum kind { TEXT, IMAGE, PARALLEL } kind;

/* ---- rows ------------------------------------------------------------------------- */

static void set_string(json_t *object, const char *key, const char *value)
{
    json_object_set_new(object, key, json_string(value));
}

static void set_strings(json_t *object, const char *key, const char *const *values)
{
    json_t *list = json_array();
    for (; *values != NULL; values++)
        json_array_append_new(list, json_string(*values));
    json_object_set_new(object, key, list);
}

/* Where a picture lies in the dataset: the tables mostly say images/... already. */
static const char *picture_name(const writer *w, const char *picture)
{
    static const char images[] = "images/";
    const bool is_there = strncmp(picture, images, strlen(images)) == 0;
    return is_there ? picture : tl_path_join(w->arena, "images", picture);
}

static void set_words(json_t *object, const tl_published_prompt *prompt)
{
    if (prompt->data != NULL) {
        set_string(object, "before", prompt->before);
        set_string(object, "data", prompt->data);
    }
    set_string(object, "query", prompt->query);
}

/* A row of a table, or, beside a picture, what it shows. */
static json_t *new_row(const writer *w, const tl_published_row *row, kind of, size_t i)
{
    static const char *const names[] = {"text", "image", "parallel"};
    json_t *object = json_object();
    json_object_set_new(object, "id", json_sprintf("%s-%zu", names[of], i));
    if (row->parallel != NULL)
        json_object_set_new(object, "pair", json_sprintf("%zu", i));
    set_string(object, "modality", names[of == IMAGE ? IMAGE : TEXT]);
    if (of == IMAGE)
        set_string(object, "image", picture_name(w, row->picture));
    set_words(object, of == PARALLEL ? row->parallel : &row->prompt);
    set_string(object, "answer", row->answer);
    if (of == PARALLEL)
        set_string(object, "split", "none");
    else
        set_string(object, "predicted", row->predicted);
    if (row->labels != NULL) {
        set_string(object, "group", row->prompt.asked);
        set_strings(object, "labels", row->labels);
    }
    return object;
}

static tl_status write_rows(const writer *w, const tl_published_rows *rows,
                            tl_error *err)
{
    tl_file_writer file = {0};
    const char *path = tl_path_join(w->arena, w->folder, "dataset.jsonl");
    if (path == NULL)
        return fail_memory(err);
    tl_status status = tl_file_writer_open(&file, path, err);
    for (int k = TEXT; k <= PARALLEL; k++) {
        const tl_published_rows *from = &rows[k == TEXT ? TL_TEXT : TL_IMAGE];
        if (k != TEXT && w->source->pictures == NULL)
            continue;
        for (size_t i = 0; i < from->n && status == TL_OK; i++)
            if (k != PARALLEL || from->items[i].parallel != NULL)
                status = tl_json_put_line(&file,
                                          new_row(w, &from->items[i], (kind)k, i), err);
    }
    if (status == TL_OK)
        status = tl_file_writer_commit(&file, err);
    tl_file_writer_abandon(&file);
    return status;
}

static tl_status write_task(const writer *w, tl_error *err)
{
    const tl_published_task t =
        tl_published_task_of(w->source->family, w->source->task);
    const char *path = tl_path_join(w->arena, w->folder, "task.json");
    if (path == NULL)
        return fail_memory(err);
    json_t *task = json_object();
    set_string(task, "name", t.name);
    json_object_set_new(
        task, "prompts",
        json_sprintf("published %s", tl_published_family_name(w->source->family)));
    if (t.labels != NULL)
        set_strings(task, "labels", t.labels);
    if (t.answers != NULL)
        set_strings(task, "answers", t.answers);
    json_object_set_new(task, "image_size", json_pack("[i,i]", t.width, t.height));
    return tl_json_write(path, task, err);
}

/* ---- pictures ---------------------------------------------------------------------- */

/* Every folder between the dataset's and the file. */
static tl_status make_folders(const writer *w, const char *name, tl_error *err)
{
    char *path = tl_path_join(w->arena, w->folder, name);
    if (path == NULL)
        return fail_memory(err);
    tl_status status = TL_OK;
    char *at = path + strlen(path) - strlen(name);
    while (status == TL_OK && (at = strchr(at, '/')) != NULL) {
        *at = '\0';
        status = tl_file_make_folder(path, err);
        *at++ = '/';
    }
    return status;
}

static tl_status link_picture(const writer *w, const char *picture, tl_error *err)
{
    const tl_arena_mark mark = tl_arena_get_mark(w->arena);
    const char *name = picture_name(w, picture);
    const char *from = tl_path_join(w->arena, w->source->pictures, picture);
    const char *to = name != NULL ? tl_path_join(w->arena, w->folder, name) : NULL;
    if (from == NULL || to == NULL)
        return fail_memory(err);
    tl_status status = make_folders(w, name, err);
    if (status == TL_OK)
        status = tl_file_link(from, to, err);
    tl_arena_rewind(w->arena, mark);
    return status;
}

/* ---- all of it --------------------------------------------------------------------- */

static tl_status write_all(const writer *w, const tl_published_rows *rows, bool replace,
                           tl_error *err)
{
    tl_status status = tl_dataset_folder_make(w->folder, replace, w->arena, err);
    if (status == TL_OK)
        status = write_task(w, err);
    if (w->source->pictures != NULL)
        for (size_t i = 0; i < rows[TL_IMAGE].n && status == TL_OK; i++)
            status = link_picture(w, rows[TL_IMAGE].items[i].picture, err);
    return status == TL_OK ? write_rows(w, rows, err) : status;
}

static tl_published_report count(const tl_published_source *source,
                                 const tl_published_rows *rows)
{
    tl_published_report report = {
        .n_prompts = tl_published_task_of(source->family, source->task).n_prompts};
    for (int m = 0; m < TL_MODALITY_COUNT; m++) {
        report.n[m] = rows[m].n;
        report.n_right[m] = rows[m].n_right;
    }
    for (size_t i = 0; source->pictures != NULL && i < rows[TL_IMAGE].n; i++)
        report.n_pairs += rows[TL_IMAGE].items[i].parallel != NULL;
    return report;
}

tl_status tl_published_import(const tl_published_source *source, const char *folder,
                              bool replace, tl_published_report *report, tl_error *err)
{
    tl_published_rows rows[TL_MODALITY_COUNT];
    const writer w = {source, folder, tl_arena_create()};
    if (w.arena == NULL)
        return fail_memory(err);
    tl_status status = tl_published_rows_read(source, w.arena, rows, err);
    if (status == TL_OK)
        status = write_all(&w, rows, replace, err);
    if (status == TL_OK)
        *report = count(source, rows);
    tl_arena_destroy(w.arena);
    return status;
}

void tl_published_print(const tl_published_source *source, const char *folder,
                        const tl_published_report *r, FILE *out)
{
    fprintf(out, "%s: %zu text prompts of %s, %zu with the right prediction\n", folder,
            r->n[TL_TEXT], tl_published_task_of(source->family, source->task).name,
            r->n_right[TL_TEXT]);
    if (source->pictures != NULL)
        fprintf(out,
                "%s: %zu image prompts, %zu with the right prediction, %zu with a "
                "parallel text prompt%s\n",
                folder, r->n[TL_IMAGE], r->n_right[TL_IMAGE], r->n_pairs,
                r->n_pairs == r->n[TL_IMAGE] ? ""
                : source->task == TL_TASK_SENTIMENT
                    ? "; --descriptions says what the others show"
                    : "; --scenes says what the others show");
    else
        fprintf(
            out,
            "%s: text only; the %zu image prompts of %s are left out, since they need "
            "their pictures (--images)\n",
            folder, r->n[TL_IMAGE], source->csv[TL_IMAGE]);
    fprintf(out, "the paper's selection: twinlens study --keep stored --prompts %zu\n",
            r->n_prompts);
}
