/*
 * test_budget.c - a budget may cost time, and may be refused; it never changes a bit.
 * Every experiment is run with no limit, and then with less and less memory until it is
 * refused: what was admitted gave the same bytes.
 */
#include "experiments.h"

#include "twinlens/capture.h"

enum { T = 17, SAME = 6 };

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

/* Steps of a sixteenth from `most` down, until twice in a row nothing was admitted. The
 * smallest budget that was admitted is below `at_most`, or the sweep did not show much, and
 * not below `least`. */
static void sweep(fixture *f, const char *what, experiment *run, size_t most,
                  size_t least, size_t at_most)
{
    tl_error err = {0};
    outcome want = {0};
    tl_arena_rewind(f->run, (tl_arena_mark){0});
    if (run(f, 0, &want, &err) != TL_OK)
        fail_msg("%s: %s", what, err.text);
    assert_true(want.n > 0);
    const tl_arena_mark mark = tl_arena_get_mark(f->run);
    size_t smallest = SIZE_MAX, n_refused = 0;
    for (size_t budget = most; n_refused < 2; budget -= budget / 16) {
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
    if (smallest < least || smallest >= at_most)
        fail_msg("%s: the smallest budget that was admitted is %zu, wanted %zu to %zu",
                 what, smallest, least, at_most);
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
        assert_int_equal(n, 2 * TL_SITE_COUNT * f->dims->n_layers + 1);
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

/* Passes there and back: some budgets keep only a part of the layers, the smallest none. */
static const struct {
    const char *what;
    experiment *run;
} there_and_back[] = {
    {"capture", capture},
    {"an edit that adds at resid_pre", add_at_resid_pre},
    {"an edit that adds at attn_out", add_at_attn_out},
    {"an edit that adds at mlp_post", add_at_mlp_post},
    {"an edit that adds at mlp_out", add_at_mlp_out},
    {"an edit that adds at resid_post", add_at_resid_post},
};

static void sweep_all(const char *folder, const char *backend, size_t side)
{
    fixture f = setup(folder, backend, T, side > 0 ? DATA_BEGIN : SAME, side);
    const size_t all = pass_bytes(&f, true, false), none = pass_bytes(&f, true, true);
    assert_true(none < all);
    for (size_t i = 0; i < sizeof there_and_back / sizeof *there_and_back; i++)
        sweep(&f, there_and_back[i].what, there_and_back[i].run, 6 * all, none,
              (all + 3 * none) / 4);
    for (size_t i = 0; i < EXPERIMENTS; i++) {
        size_t least = 0;
        assert_int_equal(experiments[i].least(&f, &least, NULL), TL_OK);
        sweep(&f, experiments[i].what, experiments[i].run, least + 6 * all, least,
              least + least / 15);
    }
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
