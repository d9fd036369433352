/* SPDX-License-Identifier: MIT
 * vqa_dataset.c - see vqa_dataset.h. */
#include "task/vqa_dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "input/first_token.h"
#include "task/csv.h"
#include "task/dataset_folder.h"

enum { SIDE = 252 }; /* of the pictures, as the paper has them */

/* A question, not yet chosen. */
typedef struct item {
    const char *id, *picture, *question, *answer;
    const char *label; /* the first token of the answer; of those that are chosen */
} item;

typedef struct importer {
    const tl_vqa_source *source;
    const char *folder;
    tl_arena *arena;
    item *items;
    size_t n_items;
    size_t *order; /* in which they are taken */
    size_t n;
    const char **labels;
    size_t n_labels;
} importer;

static tl_status fail_memory(tl_error *err)
{
    return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the questions");
}

/* ---- VQAv2 ------------------------------------------------------------------------ */

typedef struct asked {
    json_int_t id;
    const char *question;
} asked;

static int by_id(const void *a, const void *b)
{
    const asked *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static tl_status read_list(const char *path, const char *key, json_t **root,
                           const json_t **list, tl_error *err)
{
    const tl_status status = tl_json_read(path, root, err);
    if (status != TL_OK)
        return status;
    *list = json_object_get(*root, key);
    return json_array_size(*list) > 0
               ? TL_OK
               : tl_fail(err, TL_ERR_FORMAT, "%s: no list '%s' with entries", path,
                         key);
}

static tl_status read_questions(const char *path, const json_t *list, tl_arena *arena,
                                asked **out, tl_error *err)
{
    const size_t n = json_array_size(list);
    asked *all = tl_arena_alloc(arena, n, sizeof *all);
    if (all == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(list, i),
                     *id = json_object_get(entry, "question_id");
        const char *text = json_string_value(json_object_get(entry, "question"));
        if (!json_is_integer(id) || text == NULL || *text == '\0')
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s: question %zu is without 'question_id' or 'question'",
                           path, i);
        all[i] = (asked){json_integer_value(id), tl_arena_strdup(arena, text)};
        if (all[i].question == NULL)
            return fail_memory(err);
    }
    qsort(all, n, sizeof *all, by_id);
    *out = all;
    return TL_OK;
}

/* "COCO_val2014_000000262148.jpg" */
static const char *picture_of(tl_arena *arena, const char *subtype, json_int_t id)
{
    const size_t bytes = strlen(subtype) + 48;
    char *name = tl_arena_alloc(arena, bytes, 1);
    if (name != NULL)
        snprintf(name, bytes, "COCO_%s_%012lld.jpg", subtype, (long long)id);
    return name;
}

static tl_status read_annotation(importer *im, const json_t *entry, size_t number,
                                 const char *subtype, const asked *questions,
                                 size_t n_questions, tl_error *err)
{
    const json_t *id = json_object_get(entry, "question_id"),
                 *image = json_object_get(entry, "image_id");
    const char *answer =
        json_string_value(json_object_get(entry, "multiple_choice_answer"));
    if (!json_is_integer(id) || !json_is_integer(image) || answer == NULL)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: annotation %zu is without 'question_id', 'image_id' or "
                       "'multiple_choice_answer'",
                       im->source->annotations, number);
    const asked key = {json_integer_value(id), NULL};
    const asked *found =
        bsearch(&key, questions, n_questions, sizeof *questions, by_id);
    if (found == NULL)
        return tl_fail(err, TL_ERR_DATA, "%s: question %lld is not in %s",
                       im->source->annotations, (long long)key.id,
                       im->source->questions);
    char *name = tl_arena_alloc(im->arena, 24, 1);
    item *it = &im->items[im->n_items++];
    if (name == NULL)
        return fail_memory(err);
    snprintf(name, 24, "%lld", (long long)key.id);
    *it = (item){.id = name,
                 .picture = picture_of(im->arena, subtype, json_integer_value(image)),
                 .question = found->question,
                 .answer = tl_arena_strdup(im->arena, answer)};
    return it->picture != NULL && it->answer != NULL ? TL_OK : fail_memory(err);
}

