/* SPDX-License-Identifier: MIT
 * paired_dataset.c - see paired_dataset.h. */
#include "task/paired_dataset.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

typedef struct writer {
    const tl_dataset *dataset;
    const tl_row_use *uses;
    const char *folder;
    tl_arena *arena;
} writer;

static tl_status fail_memory(tl_error *err)
{
    return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a dataset");
}

static const char *part_name(tl_part part)
{
    return part == TL_DISCOVERY ? "discovery" : "evaluation";
}

/* A picture of a relative path becomes images/ROW-NAME, so that no two meet. */
static tl_status link_picture(const writer *w, size_t row, json_t *object,
                              tl_error *err)
{
    const char *name = json_string_value(json_object_get(object, "image"));
    if (w->dataset->rows[row].image_path == NULL || name == NULL || name[0] == '/')
        return TL_OK;
    const char *slash = strrchr(name, '/'), *file = slash != NULL ? slash + 1 : name;
    const size_t bytes = strlen(file) + 48;
    char *inside = tl_arena_alloc(w->arena, bytes, 1);
    if (inside == NULL)
        return fail_memory(err);
    snprintf(inside, bytes, "images/%zu-%s", row, file);
    const char *to = tl_path_join(w->arena, w->folder, inside),
               *images = tl_path_join(w->arena, w->folder, "images");
    if (to == NULL || images == NULL ||
        json_object_set_new(object, "image", json_string(inside)) != 0)
        return fail_memory(err);
    const tl_status status = tl_file_make_folder(images, err);
    return status == TL_OK ? tl_file_link(w->dataset->rows[row].image_path, to, err)
                           : status;
}

static void set_use(const writer *w, size_t row, json_t *object)
{
    const tl_row_use *use = &w->uses[row];
    if (!use->is_known)
        return;
    json_object_del(object, "split");
    json_object_del(object, "x_left_out");
    if (use->part == TL_PART_NONE) {
        json_object_set_new(object, "x_left_out", json_string(use->left_out));
        return;
    }
    json_object_set_new(object, "split", json_string(part_name(use->part)));
    json_object_set_new(object, "cf",
                        json_string(w->dataset->rows[use->counterfactual].id));
}

static tl_status write_row(const writer *w, size_t row, const char *line, size_t bytes,
                           tl_file_writer *file, tl_error *err)
{
    json_t *object = NULL;
    tl_status status = tl_json_parse(line, bytes, w->dataset->path, &object, err);
    if (status != TL_OK)
        return status;
    status = link_picture(w, row, object, err);
    if (status != TL_OK) {
        json_decref(object);
        return status;
    }
    set_use(w, row, object);
    return tl_json_put_line(file, object, err);
}

/* Each row stands in the line that it was read from. */
static tl_status write_rows(const writer *w, tl_error *err)
{
    const char *path = tl_path_join(w->arena, w->folder, "dataset.jsonl");
    char *text = NULL;
    size_t bytes = 0, line = 1;
    if (path == NULL)
        return fail_memory(err);
    tl_file_writer file = {0};
    tl_status status = tl_file_read(w->dataset->path, w->arena, &text, &bytes, err);
    if (status == TL_OK)
        status = tl_file_writer_open(&file, path, err);
    const char *at = text;
    if (status == TL_OK && bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    for (size_t row = 0; row < w->dataset->n_rows && status == TL_OK; row++) {
        for (; line < w->dataset->rows[row].line; line++)
            at = (const char *)memchr(at, '\n', (size_t)(text + bytes - at)) + 1;
        const char *end = memchr(at, '\n', (size_t)(text + bytes - at));
        status = write_row(
            w, row, at, (size_t)((end != NULL ? end : text + bytes) - at), &file, err);
    }
    if (status == TL_OK)
        status = tl_file_writer_commit(&file, err);
    tl_file_writer_abandon(&file);
    return status;
}

static tl_status copy_task(const writer *w, tl_error *err)
{
    const char *from = tl_path_join(w->arena, w->dataset->folder, "task.json"),
               *to = tl_path_join(w->arena, w->folder, "task.json");
    if (from == NULL || to == NULL)
        return fail_memory(err);
    return tl_file_exists(from) ? tl_file_link(from, to, err) : TL_OK;
}

tl_status tl_paired_dataset_write(const tl_dataset *dataset, const tl_row_use *uses,
                                  const char *folder, tl_error *err)
{
    const writer w = {dataset, uses, folder, tl_arena_create()};
    tl_status status =
        w.arena != NULL ? tl_file_check_empty(folder, false, err) : fail_memory(err);
    if (status == TL_OK)
        status = tl_file_make_folder(folder, err);
    if (status == TL_OK)
        status = copy_task(&w, err);
    if (status == TL_OK)
        status = write_rows(&w, err);
    tl_arena_destroy(w.arena);
    return status;
}
