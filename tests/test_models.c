/*
 * test_models.c - several models and tasks: their names and places, what tells studies apart,
 * settings that differ, the numbers of the paper's figures and tables beside the published.
 */
#include "made_models.h"

static const tl_models_number *number(const tl_models_list *list, size_t study,
                                      const char *part, double at)
{
    for (size_t i = 0; i < list->n; i++) {
        const tl_models_number *x = &list->numbers[i];
        if (x->study == study && strcmp(x->part, part) == 0 &&
            (isnan(at) ? isnan(x->at) : x->at == at))
            return x;
    }
    fail_msg("%s: no number of study %zu, %s, %g", list->name, study, part, at);
    return NULL;
}

static void the_paper_s_models_and_tasks_come_first_in_its_order(void **state)
{
    (void)state;
    made m[4];
    const tl_findings all[] = {
        make(&m[0], "me/tiny", "aa", "my own", "x", "5", "runs/a"),
        make(&m[1], GEMMA, "bb", "sentiment", "x", "5", "runs/b"),
        make(&m[2], "me/tiny", "aa", "counting", "x", "5", "runs/c"),
        make(&m[3], QWEN, "cc", "sentiment", "x", "5", "runs/d")};
    tl_arena *arena = tl_arena_create();
    tl_models models;
    assert_int_equal(tl_models_make(all, 4, arena, &models, NULL), TL_OK);
    assert_int_equal(models.n_models, 3);
    assert_string_equal(models.models[0], "Qwen2-VL-7B-Instruct");
    assert_string_equal(models.models[1], "gemma-3-12b-it");
    assert_string_equal(models.models[2], "tiny");
    assert_int_equal(models.n_rows, 3);
    assert_string_equal(models.rows[0], "counting");
    assert_string_equal(models.rows[1], "sentiment");
    assert_string_equal(models.rows[2], "my own");
    assert_int_equal(tl_models_find(&models, 2, 0), 2);
    assert_int_equal(tl_models_find(&models, 0, 1), 3);
    assert_int_equal(tl_models_find(&models, 0, 0), SIZE_MAX);
    assert_string_equal(models.studies[1].name, "sentiment, gemma-3-12b-it");
    assert_int_equal(models.n_settings, 0);
    tl_arena_destroy(arena);
}

/* Of one name and another hash, of one name from two, without a name. */
static void models_of_one_name_are_told_apart(void **state)
{
    (void)state;
    made m[5];
    const tl_findings all[] = {
        make(&m[0], "me/tiny", "0123456789abcdef", "counting", "x", "5", "a"),
        make(&m[1], "me/tiny", "fedcba9876543210", "counting", "x", "5", "b"),
        make(&m[2], "me/other", "aa", "counting", "x", "5", "c"),
        make(&m[3], "you/other", "bb", "counting", "x", "5", "d"),
        make(&m[4], "", "cc", "counting", "x", "5", "e")};
    tl_arena *arena = tl_arena_create();
    tl_models models;
    assert_int_equal(tl_models_make(all, 5, arena, &models, NULL), TL_OK);
    static const char *const names[] = {"tiny (0123456789ab)", "tiny (fedcba987654)",
                                        "me/other", "you/other", "cc"};
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(models.models[i], names[i]);
    assert_int_equal(models.n_rows, 1);
    tl_arena_destroy(arena);
}

/* By settings, by dataset, by folder, by how often; those of another model stand in the row
 * that says the same of them, or in the first. */
static void studies_of_one_model_and_task_are_told_apart(void **state)
{
    (void)state;
    made m[8];
    const tl_findings all[] = {make(&m[0], "tiny", "aa", "counting", "x", "5", "a"),
                               make(&m[1], "tiny", "aa", "counting", "x", "20", "b"),
                               make(&m[2], "other", "bb", "counting", "x", "20", "c"),
                               make(&m[3], "tiny", "aa", "sentiment", "x", "5", "d"),
                               make(&m[4], "tiny", "aa", "sentiment", "y", "5", "e"),
                               make(&m[5], "tiny", "aa", "sentiment", "y", "5", "f"),
                               make(&m[6], "tiny", "aa", "sentiment", "y", "5", "f"),
                               make(&m[7], "third", "cc", "counting", "x", "7", "g")};
    tl_arena *arena = tl_arena_create();
    tl_models models;
    assert_int_equal(tl_models_make(all, 8, arena, &models, NULL), TL_OK);
    static const char *const variants[] = {"ig-steps 5",
                                           "ig-steps 20",
                                           "ig-steps 20",
                                           "dataset x",
                                           "dataset y, in e",
                                           "dataset y, in f",
                                           "dataset y, in f, time 2",
                                           "ig-steps 7"};
    for (size_t i = 0; i < 8; i++)
        assert_string_equal(models.studies[i].variant, variants[i]);
    assert_int_equal(models.n_rows, 6);
    assert_string_equal(models.rows[0], "counting (1)");
    assert_string_equal(models.rows[1], "counting (2)");
    assert_string_equal(models.rows[5], "sentiment (4)");
    assert_int_equal(models.studies[2].row, 1);
    assert_int_equal(models.studies[7].row, 0);
    for (size_t i = 0; i < 8; i++) {
        const tl_models_study *s = &models.studies[i];
        assert_int_equal(tl_models_find(&models, s->model, s->row), i);
    }
    assert_int_equal(models.n_settings, 3);
    assert_string_equal(models.settings[0].setting, "ig-steps");
    assert_string_equal(models.settings[0].value, "5");
    assert_int_equal(models.settings[0].n, 5);
    assert_string_equal(models.settings[1].value, "20");
    assert_int_equal(models.settings[1].studies[1], 2);
    tl_arena_destroy(arena);
}