static tl_status read_vqa(importer *im, tl_error *err)
{
    json_t *questions = NULL, *annotations = NULL;
    const json_t *q = NULL, *a = NULL;
    asked *all = NULL;
    const char *subtype = "val2014";
    tl_status status =
        read_list(im->source->questions, "questions", &questions, &q, err);
    if (status == TL_OK)
        status =
            read_list(im->source->annotations, "annotations", &annotations, &a, err);
    if (status == TL_OK)
        status = read_questions(im->source->questions, q, im->arena, &all, err);
    if (status == TL_OK)
        status = tl_json_get_string(annotations, "data_subtype",
                                    im->source->annotations, &subtype, err);
    im->items = tl_arena_alloc(im->arena, json_array_size(a) + 1, sizeof *im->items);
    if (status == TL_OK && im->items == NULL)
        status = fail_memory(err);
    for (size_t i = 0; i < json_array_size(a) && status == TL_OK; i++)
        status = read_annotation(im, json_array_get(a, i), i, subtype, all,
                                 json_array_size(q), err);
    json_decref(questions);
    json_decref(annotations);
    return status;
}

/* ---- tables ----------------------------------------------------------------------- */

static tl_status add_row(importer *im, const char *picture, const char *question,
                         const char *answer, size_t line, tl_error *err)
{
    char *name = tl_arena_alloc(im->arena, 24, 1);
    if (name == NULL)
        return fail_memory(err);
    if (picture == NULL || question == NULL || answer == NULL || *picture == '\0' ||
        *question == '\0')
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s:%zu: wanted 'image' (or 'file_name'), 'question' and "
                       "'answer', all of them words",
                       im->source->table, line);
    snprintf(name, 24, "%zu", im->n_items);
    item *it = &im->items[im->n_items++];
    *it = (item){.id = name,
                 .picture = tl_arena_strdup(im->arena, picture),
                 .question = tl_arena_strdup(im->arena, question),
                 .answer = tl_arena_strdup(im->arena, answer)};
    return it->picture != NULL && it->question != NULL && it->answer != NULL
               ? TL_OK
               : fail_memory(err);
}

static tl_status read_csv(importer *im, tl_error *err)
{
    tl_csv csv;
    tl_status status = tl_csv_read(im->source->table, im->arena, &csv, err);
    if (status != TL_OK)
        return status;
    size_t picture = tl_csv_column(&csv, "image");
    const size_t question = tl_csv_column(&csv, "question"),
                 answer = tl_csv_column(&csv, "answer");
    if (picture == TL_CSV_NO_COLUMN)
        picture = tl_csv_column(&csv, "file_name");
    if (picture == TL_CSV_NO_COLUMN || question == TL_CSV_NO_COLUMN ||
        answer == TL_CSV_NO_COLUMN)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: wanted columns 'image' (or 'file_name'), 'question' and "
                       "'answer'",
                       im->source->table);
    im->items = tl_arena_alloc(im->arena, csv.n_rows + 1, sizeof *im->items);
    if (im->items == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < csv.n_rows && status == TL_OK; i++) {
        const char *const *fields = csv.fields + i * csv.n_columns;
        status = add_row(im, fields[picture], fields[question], fields[answer],
                         csv.lines[i], err);
    }
    return status;
}

static tl_status read_json_lines(importer *im, tl_error *err)
{
    char *text = NULL;
    size_t bytes = 0, n_lines = 1, line = 1;
    tl_status status = tl_file_read(im->source->table, im->arena, &text, &bytes, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < bytes; i++)
        n_lines += text[i] == '\n';
    im->items = tl_arena_alloc(im->arena, n_lines, sizeof *im->items);
    if (im->items == NULL)
        return fail_memory(err);
    for (char *at = text; at < text + bytes && status == TL_OK; line++) {
        char *end = memchr(at, '\n', (size_t)(text + bytes - at));
        const size_t n = (size_t)((end != NULL ? end : text + bytes) - at);
        json_t *row = NULL;
        if (strspn(at, " \t\r") < n) {
            status =
                tl_fail_while(err, tl_json_parse(at, n, im->source->table, &row, err),
                              "line %zu", line);
            const char *picture = json_string_value(json_object_get(row, "image"));
            if (picture == NULL)
                picture = json_string_value(json_object_get(row, "file_name"));
            if (status == TL_OK)
                status = add_row(
                    im, picture, json_string_value(json_object_get(row, "question")),
                    json_string_value(json_object_get(row, "answer")), line, err);
            json_decref(row);
        }
        at += n + 1;
    }
    return status;
}

