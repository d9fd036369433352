/*
 * test_models_page.c - several models and tasks on a page, as CSV and as JSON.
 */
#include "made_models.h"

#include <jansson.h>

#include "report/models_draw.h"
#include "report/models_page.h"

typedef struct text {
    char *all;
    size_t bytes;
} text;

static text page_of(const tl_models *models, tl_arena *arena)
{
    text t = {NULL, 0};
    FILE *out = open_memstream(&t.all, &t.bytes);
    assert_int_equal(tl_models_write_page(models, arena, out, NULL), TL_OK);
    fclose(out);
    return t;
}

static text drawing_of(const tl_models *models, size_t list, size_t model, size_t row)
{
    text t = {NULL, 0};
    FILE *out = open_memstream(&t.all, &t.bytes);
    tl_models_draw(models, list, model, row, "x", NULL, out);
    fclose(out);
    return t;
}

static size_t count(const char *all, const char *what)
{
    size_t n = 0;
    for (const char *at = all; (at = strstr(at, what)) != NULL; at += strlen(what))
        n++;
    return n;
}

static void expect(const text *t, const char *what)
{
    if (strstr(t->all, what) == NULL)
        fail_msg("no '%s' in %.4000s", what, t->all);
}

static void swap(tl_findings *f, double data, double query, double generation)
{
    f->has_swaps[TL_TEXT] = f->has_swaps[TL_IMAGE] = true;
    f->swapped[TL_SEGMENT_DATA] = about(data);
    f->swapped[TL_SEGMENT_QUERY] = about(query);
    f->swapped[TL_SEGMENT_GENERATION] = about(generation);
}

#define DIAMOND "stroke=\"#a3007a\""

/* Two models, two tasks, one pair without a study; one is the paper's. */
static size_t make_three(tl_findings *all, made *m)
{
    all[0] = make(&m[0], QWEN, "aa", "counting", "x", "5", "runs/a");
    all[1] = make(&m[1], "tiny", "bb", "counting", "x", "20", "runs/b");
    all[2] = make(&m[2], "tiny", "bb", "sentiment", "x", "5", "runs/c");
    for (size_t i = 0; i < 3; i++)
        fill(&all[i], &m[i]);
    swap(&all[0], 0.1, 0.8, 1.0);
    swap(&all[1], -3.0, 3.25, 0.9);
    return 3;
}

static void figures_and_tables_of_the_paper_are_there_in_order(void **state)
{
    (void)state;
    made m[3];
    tl_findings all[3];
    tl_models models;
    tl_arena *arena = tl_arena_create();
    const size_t n = make_three(all, m);
    assert_int_equal(tl_models_make(all, n, arena, &models, NULL), TL_OK);
    const text page = page_of(&models, arena);
    static const char *const ids[] = {"table-4",  "figure-4", "table-5",  "table-6",
                                      "figure-5", "figure-6", "figure-7", "table-1",
                                      "table-7",  "figure-8", "figure-9"};
    const char *last = page.all;
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char id[64];
        snprintf(id, sizeof id, "<figure id=\"all-%s\"", ids[i]);
        const char *at = strstr(page.all, id);
        if (at == NULL || at < last)
            fail_msg("%s is not there, or not in its place", ids[i]);
        last = at;
    }
    expect(&page, "<p>No study of: sentiment, Qwen2-VL-7B-Instruct.</p>");
    expect(&page, "<dt>ig-steps</dt><dd><strong>5</strong>: counting, "
                  "Qwen2-VL-7B-Instruct; sentiment, tiny<br><strong>20</strong>: "
                  "counting, tiny</dd>");
    /* Models in columns, with a column for what is published. */
    expect(&page,
           "colspan=\"4\" style=\"text-align:center\">Qwen2-VL-7B-Instruct</th>");
    expect(&page, "colspan=\"2\" style=\"text-align:center\">tiny</th>");
    expect(&page,
           "<td>counting</td><td>0.900 (0.800&nbsp;to&nbsp;1.000)</td>"
           "<td>0.793</td><td>0.700 (0.600&nbsp;to&nbsp;0.800)</td><td>0.708</td>"
           "<td>0.900");
    expect(&page, "<td>sentiment</td><td>no&nbsp;study</td><td>-</td>");
    expect(&page, "<td>20</td><td>20</td><td>15</td><td>15</td><td>3</td><td>3</td>");
    expect(&page, "None of these studies has it."); /* alignment */
    expect(&page, "Missing: sentiment, tiny (not in the study).");
    expect(&page, "Published is the mean of the 45 points alone, 79 %."); /* figure 9 */
    expect(&page, "The last time is below the first in 3 of 3 studies");
    free(page.all);

    /* A page without the paper's studies does not speak of published numbers. */
    assert_int_equal(tl_models_make(all + 1, 2, arena, &models, NULL), TL_OK);
    const text own = page_of(&models, arena);
    assert_int_equal(count(own.all, DIAMOND), 0);
    assert_int_equal(count(own.all, "Diamonds"), 0);
    assert_int_equal(count(own.all, "<th scope=\"col\">published</th>"), 0);
    free(own.all);
    tl_arena_destroy(arena);
}

