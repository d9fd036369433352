/* SPDX-License-Identifier: MIT
 *
 * sample.c - scenes, task by task, with the published distributions: see
 * docs/tasks.md. The small style has shorter prompts and fewer things.
 */
#include "scene/sample.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "input/first_token.h"
#include "scene/words.h"
#include "twinlens/alloc.h"
#include "twinlens/log.h"

static size_t below(tl_random *random, size_t n)
{
    return (size_t)tl_random_below(random, n);
}

/* Uniform in first .. last. */
static size_t between(tl_random *random, size_t first, size_t last)
{
    return first + below(random, last - first + 1);
}

/* The first `n_chosen` of `values` become a random choice, in random order. */
static void shuffle(tl_random *random, size_t n, size_t n_chosen, size_t *values)
{
    for (size_t i = 0; i < n_chosen; i++) {
        const size_t j = between(random, i, n - 1), value = values[i];
        values[i] = values[j];
        values[j] = value;
    }
}

/* What does not fit would be a mistake of ours. */
static void write_text(char *text, size_t bytes, const char *format, ...)
    TL_PRINTF(3, 4);

static void write_text(char *text, size_t bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text, bytes, format, args);
    va_end(args);
    assert(n >= 0 && (size_t)n < bytes);
    (void)n;
}

static void append(char *text, size_t bytes, const char *what)
{
    const size_t used = strlen(text);
    write_text(text + used, bytes - used, "%s", what);
}

static tl_item *add_item(tl_scene *scene, tl_shape shape, const char *name)
{
    tl_item *item = &scene->items[scene->n_items++];
    *item = (tl_item){.shape = shape};
    write_text(item->name, sizeof item->name, "%s", name);
    return item;
}

static void add_icon(tl_scene *scene, const tl_icon *icon)
{
    add_item(scene, TL_SHAPE_EMOJI, icon->word)->symbol = icon->emoji;
}

/* ---- counting -------------------------------------------------------------------- */

/*
 * One to four kinds, equally often. The kind asked for occurs in all places when it is
 * the only one, else uniformly often but in all; other kinds fill the rest.
 */
static void sample_counting(tl_style style, tl_random *random, tl_scene *scene)
{
    const bool small = style == TL_STYLE_SMALL;
    const size_t n_words = small ? TL_OBJECTS_SMALL : TL_OBJECTS, total = small ? 5 : 7;
    const size_t n_kinds = between(random, 1, 4);
    size_t words[TL_OBJECTS], places[TL_SCENE_ITEMS], times[TL_OBJECTS] = {0};
    for (size_t i = 0; i < n_words; i++)
        words[i] = i;
    shuffle(random, n_words, n_kinds, words);
    const size_t asked = words[0],
                 count = n_kinds == 1 ? total : between(random, 1, total - 1);
    for (size_t i = 0; i < total; i++)
        places[i] = i < count ? asked : words[between(random, 1, n_kinds - 1)];
    shuffle(random, total, total, places);
    for (size_t i = 0; i < total; i++) {
        const tl_icon *object = &tl_objects[places[i]];
        add_icon(scene, object);
        times[places[i]]++;
        append(scene->data, sizeof scene->data, " ");
        append(scene->data, sizeof scene->data, object->word);
    }
    for (size_t i = 0; i < n_words; i++) { /* the order does not matter in a picture */
        char part[24];
        write_text(part, sizeof part, "%zu %s ", times[i], tl_objects[i].word);
        if (times[i] > 0)
            append(scene->content, sizeof scene->content, part);
    }
    const char *word = tl_objects[asked].word;
    write_text(scene->before, sizeof scene->before, "Sequence:");
    write_text(scene->answer, sizeof scene->answer, "%zu", count);
    if (small) {
        write_text(scene->query, sizeof scene->query, ".\nHow many %s are there?",
                   word);
        write_text(scene->image_query, sizeof scene->image_query,
                   "How many %s are there?", word);
        return;
    }
    write_text(scene->query, sizeof scene->query,
               ". How many \"%s\" are in the sequence? Answer in a single number. ",
               word);
    write_text(scene->image_query, sizeof scene->image_query,
               "How many \"%s\" are in the image? Answer in a single number. ", word);
}

