/* SPDX-License-Identifier: MIT
 *
 * test_scenes.c - the five tasks as `twinlens task` makes them, judged from outside:
 * from the rows, from the list of what was drawn, and from the pixels. The readers
 * below know nothing of the code that made them.
 */
#include "testing.h"

#include <jansson.h>

#include "base/file.h"
#include "base/json.h"
#include "twinlens/dataset.h"
#include "twinlens/image.h"
#include "twinlens/log.h"
#include "twinlens/scene.h"

enum { LOOKED_AT = 30, AGAIN = 6 };

typedef struct made {
    test_folder folder;
    tl_dataset *dataset;
    json_t *drawings; /* array, one a pair */
    tl_arena *arena;
} made;

static json_t *read_lines(const char *folder, const char *name)
{
    char path[512], line[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    json_t *lines = json_array();
    while (fgets(line, sizeof line, file) != NULL)
        assert_int_equal(json_array_append_new(lines, json_loads(line, 0, NULL)), 0);
    fclose(file);
    return lines;
}

static made make(const tl_scene_options *options, size_t n, uint64_t seed)
{
    made m = {.folder = test_folder_create(), .arena = tl_arena_create()};
    tl_error err = {0};
    if (tl_scene_write(options, n, seed, m.folder.path, &err) != TL_OK ||
        tl_dataset_open(m.folder.path, &m.dataset, &err) != TL_OK)
        fail_msg("%s", err.text);
    m.drawings = read_lines(m.folder.path, "drawing.jsonl");
    assert_int_equal(m.dataset->n_rows, 2 * n);
    assert_int_equal(json_array_size(m.drawings), n);
    return m;
}

static void release(made *m)
{
    tl_dataset_close(m->dataset);
    json_decref(m->drawings);
    tl_arena_destroy(m->arena);
    test_folder_remove(m->folder.path);
}

/* ---- the independent reader ------------------------------------------------------ */

static const char *item_name(const json_t *items, size_t i)
{
    return json_string_value(json_object_get(json_array_get(items, i), "name"));
}

static double item_number(const json_t *items, size_t i, const char *key)
{
    return json_number_value(json_object_get(json_array_get(items, i), key));
}

/* The word of `query` that begins behind `lead`, without quotes, into `word`. */
static void word_behind(const char *query, const char *lead, char word[32])
{
    const char *at = strstr(query, lead);
    assert_non_null(at);
    at += strlen(lead);
    at += *at == '"';
    size_t n = strcspn(at, "\" ");
    assert_in_range(n, 1, 31);
    memcpy(word, at, n);
    word[n] = '\0';
}

static void read_counting(const json_t *items, const char *query, char answer[32])
{
    char word[32];
    size_t count = 0;
    word_behind(query, "How many ", word);
    for (size_t i = 0; i < json_array_size(items); i++)
        count += strcmp(item_name(items, i), word) == 0;
    snprintf(answer, 32, "%zu", count);
}

static void read_arithmetic(const json_t *items, const char *query, char answer[32])
{
    (void)query;
    assert_int_equal(json_array_size(items), 6);
    assert_string_equal(item_name(items, 5), "=");
    int digits[5] = {0};
    for (size_t i = 0; i < 5; i++)
        digits[i] = item_name(items, i)[0];
    const int a = 10 * (digits[0] - '0') + digits[1] - '0',
              b = 10 * (digits[3] - '0') + digits[4] - '0';
    const int result = digits[2] == '+'   ? a + b
                       : digits[2] == '-' ? a - b
                       : digits[2] == '*' ? a * b
                                          : a / b;
    snprintf(answer, 32, "%d", result);
}

/* By where things are, not by the order of the list. */
static void read_colors(const json_t *items, const char *query, char answer[32])
{
    static const char *const order[] = {"first", "second", "third", "fourth"};
    char which[32], side[32];
    word_behind(query, "color of the ", which);
    word_behind(query, "from the ", side);
    size_t nth = 0;
    while (nth < 4 && strcmp(order[nth], which) != 0)
        nth++;
    assert_in_range(nth, 0, 3);
    const bool right = side[0] == 'r';
    for (size_t i = 0; i < 4; i++) {
        size_t before = 0;
        for (size_t k = 0; k < 4; k++) {
            const double d = item_number(items, k, "x") - item_number(items, i, "x");
            before += right ? d > 0 : d < 0;
        }
        if (before == nth)
            snprintf(answer, 32, "%.*s", (int)strcspn(item_name(items, i), " "),
                     item_name(items, i));
    }
}

/* tests/data/facts.csv: what is asked, of what, the answer. */
static void read_fact(const json_t *items, const char *query, char answer[32])
{
    char line[256], wanted[128];
    FILE *file = fopen("tests/data/facts.csv", "rb");
    assert_non_null(file);
    char kind[32];
    if (strstr(query, "country in?") != NULL || strstr(query, "this country") != NULL)
        word_behind(query, "What ", kind);
    else
        snprintf(kind, sizeof kind, "%s",
                 strstr(query, "landmark") != NULL  ? "country"
                 : strstr(query, "athlete") != NULL ? "sport"
                                                    : "instrument");
    snprintf(wanted, sizeof wanted, "%s,%s,", kind, item_name(items, 0));
    answer[0] = '\0';
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, wanted, strlen(wanted)) == 0)
            snprintf(answer, 32, "%.*s", (int)strcspn(line + strlen(wanted), "\n"),
                     line + strlen(wanted));
    fclose(file);
    if (answer[0] == '\0')
        fail_msg("facts.csv does not know '%s' of '%s'", kind, wanted);
}