static void drawings_mark_what_is_published_and_what_is_beyond_the_axis(void **state)
{
    (void)state;
    made m[3];
    tl_findings all[3];
    tl_models models;
    tl_arena *arena = tl_arena_create();
    const size_t n = make_three(all, m);
    assert_int_equal(tl_models_make(all, n, arena, &models, NULL), TL_OK);
    text t = drawing_of(&models, TL_MODELS_INTERCHANGE, 0, 0);
    assert_int_equal(count(t.all, DIAMOND), 4); /* three bars and the legend */
    expect(&t, ">no study<");
    free(t.all);
    t = drawing_of(&models, TL_MODELS_INTERCHANGE, 1, 0);
    assert_int_equal(count(t.all, DIAMOND), 0);
    expect(&t, ">3.25<");
    expect(&t, ">-3<");
    expect(&t, ">not in the study<");
    free(t.all);
    /* The published circuits of text and of images are in the colours of the curves. */
    t = drawing_of(&models, TL_MODELS_CURVES, 0, 0);
    expect(&t, ">published<");
    expect(&t, "fill=\"#ffffff\" stroke=\"#0072b2\"");
    expect(&t, "fill=\"#ffffff\" stroke=\"#d55e00\"");
    expect(&t, "<desc id=\"x-d\">counting, Qwen2-VL-7B-Instruct</desc>");
    free(t.all);
    t = drawing_of(&models, TL_MODELS_CURVES, 0, 1);
    expect(&t, ">no study<");
    free(t.all);
    t = drawing_of(&models, TL_MODELS_CONTROL, 0, 0);
    expect(&t, ">published mean<");
    expect(&t, ">window 5<");
    free(t.all);
    t = drawing_of(&models, TL_MODELS_CONTROL, 1, 0);
    assert_int_equal(count(t.all, "published mean"), 0);
    free(t.all);
    tl_arena_destroy(arena);
}

/* The axis ends at -1 either way: what differs is the bar at the whisker's end. */
static void a_whisker_beyond_the_axis_has_an_open_end(void **state)
{
    (void)state;
    made m[3];
    tl_findings all[3];
    tl_models models;
    tl_arena *arena = tl_arena_create();
    const size_t n = make_three(all, m);
    size_t lines[3];
    static const double lows[] = {-1.0, -5.0, -5.0}, highs[] = {1.5, 1.5, -4.0};
    for (size_t i = 0; i < 3; i++) {
        all[1].swapped[TL_SEGMENT_DATA].value = i < 2 ? 0.5 : -4.5;
        all[1].swapped[TL_SEGMENT_DATA].low = lows[i];
        all[1].swapped[TL_SEGMENT_DATA].high = highs[i];
        assert_int_equal(tl_models_make(all, n, arena, &models, NULL), TL_OK);
        const text t = drawing_of(&models, TL_MODELS_INTERCHANGE, 1, 0);
        lines[i] = count(t.all, "<line");
        free(t.all);
    }
    assert_int_equal(lines[1], lines[0] - 1);
    assert_int_equal(lines[2], lines[0] - 2);
    tl_arena_destroy(arena);
}

/* Few of many pairs of model and task: no holes are drawn. */
static void models_of_other_tasks_are_not_full_of_holes(void **state)
{
    (void)state;
    made m[4];
    tl_findings all[] = {make(&m[0], "a", "aa", "1", "x", "5", "runs/a"),
                         make(&m[1], "b", "bb", "2", "x", "5", "runs/b"),
                         make(&m[2], "c", "cc", "3", "x", "5", "runs/c"),
                         make(&m[3], "d", "dd", "4", "x", "5", "runs/d")};
    for (size_t i = 0; i < 4; i++)
        fill(&all[i], &m[i]);
    tl_models models;
    tl_arena *arena = tl_arena_create();
    assert_int_equal(tl_models_make(all, 4, arena, &models, NULL), TL_OK);
    const text page = page_of(&models, arena);
    assert_int_equal(count(page.all, ">no study</text>"), 0);
    assert_int_equal(count(page.all, "No study of"), 0);
    free(page.all);
    tl_arena_destroy(arena);
}

