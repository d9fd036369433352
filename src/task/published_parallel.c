/* SPDX-License-Identifier: MIT
 * published_parallel.c - see published_parallel.h. */
#include "task/published_parallel.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "input/first_token.h"
#include "task/pyrandom.h"

enum {
    SEED = 42,
    MOST_WORDS = 32,
    SCENE_OBJECTS = 4,
    DESCRIPTION_TOKENS = 19 /* and one for " ..." */
};

static tl_status fail_memory(tl_error *err)
{
    return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the parallel prompts");
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Without its ending. */
static char *base_name(const char *path, tl_arena *arena)
{
    char *name = tl_arena_strdup(arena, file_name(path));
    char *dot = name != NULL ? strrchr(name, '.') : NULL;
    if (dot != NULL)
        *dot = '\0';
    return name;
}

/* ---- names of pictures -------------------------------------------------------------- */

/* Cuts at the next separator, which becomes 0; NULL: nothing is left. */
static char *next_word(char **at, char separator)
{
    char *word = *at;
    if (*word == '\0')
        return NULL;
    char *end = strchr(word, separator);
    *at = end != NULL ? end + 1 : word + strlen(word);
    if (end != NULL)
        *end = '\0';
    return word;
}

/* "3_people_1_bag_x2": a number and a word, again and again; the rest is a count of
 * pictures of the same. 0: too many, or none. */
static size_t read_counts(char *name, const char *words[MOST_WORDS])
{
    size_t n = 0;
    for (char *word;
         (word = next_word(&name, '_')) != NULL && isdigit((unsigned char)*word);) {
        unsigned long times = strtoul(word, NULL, 10);
        if ((word = next_word(&name, '_')) == NULL || *word == '\0')
            break;
        if (times > MOST_WORDS - n)
            return 0;
        while (times-- > 0)
            words[n++] = word;
    }
    return n;
}

/* One generator for all pictures: the order of one depends on those before it. */
static tl_status count_words(const char *path, tl_pyrandom *random, tl_arena *arena,
                             const char **out, tl_error *err)
{
    const char *words[MOST_WORDS];
    size_t order[MOST_WORDS], bytes = 1, at = 0;
    char *name = base_name(path, arena);
    if (name == NULL)
        return fail_memory(err);
    const size_t n = read_counts(name, words);
    if (n == 0)
        return tl_fail(err, TL_ERR_DATA,
                       "'%s' names no counts of up to %d things, wanted a name such as "
                       "3_people_1_bag_3_chair.png",
                       path, MOST_WORDS);
    for (size_t i = 0; i < n; i++) {
        order[i] = i;
        bytes += strlen(words[i]) + 1;
    }
    tl_pyrandom_shuffle(random, order, n);
    char *text = tl_arena_alloc(arena, bytes, 1);
    if (text == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, bytes - at, "%s%s", i > 0 ? " " : "",
                               words[order[i]]);
    *out = text;
    return TL_OK;
}

/* "13plus45" is 13+45. */
static tl_status calculation(const char *path, tl_arena *arena, const char **out,
                             tl_error *err)
{
    static const struct {
        const char *word;
        char sign;
    } signs[] = {{"plus", '+'}, {"minus", '-'}, {"mult", '*'}, {"divide", '/'}};
    const char *name = base_name(path, arena);
    if (name == NULL)
        return fail_memory(err);
    const size_t first = strspn(name, "0123456789");
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        const size_t n = strlen(signs[i].word);
        if (first == 0 || strncmp(name + first, signs[i].word, n) != 0)
            continue;
        const char *second = name + first + n;
        const size_t bytes = strlen(name) + 1;
        char *text = tl_arena_alloc(arena, bytes, 1);
        if (text == NULL)
            return fail_memory(err);
        if (*second == '\0' || second[strspn(second, "0123456789")] != '\0')
            break;
        snprintf(text, bytes, "%.*s%c%s", (int)first, name, signs[i].sign, second);
        *out = text;
        return TL_OK;
    }
    return tl_fail(err, TL_ERR_DATA,
                   "'%s' names no calculation, wanted a name such as 13plus45.png",
                   path);
}