static void read_mood(const json_t *items, const char *query, char answer[32])
{
    (void)query;
    static const char *const good =
        " laughs smiles plays celebrates dances sings wins jokes gift cake balloon "
        "trophy bouquet party heart medal sun rainbow sunrise star ";
    static const char *const bad =
        " cries loses screams regrets suffers worries fights hurts coffin skull fire "
        "bomb grave warning blood trap rain storm tornado lightning ";
    int up = 0, down = 0;
    for (size_t i = 0; i < 3; i++) {
        char word[40];
        snprintf(word, sizeof word, " %s ", item_name(items, i));
        up += strstr(good, word) != NULL;
        down += strstr(bad, word) != NULL;
    }
    assert_true(up == 0 || down == 0 || up + down < 3); /* never torn */
    snprintf(answer, 32, "%s", up >= 2 ? "happy" : down >= 2 ? "sad" : "neutral");
}

typedef void reader(const json_t *, const char *, char[32]);
static reader *const readers[TL_TASKS] = {read_counting, read_arithmetic, read_colors,
                                          read_fact, read_mood};

/* ---- a dataset, row by row ------------------------------------------------------- */

static void check_answers(const tl_scene_options *o, const made *m)
{
    for (size_t i = 0; i < m->dataset->n_rows; i += 2) {
        const tl_dataset_row *text = &m->dataset->rows[i], *image = text + 1;
        const json_t *items =
            json_object_get(json_array_get(m->drawings, i / 2), "items");
        char from_picture[32];
        readers[o->task](items, image->query, from_picture);
        assert_string_equal(image->answer, from_picture);
        readers[o->task](items, text->query, from_picture);
        assert_string_equal(text->answer, from_picture);
        assert_string_equal(text->pair, image->pair);
        assert_int_equal(text->modality, TL_TEXT);
        assert_int_equal(image->modality, TL_IMAGE);
    }
}

/* What the words say is in the picture: of every task the words of the data. */
static void check_shared_content(const tl_scene_options *o, const made *m)
{
    for (size_t i = 0; i < m->dataset->n_rows; i += 2) {
        const json_t *items =
            json_object_get(json_array_get(m->drawings, i / 2), "items");
        const char *data = m->dataset->rows[i].data;
        size_t words = 0;
        for (size_t k = 0; k < json_array_size(items); k++) {
            char name[32];
            snprintf(name, sizeof name, "%s", item_name(items, k));
            if (o->task == TL_TASK_COLOR_ORDERING)
                name[strcspn(name, " ")] = '\0';
            if (strcmp(name, "=") != 0 && strstr(data, name) == NULL)
                fail_msg("'%s' is drawn and not told: %s", name, data);
        }
        for (const char *c = data; *c != '\0'; c++)
            words += *c == ' ';
        if (o->task == TL_TASK_COUNTING)
            assert_int_equal(words, json_array_size(items));
    }
}

/* Nothing overlaps, nothing sticks out; and there is something where it says so, and
 * nothing but ground where no thing is near. */
