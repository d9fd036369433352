/*
 * test_attribution.c - what attribution must satisfy whatever the model: zero where
 * nothing differs, first-order agreement with exact activation patching,
 * completeness, independence of how the work is cut up.
 */
#include "random_inputs.h"

#include <math.h>
#include <string.h>

#include "twinlens/circuit.h"
#include "twinlens/pass.h"

enum { T = 17, SAME = 6, SIDE = 4, PAIRS = 3 };

typedef struct fixture {
    tl_model *model;
    tl_arena *arena;
    const tl_dims *dims;
    tl_pair pairs[PAIRS];
} fixture;

static fixture setup(const char *backend, size_t side)
{
    fixture f = {.model = open_tiny(backend), .arena = tl_arena_create()};
    f.dims = tl_model_dims(f.model);
    for (uint32_t i = 0; i < PAIRS; i++)
        f.pairs[i] = (tl_pair){
            .clean =
                random_input(f.model, f.arena, T, side > 0 ? 3 : SAME, side, 2 * i),
            .counterfactual =
                random_input(f.model, f.arena, T, side > 0 ? 3 : SAME, side, 2 * i + 1),
            .answer = (int32_t)(20 + i),
            .counterfactual_answer = (int32_t)(50 + i),
        };
    return f;
}

static void teardown(fixture *f)
{
    tl_model_close(f->model);
    tl_arena_destroy(f->arena);
}

/* The ways to make scores. */
static const tl_attribution_options ways[] = {
    {.ig_steps = 0}, {.ig_rule = TL_IG_MIDPOINT}, {.method = TL_METHOD_RELP}};
enum { WAYS = sizeof ways / sizeof *ways };

static tl_scores attribute(fixture *f, const tl_pair *pairs, size_t n, size_t at_a_time,
                           const tl_attribution_options *options)
{
    tl_attribution *a = NULL;
    tl_scores scores = {0};
    tl_error err = {0};
    tl_status status = tl_attribution_create(f->model, T, options, &a, &err);
    for (size_t i = 0; i < n && status == TL_OK; i += at_a_time)
        status = tl_attribution_add(a, pairs + i, n - i < at_a_time ? n - i : at_a_time,
                                    &err);
    if (status == TL_OK)
        status = tl_attribution_scores(a, f->arena, &scores, &err);
    if (status != TL_OK)
        fail_msg("%s", err.text);
    tl_attribution_destroy(a);
    return scores;
}

static size_t n_heads(const fixture *f)
{
    return f->dims->n_layers * T * f->dims->n_heads;
}

static size_t n_neurons(const fixture *f)
{
    return f->dims->n_layers * T * f->dims->d_mlp;
}

static void assert_same_scores(const fixture *f, const tl_scores *a, const tl_scores *b)
{
    assert_memory_equal(a->heads, b->heads, n_heads(f) * sizeof(float));
    assert_memory_equal(a->neurons, b->neurons, n_neurons(f) * sizeof(float));
}

static void shared_positions_score_zero_and_others_do_not(void **unused)
{
    (void)unused;
    fixture f = setup(NULL, 0);
    assert_int_equal(tl_pair_shared_prefix(&f.pairs[0], f.dims->d_model), SAME);
    for (size_t place = 0; place < WAYS * f.dims->n_layers; place++) {
        const size_t l = place % f.dims->n_layers;
        const tl_scores s =
            attribute(&f, f.pairs, PAIRS, PAIRS, &ways[place / f.dims->n_layers]);
        for (size_t t = 0; t < T; t++) {
            double sum = 0.0;
            for (size_t j = 0; j < f.dims->d_mlp; j++)
                sum += (double)fabsf(s.neurons[(l * T + t) * f.dims->d_mlp + j]);
            for (size_t h = 0; h < f.dims->n_heads; h++)
                sum += (double)fabsf(s.heads[(l * T + t) * f.dims->n_heads + h]);
            /* In the last layer only the last position reaches the logits. */
            const bool zero = t < SAME || (l + 1 == f.dims->n_layers && t + 1 < T);
            if (zero != (sum == 0.0))
                fail_msg("layer %zu position %zu: scores add up to %g", l, t, sum);
        }
    }
    teardown(&f);
}