static tl_status entity(const char *path, tl_arena *arena, const char **out,
                        tl_error *err)
{
    char *name = base_name(path, arena);
    if (name == NULL)
        return fail_memory(err);
    if (*name == '\0')
        return tl_fail(err, TL_ERR_DATA, "'%s' names no entity", path);
    for (char *c = name; *c != '\0'; c++)
        if (*c == '_')
            *c = ' ';
    *out = name;
    return TL_OK;
}

/* ---- lists of pictures --------------------------------------------------------------- */

/* An entry of a list, by the file name of its picture. */
typedef struct entry {
    const char *name;
    const json_t *object;
} entry;

typedef struct list {
    json_t *root;
    entry *entries;
    size_t n;
} list;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

/* The list is `key` of the file, or, NULL, the file itself. */
static tl_status list_open(const char *path, const char *key, const char *name_key,
                           tl_arena *arena, list *out, tl_error *err)
{
    tl_status status = tl_json_read(path, &out->root, err);
    if (status != TL_OK)
        return status;
    const json_t *items = key != NULL ? json_object_get(out->root, key) : out->root;
    if (!json_is_array(items))
        return tl_fail(err, TL_ERR_FORMAT, "%s: wanted a list%s%s", path,
                       key != NULL ? " under the key " : "", key != NULL ? key : "");
    const size_t n = json_array_size(items);
    out->entries = tl_arena_alloc(arena, n + 1, sizeof *out->entries);
    if (out->entries == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        const json_t *object = json_array_get(items, i);
        const char *name = json_string_value(json_object_get(object, name_key));
        if (name == NULL)
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s: entry %zu has no '%s', wanted the name of a picture",
                           path, i, name_key);
        out->entries[out->n++] = (entry){file_name(name), object};
    }
    if (out->n > 0)
        qsort(out->entries, out->n, sizeof *out->entries, by_name);
    return TL_OK;
}

static const json_t *list_find(const list *l, const char *path)
{
    const entry key = {file_name(path), NULL};
    const entry *found =
        l->n > 0 ? bsearch(&key, l->entries, l->n, sizeof *l->entries, by_name) : NULL;
    return found != NULL ? found->object : NULL;
}

/* ---- scenes ---------------------------------------------------------------------- */

typedef struct thing {
    double x;
    const char *color;
} thing;

/* Things at the same place keep their order. */
static void sort_things(thing *things, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k > 0 && things[k - 1].x > things[k].x; k--) {
            const thing other = things[k];
            things[k] = things[k - 1];
            things[k - 1] = other;
        }
}

static tl_status describe_scene(const json_t *scene, const char *path, tl_arena *arena,
                                const char **out, tl_error *err)
{
    static const char *const between[SCENE_OBJECTS] = {" object, a ", " object, a ",
                                                       " object and a ", " object"};
    const json_t *objects = json_object_get(scene, "objects");
    thing things[SCENE_OBJECTS];
    size_t bytes = 1, at = 0;
    if (json_array_size(objects) != SCENE_OBJECTS)
        return tl_fail(err, TL_ERR_DATA, "the scene of '%s' has %zu objects, wanted %d",
                       path, json_array_size(objects), SCENE_OBJECTS);
    for (size_t i = 0; i < SCENE_OBJECTS; i++) {
        const json_t *object = json_array_get(objects, i);
        const json_t *x = json_array_get(json_object_get(object, "pixel_coords"), 0);
        things[i] = (thing){json_number_value(x),
                            json_string_value(json_object_get(object, "color"))};
        if (!json_is_number(x) || things[i].color == NULL)
            return tl_fail(err, TL_ERR_FORMAT,
                           "the scene of '%s' has an object without 'color' or "
                           "'pixel_coords'",
                           path);
        bytes += strlen(things[i].color) + strlen(between[i]);
    }
    sort_things(things, SCENE_OBJECTS);
    char *text = tl_arena_alloc(arena, bytes, 1);
    if (text == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < SCENE_OBJECTS; i++)
        at += (size_t)snprintf(text + at, bytes - at, "%s%s", things[i].color,
                               between[i]);
    *out = text;
    return TL_OK;
}

/* ---- descriptions ------------------------------------------------------------------ */