static void check_picture(const tl_scene_options *o, const made *m, size_t pair)
{
    const json_t *items = json_object_get(json_array_get(m->drawings, pair), "items");
    tl_image image;
    tl_error err = {0};
    const tl_dataset_row *row = &m->dataset->rows[2 * pair + 1];
    if (tl_image_read(row->image_path, m->arena, &image, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(image.width, o->width);
    assert_int_equal(image.height, o->height);
    const size_t n = json_array_size(items);
    for (size_t i = 0; i < n; i++) {
        const double x = item_number(items, i, "x"), y = item_number(items, i, "y"),
                     size = item_number(items, i, "size");
        assert_true(x - size / 2 > -0.01 && x + size / 2 < (double)o->width + 0.01);
        assert_true(y - size / 2 > -0.01 && y + size / 2 < (double)o->height + 0.01);
        for (size_t k = 0; k < i; k++) {
            const double dx = fabs(x - item_number(items, k, "x")),
                         dy = fabs(y - item_number(items, k, "y")),
                         apart = (size + item_number(items, k, "size")) / 2;
            assert_true(dx > apart - 0.01 || dy > apart - 0.01);
        }
        /* More than one colour within it. */
        int least = 255 * 3, most = 0;
        for (double v = -0.4; v <= 0.4; v += 0.05)
            for (double u = -0.4; u <= 0.4; u += 0.05) {
                const size_t px = (size_t)(x + u * size), py = (size_t)(y + v * size);
                const uint8_t *p = image.rgb + 3 * (py * image.width + px);
                const int sum = p[0] + p[1] + p[2];
                least = sum < least ? sum : least;
                most = sum > most ? sum : most;
            }
        assert_in_range(most - least, 24, 765);
    }
    if (o->task == TL_TASK_COLOR_ORDERING)
        return; /* its ground is shaded, and has shadows */
    const uint8_t *corner = NULL;
    for (size_t py = 0; py < image.height; py++)
        for (size_t px = 0; px < image.width; px++) {
            bool near = false;
            for (size_t i = 0; i < n; i++) {
                const double reach = 0.62 * item_number(items, i, "size") + 2;
                near = near || (fabs((double)px - item_number(items, i, "x")) < reach &&
                                fabs((double)py - item_number(items, i, "y")) < reach);
            }
            if (near)
                continue;
            const uint8_t *p = image.rgb + 3 * (py * image.width + px);
            if (corner == NULL)
                corner = p;
            assert_memory_equal(p, corner, 3);
        }
}

static bool is_same_file(const made *a, const made *b, const char *name)
{
    char path[512], *one = NULL, *two = NULL;
    size_t n_one = 0, n_two = 0;
    tl_error err = {0};
    snprintf(path, sizeof path, "%s/%s", a->folder.path, name);
    assert_int_equal(tl_file_read(path, a->arena, &one, &n_one, &err), TL_OK);
    snprintf(path, sizeof path, "%s/%s", b->folder.path, name);
    assert_int_equal(tl_file_read(path, b->arena, &two, &n_two, &err), TL_OK);
    return n_one == n_two && memcmp(one, two, n_one) == 0;
}

static void check_determinism(const tl_scene_options *o, const made *m, uint64_t seed)
{
    made again = make(o, AGAIN, seed), other = make(o, AGAIN, seed + 1);
    assert_true(is_same_file(m, &again, "task.json"));
    bool all_same = true;
    for (size_t i = 0; i < AGAIN; i++) {
        char name[32];
        snprintf(name, sizeof name, "images/%zu.png", i);
        assert_true(is_same_file(m, &again, name));
        all_same = all_same && is_same_file(m, &other, name);
    }
    assert_false(all_same);
    for (size_t i = 0; i < 2 * AGAIN; i++) {
        assert_string_equal(m->dataset->rows[i].query, again.dataset->rows[i].query);
        assert_string_equal(m->dataset->rows[i].answer, again.dataset->rows[i].answer);
    }
    release(&again);
    release(&other);
}

/* All answers are read. As many large pictures are looked at as small ones, and fewer are
 * drawn beside them. */
static void every_task_is_what_it_says(void **state)
{
    (void)state;
    static const size_t sides[] = {112, 252};
    for (tl_task task = 0; task < TL_TASKS; task++)
        for (size_t k = 0; k < 4; k++) {
            const tl_scene_options o = {
                .task = task,
                .style = k < 2 ? TL_STYLE_PUBLISHED : TL_STYLE_SMALL,
                .width = task == TL_TASK_ARITHMETIC ? 2 * sides[k % 2] : sides[k % 2],
                .height = sides[k % 2]};
            const size_t every = k % 2 == 1                                 ? 2
                                 : task == TL_TASK_FACTUAL_RECALL && k == 0 ? 4
                                                                            : 8;
            const size_t n = every * LOOKED_AT;
            made m = make(&o, n, 7 + k);
            assert_string_equal(m.dataset->name, tl_task_name(task));
            assert_int_equal(m.dataset->image_width, o.width);
            assert_int_equal(m.dataset->image_height, o.height);
            check_answers(&o, &m);
            check_shared_content(&o, &m);
            for (size_t i = 0; i < n; i += every)
                check_picture(&o, &m, i);
            check_determinism(&o, &m, 7 + k);
            release(&m);
        }
}

/* ---- distributions --------------------------------------------------------------- */

/* Rows whose answer, or query when `in_query`, has this text. */
static size_t count_rows(const made *m, const char *text, bool in_query)
{
    size_t n = 0;
    for (size_t i = 0; i < m->dataset->n_rows; i++)
        n += in_query ? strstr(m->dataset->rows[i].query, text) != NULL
                      : strcmp(m->dataset->rows[i].answer, text) == 0;
    return n;
}

/* `n` of `of`, where each has probability p: within five standard deviations. */
static void assert_share(const char *what, size_t n, size_t of, double p)
{
    const double mean = p * (double)of, sigma = sqrt(mean * (1 - p));
    if (fabs((double)n - mean) > 5 * sigma + 1)
        fail_msg("%s: %zu of %zu, wanted about %.0f", what, n, of, mean);
}

static made make_text(tl_task task, tl_style style, tl_content content, size_t n)
{
    const tl_scene_options o = {.task = task,
                                .style = style,
                                .content = content,
                                .width = 252,
                                .height = 252,
                                .no_pictures = true};
    made m = {.folder = test_folder_create(), .arena = tl_arena_create()};
    tl_error err = {0};
    if (tl_scene_write(&o, n, 5, m.folder.path, &err) != TL_OK ||
        tl_dataset_open(m.folder.path, &m.dataset, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(m.dataset->n_rows, n);
    return m;
}

/* The published distributions: numbers of objects 1 to 6 are equally likely when there
 * are two to four kinds; 29 prompts at most have one kind; ordinals, sides and moods
 * are equally likely; results are as their operands make them. */
static void answers_are_balanced_as_published(void **state)
{
    (void)state;
    enum { N = 1500 };
    made m = make_text(TL_TASK_COUNTING, TL_STYLE_PUBLISHED, TL_CONTENT_ALL, N);
    const size_t sevens = count_rows(&m, "7", false);
    assert_in_range(sevens, 1, 27);
    for (char digit[2] = "1"; digit[0] <= '6'; digit[0]++)
        assert_share(digit, count_rows(&m, digit, false), N - sevens, 1 / 6.0);
    release(&m);
    m = make_text(TL_TASK_COLOR_ORDERING, TL_STYLE_PUBLISHED, TL_CONTENT_ALL, N);
    assert_share("left", count_rows(&m, "from the left", true), N, 0.5);
    assert_share("first", count_rows(&m, "first", true), N, 0.25);
    assert_share("fourth", count_rows(&m, "fourth", true), N, 0.25);
    assert_share("red", count_rows(&m, "red", false), N, 1 / 8.0);
    release(&m);
    m = make_text(TL_TASK_SENTIMENT, TL_STYLE_PUBLISHED, TL_CONTENT_ALL, N);
    assert_share("happy", count_rows(&m, "happy", false), N, 1 / 3.0);
    assert_share("sad", count_rows(&m, "sad", false), N, 1 / 3.0);
    release(&m);
    m = make_text(TL_TASK_ARITHMETIC, TL_STYLE_PUBLISHED, TL_CONTENT_ALL, N);
    size_t ones = 0;
    for (size_t i = 0; i < N; i++)
        ones += m.dataset->rows[i].answer[0] == '1';
    assert_in_range(ones, N / 4, N * 2 / 5); /* 31 % are published */
    release(&m);
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What a scene consists of: the words of its data, sorted where order is no content. */
static char *content_of(const made *m, tl_task task, size_t row)
{
    const tl_dataset_row *r = &m->dataset->rows[row];
    char *text = tl_arena_alloc(m->arena, 512, 1), *words[32], *rest = text;
    snprintf(text, 512, "%s%s", task == TL_TASK_FACTUAL_RECALL ? r->before : "",
             r->data);
    if (task == TL_TASK_FACTUAL_RECALL) { /* the question belongs to it */
        snprintf(text + strlen(text), 256, " %s", r->query);
        return text;
    }
    size_t n = 0;
    for (char *word; (word = strtok_r(rest, " ", &rest)) != NULL && n < 32;)
        words[n++] = word;
    if (task == TL_TASK_SENTIMENT && n > 1)
        words[1] = words[0]; /* the person is decoration */
    if (task == TL_TASK_COUNTING)
        qsort(words, n, sizeof *words, compare_strings);
    char *content = tl_arena_alloc(m->arena, 512, 1);
    content[0] = '\0';
    for (size_t i = 0; i < n; i++)
        snprintf(content + strlen(content), 512 - strlen(content), "%s ", words[i]);
    return content;
}

static void training_and_held_out_share_no_scene(void **state)
{
    (void)state;
    static const size_t n_train[TL_TASKS] = {6000, 5000, 6000, 4000, 6000},
                        n_held[TL_TASKS] = {800, 600, 800, 550, 800};
    for (tl_task task = 0; task < TL_TASKS; task++) {
        made train = make_text(task, TL_STYLE_SMALL, TL_CONTENT_TRAIN, n_train[task]);
        made held = make_text(task, TL_STYLE_SMALL, TL_CONTENT_HELD_OUT, n_held[task]);
        char **seen = malloc(n_train[task] * sizeof *seen);
        assert_non_null(seen);
        for (size_t i = 0; i < n_train[task]; i++)
            seen[i] = content_of(&train, task, i);
        qsort(seen, n_train[task], sizeof *seen, compare_strings);
        for (size_t i = 0; i < n_held[task]; i++) {
            const char *content = content_of(&held, task, i);
            if (bsearch(&content, seen, n_train[task], sizeof *seen, compare_strings))
                fail_msg("%s: on both sides: %s", tl_task_name(task), content);
        }
        free(seen);
        release(&train);
        release(&held);
    }
}

/* ---- what cannot be made --------------------------------------------------------- */

static void assert_refused(const tl_scene_options *o, size_t n, const char *folder,
                           tl_status status, const char *text)
{
    tl_error err = {0};
    assert_int_equal(tl_scene_write(o, n, 1, folder, &err), status);
    if (strstr(err.text, text) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, text);
}

static void without_a_size_pictures_have_the_default_one(void **state)
{
    (void)state;
    test_folder folder = test_folder_create();
    const tl_scene_options o = {.task = TL_TASK_ARITHMETIC};
    tl_error err = {0};
    assert_int_equal(tl_scene_write(&o, 1, 0, folder.path, &err), TL_OK);
    tl_dataset *dataset = NULL;
    assert_int_equal(tl_dataset_open(folder.path, &dataset, &err), TL_OK);
    size_t width = 0, height = 0;
    tl_scene_default_size(o.task, o.style, &width, &height);
    assert_true(width > 0 && height > 0);
    assert_int_equal(dataset->image_width, width);
    assert_int_equal(dataset->image_height, height);
    tl_dataset_close(dataset);
    test_folder_remove(folder.path);
}

static void what_cannot_be_made_is_refused(void **state)
{
    (void)state;
    test_folder parent = test_folder_create();
    char folder[300];
    snprintf(folder, sizeof folder, "%s/made", parent.path);
    tl_scene_options o = {.task = TL_TASK_COUNTING, .width = 64, .height = 64};
    assert_refused(&o, 5, folder, TL_ERR_ARGUMENT, "64x64 is too small for counting");
    o.width = 2048;
    assert_refused(&o, 5, folder, TL_ERR_ARGUMENT, "2048x64 is too large");
    o = (tl_scene_options){.task = TL_TASK_FACTUAL_RECALL, .width = 112, .height = 112};
    assert_refused(&o, 100000, folder, TL_ERR_DATA, "different prompts");
    o.task = TL_TASKS;
    assert_refused(&o, 5, folder, TL_ERR_ARGUMENT, "no such task");
    o.task = TL_TASK_FACTUAL_RECALL;
    assert_false(tl_file_exists(folder)); /* nothing was begun */
    o.no_text = o.no_pictures = true;
    assert_refused(&o, 5, folder, TL_ERR_ARGUMENT, "neither");
    o.no_text = o.no_pictures = false;
    test_file(&parent, "mine.txt", "x", 1);
    assert_refused(&o, 5, parent.path, TL_ERR_ARGUMENT, "not empty");
    o.replace = true;
    tl_error err = {0};
    assert_int_equal(tl_scene_write(&o, 9, 1, parent.path, &err), TL_OK);
    assert_int_equal(tl_scene_write(&o, 3, 1, parent.path, &err), TL_OK);
    char path[320];
    snprintf(path, sizeof path, "%s/mine.txt", parent.path);
    assert_true(tl_file_exists(path)); /* not ours */
    snprintf(path, sizeof path, "%s/images/2.png", parent.path);
    assert_true(tl_file_exists(path));
    snprintf(path, sizeof path, "%s/images/8.png", parent.path);
    assert_false(tl_file_exists(path)); /* of the older dataset */
    test_folder_remove(parent.path);
}

typedef struct heard {
    size_t n;
    char text[512]; /* the last */
} heard;

static void listen(void *user, tl_log_level level, const char *text)
{
    heard *h = user;
    h->n += level == TL_LOG_WARNING;
    snprintf(h->text, sizeof h->text, "%s", text);
}

/* To this vocabulary purple, gray, brown and yellow begin with a blank, and so do all
 * digits. */
static void answers_that_begin_alike_are_left_out(void **state)
{
    (void)state;
    tl_error err = {0};
    tl_tokenizer *tokenizer = NULL;
    assert_int_equal(
        tl_tokenizer_open("tests/data/families/llava/tokenizer.json", &tokenizer, &err),
        TL_OK);
    heard h = {0};
    tl_log_set(listen, &h);
    tl_scene_options o = {.task = TL_TASK_COLOR_ORDERING, .tokenizer = tokenizer};
    made m = make(&o, LOOKED_AT, 1);
    assert_int_equal(h.n, 1);
    assert_non_null(strstr(h.text, "color_ordering: labels 'purple', 'gray', 'brown', "
                                   "'yellow' begin with one token, ' '"));
    size_t red = 0;
    for (size_t i = 0; i < m.dataset->n_rows; i++) {
        const char *answer = m.dataset->rows[i].answer;
        assert_null(strstr("purple gray brown yellow", answer));
        red += strcmp(answer, "red") == 0;
    }
    assert_true(red > 0);
    release(&m);
    o.task = TL_TASK_COUNTING;
    const test_folder folder = test_folder_create();
    assert_int_equal(tl_scene_write(&o, 1, 1, folder.path, &err), TL_ERR_DATA);
    assert_non_null(strstr(err.text, "whose answer no other label begins like"));
    assert_int_equal(h.n, 2);
    assert_non_null(
        strstr(h.text, "labels '0', '1', '2', '3', '4', '5', ... begin with"));
    tl_log_set(NULL, NULL);
    test_folder_remove(folder.path);
    tl_tokenizer_close(tokenizer);
}

static void a_sheet_shows_the_first_scenes(void **state)
{
    (void)state;
    test_folder folder = test_folder_create();
    tl_arena *arena = tl_arena_create();
    char path[300];
    snprintf(path, sizeof path, "%s/sheet.png", folder.path);
    const tl_scene_options o = {.task = TL_TASK_SENTIMENT, .width = 112, .height = 112};
    tl_error err = {0};
    assert_int_equal(tl_scene_sheet(&o, 8, 3, path, &err), TL_OK);
    tl_image page;
    assert_int_equal(tl_image_read(path, arena, &page, &err), TL_OK);
    size_t dark = 0;
    for (size_t i = 0; i < page.width * page.height; i++)
        dark += page.rgb[3 * i] < 128;
    assert_true(dark > 5000); /* 8 pictures and what is written below */
    snprintf(path, sizeof path, "%s/none/sheet.png", folder.path);
    assert_int_equal(tl_scene_sheet(&o, 8, 3, path, &err), TL_ERR_IO);
    tl_arena_destroy(arena);
    test_folder_remove(folder.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_is_what_it_says),
        cmocka_unit_test(answers_are_balanced_as_published),
        cmocka_unit_test(training_and_held_out_share_no_scene),
        cmocka_unit_test(without_a_size_pictures_have_the_default_one),
        cmocka_unit_test(what_cannot_be_made_is_refused),
        cmocka_unit_test(answers_that_begin_alike_are_left_out),
        cmocka_unit_test(a_sheet_shows_the_first_scenes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