static void how_pairs_are_grouped_changes_no_bit(void **unused)
{
    (void)unused;
    for (size_t way = 0; way < 2 * WAYS; way++) {
        const size_t side = way < WAYS ? 0 : SIDE;
        fixture f = setup(NULL, side);
        const tl_attribution_options *how = &ways[way % WAYS];
        const tl_scores together = attribute(&f, f.pairs, PAIRS, PAIRS, how);
        const tl_scores one_by_one = attribute(&f, f.pairs, PAIRS, 1, how);
        assert_same_scores(&f, &together, &one_by_one);
        /* One pair at a time and no layer kept; test_budget.c has what lies between. */
        tl_attribution_options tight = *how;
        assert_int_equal(
            tl_attribution_bytes(f.model, T, how, &tight.memory_budget, NULL), TL_OK);
        const tl_scores starved = attribute(&f, f.pairs, PAIRS, PAIRS, &tight);
        assert_same_scores(&f, &together, &starved);
        teardown(&f);
    }
}

static tl_attribution *create(const fixture *f, const tl_attribution_options *options)
{
    tl_attribution *a = NULL;
    assert_int_equal(tl_attribution_create(f->model, T, options, &a, NULL), TL_OK);
    return a;
}

/* Copies the running sums into an attribution of its own. */
static tl_attribution *resume(const fixture *f, tl_attribution *from,
                              const tl_attribution_options *options)
{
    tl_attribution *to = create(f, options);
    const tl_attribution_state old = tl_attribution_get_state(from),
                               new = tl_attribution_get_state(to);
    assert_int_equal(old.n_sums, new.n_sums);
    for (size_t i = 0; i < old.n_sums; i++) {
        assert_int_equal(old.sums[i].n, new.sums[i].n);
        assert_string_equal(old.sums[i].name, new.sums[i].name);
        memcpy(new.sums[i].values, old.sums[i].values,
               old.sums[i].n * sizeof *old.sums[i].values);
    }
    tl_attribution_set_count(to, old.n_pairs);
    return to;
}

/* After any number of pairs, within a block and between two. */
static void check_saved_sums(const tl_attribution_options *way)
{
    enum { N = 2 * TL_ATTRIBUTION_BLOCK + 1 };
    tl_attribution_options options = *way;
    options.ig_steps = 1;
    options.magnitudes = true;
    fixture f = setup(NULL, 0);
    tl_pair pairs[N];
    tl_scores want[2], got[2];
    for (size_t i = 0; i < N; i++) { /* not all the same */
        pairs[i] = f.pairs[i % PAIRS];
        pairs[i].answer = (int32_t)(10 + i);
    }
    tl_attribution *whole = create(&f, &options);
    assert_int_equal(tl_attribution_add(whole, pairs, N, NULL), TL_OK);
    assert_int_equal(tl_attribution_scores(whole, f.arena, &want[0], NULL), TL_OK);
    assert_int_equal(tl_attribution_magnitudes(whole, f.arena, &want[1], NULL), TL_OK);
    for (size_t stop = 1; stop < N; stop += 3) {
        tl_attribution *first = create(&f, &options);
        assert_int_equal(tl_attribution_add(first, pairs, stop, NULL), TL_OK);
        tl_attribution *second = resume(&f, first, &options);
        assert_int_equal(tl_attribution_add(second, pairs + stop, N - stop, NULL),
                         TL_OK);
        assert_int_equal(tl_attribution_scores(second, f.arena, &got[0], NULL), TL_OK);
        assert_int_equal(tl_attribution_magnitudes(second, f.arena, &got[1], NULL),
                         TL_OK);
        assert_same_scores(&f, &want[0], &got[0]);
        assert_same_scores(&f, &want[1], &got[1]);
        tl_attribution_destroy(first);
        tl_attribution_destroy(second);
    }
    tl_attribution_destroy(whole);
    teardown(&f);
}