static tl_status read_table(importer *im, tl_error *err)
{
    const char *path = im->source->table;
    const size_t n = strlen(path);
    return n > 4 && strcmp(path + n - 4, ".csv") == 0 ? read_csv(im, err)
                                                      : read_json_lines(im, err);
}

/* ---- the sample -------------------------------------------------------------------- */

typedef struct named {
    const char *picture;
    size_t place; /* in the order */
} named;

static int by_picture(const void *a, const void *b)
{
    const named *x = a, *y = b;
    const int order = strcmp(x->picture, y->picture);
    return order != 0 ? order : (x->place > y->place) - (x->place < y->place);
}

/* Leaves the first question to each picture. */
static tl_status keep_first(importer *im, tl_error *err)
{
    named *all = tl_arena_alloc(im->arena, im->n + 1, sizeof *all);
    bool *later = tl_arena_alloc_zero(im->arena, im->n + 1, sizeof *later);
    size_t n = 0;
    if (all == NULL || later == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < im->n; i++)
        all[i] = (named){im->items[im->order[i]].picture, i};
    qsort(all, im->n, sizeof *all, by_picture);
    for (size_t i = 1; i < im->n; i++)
        later[all[i].place] = strcmp(all[i - 1].picture, all[i].picture) == 0;
    for (size_t i = 0; i < im->n; i++)
        if (!later[i])
            im->order[n++] = im->order[i];
    im->n = n;
    return TL_OK;
}

static tl_status choose(importer *im, tl_vqa_report *report, tl_error *err)
{
    tl_random random = {im->source->seed};
    im->order = tl_arena_alloc(im->arena, im->n_items + 1, sizeof *im->order);
    if (im->order == NULL)
        return fail_memory(err);
    if (im->n_items == 0)
        return tl_fail(err, TL_ERR_DATA, "%s: has no questions", im->source->table);
    for (size_t i = 0; i < im->n_items; i++)
        im->order[i] = i;
    if (im->source->is_random)
        tl_random_order(&random, im->n_items, im->order);
    im->n = im->n_items;
    const tl_status status = im->source->table == NULL ? keep_first(im, err) : TL_OK;
    report->n_all = im->n_items;
    report->n_usable = im->n;
    if (im->n > im->source->n)
        im->n = im->source->n;
    report->n = im->n;
    return status;
}

/* ---- answers ------------------------------------------------------------------------ */

/* The text of the first token; the answer itself, if that text alone is another token. */
static tl_status find_label(const importer *im, item *it, tl_error *err)
{
    const tl_tokenizer *t = im->source->tokenizer;
    const char *text = "";
    int32_t first = 0, again = 0;
    tl_status status = tl_first_token(t, it->answer, &first, err);
    if (status == TL_OK)
        status = tl_cut_tokens(t, it->answer, 1, im->arena, &text, err);
    it->label = it->answer;
    if (status == TL_OK && text[0] != '\0') {
        status = tl_first_token(t, text, &again, err);
        if (status == TL_OK && again == first)
            it->label = text;
    }
    return status == TL_OK
               ? TL_OK
               : tl_fail_while(err, status, "question %s, '%s'", it->id, it->question);
}

/* Each once, in the order in which they occur. */
static tl_status list_labels(importer *im, tl_error *err)
{
    tl_status status = TL_OK;
    im->labels = tl_arena_alloc(im->arena, im->n, sizeof *im->labels);
    if (im->labels == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < im->n && status == TL_OK; i++) {
        item *it = &im->items[im->order[i]];
        size_t known = 0;
        status = find_label(im, it, err);
        while (status == TL_OK && known < im->n_labels &&
               strcmp(im->labels[known], it->label) != 0)
            known++;
        if (status == TL_OK && known == im->n_labels)
            im->labels[im->n_labels++] = it->label;
    }
    return status;
}

/* ---- the folder ------------------------------------------------------------------- */

static const char *source_of(const importer *im, const item *it)
{
    const char *folder = im->source->pictures;
    if (folder == NULL)
        folder = tl_path_folder(im->arena, im->source->table);
    return folder != NULL ? tl_path_join(im->arena, folder, it->picture) : NULL;
}