/* Datasets of one name; and windows in order over studies that have not the same. */
static void hashes_tell_datasets_of_one_name_apart(void **state)
{
    (void)state;
    made m[2];
    tl_findings all[] = {make(&m[0], "tiny", "aa", "counting", "x", "5", "a"),
                         make(&m[1], "tiny", "aa", "counting", "x", "5", "b")};
    m[0].keys[7] = (tl_study_key){"dataset", "0123456789abcdef"};
    m[1].keys[7] = (tl_study_key){"dataset", "fedcba9876543210"};
    for (size_t i = 0; i < 2; i++) {
        fill(&all[i], &m[i]);
        all[i].backpatch.n_windows = 1;
    }
    m[1].windows[0].window = 3; /* the other has 5 */
    tl_arena *arena = tl_arena_create();
    tl_models models;
    assert_int_equal(tl_models_make(all, 2, arena, &models, NULL), TL_OK);
    assert_string_equal(models.studies[0].variant, "dataset 0123456789ab");
    assert_string_equal(models.studies[1].variant, "dataset fedcba987654");
    assert_int_equal(models.n_settings, 0); /* what was studied is no setting */
    const tl_models_list *control = &models.lists[TL_MODELS_CONTROL];
    assert_int_equal(control->n_parts, 2);
    assert_string_equal(control->parts[0], "window 3");
    assert_string_equal(control->parts[1], "window 5");
    tl_arena_destroy(arena);
}