static void saved_sums_continue_to_the_same_bits(void **unused)
{
    (void)unused;
    for (size_t way = 0; way < WAYS; way++)
        check_saved_sums(&ways[way]);
}

/* The total of two blocks and one pair more: what three attributions of their own sum up
 * to, in this order. */
static void blocks_can_be_summed_apart(void **unused)
{
    (void)unused;
    enum { N = 2 * TL_ATTRIBUTION_BLOCK + 1 };
    static const tl_attribution_options options = {.ig_steps = 1};
    fixture f = setup(NULL, 0);
    tl_pair pairs[N];
    tl_scores want;
    for (size_t i = 0; i < N; i++) {
        pairs[i] = f.pairs[i % PAIRS];
        pairs[i].answer = (int32_t)(10 + i);
    }
    tl_attribution *whole = create(&f, &options);
    assert_int_equal(tl_attribution_add(whole, pairs, N, NULL), TL_OK);
    assert_int_equal(tl_attribution_scores(whole, f.arena, &want, NULL), TL_OK);
    double *sums = tl_arena_alloc_zero(f.arena, n_neurons(&f), sizeof *sums);
    for (size_t block = 0; block < 3; block++) {
        const size_t first = block * TL_ATTRIBUTION_BLOCK,
                     n = N - first < TL_ATTRIBUTION_BLOCK ? N - first
                                                          : TL_ATTRIBUTION_BLOCK;
        tl_attribution *part = create(&f, &options);
        assert_int_equal(tl_attribution_add(part, pairs + first, n, NULL), TL_OK);
        const tl_attribution_state state = tl_attribution_get_state(part);
        assert_string_equal(state.sums[1].name, "neurons");
        assert_int_equal(state.sums[1].n, 2 * n_neurons(&f));
        /* A whole block is in the total of its own attribution, others under way. */
        for (size_t i = 0; i < n_neurons(&f); i++)
            sums[i] +=
                state.sums[1].values[i] + state.sums[1].values[n_neurons(&f) + i];
        tl_attribution_destroy(part);
    }
    for (size_t i = 0; i < n_neurons(&f); i++)
        assert_true(want.neurons[i] == (float)fabs(sums[i] / N));
    tl_attribution_destroy(whole);
    teardown(&f);
}

/* On text there is nothing that textonly leaves fixed. */
static void both_ig_paths_agree_on_text_and_not_on_images(void **unused)
{
    (void)unused;
    const tl_attribution_options full = {0}, text_only = {.ig_path = TL_IG_TEXT_ONLY};
    fixture f = setup("ref", 0);
    tl_scores a = attribute(&f, f.pairs, PAIRS, PAIRS, &full);
    tl_scores b = attribute(&f, f.pairs, PAIRS, PAIRS, &text_only);
    assert_same_scores(&f, &a, &b);
    teardown(&f);
    f = setup("ref", SIDE);
    a = attribute(&f, f.pairs, PAIRS, PAIRS, &full);
    b = attribute(&f, f.pairs, PAIRS, PAIRS, &text_only);
    assert_memory_not_equal(a.neurons, b.neurons, n_neurons(&f) * sizeof(float));
    teardown(&f);
}

/* Nothing is interpolated, so path, steps and their rule say nothing. */
static void relevance_has_no_path_and_no_steps(void **unused)
{
    (void)unused;
    fixture f = setup("ref", SIDE);
    const tl_attribution_options plain = {.method = TL_METHOD_RELP},
                                 other = {.method = TL_METHOD_RELP,
                                          .ig_steps = 7,
                                          .ig_path = TL_IG_TEXT_ONLY,
                                          .ig_rule = TL_IG_MIDPOINT};
    const tl_scores a = attribute(&f, f.pairs, PAIRS, PAIRS, &plain),
                    b = attribute(&f, f.pairs, PAIRS, PAIRS, &other);
    assert_same_scores(&f, &a, &b);
    teardown(&f);
}