static tl_status check_pictures(const importer *im, tl_error *err)
{
    for (size_t i = 0; i < im->n; i++) {
        const item *it = &im->items[im->order[i]];
        const char *path = source_of(im, it);
        if (path == NULL)
            return fail_memory(err);
        const tl_status status =
            tl_fail_while(err, tl_file_check(path, err), "question %s", it->id);
        if (status != TL_OK)
            return status;
    }
    return TL_OK;
}

/* images/ID.ENDING, so that no name leads out of the folder. */
static tl_status link_picture(const importer *im, const item *it, const char **name,
                              tl_error *err)
{
    const char *ending = strrchr(it->picture, '.');
    char *inside = tl_arena_alloc(im->arena, 64, 1);
    if (inside == NULL)
        return fail_memory(err);
    if (ending == NULL || strlen(ending) > 6 || strchr(ending, '/') != NULL)
        ending = "";
    snprintf(inside, 64, "images/%s%s", it->id, ending);
    const char *from = source_of(im, it),
               *to = tl_path_join(im->arena, im->folder, inside);
    *name = inside;
    return from != NULL && to != NULL ? tl_file_link(from, to, err) : fail_memory(err);
}

static tl_status write_row(const importer *im, const item *it, tl_file_writer *file,
                           tl_error *err)
{
    const tl_arena_mark mark = tl_arena_get_mark(im->arena);
    const char *picture = NULL;
    tl_status status = link_picture(im, it, &picture, err);
    if (status == TL_OK)
        status = tl_json_put_line(
            file,
            json_pack("{s:s, s:s, s:s, s:o, s:s, s:s}", "id", it->id, "modality",
                      "image", "image", picture, "query",
                      json_sprintf("%s Answer in a single word.", it->question),
                      "answer", it->label, "split", "none"),
            err);
    tl_arena_rewind(im->arena, mark);
    return status;
}

static tl_status write_task(const importer *im, tl_error *err)
{
    const char *path = tl_path_join(im->arena, im->folder, "task.json");
    if (path == NULL)
        return fail_memory(err);
    json_t *labels = json_array();
    for (size_t i = 0; i < im->n_labels; i++)
        json_array_append_new(labels, json_string(im->labels[i]));
    json_t *task = json_pack("{s:s, s:o, s:[i,i]}", "name", "vqa", "labels", labels,
                             "image_size", SIDE, SIDE);
    return tl_json_write(path, task, err);
}

static tl_status write_all(const importer *im, bool replace, tl_error *err)
{
    tl_file_writer file = {0};
    const char *path = tl_path_join(im->arena, im->folder, "dataset.jsonl"),
               *images = tl_path_join(im->arena, im->folder, "images");
    if (path == NULL || images == NULL)
        return fail_memory(err);
    tl_status status = tl_dataset_folder_make(im->folder, replace, im->arena, err);
    if (status == TL_OK)
        status = tl_file_make_folder(images, err);
    if (status == TL_OK)
        status = write_task(im, err);
    if (status == TL_OK)
        status = tl_file_writer_open(&file, path, err);
    for (size_t i = 0; i < im->n && status == TL_OK; i++)
        status = write_row(im, &im->items[im->order[i]], &file, err);
    if (status == TL_OK)
        status = tl_file_writer_commit(&file, err);
    tl_file_writer_abandon(&file);
    return status;
}

tl_status tl_vqa_import(const tl_vqa_source *source, const char *folder, bool replace,
                        tl_vqa_report *report, tl_error *err)
{
    importer im = {.source = source, .folder = folder, .arena = tl_arena_create()};
    if (im.arena == NULL)
        return fail_memory(err);
    tl_status status =
        source->table != NULL ? read_table(&im, err) : read_vqa(&im, err);
    if (status == TL_OK)
        status = choose(&im, report, err);
    if (status == TL_OK)
        status = list_labels(&im, err);
    if (status == TL_OK)
        status = check_pictures(&im, err);
    if (status == TL_OK)
        status = write_all(&im, replace, err);
    report->n_labels = im.n_labels;
    tl_arena_destroy(im.arena);
    return status;
}
