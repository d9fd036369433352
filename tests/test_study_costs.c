/*
 * test_study_costs.c - what a study is expected to take is what its stages count: products of
 * every stage within a tenth, for the bundled model and a tiny one, with each method and
 * search; and what a tower takes for an image, exactly, in every family.
 */
#include "testing.h"

#include <math.h>

#include "circuit/circuit_tests.h"
#include "model/memory_plan.h"
#include "model/model_parts.h"
#include "store/score_file.h"
#include "store/study_db.h"
#include "study/plan.h"
#include "study/session.h"
#include "study/swaps.h"
#include "twinlens/scene.h"
#include "twinlens/study.h"

typedef struct fixture {
    tl_settings settings;
    tl_arena *arena;
    test_folder folder;
    char data[300], out[300];
} fixture;

static void setup(fixture *f)
{
    *f = (fixture){.arena = tl_arena_create(), .folder = test_folder_create()};
    assert_non_null(f->arena);
    snprintf(f->data, sizeof f->data, "%s/data", f->folder.path);
    snprintf(f->out, sizeof f->out, "%s/out", f->folder.path);
    tl_settings_init(&f->settings);
    f->settings.out = f->out;
    f->settings.threads = 1;
    f->settings.keep = TL_KEEP_ALL; /* every row is used */
}

static void teardown(fixture *f)
{
    tl_arena_destroy(f->arena);
    test_folder_remove(f->folder.path);
}

static void must(tl_status status, const tl_error *err)
{
    if (status != TL_OK)
        fail_msg("%s", err->text);
}

/* ---- what the prompts are ---------------------------------------------------------- */

/* The leading positions that a pair of rows has in common. */
static size_t shared(const tl_session *s, const tl_study_pair *pair, tl_arena *arena)
{
    tl_encoding a, b;
    tl_error err = {0};
    must(tl_dataset_encode(s->dataset, pair->row, s->processor, arena, &a, &err), &err);
    must(tl_dataset_encode(s->dataset, pair->counterfactual, s->processor, arena, &b,
                           &err),
         &err);
    size_t n = 0;
    while (n + 1 < a.n_pos && a.ids[n] == b.ids[n] &&
           (pair->modality == TL_TEXT || n < a.data_begin))
        n++;
    return n;
}

static void find_shape(const fixture *f, tl_session *s, tl_study_db *db,
                       tl_study_shape *out)
{
    tl_error err = {0};
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_study_prompt *prompts = NULL;
        const tl_study_pair *pairs = NULL;
        size_t n = 0, sum = 0;
        must(tl_study_db_get_prompts(db, (tl_modality)m, f->arena, &prompts,
                                     &out->n_rows[m], &err),
             &err);
        out->spans[m] =
            (tl_span){prompts[0].n_pos, prompts[0].data_begin, prompts[0].data_end};
        must(tl_study_db_get_pairs(db, (tl_modality)m, TL_STUDY_DISCOVERY, f->arena,
                                   &pairs, &n, &err),
             &err);
        for (size_t i = 0; i < n; i++)
            sum += shared(s, &pairs[i], f->arena);
        out->n_prefix[m] = sum / n;
        tl_study_minimal minimal = {.modality = (tl_modality)m};
        bool found = false;
        must(tl_study_db_find(db, TL_ROW_MINIMAL, &minimal, f->arena, &found, &err),
             &err);
        tl_study_point point = {.modality = (tl_modality)m, .point = minimal.point};
        if (minimal.found) {
            must(tl_study_db_find(db, TL_ROW_POINT, &point, f->arena, NULL, &err),
                 &err);
            out->circuit += strtod(point.fraction, NULL) / TL_MODALITY_COUNT;
        }
    }
}

