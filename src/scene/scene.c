/* SPDX-License-Identifier: MIT
 *
 * scene.c - a dataset folder of made-up scenes. The rows are written to a temporary
 * name while pictures are made, and appear when all is there.
 */
#include "twinlens/scene.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "scene/paint.h"

static json_t *string_list(const char *const *strings, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(strings[i]));
    return list;
}

static void set_string(json_t *object, const char *key, const char *value)
{
    json_object_set_new(object, key, json_string(value));
}

/* What both rows of a pair say: of what kind it is, the question, the answers. */
static void set_question(json_t *row, tl_task task, const tl_scene *scene,
                         const char *query)
{
    set_string(row, "query", query);
    set_string(row, "answer", scene->answer);
    if (scene->group == NULL)
        return;
    const char *labels[TL_SCENE_LABELS];
    set_string(row, "group", scene->group);
    json_object_set_new(
        row, "labels",
        string_list(labels, tl_scene_labels(task, scene->group, labels)));
}

static json_t *new_row(size_t i, const char *modality)
{
    json_t *row = json_object();
    json_object_set_new(row, "id", json_sprintf("%s-%zu", modality, i));
    json_object_set_new(row, "pair", json_sprintf("%zu", i));
    set_string(row, "modality", modality);
    return row;
}

static json_t *text_row(size_t i, tl_task task, const tl_scene *scene)
{
    json_t *row = new_row(i, "text");
    set_string(row, "before", scene->before);
    set_string(row, "data", scene->data);
    set_question(row, task, scene, scene->query);
    return row;
}

static json_t *image_row(size_t i, tl_task task, const tl_scene *scene)
{
    json_t *row = new_row(i, "image");
    json_object_set_new(row, "image", json_sprintf("images/%zu.png", i));
    set_question(row, task, scene, scene->image_query);
    return row;
}

static json_t *drawing(size_t i, const tl_scene *scene)
{
    json_t *line = json_object(), *items = json_array();
    json_object_set_new(line, "id", json_sprintf("image-%zu", i));
    for (size_t k = 0; k < scene->n_items; k++) {
        const tl_item *item = &scene->items[k];
        json_array_append_new(items,
                              json_pack("{s:s, s:f, s:f, s:f, s:f}", "name", item->name,
                                        "x", item->x, "y", item->y, "size", item->size,
                                        "angle", item->angle));
    }
    json_object_set_new(line, "items", items);
    return line;
}