/* However scores are made, the activations are those of the two prompts. */
static void magnitudes_do_not_depend_on_the_way(void **unused)
{
    (void)unused;
    fixture f = setup(NULL, SIDE);
    tl_scores first = {0};
    for (size_t way = 0; way < WAYS; way++) {
        tl_attribution_options how = ways[way];
        how.magnitudes = true;
        tl_attribution *a = create(&f, &how);
        tl_scores m = {0};
        assert_int_equal(tl_attribution_add(a, f.pairs, PAIRS, NULL), TL_OK);
        assert_int_equal(tl_attribution_magnitudes(a, f.arena, &m, NULL), TL_OK);
        first = way == 0 ? m : first;
        assert_same_scores(&f, &first, &m);
        tl_attribution_destroy(a);
    }
    teardown(&f);
}

/* The points (k - 1/2)/m and k/m together are k/(2 m). */
static void midpoints_and_ends_are_twice_as_many_ends(void **unused)
{
    (void)unused;
    fixture f = setup("ref", SIDE);
    const tl_attribution_options middle = {.ig_steps = 2,
                                           .raw_sign = true,
                                           .ig_rule = TL_IG_MIDPOINT},
                                 ends = {.ig_steps = 2, .raw_sign = true},
                                 all = {.ig_steps = 4, .raw_sign = true};
    const tl_scores a = attribute(&f, f.pairs, 1, 1, &middle),
                    b = attribute(&f, f.pairs, 1, 1, &ends),
                    c = attribute(&f, f.pairs, 1, 1, &all);
    double worst = 0.0, scale = 0.0, apart = 0.0;
    for (size_t i = 0; i < n_neurons(&f); i++) {
        const double mean = 0.5 * ((double)a.neurons[i] + (double)b.neurons[i]);
        worst = fmax(worst, fabs(mean - (double)c.neurons[i]));
        scale = fmax(scale, fabs((double)c.neurons[i]));
        apart = fmax(apart, fabs((double)a.neurons[i] - (double)b.neurons[i]));
    }
    assert_true(worst <= 1e-6 * scale && apart > 1e-2 * scale);
    teardown(&f);
}

static void a_method_that_does_not_exist_is_refused(void **unused)
{
    (void)unused;
    fixture f = setup("ref", 0);
    tl_attribution *a = NULL;
    tl_error err = {0};
    const tl_attribution_options bad[] = {{.method = (tl_method)5},
                                          {.ig_rule = (tl_ig_rule)5}};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(tl_attribution_create(f.model, T, &bad[i], &a, &err),
                         TL_ERR_ARGUMENT);
        assert_non_null(strstr(err.text, "5"));
        assert_null(a);
    }
    teardown(&f);
}

/* Where only the image differs, textonly has m identical steps. */
static void textonly_with_the_same_text_is_one_step(void **unused)
{
    (void)unused;
    fixture f = setup("ref", SIDE);
    tl_pair pair = f.pairs[0];
    float *embeds = tl_arena_alloc(f.arena, T * f.dims->d_model, sizeof *embeds);
    memcpy(embeds, pair.clean.embeds, T * f.dims->d_model * sizeof *embeds);
    for (size_t t = 0; t < T; t++)
        if (pair.clean.is_image[t])
            memcpy(embeds + t * f.dims->d_model,
                   f.pairs[1].clean.embeds + t * f.dims->d_model,
                   f.dims->d_model * sizeof *embeds);
    pair.counterfactual = pair.clean;
    pair.counterfactual.embeds = embeds;
    const tl_attribution_options five = {.ig_path = TL_IG_TEXT_ONLY};
    const tl_attribution_options one = {.ig_path = TL_IG_TEXT_ONLY, .ig_steps = 1};
    const tl_scores a = attribute(&f, &pair, 1, 1, &five),
                    b = attribute(&f, &pair, 1, 1, &one);
    double worst = 0.0, scale = 0.0;
    for (size_t i = 0; i < n_neurons(&f); i++) {
        worst = fmax(worst, fabs((double)a.neurons[i] - (double)b.neurons[i]));
        scale = fmax(scale, fabs((double)b.neurons[i]));
    }
    assert_true(scale > 0.0 && worst <= 1e-6 * scale); /* five roundings of a sum */
    teardown(&f);
}