/* The circuits of the curves, as the study makes them. */
static void find_circuits(const fixture *f, const tl_session *s, const tl_sizes *sizes,
                          tl_study_shape *shape)
{
    tl_error err = {0};
    const tl_dims *d = tl_model_dims(s->model);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const size_t n = TL_STUDY_KIND_COUNT * sizes->n, n_pos = shape->spans[m].n_pos;
        char path[400];
        tl_scores scores[2];
        tl_ranking *rankings =
            tl_arena_alloc(f->arena, TL_STUDY_KIND_COUNT, sizeof *rankings);
        tl_circuit *circuits = tl_arena_alloc(f->arena, n, sizeof *circuits);
        assert_true(rankings != NULL && circuits != NULL);
        snprintf(path, sizeof path, "%s/scores.%s.safetensors", f->out,
                 tl_modality_name((tl_modality)m));
        must(tl_score_file_read(path, d, n_pos, f->arena, &scores[0], &err), &err);
        must(tl_score_file_read_magnitudes(path, d, n_pos, f->arena, &scores[1], &err),
             &err);
        must(tl_ranking_from_scores(&scores[0], f->arena, &rankings[0], &err), &err);
        must(tl_ranking_from_scores(&scores[1], f->arena, &rankings[1], &err), &err);
        must(tl_ranking_random(&rankings[0], f->settings.seed + m, f->arena,
                               &rankings[2], &err),
             &err);
        for (size_t i = 0; i < n; i++)
            circuits[i] =
                tl_circuit_at(&rankings[i / sizes->n], sizes->fractions[i % sizes->n],
                              (tl_fraction_rounding)f->settings.rounding);
        shape->circuits[m] = circuits;
        shape->n_circuits[m] = n;
    }
}

/* Those that the smallest ones are tested against. */
static void find_tests(const fixture *f, tl_study_db *db, tl_study_shape *shape)
{
    tl_error err = {0};
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_span *span = &shape->spans[m];
        const tl_circuit_test *tests = NULL;
        tl_study_minimal minimal = {.modality = (tl_modality)m};
        tl_component_set circuit;
        size_t n = 0;
        must(tl_study_db_find(db, TL_ROW_MINIMAL, &minimal, f->arena, NULL, &err),
             &err);
        if (!minimal.found)
            continue;
        must(tl_set_from_circuit(&shape->circuits[m][minimal.point], f->arena, &circuit,
                                 &err),
             &err);
        must(tl_circuit_tests_list(
                 &circuit, span, f->settings.circuit_tests,
                 tl_circuit_tests_seed(f->settings.seed, (tl_modality)m), f->arena,
                 &tests, &n, &err),
             &err);
        tl_component_set *sets = tl_arena_alloc(f->arena, n, sizeof *sets);
        tl_circuit *circuits = tl_arena_alloc_zero(f->arena, n, sizeof *circuits);
        assert_true(sets != NULL && circuits != NULL);
        for (size_t i = 0; i < n; i++) {
            must(tl_circuit_test_build(&circuit, span, &tests[i], f->arena, &sets[i],
                                       &err),
                 &err);
            circuits[i].set = &sets[i];
        }
        shape->tests[m] = circuits;
        shape->n_tests[m] = n;
    }
}

/* Those of the interchange. */
static void find_swaps(const fixture *f, tl_session *s, tl_study_db *db,
                       tl_study_shape *shape)
{
    tl_error err = {0};
    tl_both_options options = {.any_scores = true};
    tl_both_circuits both;
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        char *path = tl_arena_alloc(f->arena, 400, 1);
        assert_non_null(path);
        snprintf(path, 400, "%s/scores.%s.safetensors", f->out,
                 tl_modality_name((tl_modality)m));
        tl_study_minimal minimal = {.modality = (tl_modality)m};
        must(tl_study_db_find(db, TL_ROW_MINIMAL, &minimal, f->arena, NULL, &err),
             &err);
        if (!minimal.found)
            return;
        tl_study_point point = {.modality = (tl_modality)m, .point = minimal.point};
        must(tl_study_db_find(db, TL_ROW_POINT, &point, f->arena, NULL, &err), &err);
        options.scores[m] = path;
        options.fraction[m] = point.fraction;
    }
    must(tl_both_circuits_read(s, &options, &both, &err), &err);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const size_t n = tl_swap_count(f->settings.inter_draws);
        tl_swap *swaps = tl_arena_alloc(f->arena, n, sizeof *swaps);
        tl_circuit *circuits = tl_arena_alloc(f->arena, n, sizeof *circuits);
        assert_true(swaps != NULL && circuits != NULL);
        for (size_t i = 0; i < n; i++) {
            must(tl_swap_make(&both, (tl_modality)m, i, &f->settings, f->arena,
                              &swaps[i], &err),
                 &err);
            circuits[i] = (tl_circuit){.set = &swaps[i].set};
        }
        shape->swaps[m] = circuits;
        shape->n_swaps[m] = n;
    }
}

static tl_backpatch_cell cell_of(const fixture *f, tl_study_db *db, size_t number)
{
    tl_error err = {0};
    tl_study_cell cell = {.cell = number};
    must(tl_study_db_find(db, TL_ROW_CELL, &cell, f->arena, NULL, &err), &err);
    return (tl_backpatch_cell){cell.source, cell.destination, cell.window, 1, false};
}

