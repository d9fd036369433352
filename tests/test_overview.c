/*
 * test_overview.c - means over studies, gaps closed and published numbers, against what
 * the definitions give by hand; studies without anything.
 */
#include "testing.h"

#include "report/overview.h"
#include "finding/published.h"

static const tl_study_key qwen[] = {
    {"family", "qwen2_vl"}, {"model", "0123456789abcdef"}, {"task", "counting"}};
static const tl_study_key other[] = {
    {"family", "qwen2_vl"}, {"model", "0123456789abcdef"}, {"task", "my own"}};
static const tl_study_cell cells[] = {{5, 20, 15}, {1, 3, 2}};

static tl_interval about(double value, double deviation)
{
    return (tl_interval){
        value, value - 2 * deviation, value + 2 * deviation, deviation, 100, 0};
}

/* Accuracies of text and image prompts, and what the best cell adds. */
static tl_findings make(const tl_study_key *keys, double text, double image,
                        double gain)
{
    tl_findings f = {.folder = "runs/x", .keys = keys, .n_keys = 3, .finished = true};
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        f.parts[m].present = true;
        f.parts[m].n_prompts = 100;
        f.parts[m].limited = f.parts[m].full = about(m == TL_TEXT ? text : image, 0.03);
        f.parts[m].scores =
            (tl_study_scores){.n_layers = 28, .n_heads = 28, .d_mlp = 18944};
    }
    f.backpatch =
        (tl_finding_backpatch){.cells = cells,
                               .n_cells = 2,
                               .n = 100,
                               .clean = {about(text, 0.03), about(image, 0.03)},
                               .best = 1,
                               .best_accuracy = about(image + gain, 0.03),
                               .gain = about(gain, 0.01),
                               .crossed_gain = about(gain / 2, 0.01),
                               .p = 0.04,
                               .closed = about(gain / (text - image), 0.1),
                               .no_worse = about(0.75, 0.1)};
    return f;
}

static const tl_table *find(const tl_overview *o, const char *name)
{
    for (size_t i = 0; i < o->n_tables; i++)
        if (strcmp(o->tables[i].name, name) == 0)
            return &o->tables[i];
    fail_msg("no table '%s'", name);
    return NULL;
}

static const char *cell_at(const tl_table *t, size_t row, const char *head)
{
    for (size_t c = 0; c < t->n_columns; c++)
        if (strcmp(t->heads[c], head) == 0)
            return t->cells[row * t->n_columns + c];
    fail_msg("no column '%s'", head);
    return NULL;
}

static void a_mean_has_the_deviation_of_independent_values(void **state)
{
    (void)state;
    const tl_interval values[] = {
        about(0.2, 0.03), about(0.4, 0.04), {NAN, NAN, NAN, NAN, 0, 0}};
    const tl_interval mean = tl_overview_mean(values, 3);
    assert_close("mean", 0, mean.value, 0.3, 1e-15);
    assert_close("deviation", 0, mean.deviation, 0.05 / 2, 1e-15);
    assert_close("high", 0, mean.high, 0.3 + 1.959963985 * 0.025, 1e-9);
    assert_int_equal(mean.n, 2);
    assert_true(isnan(tl_overview_mean(values + 2, 1).value));
    assert_true(isnan(tl_overview_mean(NULL, 0).value));
}

static void gaps_are_closed_as_defined(void **state)
{
    (void)state;
    /* Shares: 0.25, 0.6 and -0.1; one without a gap, one without back-patching. */
    const tl_findings studies[] = {make(other, 0.9, 0.5, 0.1),
                                   make(other, 0.8, 0.7, 0.06),
                                   make(other, 0.9, 0.7, -0.02),
                                   make(other, 0.5, 0.6, 0.04),
                                   {.folder = "runs/y"}};
    tl_gap_closed g;
    assert_int_equal(tl_overview_gap(studies, 5, &g, NULL), TL_OK);
    assert_int_equal(g.n, 3);
    assert_close("mean", 0, g.mean, 0.25, 1e-12);
    assert_close("median", 0, g.median, 0.25, 1e-12);
    assert_close("published way", 0, g.published_way, (0.25 + 0.6) / 2, 1e-12);
    assert_close("pooled", 0, g.pooled, (0.1 + 0.06 - 0.02) / (0.4 + 0.1 + 0.2), 1e-12);
    assert_close("mean gain", 0, g.mean_gain, (0.1 + 0.06 - 0.02 + 0.04) / 4, 1e-12);
    assert_int_equal(tl_overview_gap(studies + 4, 1, &g, NULL), TL_OK);
    assert_int_equal(g.n, 0);
    assert_true(isnan(g.mean) && isnan(g.pooled) && isnan(g.mean_gain));
}

