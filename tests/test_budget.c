/*
 * test_budget.c - a budget may cost time, and may be refused; it never changes a bit.
 * Every experiment is run with no limit, and then with less and less memory until it is
 * refused: what was admitted gave the same bytes.
 */
#include "random_inputs.h"

#include <string.h>

#include "twinlens/capture.h"
#include "twinlens/circuit.h"
#include "twinlens/pass.h"
#include "twinlens/probe.h"
#include "twinlens/validate.h"

enum { T = 17, SAME = 6, SIDE = 4, PAIRS = 2, STEPS = 3, DATA_BEGIN = 3, DATA_END = 7 };

/* What an experiment found, byte for byte. */
typedef struct outcome {
    unsigned char *bytes;
    size_t n;
} outcome;

typedef struct fixture {
    tl_model *model;
    tl_arena *arena; /* of the inputs */
    tl_arena *run;   /* of one run */
    const tl_dims *dims;
    tl_pair pairs[PAIRS]; /* with an image, or of text alone */
} fixture;

static fixture setup(const char *folder, const char *backend, size_t side)
{
    fixture f = {.arena = tl_arena_create(), .run = tl_arena_create()};
    tl_error err = {0};
    const tl_model_options options = {.backend = backend, .n_threads = 1};
    const tl_status status = tl_model_open(folder, &options, &f.model, &err);
    if (status != TL_OK)
        fail_msg("%s", err.text);
    f.dims = tl_model_dims(f.model);
    const size_t same = side > 0 ? DATA_BEGIN : SAME;
    for (uint32_t i = 0; i < PAIRS; i++)
        f.pairs[i] = (tl_pair){
            .clean = random_input(f.model, f.arena, T, same, side, 2 * i),
            .counterfactual = random_input(f.model, f.arena, T, same, side, 2 * i + 1),
            .answer = (int32_t)(20 + i),
            .counterfactual_answer = (int32_t)(50 + i),
        };
    return f;
}

static void teardown(fixture *f)
{
    tl_model_close(f->model);
    tl_arena_destroy(f->run);
    tl_arena_destroy(f->arena);
}

static void keep(fixture *f, outcome *out, const void *bytes, size_t n)
{
    unsigned char *all = tl_arena_alloc(f->run, out->n + n, 1);
    assert_non_null(all);
    if (out->n > 0)
        memcpy(all, out->bytes, out->n);
    memcpy(all + out->n, bytes, n);
    *out = (outcome){all, out->n + n};
}

typedef tl_status experiment(fixture *f, size_t budget, outcome *out, tl_error *err);

/* Bytes of a pass over one prompt: with all layers kept for the way back, without any,
 * or with no way back at all. */
static size_t pass_bytes(const fixture *f, bool back, bool least)
{
    const size_t n_pos = T;
    tl_pass_options options = {.for_backward = back, .last_only = true};
    size_t bytes = 0, smaller;
    assert_int_equal(tl_pass_bytes(f->model, &n_pos, NULL, 1, &options, &bytes, NULL),
                     TL_OK);
    for (options.memory_budget = bytes - 1; least; bytes = smaller) {
        if (tl_pass_bytes(f->model, &n_pos, NULL, 1, &options, &smaller, NULL) != TL_OK)
            break;
        options.memory_budget = smaller - 1;
    }
    return bytes;
}

/* Steps of a sixteenth, until twice in a row nothing was admitted. The smallest
 * budget that was admitted is below `at_most`, or the sweep did not show much. */
static void sweep(fixture *f, const char *what, experiment *run, size_t at_most)
{
    tl_error err = {0};
    outcome want = {0};
    tl_arena_rewind(f->run, (tl_arena_mark){0});
    if (run(f, 0, &want, &err) != TL_OK)
        fail_msg("%s: %s", what, err.text);
    assert_true(want.n > 0);
    const tl_arena_mark mark = tl_arena_get_mark(f->run);
    size_t smallest = SIZE_MAX, n_refused = 0;
    for (size_t budget = 6 * pass_bytes(f, true, false); n_refused < 2;
         budget -= budget / 16) {
        outcome got = {0};
        const tl_status status = run(f, budget, &got, &err);
        if (status == TL_OK) {
            if (got.n != want.n || memcmp(got.bytes, want.bytes, want.n) != 0)
                fail_msg("%s: other bytes within a budget of %zu", what, budget);
            smallest = budget;
            n_refused = 0;
        } else if (status == TL_ERR_NO_MEMORY) {
            n_refused++;
        } else {
            fail_msg("%s within %zu: %s", what, budget, err.text);
        }
        tl_arena_rewind(f->run, mark);
    }
    if (smallest >= at_most)
        fail_msg("%s: nothing below %zu was admitted, wanted less than %zu", what,
                 smallest, at_most);
}