/* The cells that were iterated: the best, and those of the halves. */
static void find_best(const fixture *f, tl_study_db *db, tl_backpatch_cell best[3],
                      tl_study_shape *shape)
{
    tl_error err = {0};
    tl_rows iterations = {0}, crossed = {0};
    must(tl_study_db_get(db, TL_ROW_ITERATION, NULL, 0, f->arena, &iterations, &err),
         &err);
    must(tl_study_db_get(db, TL_ROW_CROSSED_ITERATION, NULL, 0, f->arena, &crossed,
                         &err),
         &err);
    if (iterations.n == 0)
        return;
    best[0] = cell_of(f, db, ((const tl_study_iteration *)iterations.rows)->cell);
    shape->best = best;
    const tl_study_iteration *rows = crossed.rows;
    for (size_t h = 0; h < 2 && crossed.n > 0; h++) {
        size_t i = 0; /* all rows of one cell: both halves chose it */
        while (h == 1 && i + 1 < crossed.n && rows[i].cell == rows[0].cell)
            i++;
        best[1 + h] = cell_of(f, db, rows[i].cell);
        shape->crossed[h] = &best[1 + h];
    }
}

/* ---- counted beside expected -------------------------------------------------------- */

/* Whether what a stage takes follows from what has not been found when a study begins. */
static bool is_found_later(const char *stage)
{
    return strncmp(stage, "evaluate", 8) == 0 ||
           strncmp(stage, "circuit tests", 13) == 0 ||
           strncmp(stage, "interchange", 11) == 0 || strcmp(stage, "iterate") == 0;
}

/* Every stage is expected to take what it counted, within a part of it; `known`: what is
 * found later as well. The number of those that did not. */
static size_t check_stages(const tl_stage_cost *costs, size_t n, const tl_rows *work,
                           const char *what, bool known, double within)
{
    const tl_study_work *rows = work->rows;
    size_t n_wrong = 0;
    for (size_t i = 0; i < n; i++) {
        double counted = 0.0;
        for (size_t k = 0; k < work->n; k++)
            if (strcmp(rows[k].stage, costs[i].name) == 0)
                counted = (double)rows[k].product_flops;
        if (fabs(costs[i].flops - counted) <= within * counted ||
            (!known && is_found_later(costs[i].name)))
            continue;
        print_message("%s, %s: %.4g operations expected, %.4g counted\n", what,
                      costs[i].name, costs[i].flops, counted);
        n_wrong++;
    }
    return n_wrong;
}

static void compare(fixture *f, const char *what)
{
    tl_session s;
    tl_study_db *db = NULL;
    tl_error err = {0};
    tl_sizes sizes;
    tl_study_shape shape = {.circuit = 0.0};
    tl_stage_cost costs[TL_STUDY_COSTS];
    tl_rows work = {0};
    tl_backpatch_cell best[3];
    size_t n = 0, n_wrong = 0;
    must(tl_session_open(&f->settings, &s, &err), &err);
    must(tl_study_db_open(f->out, TL_STUDY_READ, &db, &err), &err);
    must(tl_settings_sizes(&f->settings, true, f->arena, &sizes, &err), &err);
    must(tl_study_db_get(db, TL_ROW_WORK, NULL, 0, f->arena, &work, &err), &err);
    find_shape(f, &s, db, &shape);
    must(tl_study_costs(s.model, &s.settings, &sizes, &shape, costs, &n, &err), &err);
    n_wrong = check_stages(costs, n, &work, what, false, 0.1);
    /* Circuits that are found lie closer together than chance, those of text and image are
     * not of one size, and no cell is the mean. */
    n_wrong += check_stages(costs, n, &work, what, true, 0.6);
    find_circuits(f, &s, &sizes, &shape);
    find_tests(f, db, &shape);
    find_swaps(f, &s, db, &shape);
    find_best(f, db, best, &shape);
    must(tl_study_costs(s.model, &s.settings, &sizes, &shape, costs, &n, &err), &err);
    n_wrong += check_stages(costs, n, &work, what, true, 0.1);
    tl_study_db_close(db);
    tl_session_close(&s);
    if (n_wrong > 0)
        fail_msg("%s: %zu stages took what was not expected", what, n_wrong);
}

static void run(fixture *f, const char *what)
{
    tl_error err = {0};
    must(tl_study_run(&f->settings, NULL, NULL, &err), &err);
    compare(f, what);
}