/* ---- arithmetic ------------------------------------------------------------------ */

/*
 * Two numbers of two digits; the result is cut to an integer. The small style adds and
 * subtracts, with results of two digits.
 */
static void sample_arithmetic(tl_style style, tl_random *random, tl_scene *scene)
{
    const bool small = style == TL_STYLE_SMALL;
    size_t a, b, first, last;
    char op;
    do { /* anew when no second number suits the first */
        a = between(random, 10, 99);
        op = "+-*/"[below(random, small ? 2 : 4)];
        first = 10;
        last = op == '*' ? 98 : a - 1;
        if (op == '+')
            last = small ? 99 - a : a < 99 ? 98 - a : 0;
        else if (small)
            last = a - 10;
    } while (last < first);
    b = between(random, first, last);
    const size_t result = op == '+'   ? a + b
                          : op == '-' ? a - b
                          : op == '*' ? a * b
                                      : a / b;
    write_text(scene->data, sizeof scene->data, "%zu%c%zu", a, op, b);
    write_text(scene->content, sizeof scene->content, "%s", scene->data);
    write_text(scene->answer, sizeof scene->answer, "%zu", result);
    static const char *const question =
        "What is the result of the given arithmetic calculation? Answer in a single "
        "number.";
    if (!small)
        write_text(scene->before, sizeof scene->before, "Question: ");
    write_text(scene->image_query, sizeof scene->image_query, "%s",
               small ? "What is the result?" : question);
    write_text(scene->query, sizeof scene->query, "%s%s", small ? "\n" : ". ",
               scene->image_query);
    static const char *const digits[] = {"0", "1", "2", "3", "4",
                                         "5", "6", "7", "8", "9"};
    for (const char *c = scene->data; *c != 0; c++) {
        const char name[2] = {*c, 0};
        add_item(scene, TL_SHAPE_GLYPH, name)->symbol = *c == '+'   ? "+"
                                                        : *c == '-' ? "\u2212"
                                                        : *c == '*' ? "\u00d7"
                                                        : *c == '/' ? "\u00f7"
                                                                    : digits[*c - '0'];
    }
    add_item(scene, TL_SHAPE_GLYPH, "=")->symbol = "=";
}

/* ---- colour ordering ------------------------------------------------------------- */

static void sample_colors(tl_style style, tl_random *random, tl_scene *scene)
{
    enum { OBJECTS = 4 };
    static const char *const order[OBJECTS] = {"first", "second", "third", "fourth"};
    static const char *const shape[] = {"sphere", "cube", "cylinder"};
    const char *colors[OBJECTS];
    for (size_t i = 0; i < OBJECTS; i++) {
        const size_t color = below(random, TL_COLORS), form = below(random, 3);
        char name[32];
        colors[i] = tl_colors[color].word;
        write_text(name, sizeof name, "%s %s", colors[i], shape[form]);
        add_item(scene, (tl_shape)(TL_SHAPE_SPHERE + form), name)->color = color;
        append(scene->content, sizeof scene->content, colors[i]);
        append(scene->content, sizeof scene->content, " ");
    }
    const bool right = below(random, 2) == 1;
    const size_t nth = below(random, OBJECTS);
    write_text(scene->answer, sizeof scene->answer, "%s",
               colors[right ? OBJECTS - 1 - nth : nth]);
    const bool small = style == TL_STYLE_SMALL;
    if (small) {
        write_text(scene->before, sizeof scene->before, "Objects:");
        write_text(scene->data, sizeof scene->data, " %s %s %s %s", colors[0],
                   colors[1], colors[2], colors[3]);
    } else {
        write_text(scene->data, sizeof scene->data,
                   "In a scene with four objects arranged horizontally, there is a %s "
                   "object, a %s object, a %s object and a %s object",
                   colors[0], colors[1], colors[2], colors[3]);
    }
    write_text(scene->image_query, sizeof scene->image_query,
               "What is the color of the %s object from the %s?%s", order[nth],
               right ? "right" : "left", small ? "" : " Answer in a single word.");
    write_text(scene->query, sizeof scene->query, "%s%s", small ? ".\n" : ". ",
               scene->image_query);
}