static tl_status cut_description(const tl_published_files *files, const json_t *object,
                                 const char *path, tl_arena *arena, const char **out,
                                 tl_error *err)
{
    const char *text = json_string_value(json_object_get(object, "text_data"));
    if (text == NULL || *text == '\0')
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: no 'text_data' for '%s', wanted its description",
                       files->descriptions, path);
    return tl_fail_while(
        err, tl_cut_tokens(files->tokenizer, text, DESCRIPTION_TOKENS, arena, out, err),
        "%s: '%s'", files->descriptions, path);
}

/* ---- all of them ------------------------------------------------------------------- */

static tl_status find_content(tl_task task, const tl_published_files *files,
                              const list *known, const char *path, tl_pyrandom *random,
                              tl_arena *arena, const char **out, tl_error *err)
{
    const json_t *object = list_find(known, path);
    switch (task) {
    case TL_TASK_COUNTING: return count_words(path, random, arena, out, err);
    case TL_TASK_ARITHMETIC: return calculation(path, arena, out, err);
    case TL_TASK_FACTUAL_RECALL: return entity(path, arena, out, err);
    case TL_TASK_COLOR_ORDERING:
        return object == NULL ? TL_OK : describe_scene(object, path, arena, out, err);
    case TL_TASK_SENTIMENT:
        return object == NULL ? TL_OK
                              : cut_description(files, object, path, arena, out, err);
    case TL_TASKS: break;
    }
    return TL_OK;
}

tl_status tl_published_contents(tl_task task, const tl_published_files *files,
                                const char *const *paths, size_t n, tl_arena *arena,
                                const char **contents, tl_error *err)
{
    list known = {.n = 0};
    tl_pyrandom random;
    tl_status status = TL_OK;
    tl_pyrandom_seed(&random, SEED);
    if (task == TL_TASK_COLOR_ORDERING && files->scenes != NULL)
        status =
            list_open(files->scenes, "scenes", "image_filename", arena, &known, err);
    if (task == TL_TASK_SENTIMENT && files->descriptions != NULL)
        status =
            files->tokenizer != NULL
                ? list_open(files->descriptions, NULL, "image_path", arena, &known, err)
                : tl_fail(err, TL_ERR_ARGUMENT,
                          "%s: descriptions are cut to %d tokens of the model, "
                          "wanted its tokenizer",
                          files->descriptions, DESCRIPTION_TOKENS);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        contents[i] = NULL;
        status = find_content(task, files, &known, paths[i], &random, arena,
                              &contents[i], err);
    }
    json_decref(known.root);
    return status;
}

/* ---- answers ---------------------------------------------------------------------- */

static bool contains(const char *const *labels, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(labels[i], text) == 0)
            return true;
    return false;
}

static tl_status list_answers(const tl_published_files *files, const json_t *entities,
                              tl_arena *arena, const char **labels, tl_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(entities); i++) {
        const char *answer =
            json_string_value(json_array_get(json_array_get(entities, i), 1));
        const char *first = NULL;
        if (answer == NULL || *answer == '\0')
            return tl_fail(err, TL_ERR_FORMAT,
                           "%s: entry %zu is not [entity, answer], both words",
                           files->entities, i);
        const tl_status status =
            tl_cut_tokens(files->tokenizer, answer, 1, arena, &first, err);
        if (status != TL_OK)
            return status;
        if (!contains(labels, n, first))
            labels[n++] = first;
    }
    return TL_OK;
}

tl_status tl_published_listed_answers(const tl_published_files *files,
                                      const char *question, tl_arena *arena,
                                      const char *const **labels, tl_error *err)
{
    json_t *root = NULL;
    *labels = NULL;
    if (files->entities == NULL)
        return TL_OK;
    if (files->tokenizer == NULL)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "%s: answers are cut to the first token of the model, wanted "
                       "its tokenizer",
                       files->entities);
    tl_status status = tl_json_read(files->entities, &root, err);
    const json_t *entities = json_object_get(root, question);
    const char **made =
        tl_arena_alloc_zero(arena, json_array_size(entities) + 1, sizeof *made);
    if (status == TL_OK && made == NULL)
        status = fail_memory(err);
    if (status == TL_OK && json_array_size(entities) == 0)
        status = tl_fail(err, TL_ERR_DATA, "%s: no entities of '%s'", files->entities,
                         question);
    if (status == TL_OK)
        status = list_answers(files, entities, arena, made, err);
    json_decref(root);
    *labels = made;
    return status;
}