static void published_numbers_stand_beside_those_of_that_model_and_task(void **state)
{
    (void)state;
    tl_findings studies[] = {make(qwen, 0.9, 0.7, 0.05), make(other, 0.8, 0.6, 0.1)};
    tl_arena *arena = tl_arena_create();
    tl_overview o;
    assert_int_equal(tl_overview_make(studies, 2, arena, &o, NULL), TL_OK);
    const tl_table *accuracy = find(&o, "accuracy"), *patched = find(&o, "backpatch");
    assert_int_equal(accuracy->n_rows, 3); /* and the mean */
    assert_string_equal(cell_at(accuracy, 0, "published text"), "0.793");
    assert_string_equal(cell_at(accuracy, 0, "published image"), "0.708");
    assert_string_equal(cell_at(accuracy, 1, "published text"), "-");
    assert_string_equal(cell_at(accuracy, 0, "text"), "0.900 (0.840 to 0.960)");
    assert_string_equal(cell_at(accuracy, 2, "text"), "0.850 (0.808 to 0.892)");
    assert_string_equal(cell_at(patched, 0, "published cell"), "20 into 15 (3)");
    assert_string_equal(cell_at(patched, 0, "published accuracy"), "0.750");
    assert_string_equal(cell_at(patched, 0, "best cell"), "3 into 2 (1)");

    /* Of another family, or another shape, it is not the paper's model. */
    const tl_study_key family[] = {
        {"family", "qwen2_5_vl"}, {"model", "0123456789abcdef"}, {"task", "counting"}};
    studies[0].keys = family;
    assert_null(tl_published_find(&studies[0]));
    studies[0].keys = qwen;
    assert_non_null(tl_published_find(&studies[0]));
    studies[0].parts[TL_TEXT].scores.n_heads = 12;
    studies[0].parts[TL_IMAGE].scores.n_heads = 12;
    assert_null(tl_published_find(&studies[0]));
    assert_int_equal(tl_overview_make(studies, 2, arena, &o, NULL), TL_OK);
    assert_int_equal(find(&o, "accuracy")->n_columns, 6);
    tl_arena_destroy(arena);
}

/* The published averages, which the paper gives beside its figures: 18, 12 and 38 % of
 * generation, query and data, and a gap closed of 32 %. */
static void published_tables_add_up_to_what_the_paper_says(void **state)
{
    (void)state;
    static const char *const tasks[] = {"counting", "arithmetic", "color_ordering",
                                        "factual_recall", "sentiment"};
    static const struct {
        const char *family;
        size_t n_layers, n_heads, d_mlp;
    } models[] = {{"qwen2_vl", 28, 28, 18944},
                  {"llava", 40, 32, 14336},
                  {"gemma3", 48, 16, 15360}};
    double overlap[TL_SEGMENT_COUNT] = {0}, gain = 0.0, closed = 0.0, size[2] = {0};
    size_t n_closed = 0;
    for (size_t m = 0; m < 3; m++)
        for (size_t t = 0; t < 5; t++) {
            const tl_study_key keys[] = {{"family", models[m].family},
                                         {"task", tasks[t]}};
            tl_findings f = {.keys = keys, .n_keys = 2};
            f.parts[TL_TEXT].scores = (tl_study_scores){.n_layers = models[m].n_layers,
                                                        .n_heads = models[m].n_heads,
                                                        .d_mlp = models[m].d_mlp};
            const tl_published *p = tl_published_find(&f);
            assert_non_null(p);
            for (size_t s = 0; s < TL_SEGMENT_COUNT; s++)
                overlap[s] += p->overlap[s] / 15;
            const double g = p->backpatched - p->accuracy[TL_IMAGE],
                         share = g / (p->accuracy[TL_TEXT] - p->accuracy[TL_IMAGE]);
            gain += g / 15;
            if (share > 0.0 && share <= 1.0) {
                closed += share;
                n_closed++;
            }
            size[0] += p->size[TL_TEXT] / 15;
            size[1] += p->size[TL_IMAGE] / 15;
            assert_true(p->best.source > p->best.destination);
            assert_true(p->best.source < models[m].n_layers);
        }
    assert_close("query", 0, overlap[TL_SEGMENT_QUERY], 0.12, 0.02);
    assert_close("generation", 0, overlap[TL_SEGMENT_GENERATION], 0.38, 0.02);
    assert_close("all", 0, (overlap[0] + overlap[1] + overlap[2]) / 3, 0.18, 0.02);
    assert_close("gain", 0, gain, 0.047, 0.0005);
    assert_int_equal(n_closed, 12);
    assert_close("closed", 0, closed / 12, 0.342, 0.0005);
    assert_close("text circuits", 0, size[0], 0.053, 0.0005);
    assert_close("image circuits", 0, size[1], 0.131, 0.0005);
}

static void studies_without_anything_make_no_rows(void **state)
{
    (void)state;
    const tl_findings studies[] = {{.folder = "a"}, {.folder = "b"}};
    tl_arena *arena = tl_arena_create();
    tl_overview o;
    assert_int_equal(tl_overview_make(studies, 2, arena, &o, NULL), TL_OK);
    const tl_table *t = find(&o, "accuracy");
    assert_string_equal(cell_at(t, 0, "text"), "-");
    assert_string_equal(cell_at(t, 2, "image"), "-");
    assert_int_equal(o.n_tables, 1);
    tl_table_print(t, stdout);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mean_has_the_deviation_of_independent_values),
        cmocka_unit_test(gaps_are_closed_as_defined),
        cmocka_unit_test(published_numbers_stand_beside_those_of_that_model_and_task),
        cmocka_unit_test(published_tables_add_up_to_what_the_paper_says),
        cmocka_unit_test(studies_without_anything_make_no_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