/* What most studies have is said in short; a mean of one is none. */
static void settings_of_many_studies_are_said_in_short(void **state)
{
    (void)state;
    made m[5];
    static const char *const tasks[] = {"1", "2", "3", "4", "5"};
    tl_findings all[5];
    for (size_t i = 0; i < 5; i++)
        all[i] = make(&m[i], i < 4 ? "a" : "b", i < 4 ? "aa" : "bb", tasks[i], "x",
                      i < 4 ? "5" : "20", "runs/a");
    tl_models models;
    tl_arena *arena = tl_arena_create();
    assert_int_equal(tl_models_make(all, 5, arena, &models, NULL), TL_OK);
    const text page = page_of(&models, arena);
    expect(&page, "<strong>5</strong>: the other 4<br><strong>20</strong>: 5, b</dd>");
    expect(&page, "<tr><td>mean</td><td>0.900 (0.851&nbsp;to&nbsp;0.949)</td>"
                  "<td>0.700 (0.651&nbsp;to&nbsp;0.749)</td><td>-</td><td>-</td></tr>");
    free(page.all);
    tl_arena_destroy(arena);
}

static void csv_and_json_have_the_same_numbers(void **state)
{
    (void)state;
    made m[3];
    tl_findings all[3];
    tl_models models;
    tl_arena *arena = tl_arena_create();
    const size_t n = make_three(all, m);
    all[2].folder = "runs/\xff"; /* no UTF-8 */
    assert_int_equal(tl_models_make(all, n, arena, &models, NULL), TL_OK);
    text csv = {NULL, 0}, json = {NULL, 0};
    FILE *out = open_memstream(&csv.all, &csv.bytes);
    tl_models_write_csv(&models, &models.lists[TL_MODELS_CURVES], out);
    fclose(out);
    expect(&csv,
           "model,task,modality,fraction,faithfulness,low,high,n,undefined,published,"
           "missing,folder\r\n"
           "Qwen2-VL-7B-Instruct,counting,text,0.01,0.4,0.3,0.5,100,0,,,runs/a\r\n");
    expect(&csv, "Qwen2-VL-7B-Instruct,counting,text,0.05,,,,0,0,0.829,,runs/a\r\n");
    out = open_memstream(&json.all, &json.bytes);
    assert_int_equal(tl_models_write_json(&models, arena, out, NULL), TL_OK);
    fclose(out);
    json_error_t problem;
    json_t *root = json_loads(json.all, 0, &problem);
    assert_non_null(root);
    const char *name = NULL, *folder = NULL, *missing = NULL;
    double ours = 0.0, published = 0.0;
    int as_published = 0;
    assert_int_equal(json_unpack(root, "{s:[{s:s, s:b}]}", "studies", "name", &name,
                                 "as_published", &as_published),
                     0);
    assert_string_equal(name, "counting, Qwen2-VL-7B-Instruct");
    assert_true(as_published);
    folder = json_string_value(
        json_object_get(json_array_get(json_object_get(root, "studies"), 2), "folder"));
    assert_string_equal(folder, "runs/?");
    assert_int_equal(json_unpack(root, "{s:{s:[{s:{s:F}, s:F}]}}", "table-4", "numbers",
                                 "value", "value", &ours, "published", &published),
                     0);
    assert_close("accuracy", 0, ours, 0.9, 1e-12);
    assert_close("accuracy", 1, published, 0.793, 1e-12);
    assert_int_equal(json_unpack(root, "{s:{s:[{s:s}]}}", "figure-7", "numbers",
                                 "missing", &missing),
                     0);
    assert_string_equal(missing, "not in the study");
    json_decref(root);
    free(csv.all);
    free(json.all);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_and_tables_of_the_paper_are_there_in_order),
        cmocka_unit_test(drawings_mark_what_is_published_and_what_is_beyond_the_axis),
        cmocka_unit_test(a_whisker_beyond_the_axis_has_an_open_end),
        cmocka_unit_test(models_of_other_tasks_are_not_full_of_holes),
        cmocka_unit_test(settings_of_many_studies_are_said_in_short),
        cmocka_unit_test(csv_and_json_have_the_same_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