/* Overwrites one node with its value in another run. */
typedef struct patch {
    tl_site site;
    size_t layer, pos, index, width; /* width elements from index * width */
    float *from;                     /* [width]; read from the other run first */
    bool writes;
} patch;

static tl_status apply(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    const patch *p = user;
    if (e->site != p->site || e->layer != p->layer)
        return TL_OK;
    float *at = e->values + (p->pos - e->first_pos) * e->width + p->index * p->width;
    if (p->writes)
        memcpy(at, p->from, p->width * sizeof *at);
    else
        memcpy(p->from, at, p->width * sizeof *at);
    return TL_OK;
}

static double run_patched(fixture *f, const tl_input *input, const tl_pair *pair,
                          patch *p)
{
    tl_pass *pass = NULL;
    tl_error err = {0};
    double ld = 0.0;
    const tl_tap tap = {.on_site = apply, .user = p, .sites = ~0u, .writes = true};
    const tl_pass_options options = {.taps = &tap, .n_taps = p != NULL ? 1 : 0};
    const tl_pass_prompt prompt = {.input = *input};
    if (tl_pass_create(f->model, &pass, &err) != TL_OK ||
        tl_pass_forward(pass, &prompt, 1, &options, &err) != TL_OK ||
        tl_pass_logit_diff(pass, 0, pair->answer, pair->counterfactual_answer, &ld,
                           &err) != TL_OK)
        fail_msg("%s", err.text);
    tl_pass_destroy(pass);
    return ld;
}

/*
 * When the counterfactual is a small step away, the signed score of
 * a node is the effect of putting its counterfactual value into the clean run, up
 * to second order. Every head of every layer and position, and some neurons.
 */
static void small_steps_score_what_exact_patching_measures(void **unused)
{
    (void)unused;
    fixture f = setup("ref", SIDE);
    tl_pair pair = f.pairs[0];
    const size_t n = T * f.dims->d_model;
    float *near = tl_arena_alloc(f.arena, n, sizeof *near);
    for (size_t i = 0; i < n; i++)
        near[i] = pair.clean.embeds[i] +
                  0.005f * (f.pairs[1].clean.embeds[i] - pair.clean.embeds[i]);
    pair.counterfactual.embeds = near;
    pair.counterfactual.positions = pair.clean.positions;
    const tl_attribution_options signed_scores = {.ig_steps = 1, .raw_sign = true};
    const tl_scores s = attribute(&f, &pair, 1, 1, &signed_scores);
    const double clean = run_patched(&f, &pair.clean, &pair, NULL);
    float buffer[64];
    double xx = 0.0, yy = 0.0, xy = 0.0;
    for (size_t l = 0; l < f.dims->n_layers; l++)
        for (size_t t = 0; t < T; t += 2)
            for (size_t i = 0; i < f.dims->n_heads + 3; i++) {
                const bool head = i < f.dims->n_heads;
                const size_t j = head ? i : (i - f.dims->n_heads) * 23 + t;
                patch p = {.site = head ? TL_SITE_Z : TL_SITE_MLP_POST,
                           .layer = l,
                           .pos = t,
                           .index = j,
                           .width = head ? f.dims->d_head : 1,
                           .from = buffer};
                run_patched(&f, &pair.counterfactual, &pair, &p);
                p.writes = true;
                const double exact = run_patched(&f, &pair.clean, &pair, &p) - clean;
                const double score =
                    head ? (double)s.heads[(l * T + t) * f.dims->n_heads + j]
                         : (double)s.neurons[(l * T + t) * f.dims->d_mlp + j];
                xx += score * score;
                yy += exact * exact;
                xy += score * exact;
            }
    const double correlation = xy / sqrt(xx * yy), slope = xy / xx;
    if (!(correlation > 0.999 && fabs(slope - 1.0) < 0.02))
        fail_msg("exact patching against attribution: correlation %.6f, slope %.4f",
                 correlation, slope);
    teardown(&f);
}