static void published_numbers_stand_beside_the_paper_s_studies_alone(void **state)
{
    (void)state;
    made m[3];
    tl_findings all[] = {make(&m[0], QWEN, "aa", "counting", "x", "5", "a"),
                         make(&m[1], QWEN, "aa", "sentiment", "x", "5", "b"),
                         make(&m[2], "tuned", "bb", "counting", "x", "5", "c")};
    m[1].keys[5].value = "mine"; /* other prompts */
    for (size_t i = 0; i < 3; i++)
        fill(&all[i], &m[i]);
    tl_arena *arena = tl_arena_create();
    tl_models models;
    assert_int_equal(tl_models_make(all, 3, arena, &models, NULL), TL_OK);
    const tl_models_list *l = models.lists;
    static const struct {
        size_t list;
        const char *part;
        double at, ours, published;
    } wanted[] = {
        {TL_MODELS_ACCURACY, "text", NAN, 0.9, 0.793},
        {TL_MODELS_ACCURACY, "image", NAN, 0.7, 0.708},
        {TL_MODELS_CURVES, "image", 0.01, 0.4, NAN},
        {TL_MODELS_SIZES, "text", NAN, 0.05, 0.05},
        {TL_MODELS_SIZES, "image", NAN, 0.05, 0.08},
        {TL_MODELS_FAITHFULNESS, "text", NAN, 0.85, 0.829},
        {TL_MODELS_OVERLAP, "generation", NAN, NAN, 0.25},
        {TL_MODELS_INTERCHANGE, "query", NAN, NAN, 0.9},
        {TL_MODELS_BACKPATCH, "accuracy", NAN, 0.75, 0.75},
        {TL_MODELS_BACKPATCH, "gain", NAN, 0.05, 0.75 - 0.708},
        {TL_MODELS_BACKPATCH, "gain, crossed", NAN, 0.02, NAN},
        {TL_MODELS_CELLS, "from layer", NAN, 20, 20},
        {TL_MODELS_CELLS, "into layer", NAN, 15, 15},
        {TL_MODELS_CELLS, "window", NAN, 3, 3},
        {TL_MODELS_TIMES, "best here", 0, 0.7, 0.708},
        {TL_MODELS_TIMES, "best here", 1, 0.75, 0.75},
        {TL_MODELS_TIMES, "best here", 2, 0.7, NAN},
        {TL_MODELS_CONTROL, "window 3", NAN, 0.8, NAN},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        for (size_t s = 0; s < 3; s++) {
            const tl_models_number *x =
                number(&l[wanted[i].list], s, wanted[i].part, wanted[i].at);
            const double published = s == 0 ? wanted[i].published : NAN;
            if (isnan(wanted[i].ours))
                assert_true(isnan(x->value.value));
            else
                assert_close(wanted[i].part, s, x->value.value, wanted[i].ours, 1e-12);
            if (isnan(published) != isnan(x->published))
                fail_msg("%s %s of study %zu: published %g, wanted %g",
                         l[wanted[i].list].name, wanted[i].part, s, x->published,
                         published);
            if (!isnan(published))
                assert_close("published", i, x->published, published, 1e-12);
        }
    /* The published circuit is a point of its own on the curve. */
    const tl_models_number *circuit = number(&l[TL_MODELS_CURVES], 0, "image", 0.08);
    assert_close("circuit", 0, circuit->published, 0.82, 1e-12);
    assert_true(isnan(circuit->value.value) && circuit->missing == NULL);
    assert_non_null(models.published_layers[0]);
    assert_null(models.published_layers[1]);
    /* Windows in order, whatever order the study has. */
    assert_int_equal(l[TL_MODELS_CONTROL].n_parts, 2);
    assert_string_equal(l[TL_MODELS_CONTROL].parts[0], "window 3");

    /* Means over what is there; the published one over the studies that have one. */
    tl_models_mean mean;
    assert_int_equal(tl_models_mean_of(&models, &l[TL_MODELS_ACCURACY], 0, "image",
                                       arena, &mean, NULL),
                     TL_OK);
    assert_int_equal(mean.n, 2);
    assert_int_equal(mean.n_published, 1);
    assert_close("mean", 0, mean.published, 0.708, 1e-12);
    assert_close("mean", 1, mean.value.value, 0.7, 1e-12);
    assert_int_equal(mean.same.n, 1);
    assert_int_equal(tl_models_mean_of(&models, &l[TL_MODELS_SIZES], SIZE_MAX, "text",
                                       arena, &mean, NULL),
                     TL_OK);
    assert_int_equal(mean.n, 3);
    assert_true(isnan(mean.value.low)); /* sizes have no intervals */
    tl_arena_destroy(arena);
}

static void what_a_study_lacks_is_said(void **state)
{
    (void)state;
    made m[4];
    tl_findings all[] = {make(&m[0], "tiny", "aa", "counting", "x", "5", "a"),
                         make(&m[1], "tiny", "aa", "sentiment", "x", "5", "b"),
                         make(&m[2], "tiny", "aa", "arithmetic", "x", "5", "c"),
                         make(&m[3], "tiny", "aa", "my own", "x", "5", "d")};
    fill(&all[0], &m[0]);
    all[0].parts[TL_IMAGE].minimal.found = false;
    all[1].parts[TL_IMAGE].present = false;
    all[2].finished = false;
    m[3].keys[7] = (tl_study_key){"bp-grid", "none"};
    all[3].absent = "text prompts have several lengths: no circuits";
    tl_arena *arena = tl_arena_create();
    tl_models models;
    assert_int_equal(tl_models_make(all, 4, arena, &models, NULL), TL_OK);
    const tl_models_list *l = models.lists;
    static const struct {
        size_t list, study;
        const char *part, *why;
    } wanted[] = {{TL_MODELS_SIZES, 0, "image", "no faithful circuit"},
                  {TL_MODELS_OVERLAP, 0, "data", "no faithful circuit"},
                  {TL_MODELS_ACCURACY, 1, "image", "no image prompts"},
                  {TL_MODELS_BACKPATCH, 1, "gain", "no image prompts"},
                  {TL_MODELS_ALIGNMENT, 1, "as they are", "no image prompts"},
                  {TL_MODELS_CURVES, 2, "text", "not reached yet"},
                  {TL_MODELS_TIMES, 2, "best here", "not reached yet"},
                  {TL_MODELS_CELLS, 3, "window", "--bp-grid none"},
                  {TL_MODELS_INTERCHANGE, 3, "query",
                   "text prompts have several lengths: no circuits"}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const tl_models_number *x =
            number(&l[wanted[i].list], wanted[i].study, wanted[i].part, NAN);
        assert_true(isnan(x->value.value));
        assert_non_null(x->missing);
        assert_string_equal(x->missing, wanted[i].why);
    }
    assert_null(number(&l[TL_MODELS_SIZES], 0, "text", NAN)->missing);
    assert_false(l[TL_MODELS_ALIGNMENT].any_value);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_paper_s_models_and_tasks_come_first_in_its_order),
        cmocka_unit_test(models_of_one_name_are_told_apart),
        cmocka_unit_test(studies_of_one_model_and_task_are_told_apart),
        cmocka_unit_test(hashes_tell_datasets_of_one_name_apart),
        cmocka_unit_test(published_numbers_stand_beside_the_paper_s_studies_alone),
        cmocka_unit_test(what_a_study_lacks_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