/* ---- factual recall -------------------------------------------------------------- */

/* Every question that can be asked of an entity is as likely as every other. */
static void sample_fact(tl_style style, tl_random *random, tl_scene *scene)
{
    size_t left, n_pairs = 0, question = 0;
    for (size_t i = 0; i < TL_ENTITIES; i++)
        for (size_t q = 0; q < TL_QUESTIONS; q++)
            n_pairs += tl_entities[i].answer[q] != NULL;
    left = below(random, n_pairs);
    const tl_entity *entity = NULL;
    for (size_t i = 0; i < TL_ENTITIES && entity == NULL; i++)
        for (size_t q = 0; q < TL_QUESTIONS && entity == NULL; q++)
            if (tl_entities[i].answer[q] != NULL && left-- == 0) {
                entity = &tl_entities[i];
                question = q;
            }
    const bool small = style == TL_STYLE_SMALL;
    const char *word = small ? entity->word : entity->name;
    const char *introduction =
        small ? tl_introductions[below(random, TL_INTRODUCTIONS)] : tl_introductions[0];
    scene->group = tl_question_name[question];
    write_text(scene->answer, sizeof scene->answer, "%s", entity->answer[question]);
    /* The published data segment begins with "Consider"; where the verb differs from
     * prompt to prompt it is not what the fact is about. */
    if (small)
        write_text(scene->before, sizeof scene->before, "%s", introduction);
    else
        append(scene->data, sizeof scene->data, introduction);
    append(scene->data, sizeof scene->data, " ");
    append(scene->data, sizeof scene->data, word);
    write_text(scene->image_query, sizeof scene->image_query, "%s%s",
               tl_question_text[question], small ? "" : " Answer in a single word.");
    write_text(scene->query, sizeof scene->query, ".\n%s", scene->image_query);
    write_text(scene->content, sizeof scene->content, "%s %s %s", introduction, word,
               scene->group);
    add_item(scene, TL_SHAPE_EMOJI, word)->symbol = entity->emoji;
}

/* ---- sentiment ------------------------------------------------------------------- */

/*
 * Face, thing and weather each have a mood; two or three of them are the scene's, and a
 * happy scene has nothing sad in it, a sad one nothing happy.
 */
static void sample_moods(tl_random *random, tl_mood scene_mood, tl_mood moods[3])
{
    for (size_t i = 0; i < 3; i++)
        moods[i] = scene_mood;
    if (scene_mood == TL_NEUTRAL) {
        const size_t k = below(random, 7);
        if (k < 6)
            moods[k / 2] = k % 2 == 0 ? TL_HAPPY : TL_SAD;
    } else {
        const size_t k = below(random, 4);
        if (k < 3)
            moods[k] = TL_NEUTRAL;
    }
}

static void sample_sentiment(tl_style style, tl_random *random, tl_scene *scene)
{
    const tl_mood mood = (tl_mood)below(random, TL_MOODS);
    tl_mood moods[3];
    sample_moods(random, mood, moods);
    const tl_icon *face = &tl_faces[moods[0]][below(random, TL_FACES)];
    const tl_icon *thing = &tl_things[moods[1]][below(random, TL_THINGS)];
    const tl_icon *weather = &tl_weathers[moods[2]][below(random, TL_WEATHERS)];
    const char *person = tl_persons[below(random, TL_PERSONS)];
    add_icon(scene, weather);
    add_icon(scene, face);
    add_icon(scene, thing);
    write_text(scene->answer, sizeof scene->answer, "%s", tl_mood_name[mood]);
    write_text(scene->content, sizeof scene->content, "%s %s %s", face->word,
               thing->word, weather->word);
    if (style == TL_STYLE_SMALL) {
        write_text(scene->data, sizeof scene->data,
                   "The %s %s near the %s under the %s", person, face->word,
                   thing->word, weather->word);
        write_text(scene->query, sizeof scene->query,
                   ".\nIs this scene happy, sad or neutral?");
        write_text(scene->image_query, sizeof scene->image_query, "%s",
                   scene->query + 2);
        return;
    }
    write_text(
        scene->data, sizeof scene->data,
        "\"\"\"Here we see a %s who %s next to a %s on the street while above is "
        "the %s ...",
        person, face->word, thing->word, weather->word);
    write_text(scene->image_query, sizeof scene->image_query,
               "\nIs this scene happy, sad, or neutral? Answer in a single word.");
    write_text(scene->query, sizeof scene->query, "\"\"\"%s", scene->image_query);
}