static void make_prompts(fixture *f, tl_task task, size_t n)
{
    tl_error err = {0};
    const tl_scene_options options = {
        .task = task, .style = TL_STYLE_SMALL, .content = TL_CONTENT_HELD_OUT};
    must(tl_scene_write(&options, n, 1, f->data, &err), &err);
    f->settings.dataset = f->data;
}

static void the_bundled_model_takes_what_is_expected(void **unused)
{
    (void)unused;
    fixture f;
    setup(&f);
    make_prompts(&f, TL_TASK_COUNTING, 24);
    run(&f, "paper's defaults");
    teardown(&f);
}

static void so_it_does_with_relevance_and_a_search(void **unused)
{
    (void)unused;
    fixture f;
    setup(&f);
    make_prompts(&f, TL_TASK_COLOR_ORDERING, 32);
    f.settings.method = TL_METHOD_RELP;
    f.settings.bp_search = TL_BP_HALVING;
    f.settings.validate = 2;
    run(&f, "relp, halving");
    teardown(&f);
}

static void a_tiny_model_takes_what_is_expected(void **unused)
{
    (void)unused;
    fixture f;
    setup(&f);
    f.settings.model = "tests/data/qwen2vl-tiny/checkpoint";
    f.settings.dataset = "tests/data/qwen2vl-tiny/goldens";
    f.settings.ig_rule = TL_IG_MIDPOINT;
    f.settings.precision = TL_PRECISION_BF16_EMULATED;
    f.settings.ablate = TL_ABLATE_MEAN;
    f.settings.fractions =
        "0.2,0.6";                /* circuits of one size, which its weights do not */
    f.settings.threshold = -99.0; /* have by themselves */
    run(&f, "tiny, midpoint, bf16, means");
    teardown(&f);
}

#define DATA TWINLENS_SOURCE_DIR "/tests/data/"
static const char *const folders[] = {TWINLENS_SOURCE_DIR "/models/organism",
                                      DATA "qwen2vl-tiny/checkpoint",
                                      DATA "families/qwen2_5_vl",
                                      DATA "families/pixtral",
                                      DATA "families/idefics3",
                                      DATA "families/gemma3",
                                      DATA "families/llava",
                                      DATA "families/llava_next",
                                      DATA "families/llava_onevision",
                                      DATA "families/paligemma",
                                      DATA "families/paligemma2",
                                      DATA "families/internvl"};
enum { FOLDERS = sizeof folders / sizeof *folders };

static void towers_take_what_is_expected(void **unused)
{
    (void)unused;
    for (size_t k = 0; k < FOLDERS; k++) {
        tl_model *model = NULL;
        tl_error err = {0};
        tl_arena *arena = tl_arena_create();
        const tl_model_options how = {.n_threads = 1};
        if (tl_model_open(folders[k], &how, &model, &err) != TL_OK)
            fail_msg("%s", err.text);
        tl_pixels pixels = {0};
        size_t n = 0;
        if (tl_processor_measure(folders[k], 56, 84, arena, &pixels, &n, &err) != TL_OK)
            fail_msg("%s: %s", folders[k], err.text);
        n = pixels.n_tokens; /* without breaks of rows */
        float *values =
            tl_arena_alloc_zero(arena, tl_pixels_count(&pixels), sizeof *values);
        int32_t *ids = tl_arena_alloc(arena, n + 1, sizeof *ids);
        assert_true(values != NULL && ids != NULL);
        pixels.values = values;
        for (size_t i = 0; i < n; i++)
            ids[i] = tl_model_spec(model)->image_token;
        ids[n] = 1;
        const tl_encoding e = {
            .n_pos = n + 1, .ids = ids, .n_images = 1, .pixels = pixels};
        tl_input input;
        uint64_t want = 0;
        if (tl_model_input(model, &e, TL_ROPE_TRUE, arena, &input, &err) != TL_OK ||
            tl_model_vision_flops(model, &pixels, &want, &err) != TL_OK)
            fail_msg("%s: %s", folders[k], err.text);
        assert_true(want > 0 && tl_model_tower_flops(model) == want &&
                    tl_model_product_flops(model) == want);
        tl_model_close(model);
        tl_arena_destroy(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bundled_model_takes_what_is_expected),
        cmocka_unit_test(so_it_does_with_relevance_and_a_search),
        cmocka_unit_test(a_tiny_model_takes_what_is_expected),
        cmocka_unit_test(towers_take_what_is_expected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