static tl_status write_task(const tl_scene_options *o, tl_arena *arena,
                            const char *folder, tl_error *err)
{
    const char *labels[TL_SCENE_LABELS],
        *path = tl_path_join(arena, folder, "task.json");
    if (path == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    json_t *task = json_object();
    set_string(task, "name", tl_task_name(o->task));
    const size_t n = tl_scene_labels(o->task, NULL, labels);
    if (n > 0)
        json_object_set_new(task, "labels", string_list(labels, n));
    json_object_set_new(task, "image_size",
                        json_pack("[i,i]", (int)o->width, (int)o->height));
    return tl_json_write(path, task, err);
}

static tl_status write_picture(tl_painter *painter, const tl_scene_options *o,
                               const tl_scene *scene, size_t i, tl_arena *arena,
                               const char *folder, tl_error *err)
{
    char name[48];
    snprintf(name, sizeof name, "images/%zu.png", i);
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    const char *path = tl_path_join(arena, folder, name);
    const tl_status status =
        path != NULL ? tl_painter_write(painter, o, scene, path, err)
                     : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    tl_arena_rewind(arena, mark);
    return status;
}

static tl_status write_scenes(const tl_scene_options *o, size_t n, uint64_t seed,
                              tl_painter *painter, tl_arena *arena, const char *folder,
                              tl_error *err)
{
    const char *rows_path = tl_path_join(arena, folder, "dataset.jsonl"),
               *drawing_path = tl_path_join(arena, folder, "drawing.jsonl");
    if (rows_path == NULL || drawing_path == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    tl_file_writer rows = {0}, drawings = {0};
    tl_scene_stream stream;
    tl_status status = tl_scene_stream_init(&stream, o, seed, err);
    if (status != TL_OK)
        return status;
    status = tl_file_writer_open(&rows, rows_path, err);
    if (status == TL_OK && !o->no_pictures)
        status = tl_file_writer_open(&drawings, drawing_path, err);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        tl_scene scene;
        status = tl_scene_stream_next(&stream, &scene, err);
        if (status == TL_OK && !o->no_text)
            status = tl_json_put_line(&rows, text_row(i, o->task, &scene), err);
        if (status != TL_OK || o->no_pictures)
            continue;
        status = tl_json_put_line(&rows, image_row(i, o->task, &scene), err);
        if (status == TL_OK)
            status = tl_json_put_line(&drawings, drawing(i, &scene), err);
        if (status == TL_OK)
            status = write_picture(painter, o, &scene, i, arena, folder, err);
    }
    if (status == TL_OK && !o->no_pictures)
        status = tl_file_writer_commit(&drawings, err);
    if (status == TL_OK)
        status = tl_file_writer_commit(&rows, err);
    tl_scene_stream_release(&stream);
    tl_file_writer_abandon(&drawings);
    tl_file_writer_abandon(&rows);
    return status;
}

/* ---- the folder ------------------------------------------------------------------ */

/* "0.png", "12.png": a picture that was written here before. */
static bool is_picture(const char *name)
{
    const size_t digits = strspn(name, "0123456789");
    return digits > 0 && strcmp(name + digits, ".png") == 0;
}

static bool is_dataset_file(const char *name)
{
    return strcmp(name, "dataset.jsonl") == 0 || strcmp(name, "drawing.jsonl") == 0 ||
           strcmp(name, "task.json") == 0;
}

/* Removes the files of an older dataset, and no others. */
static tl_status remove_files(const char *folder, bool (*is_ours)(const char *),
                              tl_arena *arena, tl_error *err)
{
    DIR *directory = opendir(folder);
    if (directory == NULL)
        return errno == ENOENT ? TL_OK
                               : tl_fail(err, TL_ERR_IO, "%s: cannot be listed: %s",
                                         folder, strerror(errno));
    tl_status status = TL_OK;
    for (const struct dirent *entry;
         status == TL_OK && (entry = readdir(directory)) != NULL;) {
        if (!is_ours(entry->d_name))
            continue;
        const char *path = tl_path_join(arena, folder, entry->d_name);
        if (path == NULL)
            status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
        else if (unlink(path) != 0)
            status = tl_fail(err, TL_ERR_IO, "%s: cannot be removed: %s", path,
                             strerror(errno));
    }
    closedir(directory);
    return status;
}

static tl_status make_folders(const tl_scene_options *o, tl_arena *arena,
                              const char *folder, tl_error *err)
{
    const char *images = tl_path_join(arena, folder, "images");
    if (images == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    tl_status status = TL_OK;
    if (!o->replace)
        status = tl_file_check_empty(folder, true, err);
    else if ((status = remove_files(folder, is_dataset_file, arena, err)) == TL_OK)
        status = remove_files(images, is_picture, arena, err);
    if (status == TL_OK)
        status = tl_file_make_folder(folder, err);
    return status == TL_OK && !o->no_pictures ? tl_file_make_folder(images, err)
                                              : status;
}

/* ---- all of it -------------------------------------------------------------------- */

/* The prompts are tried before anything is written: a folder is made whole or not. */
static tl_status check(const tl_scene_options *o, size_t n, uint64_t seed,
                       tl_error *err)
{
    if (o->no_text && o->no_pictures)
        return tl_fail(err, TL_ERR_ARGUMENT, "neither text nor image rows are wanted");
    tl_scene_stream stream;
    tl_status status = TL_OK;
    if (o->tokenizer != NULL)
        status = tl_scene_labels_warn(o, err);
    if (status == TL_OK)
        status = tl_scene_stream_init(&stream, o, seed, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        tl_scene scene;
        status = tl_scene_stream_next(&stream, &scene, err);
    }
    tl_scene_stream_release(&stream);
    return status;
}

tl_status tl_scene_write(const tl_scene_options *options, size_t n, uint64_t seed,
                         const char *folder, tl_error *err)
{
    tl_painter *painter = NULL;
    tl_arena *arena = NULL;
    tl_scene_options taken;
    tl_status status = tl_scene_options_take(options, &taken, err);
    options = &taken;
    if (status == TL_OK)
        status = check(options, n, seed, err);
    if (status == TL_OK)
        status = (arena = tl_arena_create()) != NULL
                     ? TL_OK
                     : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a dataset");
    if (status == TL_OK && !options->no_pictures)
        status = tl_painter_create(seed, &painter, err);
    if (status == TL_OK)
        status = make_folders(options, arena, folder, err);
    if (status == TL_OK)
        status = write_task(options, arena, folder, err);
    if (status == TL_OK)
        status = write_scenes(options, n, seed, painter, arena, folder, err);
    tl_painter_destroy(painter);
    tl_arena_destroy(arena);
    return status;
}