/* The sums of signed scores of the last layer's inputs telescope: with many steps
 * the scores of `embed` would add up to LD(clean) - LD(counterfactual). The nodes of
 * one layer do so only together with the residual stream, so the gradient at the
 * input is taken here by a pass of its own. */
typedef struct collector {
    double *sum;
    size_t count;
} collector;

static tl_status collect(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    collector *c = user;
    if (e->backward && e->layer == 0)
        for (size_t i = 0; i < c->count; i++)
            c->sum[i] += (double)e->values[i];
    return TL_OK;
}

static void the_integrated_gradient_is_complete(void **unused)
{
    (void)unused;
    enum { STEPS = 400 };
    fixture f = setup("ref", 0);
    const tl_pair *pair = &f.pairs[0];
    const size_t n = T * f.dims->d_model;
    double *sum = tl_arena_alloc_zero(f.arena, n, sizeof *sum);
    float *x = tl_arena_alloc(f.arena, n, sizeof *x);
    collector c = {sum, n};
    const tl_tap tap = {
        .on_site = collect, .user = &c, .sites = TL_SITE_BIT(TL_SITE_RESID_PRE)};
    const tl_pass_options options = {
        .taps = &tap, .n_taps = 1, .for_backward = true, .last_only = true};
    tl_pass *pass = NULL;
    tl_error err = {0};
    assert_int_equal(tl_pass_create(f.model, &pass, &err), TL_OK);
    for (size_t k = 0; k < STEPS; k++) { /* midpoints: the error is of second order */
        const float t = ((float)k + 0.5f) / STEPS;
        for (size_t i = 0; i < n; i++)
            x[i] = pair->counterfactual.embeds[i] +
                   t * (pair->clean.embeds[i] - pair->counterfactual.embeds[i]);
        tl_pass_prompt prompt = {.input = pair->clean};
        prompt.input.embeds = x;
        assert_int_equal(tl_pass_forward(pass, &prompt, 1, &options, &err), TL_OK);
        assert_int_equal(
            tl_pass_backward(pass, &pair->answer, &pair->counterfactual_answer, &err),
            TL_OK);
    }
    tl_pass_destroy(pass);
    double total = 0.0;
    for (size_t i = 0; i < n; i++)
        total +=
            ((double)pair->clean.embeds[i] - (double)pair->counterfactual.embeds[i]) *
            sum[i] / STEPS;
    const double want = run_patched(&f, &pair->clean, pair, NULL) -
                        run_patched(&f, &pair->counterfactual, pair, NULL);
    if (!(fabs(total - want) <= 2e-2 * (1.0 + fabs(want))))
        fail_msg("gradients integrate to %.6f, the logit difference moves by %.6f",
                 total, want);
    teardown(&f);
}