/* ---- experiments ----------------------------------------------------------------- */

static tl_status attribute_by(fixture *f, tl_method method, tl_ig_rule rule,
                              size_t budget, outcome *out, tl_error *err)
{
    const tl_attribution_options options = {.ig_steps = STEPS,
                                            .memory_budget = budget,
                                            .magnitudes = true,
                                            .method = method,
                                            .ig_rule = rule};
    tl_attribution *a = NULL;
    tl_scores s, m;
    tl_status status = tl_attribution_create(f->model, T, &options, &a, err);
    if (status == TL_OK)
        status = tl_attribution_add(a, f->pairs, PAIRS, err);
    if (status == TL_OK)
        status = tl_attribution_scores(a, f->run, &s, err);
    if (status == TL_OK)
        status = tl_attribution_magnitudes(a, f->run, &m, err);
    tl_attribution_destroy(a);
    if (status != TL_OK)
        return status;
    const size_t places = s.n_layers * s.n_pos;
    keep(f, out, s.heads, places * s.n_heads * sizeof *s.heads);
    keep(f, out, s.neurons, places * s.d_mlp * sizeof *s.neurons);
    keep(f, out, m.heads, places * s.n_heads * sizeof *m.heads);
    keep(f, out, m.neurons, places * s.d_mlp * sizeof *m.neurons);
    return TL_OK;
}

static tl_status attribute(fixture *f, size_t budget, outcome *out, tl_error *err)
{
    return attribute_by(f, TL_METHOD_IG, TL_IG_RIGHT, budget, out, err);
}

static tl_status attribute_at_midpoints(fixture *f, size_t budget, outcome *out,
                                        tl_error *err)
{
    return attribute_by(f, TL_METHOD_IG, TL_IG_MIDPOINT, budget, out, err);
}

static tl_status attribute_relevance(fixture *f, size_t budget, outcome *out,
                                     tl_error *err)
{
    return attribute_by(f, TL_METHOD_RELP, TL_IG_RIGHT, budget, out, err);
}

static tl_status evaluate(fixture *f, size_t budget, outcome *out, tl_error *err)
{
    enum { CIRCUITS = 3 };
    const tl_ranking shape = {f->dims->n_layers, T,    f->dims->n_heads,
                              f->dims->d_mlp,    NULL, NULL};
    tl_ranking ranking;
    assert_int_equal(tl_ranking_random(&shape, 12, f->run, &ranking, NULL), TL_OK);
    tl_component_set set;
    assert_int_equal(tl_set_create(f->dims->n_layers, T, f->dims->n_heads,
                                   f->dims->d_mlp, f->run, &set, NULL),
                     TL_OK);
    for (size_t i = 0; i < f->dims->n_layers * T * f->dims->d_mlp; i += 3)
        set.neurons[i] = 1;
    const tl_circuit circuits[CIRCUITS] = {
        {&ranking, 20, 300, NULL}, {&ranking, 200, 3000, NULL}, {.set = &set}};
    double ld[PAIRS][CIRCUITS];
    tl_evaluation results[PAIRS];
    for (size_t i = 0; i < PAIRS; i++)
        results[i].circuit = ld[i];
    const tl_evaluate_options options = {.memory_budget = budget, .run_none = true};
    const tl_status status = tl_evaluate(f->model, f->pairs, PAIRS, circuits, CIRCUITS,
                                         &options, results, err);
    if (status != TL_OK)
        return status;
    keep(f, out, ld, sizeof ld);
    for (size_t i = 0; i < PAIRS; i++)
        keep(f, out, (double[]){results[i].clean, results[i].none}, 2 * sizeof **ld);
    return TL_OK;
}

static tl_status validate(fixture *f, size_t budget, outcome *out, tl_error *err)
{
    static const size_t steps[] = {1, STEPS};
    const tl_validate_options options = {
        .ig_steps = steps, .n_ig_steps = 2, .n_components = 9};
    tl_validator *validator = NULL;
    tl_validation v;
    tl_status status = tl_validator_create(f->model, budget, &validator, err);
    if (status == TL_OK)
        status =
            tl_validator_pair(validator, &f->pairs[0], &options, 5, f->run, &v, err);
    tl_validator_destroy(validator);
    if (status != TL_OK)
        return status;
    keep(f, out, v.exact, v.n * sizeof *v.exact);
    keep(f, out, v.attributed, 2 * v.n * sizeof *v.attributed);
    keep(f, out, v.gradient, 2 * sizeof *v.gradient);
    keep(f, out, &v.difference, sizeof v.difference);
    return TL_OK;
}