/* ---- all of them ----------------------------------------------------------------- */

const char *tl_task_name(tl_task task)
{
    static const char *const name[TL_TASKS] = {
        "counting", "arithmetic", "color_ordering", "factual_recall", "sentiment"};
    return name[task];
}

void tl_scene_sample(tl_task task, tl_style style, tl_random *random, tl_scene *scene)
{
    static void (*const sample[TL_TASKS])(tl_style, tl_random *, tl_scene *) = {
        sample_counting, sample_arithmetic, sample_colors, sample_fact,
        sample_sentiment};
    *scene = (tl_scene){0};
    sample[task](style, random, scene);
}

/* FNV-1a, and a last mixing so that its low bits are as good as the others. */
static uint64_t hash(const char *text, uint64_t start)
{
    uint64_t h = start ^ 0xcbf29ce484222325u;
    for (; *text != 0; text++)
        h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    tl_random mixer = {h};
    return tl_random_next(&mixer);
}

bool tl_scene_is_in(const tl_scene *scene, tl_content content)
{
    if (content == TL_CONTENT_ALL)
        return true;
    return (hash(scene->content, 0) % 8 == 0) == (content == TL_CONTENT_HELD_OUT);
}

static void add_label(const char *label, const char **labels, size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp(labels[i], label) == 0)
            return;
    labels[(*n)++] = label;
}

size_t tl_scene_labels(tl_task task, const char *group,
                       const char *labels[TL_SCENE_LABELS])
{
    static const char *const digits[] = {"0", "1", "2", "3", "4",
                                         "5", "6", "7", "8", "9"};
    size_t n = 0;
    switch (task) {
    case TL_TASK_COUNTING:
    case TL_TASK_ARITHMETIC:
        for (size_t i = 0; i < 10; i++)
            add_label(digits[i], labels, &n);
        break;
    case TL_TASK_COLOR_ORDERING:
        for (size_t i = 0; i < TL_COLORS; i++)
            add_label(tl_colors[i].word, labels, &n);
        break;
    case TL_TASK_FACTUAL_RECALL:
        for (size_t q = 0; q < TL_QUESTIONS && group != NULL; q++)
            for (size_t i = 0; i < TL_ENTITIES; i++)
                if (strcmp(tl_question_name[q], group) == 0 &&
                    tl_entities[i].answer[q] != NULL)
                    add_label(tl_entities[i].answer[q], labels, &n);
        break;
    case TL_TASK_SENTIMENT:
        for (size_t i = 0; i < TL_MOODS; i++)
            add_label(tl_mood_name[i], labels, &n);
        break;
    case TL_TASKS: break;
    }
    return n;
}

