/*
 * test_overview.c - tables over several studies: their rows and means, published numbers
 * beside them; studies without anything.
 */
#include "testing.h"

#include "report/input_text.h"
#include "report/overview.h"
#include "finding/published.h"

static const tl_study_key qwen[] = {{"family", "qwen2_vl"},
                                    {"model", "0123456789abcdef"},
                                    {"task", "counting"},
                                    {"prompts-of", "published qwen2_vl"},
                                    {"model-name", "Qwen/Qwen2-VL-7B-Instruct"}};
static const tl_study_key other[] = {{"family", "qwen2_vl"},
                                     {"model", "0123456789abcdef"},
                                     {"task", "my own"},
                                     {"prompts-of", ""},
                                     {"model-name", "Qwen/Qwen2-VL-7B-Instruct"}};
static const tl_study_key drawn[] = {{"family", "qwen2_vl"},
                                     {"model", "0123456789abcdef"},
                                     {"task", "arithmetic"},
                                     {"prompts-of", ""},
                                     {"model-name", "Qwen/Qwen2-VL-7B-Instruct"}};
static const tl_finding_cell cells[] = {{.window = 5, .source = 20, .destination = 15},
                                        {.window = 1, .source = 3, .destination = 2}};

static tl_interval about(double value, double deviation)
{
    return (tl_interval){
        value, value - 2 * deviation, value + 2 * deviation, deviation, 100, 0};
}

/* Accuracies of text and image prompts, and what the best cell adds. */
static tl_findings make(const tl_study_key *keys, double text, double image,
                        double gain)
{
    tl_findings f = {.folder = "runs/x", .keys = keys, .n_keys = 5, .finished = true};
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
                               .chosen_here = {.accuracy = about(image + gain, 0.03),
                                               .gain = about(gain, 0.01)},
                               .chosen_elsewhere =
                                   {.gain = about(gain / 2, 0.01),
                                    .p = 0.03,
                                    .closed = about(gain / (text - image), 0.1)},
                               .p = 0.04,
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
        {"family", "qwen2_5_vl"},
        {"model", "fedcba9876543210"},
        {"task", "counting"},
        {"prompts-of", ""},
        {"model-name", "Qwen/Qwen2.5-VL-7B-Instruct"}};
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
    assert_int_equal(o.n_tables, 2); /* and what was studied */
    tl_table_print(t, stdout);
    tl_arena_destroy(arena);
}

static void other_prompts_are_marked_and_means_say_what_is_not_in_them(void **state)
{
    (void)state;
    tl_findings studies[] = {make(qwen, 0.9, 0.7, 0.05), make(drawn, 0.8, 0.6, 0.1),
                             make(other, 0.8, 0.6, 0.1)};
    studies[2].parts[TL_IMAGE].present = false;
    tl_arena *arena = tl_arena_create();
    tl_overview o;
    assert_int_equal(tl_overview_make(studies, 3, arena, &o, NULL), TL_OK);
    const tl_table *accuracy = find(&o, "accuracy");
    assert_string_equal(cell_at(accuracy, 0, "published text"), "0.793");
    assert_string_equal(cell_at(accuracy, 1, "published text"), "0.992, other prompts");
    assert_string_equal(cell_at(accuracy, 2, "published text"), "-");
    assert_string_equal(accuracy->note, "Mean of image without my own. "
                                        "Mean of image, vocabulary without my own.");
    tl_arena_destroy(arena);
}

/* The paper's shape and prompts, and another name. */
static void a_model_of_another_name_is_marked_and_named(void **state)
{
    (void)state;
    const tl_study_key tuned[] = {{"family", "qwen2_vl"},
                                  {"model", "fedcba9876543210"},
                                  {"task", "counting"},
                                  {"prompts-of", "published qwen2_vl"},
                                  {"model-name", "me/tuned"}};
    tl_findings studies[] = {make(qwen, 0.9, 0.7, 0.05), make(tuned, 0.8, 0.6, 0.1)};
    tl_arena *arena = tl_arena_create();
    tl_overview o;
    assert_int_equal(tl_overview_make(studies, 2, arena, &o, NULL), TL_OK);
    const tl_table *accuracy = find(&o, "accuracy"), *patched = find(&o, "backpatch"),
                   *named = find(&o, "studies");
    assert_string_equal(cell_at(accuracy, 0, "published text"), "0.793");
    assert_string_equal(cell_at(accuracy, 1, "published text"), "0.793, other model");
    assert_string_equal(cell_at(patched, 1, "published cell"),
                        "20 into 15 (3), other model");
    assert_string_equal(cell_at(accuracy, 0, "task"),
                        "counting, Qwen/Qwen2-VL-7B-Instruct (0123456789ab)");
    assert_string_equal(cell_at(accuracy, 1, "task"),
                        "counting, me/tuned (fedcba987654)");
    assert_string_equal(cell_at(named, 1, "model"), "me/tuned (fedcba987654)");

    /* Two studies of one model, task and dataset are told apart by their folders. */
    tl_findings twice[] = {make(qwen, 0.9, 0.7, 0.05), make(qwen, 0.8, 0.6, 0.1),
                           make(drawn, 0.8, 0.6, 0.1)};
    twice[1].folder = "runs/y";
    assert_int_equal(tl_overview_make(twice, 3, arena, &o, NULL), TL_OK);
    accuracy = find(&o, "accuracy");
    assert_string_equal(cell_at(accuracy, 0, "task"), "counting, runs/x");
    assert_string_equal(cell_at(accuracy, 1, "task"), "counting, runs/y");
    assert_string_equal(cell_at(accuracy, 2, "task"), "arithmetic");

    /* A long name is cut between letters. */
    char umlauts[302] = "x";
    for (size_t i = 1; i < 301; i += 2)
        memcpy(umlauts + i, "\xc3\xa4", 2);
    const tl_study_key large[] = {{"model", "0123456789abcdef"}, {"model-name", umlauts}};
    const tl_findings f = {.keys = large, .n_keys = 2};
    char text[TL_INPUT_TEXT];
    assert_int_equal(strlen(tl_input_text(&f, "model", text)), 149 + strlen(" (0123456789ab)"));
    assert_memory_equal(text + 147, "\xc3\xa4 (", 4);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_numbers_stand_beside_those_of_that_model_and_task),
        cmocka_unit_test(
            other_prompts_are_marked_and_means_say_what_is_not_in_them),
        cmocka_unit_test(studies_without_anything_make_no_rows),
        cmocka_unit_test(a_model_of_another_name_is_marked_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