static tl_status complete(fixture *f, size_t budget, outcome *out, tl_error *err)
{
    double found[2] = {0};
    tl_validator *validator = NULL;
    tl_status status = tl_validator_create(f->model, budget, &validator, err);
    if (status == TL_OK)
        status = tl_validator_completeness(validator, &f->pairs[0], STEPS, &found[0],
                                           &found[1], err);
    tl_validator_destroy(validator);
    if (status == TL_OK)
        keep(f, out, found, sizeof found);
    return status;
}

static tl_status align(fixture *f, size_t budget, outcome *out, tl_error *err)
{
    enum { MOST_LAYERS = 8 };
    const tl_span span = {T, DATA_BEGIN, DATA_END};
    double values[4][MOST_LAYERS] = {{0}};
    tl_alignment_values found = {values[0], values[1], values[2], values[3]};
    tl_alignment *a = NULL;
    assert_true(f->dims->n_layers <= MOST_LAYERS);
    tl_parallel pairs[PAIRS];
    for (size_t i = 0; i < PAIRS; i++)
        pairs[i] = (tl_parallel){f->pairs[i].clean, f->pairs[i].counterfactual, span,
                                 span, NULL};
    tl_status status = tl_alignment_create(f->model, TL_ALIGN_ACT, budget, &a, err);
    for (size_t i = 0; i < PAIRS && status == TL_OK; i++)
        status = tl_alignment_add(a, &pairs[i], err);
    for (size_t i = 0; i < PAIRS && status == TL_OK; i++) {
        status = tl_alignment_measure(a, i, &pairs[i], (i + 1) % PAIRS,
                                      &pairs[(i + 1) % PAIRS], &found, err);
        if (status == TL_OK)
            keep(f, out, values, sizeof values);
    }
    tl_alignment_destroy(a);
    return status;
}

static tl_status backpatch(fixture *f, size_t budget, outcome *out, tl_error *err)
{
    enum { IDS = 2, TIMES = 2, MOST_CELLS = 64 };
    static const int32_t ids[IDS] = {20, 50};
    tl_backpatch_cell cells[MOST_CELLS];
    double clean[IDS], patched[MOST_CELLS][TIMES][IDS];
    size_t n = 0;
    for (size_t source = 1; source < f->dims->n_layers && source < 4; source++)
        for (size_t destination = 0; destination < source; destination++)
            for (size_t window = 1; window <= 3; window += 2)
                for (size_t restore = 0; restore < 2; restore++)
                    cells[n++] = (tl_backpatch_cell){source, destination, window, TIMES,
                                                     restore == 1};
    tl_backpatcher *b = NULL;
    tl_status status = tl_backpatcher_create(f->model, budget, &b, err);
    if (status == TL_OK)
        status = tl_backpatcher_run(b, &f->pairs[0].clean, DATA_BEGIN, DATA_END, cells,
                                    n, ids, IDS, clean, &patched[0][0][0], err);
    tl_backpatcher_destroy(b);
    if (status != TL_OK)
        return status;
    keep(f, out, clean, sizeof clean);
    keep(f, out, patched, n * sizeof *patched);
    return TL_OK;
}

/* Values and gradients of all sites, beside an edit. */
static tl_status forth_and_back(fixture *f, const tl_edit *edit, size_t budget,
                                outcome *out, tl_error *err)
{
    tl_capture capture = {0};
    tl_pass *pass = NULL;
    const tl_pass_prompt prompt = {.input = f->pairs[0].clean};
    const int32_t a = f->pairs[0].answer, b = f->pairs[0].counterfactual_answer;
    double ld = 0.0;
    tl_named_tensor *kept = NULL;
    size_t n = 0;
    assert_int_equal(tl_capture_init(&capture, f->model, f->run, ~0u, T, true, err),
                     TL_OK);
    const tl_pass_options options = {.readings = capture.readings,
                                     .n_readings = capture.n_readings,
                                     .edits = edit,
                                     .n_edits = edit != NULL ? 1 : 0,
                                     .for_backward = true,
                                     .memory_budget = budget};
    tl_status status = tl_pass_create(f->model, &pass, err);
    if (status == TL_OK)
        status = tl_pass_forward(pass, &prompt, 1, &options, err);
    if (status == TL_OK)
        status = tl_pass_logit_diff(pass, 0, a, b, &ld, err);
    if (status == TL_OK)
        status = tl_pass_backward(pass, &a, &b, err);
    tl_pass_destroy(pass);
    if (status == TL_OK)
        status = tl_capture_tensors(&capture, &kept, &n, err);
    if (status == TL_OK) {
        assert_int_equal(n, 2 * TL_SITE_COUNT * f->dims->n_layers);
        keep(f, out, &ld, sizeof ld);
    }
    for (size_t i = 0; i < n; i++)
        keep(f, out, kept[i].tensor.data,
             tl_tensor_count(&kept[i].tensor) * sizeof(float));
    tl_capture_release(&capture);
    return status;
}