static tl_status warn_of_labels(const tl_scene_options *o, const char *group,
                                tl_arena *arena, tl_error *err)
{
    const char *labels[TL_SCENE_LABELS];
    const size_t n = tl_scene_labels(o->task, group, labels);
    const int32_t *ids = NULL;
    const tl_status status = tl_first_tokens(o->tokenizer, labels, n, arena, &ids, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; i < n; i++) {
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = ids[k] == ids[i];
        if (seen || !tl_is_folded(labels, ids, n, ids[i]))
            continue;
        const char *text = tl_folded_text(o->tokenizer, labels, ids, n, ids[i], arena);
        if (text == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for labels");
        tl_log(TL_LOG_WARNING, "%s: labels %s: prompts with these answers are left out",
               tl_task_name(o->task), text);
    }
    return TL_OK;
}

tl_status tl_scene_labels_warn(const tl_scene_options *o, tl_error *err)
{
    const bool grouped = o->task == TL_TASK_FACTUAL_RECALL;
    tl_arena *arena = tl_arena_create();
    tl_status status =
        arena != NULL ? TL_OK : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for labels");
    for (size_t q = 0; q < (grouped ? TL_QUESTIONS : 1) && status == TL_OK; q++)
        status = warn_of_labels(o, grouped ? tl_question_name[q] : NULL, arena, err);
    tl_arena_destroy(arena);
    return status;
}

/* ---- different prompts from one seed --------------------------------------------- */

/* Tokens of one prompt; `begin` .. `end` are the bytes of the data, NULL: no data. */
static tl_status count_tokens(const tl_tokenizer *tokenizer, const char *text,
                              tl_arena *arena, const size_t data[2], size_t *n,
                              tl_scene_fit *fit, tl_error *err)
{
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    const tl_token *tokens = NULL;
    const tl_status status =
        tl_tokenizer_encode(tokenizer, text, strlen(text), arena, &tokens, n, err);
    for (size_t i = 0; status == TL_OK && data != NULL && i < *n; i++) {
        fit->data_begin += tokens[i].end <= data[0];
        fit->data_end += tokens[i].begin < data[1];
    }
    tl_arena_rewind(arena, mark);
    return status;
}

static tl_status measure(tl_scene_stream *stream, const tl_scene *scene,
                         tl_scene_fit *fit, tl_error *err)
{
    const tl_tokenizer *tokenizer = stream->options->tokenizer;
    char text[sizeof scene->before + sizeof scene->data + sizeof scene->query];
    write_text(text, sizeof text, "%s%s%s", scene->before, scene->data, scene->query);
    const size_t before = strlen(scene->before),
                 data[2] = {before, before + strlen(scene->data)};
    *fit = (tl_scene_fit){0};
    tl_status status =
        count_tokens(tokenizer, text, stream->arena, data, &fit->text, fit, err);
    if (status == TL_OK)
        status = count_tokens(tokenizer, scene->image_query, stream->arena, NULL,
                              &fit->image_query, fit, err);
    return status;
}

/* Whether the answer's first token is that of no other label. */
static tl_status is_told_apart(tl_scene_stream *stream, const tl_scene *scene,
                               bool *out, tl_error *err)
{
    const tl_tokenizer *tokenizer = stream->options->tokenizer;
    const char *labels[TL_SCENE_LABELS];
    const size_t n = tl_scene_labels(stream->options->task, scene->group, labels);
    const tl_arena_mark mark = tl_arena_get_mark(stream->arena);
    const int32_t *ids = NULL;
    int32_t answer = -1;
    tl_status status = tl_first_tokens(tokenizer, labels, n, stream->arena, &ids, err);
    if (status == TL_OK)
        status = tl_first_token(tokenizer, scene->answer, &answer, err);
    if (status == TL_OK)
        *out = !tl_is_folded(labels, ids, n, answer);
    tl_arena_rewind(stream->arena, mark);
    return status;
}

static bool is_same_fit(const tl_scene_fit *a, const tl_scene_fit *b)
{
    return a->text == b->text && a->data_begin == b->data_begin &&
           a->data_end == b->data_end && a->image_query == b->image_query;
}

/* What most of the first scenes have. */
static tl_status find_fit(tl_scene_stream *stream, tl_error *err)
{
    enum { SCENES = 1000, KINDS = 64 };
    tl_scene_fit kinds[KINDS];
    size_t times[KINDS] = {0}, n_kinds = 0, best = 0;
    tl_random random = stream->random;
    for (size_t i = 0; i < SCENES; i++) {
        tl_scene scene;
        tl_scene_fit fit;
        tl_scene_sample(stream->options->task, stream->options->style, &random, &scene);
        const tl_status status = measure(stream, &scene, &fit, err);
        if (status != TL_OK)
            return status;
        size_t k = 0;
        while (k < n_kinds && !is_same_fit(&kinds[k], &fit))
            k++;
        if (k == KINDS)
            continue;
        if (k == n_kinds)
            kinds[n_kinds++] = fit;
        if (++times[k] > times[best])
            best = k;
    }
    stream->fit = kinds[best];
    return TL_OK;
}

tl_status tl_scene_stream_init(tl_scene_stream *stream, const tl_scene_options *options,
                               uint64_t seed, tl_error *err)
{
    *stream = (tl_scene_stream){.options = options, .random = {seed}};
    tl_random_next(&stream->random); /* neighbouring seeds part at once */
    if (options->tokenizer == NULL)
        return TL_OK;
    stream->arena = tl_arena_create();
    const tl_status status =
        stream->arena == NULL ? tl_fail(err, TL_ERR_NO_MEMORY, "no memory for tokens")
                              : find_fit(stream, err);
    if (status != TL_OK)
        tl_scene_stream_release(stream);
    return status;
}

void tl_scene_stream_release(tl_scene_stream *stream)
{
    tl_arena_destroy(stream->arena);
    tl_free(stream->seen);
    *stream = (tl_scene_stream){0};
}

/* Puts a hash into a table that has room; false when it was there. */
static bool put(uint64_t *table, size_t capacity, uint64_t value)
{
    size_t i = (size_t)value & (capacity - 1);
    for (; table[i] != 0; i = (i + 1) & (capacity - 1))
        if (table[i] == value)
            return false;
    table[i] = value;
    return true;
}

static tl_status make_room(tl_scene_stream *stream, tl_error *err)
{
    if (2 * stream->n_seen < stream->capacity)
        return TL_OK;
    const size_t capacity = stream->capacity > 0 ? 2 * stream->capacity : 1024;
    uint64_t *grown = tl_alloc_zero(capacity, sizeof *grown);
    if (grown == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu prompts",
                       stream->n_seen);
    for (size_t i = 0; i < stream->capacity; i++)
        if (stream->seen[i] != 0)
            put(grown, capacity, stream->seen[i]);
    tl_free(stream->seen);
    stream->seen = grown;
    stream->capacity = capacity;
    return TL_OK;
}

tl_status tl_scene_stream_next(tl_scene_stream *stream, tl_scene *scene, tl_error *err)
{
    const tl_scene_options *options = stream->options;
    tl_status status = make_room(stream, err);
    if (status != TL_OK)
        return status;
    /* Were one prompt left of n, this many would miss it with probability e^-20 (of
     * prompts that are equally likely). */
    for (size_t patience = 20 * (stream->n_seen + 1000); patience > 0;) {
        tl_scene_sample(options->task, options->style, &stream->random, scene);
        if (!tl_scene_is_in(scene, options->content))
            continue;
        uint64_t prompt = hash(scene->before, 1);
        prompt = hash(scene->data, prompt);
        prompt = hash(scene->query, prompt) | 1; /* never 0 */
        if (!put(stream->seen, stream->capacity, prompt)) {
            patience--;
            continue;
        }
        stream->n_seen++;
        if (options->tokenizer != NULL) {
            tl_scene_fit fit;
            bool is_told = false;
            status = measure(stream, scene, &fit, err);
            if (status == TL_OK)
                status = is_told_apart(stream, scene, &is_told, err);
            if (status != TL_OK)
                return status;
            if (!is_told || !is_same_fit(&fit, &stream->fit)) {
                status = make_room(stream, err);
                if (status != TL_OK)
                    return status;
                continue;
            }
        }
        stream->n_given++;
        tl_scene_place(options, &stream->random, scene);
        return TL_OK;
    }
    return tl_fail(err, TL_ERR_DATA,
                   "%s: there are only %zu different prompts of this "
                   "style and content%s",
                   tl_task_name(options->task), stream->n_given,
                   options->tokenizer != NULL
                       ? " that are as long as most and whose answer no other label "
                         "begins like"
                       : "");
}
