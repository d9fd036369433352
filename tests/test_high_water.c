/*
 * test_high_water.c - a budget is the truth: no experiment ever holds more than it, by the count
 * of the allocator, and what an experiment says is the least that it can do with is enough and
 * not much more than it takes.
 *
 * What is counted is what was allocated after a first run on the same model, which leaves the
 * cache of the weights and the panels of products where they are: those are no part of a
 * budget.
 */
#include "experiments.h"

#include "study/stage.h"

enum {
    T = 32,
    FIXED = 112 << 10, /* of tables and plans, the same for every model */
};

/* Runs once more; the most bytes that were there at a time beside what was there before. */
static tl_status run_counted(fixture *f, experiment *run, size_t budget, outcome *out,
                             size_t *most, tl_error *err)
{
    tl_alloc_reset_peak();
    const size_t before = tl_alloc_bytes();
    const tl_status status = run(f, budget, out, err);
    *most = tl_alloc_peak_bytes() - before;
    return status;
}

static void experiment_keeps_its_budget(fixture *f, size_t e)
{
    const char *what = experiments[e].what;
    tl_error err = {0};
    outcome want = {0};
    size_t least = 0, most = 0;
    tl_arena_rewind(f->run, (tl_arena_mark){0});
    const tl_arena_mark empty = tl_arena_get_mark(f->run);
    if (experiments[e].run(f, 0, &want, &err) != TL_OK ||
        experiments[e].least(f, &least, &err) != TL_OK)
        fail_msg("%s: %s", what, err.text);
    unsigned char *bytes = malloc(want.n);
    assert_non_null(bytes);
    memcpy(bytes, want.bytes, want.n);
    /* From exactly the least to five times as much. */
    static const size_t eighths[] = {8, 9, 12, 20, 40};
    for (size_t i = 0; i < sizeof eighths / sizeof *eighths; i++) {
        const size_t budget = least / 8 * eighths[i] + least % 8;
        outcome got = {0};
        tl_arena_rewind(f->run, empty);
        if (run_counted(f, experiments[e].run, budget, &got, &most, &err) != TL_OK)
            fail_msg("%s within %zu: %s", what, budget, err.text);
        if (got.n != want.n || memcmp(got.bytes, bytes, want.n) != 0)
            fail_msg("%s: other bytes within a budget of %zu", what, budget);
        if (most > budget)
            fail_msg("%s: took %zu bytes of a budget of %zu", what, most, budget);
        /* Beside the fixed part and what prompts may share, which the plan does not know,
         * it is what is used. */
        if (i == 0 && experiments[e].is_tight &&
            (double)least > 1.15 * (double)most + FIXED)
            fail_msg("%s: needs no less than %zu bytes and took %zu", what, least,
                     most);
    }
    outcome none = {0};
    if (run_counted(f, experiments[e].run, least - 1, &none, &most, &err) !=
            TL_ERR_NO_MEMORY ||
        strstr(err.text, "the budget is") == NULL || most > FIXED)
        fail_msg("%s within %zu: %s, took %zu", what, least - 1, err.text, most);
    free(bytes);
}

static void all_keep_their_budget(const char *folder, const char *backend, size_t side)
{
    fixture f = setup(folder, backend, T, DATA_BEGIN, side);
    for (size_t e = 0; e < EXPERIMENTS; e++)
        experiment_keeps_its_budget(&f, e);
    teardown(&f);
}

static const char gemma[] = TWINLENS_SOURCE_DIR "/tests/data/families/gemma3";

static void experiments_keep_their_budget_on_ref(void **unused)
{
    (void)unused;
    all_keep_their_budget(tiny_checkpoint, "ref", SIDE);
    all_keep_their_budget(gemma, "ref", 0);
    all_keep_their_budget(deep_checkpoint, "ref", SIDE);
}

static void experiments_keep_their_budget_by_default(void **unused)
{
    (void)unused;
    all_keep_their_budget(tiny_checkpoint, NULL, SIDE);
    all_keep_their_budget(gemma, NULL, 0);
    all_keep_their_budget(deep_checkpoint, NULL, SIDE);
}

/* The allocator's count of a batch, as predict makes them and there and back, against its
 * plan. The pass itself, and an arena over each of its two pieces, are beside it. */
static void a_batch_takes_what_its_plan_says(void **unused)
{
    (void)unused;
    enum { SMALL = 4096 + TEST_GAPS };
    static const char *const backends[] = {"ref", NULL};
    for (size_t run = 0; run < 8; run++) {
        fixture f = setup(run & 4 ? gemma : tiny_checkpoint, backends[run & 1], T,
                          DATA_BEGIN, 0);
        const size_t n_pos[] = {T, T};
        const tl_pass_prompt prompts[] = {{.input = f.pairs[0].clean},
                                          {.input = f.pairs[1].clean}};
        const int32_t a[] = {20, 21}, b[] = {50, 51};
        tl_pass_options options = {.last_only = true, .for_backward = (run & 2) != 0};
        tl_error err = {0};
        for (size_t time = 0; time < 2; time++) { /* the first fills caches */
            size_t plan = 0, most;
            tl_pass *pass = NULL;
            assert_int_equal(
                tl_pass_bytes(f.model, n_pos, NULL, 2, &options, &plan, &err), TL_OK);
            tl_alloc_reset_peak();
            const size_t before = tl_alloc_bytes();
            assert_int_equal(tl_pass_create(f.model, &pass, &err), TL_OK);
            if (tl_pass_forward(pass, prompts, 2, &options, &err) != TL_OK ||
                (options.for_backward && tl_pass_backward(pass, a, b, &err) != TL_OK))
                fail_msg("%s", err.text);
            most = tl_alloc_peak_bytes() - before;
            tl_pass_destroy(pass);
            if (time > 0 && (most > plan + SMALL || plan > most))
                fail_msg("batch %zu: took %zu bytes, the plan says %zu", run, most,
                         plan);
        }
        teardown(&f);
    }
}

/* Sets of which one fills more than half of an arena's chunk. */
static void sets_take_what_is_set_aside_for_them(void **unused)
{
    (void)unused;
    enum { SETS = 20, LAYERS = 6, HEADS = 4, D_MLP = 256, ALIGNMENT = 64, FEW = 4096 };
    const size_t components = (size_t)LAYERS * T * (HEADS + D_MLP),
                 before = tl_alloc_bytes();
    tl_arena *arena = tl_arena_create();
    tl_component_set set;
    tl_stage_make_room(arena, SETS, components);
    for (size_t i = 0; i < SETS; i++)
        assert_int_equal(tl_set_create(LAYERS, T, HEADS, D_MLP, arena, &set, NULL),
                         TL_OK);
    const size_t taken = tl_alloc_bytes() - before,
                 aside = SETS * (components + 2 * ALIGNMENT) + FEW;
    if (TEST_GAPS == 0 && taken > aside)
        fail_msg("%d sets take %zu bytes, %zu are set aside", SETS, taken, aside);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experiments_keep_their_budget_on_ref),
        cmocka_unit_test(experiments_keep_their_budget_by_default),
        cmocka_unit_test(sets_take_what_is_set_aside_for_them),
        cmocka_unit_test(a_batch_takes_what_its_plan_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