static tl_status capture(fixture *f, size_t budget, outcome *out, tl_error *err)
{
    return forth_and_back(f, NULL, budget, out, err);
}

static tl_status add_at(fixture *f, tl_site site, size_t budget, outcome *out,
                        tl_error *err)
{
    const size_t count =
        f->dims->n_layers * T *
        (f->dims->d_model > f->dims->d_mlp ? f->dims->d_model : f->dims->d_mlp);
    float *ramp = tl_arena_alloc(f->run, count, sizeof *ramp);
    tl_array from = {0};
    for (size_t i = 0; i < count; i++)
        ramp[i] = 0.01f * (float)(i % 11);
    assert_int_equal(tl_array_borrow(f->model, TL_F32, count, ramp, &from, err), TL_OK);
    const tl_edit adding = {
        .rule = TL_EDIT_ADD, .at = {.site = site}, .from = tl_array_f32(&from, 0)};
    const tl_status status = forth_and_back(f, &adding, budget, out, err);
    tl_array_release(&from);
    return status;
}

static tl_status add_at_resid_pre(fixture *f, size_t budget, outcome *out,
                                  tl_error *err)
{
    return add_at(f, TL_SITE_RESID_PRE, budget, out, err);
}

static tl_status add_at_attn_out(fixture *f, size_t budget, outcome *out, tl_error *err)
{
    return add_at(f, TL_SITE_ATTN_OUT, budget, out, err);
}

static tl_status add_at_mlp_post(fixture *f, size_t budget, outcome *out, tl_error *err)
{
    return add_at(f, TL_SITE_MLP_POST, budget, out, err);
}

static tl_status add_at_mlp_out(fixture *f, size_t budget, outcome *out, tl_error *err)
{
    return add_at(f, TL_SITE_MLP_OUT, budget, out, err);
}

static tl_status add_at_resid_post(fixture *f, size_t budget, outcome *out,
                                   tl_error *err)
{
    return add_at(f, TL_SITE_RESID_POST, budget, out, err);
}

/* ---- sweeps ---------------------------------------------------------------------- */

/* With a way back: some budgets keep only a part of the layers, the smallest none. */
static const struct {
    const char *what;
    experiment *run;
} there_and_back[] =
    {
        {"attribution and magnitude", attribute},
        {"attribution at midpoints", attribute_at_midpoints},
        {"relevance", attribute_relevance},
        {"validation", validate},
        {"completeness", complete},
        {"capture", capture},
        {"an edit that adds at resid_pre", add_at_resid_pre},
        {"an edit that adds at attn_out", add_at_attn_out},
        {"an edit that adds at mlp_post", add_at_mlp_post},
        {"an edit that adds at mlp_out", add_at_mlp_out},
        {"an edit that adds at resid_post", add_at_resid_post},
},
  forward[] = {
      {"evaluation", evaluate},
      {"alignment", align},
      {"back-patching", backpatch},
};

static void sweep_all(const char *folder, const char *backend, size_t side)
{
    fixture f = setup(folder, backend, side);
    const size_t all = pass_bytes(&f, true, false), none = pass_bytes(&f, true, true);
    assert_true(none < all);
    for (size_t i = 0; i < sizeof there_and_back / sizeof *there_and_back; i++)
        sweep(&f, there_and_back[i].what, there_and_back[i].run, (all + 3 * none) / 4);
    for (size_t i = 0; i < sizeof forward / sizeof *forward; i++)
        sweep(&f, forward[i].what, forward[i].run, 4 * pass_bytes(&f, false, true));
    teardown(&f);
}

static void no_budget_changes_a_bit(void **state)
{
    (void)state;
    sweep_all(tiny_checkpoint, NULL, SIDE);
}

/* With norms behind attention and MLP, which the way back goes through. */
static void nor_does_it_with_post_norms(void **state)
{
    (void)state;
    sweep_all(TWINLENS_SOURCE_DIR "/tests/data/families/gemma3", "ref", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_budget_changes_a_bit),
        cmocka_unit_test(nor_does_it_with_post_norms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