static void reductions_differ_as_defined(void **unused)
{
    (void)unused;
    fixture f = setup(NULL, 0);
    const tl_attribution_options raw = {.raw_sign = true},
                                 dot = {.head_reduce = TL_HEAD_DOT},
                                 after = {.prompt_reduce = TL_PROMPT_SIGNED},
                                 after_dot = {.prompt_reduce = TL_PROMPT_SIGNED,
                                              .head_reduce = TL_HEAD_DOT};
    tl_scores each[PAIRS];
    for (size_t i = 0; i < PAIRS; i++)
        each[i] = attribute(&f, f.pairs + i, 1, 1, &raw);
    const tl_scores d = attribute(&f, f.pairs, PAIRS, PAIRS, &dot),
                    plain = attribute(&f, f.pairs, PAIRS, PAIRS, NULL);
    const tl_scores a = attribute(&f, f.pairs, PAIRS, PAIRS, &after),
                    ad = attribute(&f, f.pairs, PAIRS, PAIRS, &after_dot);
    for (size_t i = 0; i < n_heads(&f); i++) {
        double of_abs = 0.0, of_sum = 0.0;
        for (size_t p = 0; p < PAIRS; p++) {
            of_abs += fabs((double)each[p].heads[i]) / PAIRS;
            of_sum += (double)each[p].heads[i] / PAIRS;
        }
        assert_true(fabs((double)d.heads[i] - of_abs) <= 1e-6 * of_abs);
        assert_true(fabs((double)ad.heads[i] - fabs(of_sum)) <= 1e-6 * of_abs);
        assert_true((double)plain.heads[i] >=
                    of_abs * (1.0 - 1e-6)); /* triangle inequalities */
        assert_true((double)a.heads[i] >= fabs(of_sum) - 1e-6 * of_abs);
        assert_true((double)a.heads[i] <= (double)plain.heads[i] * (1.0 + 1e-6));
    }
    for (size_t i = 0; i < n_neurons(&f); i++) {
        double of_abs = 0.0, of_sum = 0.0;
        for (size_t p = 0; p < PAIRS; p++) {
            of_abs += fabs((double)each[p].neurons[i]) / PAIRS;
            of_sum += (double)each[p].neurons[i] / PAIRS;
        }
        assert_true(fabs((double)plain.neurons[i] - of_abs) <= 1e-6 * of_abs);
        assert_true(fabs((double)a.neurons[i] - fabs(of_sum)) <= 1e-6 * of_abs);
    }
    teardown(&f);
}

static void senseless_pairs_are_refused(void **unused)
{
    (void)unused;
    fixture f = setup("ref", 0);
    tl_attribution *a = NULL;
    tl_error err = {0};
    assert_int_equal(tl_attribution_create(f.model, T, NULL, &a, &err), TL_OK);
    tl_scores scores = {0};
    assert_int_equal(tl_attribution_scores(a, f.arena, &scores, &err), TL_ERR_DATA);
    tl_pair pair = f.pairs[0];
    pair.counterfactual_answer = pair.answer;
    assert_int_equal(tl_attribution_add(a, &pair, 1, &err), TL_ERR_DATA);
    pair = f.pairs[0];
    pair.counterfactual.n_pos--;
    assert_int_equal(tl_attribution_add(a, &pair, 1, &err), TL_ERR_DATA);
    tl_attribution_destroy(a);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_positions_score_zero_and_others_do_not),
        cmocka_unit_test(how_pairs_are_grouped_changes_no_bit),
        cmocka_unit_test(saved_sums_continue_to_the_same_bits),
        cmocka_unit_test(blocks_can_be_summed_apart),
        cmocka_unit_test(both_ig_paths_agree_on_text_and_not_on_images),
        cmocka_unit_test(relevance_has_no_path_and_no_steps),
        cmocka_unit_test(magnitudes_do_not_depend_on_the_way),
        cmocka_unit_test(midpoints_and_ends_are_twice_as_many_ends),
        cmocka_unit_test(a_method_that_does_not_exist_is_refused),
        cmocka_unit_test(textonly_with_the_same_text_is_one_step),
        cmocka_unit_test(small_steps_score_what_exact_patching_measures),
        cmocka_unit_test(the_integrated_gradient_is_complete),
        cmocka_unit_test(reductions_differ_as_defined),
        cmocka_unit_test(senseless_pairs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
