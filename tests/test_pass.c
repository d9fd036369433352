/*
 * test_pass.c - the decoder's promises: a prompt's numbers do not depend on the
 * batch, on what is kept or taken from a prefix, or on who watches; the plan is
 * what is used; the gradient is the slope.
 *
 * Inputs are random tokens and random pixels on the tiny checkpoint of tests/data:
 * nothing here needs a meaning. Parity with transformers is tests/parity/.
 */
#include "random_inputs.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "twinlens/alloc.h"
#include "twinlens/pass.h"

enum { PROMPTS = 5, SIDE = 4 };

static const char *const backends[] = {"ref", NULL /* the default */};

/* Each backend by each rule of the way back. */
enum { CASES = 4 };
static const struct {
    const char *backend;
    tl_backward_rule rule;
} cases[CASES] = {{"ref", TL_BACKWARD_GRADIENT},
                  {NULL, TL_BACKWARD_GRADIENT},
                  {"ref", TL_BACKWARD_RELEVANCE},
                  {NULL, TL_BACKWARD_RELEVANCE}};

typedef struct fixture {
    tl_model *model;
    tl_arena *arena;
    tl_input inputs[PROMPTS];
    const tl_dims *dims;
} fixture;

/* Prompts of 9, 14, 19, .. tokens; every other one with an image of 2 x 2 tokens. */
static fixture setup(const char *backend)
{
    fixture f = {.arena = tl_arena_create(), .model = open_tiny(backend)};
    f.dims = tl_model_dims(f.model);
    for (size_t i = 0; i < PROMPTS; i++)
        f.inputs[i] = random_input(f.model, f.arena, 9 + 5 * i, 0,
                                   i % 2 == 1 ? SIDE : 0, (uint32_t)i);
    return f;
}

static void teardown(fixture *f)
{
    tl_model_close(f->model);
    tl_arena_destroy(f->arena);
}

/* ---- a tap that keeps everything -------------------------------------------- */

enum { MAX_LAYERS = 4 };

/* Copies of every site and its gradient of the prompt number `prompt`. */
typedef struct recording {
    size_t prompt;
    tl_arena *arena;
    const tl_dims *dims;
    float *values[2][TL_SITE_COUNT][MAX_LAYERS]; /* [backward] */
    size_t count[2][TL_SITE_COUNT][MAX_LAYERS];
    bool rewrite; /* also write every value back over itself */
} recording;

static tl_status record(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    recording *r = user;
    const size_t count = e->n_pos * e->width;
    if (r->rewrite)
        for (size_t i = 0; i < count; i++) {
            const volatile float own = e->values[i];
            e->values[i] = own;
        }
    if (e->prompt != r->prompt)
        return TL_OK;
    float *copy = tl_arena_alloc(r->arena, count, sizeof *copy);
    memcpy(copy, e->values, count * sizeof *copy);
    r->values[e->backward][e->site][e->layer] = copy;
    r->count[e->backward][e->site][e->layer] = count;
    return TL_OK;
}

static void assert_same_bits(const recording *a, const recording *b, bool gradients)
{
    for (int way = 0; way <= (gradients ? 1 : 0); way++)
        for (size_t s = 0; s < TL_SITE_COUNT; s++)
            for (size_t l = 0; l < a->dims->n_layers; l++) {
                /* A last_only run has the end of the other's values. */
                const size_t na = a->count[way][s][l], nb = b->count[way][s][l];
                const size_t n = na < nb ? na : nb;
                if (n == 0)
                    fail_msg("site %zu layer %zu was not announced", s, l);
                if (memcmp(a->values[way][s][l] + (na - n),
                           b->values[way][s][l] + (nb - n), n * sizeof(float)) != 0)
                    fail_msg("site %zu layer %zu way %d: other bits", s, l, way);
            }
}

/* Runs `n` of the fixture's prompts in the given order, records the one at `at`. */
static recording run(fixture *f, const size_t *order, size_t n, size_t at,
                     const tl_pass_options *options, const tl_prefix *prefix,
                     double *ld)
{
    tl_pass *pass = NULL;
    tl_error err = {0};
    recording r = {.prompt = at, .arena = f->arena, .dims = f->dims};
    const tl_tap tap = {.on_site = record, .user = &r, .sites = ~0u};
    tl_pass_options o = *options;
    o.taps = &tap;
    o.n_taps = 1;
    tl_pass_prompt prompts[PROMPTS] = {0};
    int32_t a[PROMPTS], b[PROMPTS];
    for (size_t i = 0; i < n; i++) {
        prompts[i].input = f->inputs[order[i]];
        a[i] = (int32_t)(11 + order[i]);
        b[i] = (int32_t)(29 + order[i]);
    }
    prompts[at].prefix = prefix;
    if (tl_pass_create(f->model, &pass, &err) != TL_OK ||
        tl_pass_forward(pass, prompts, n, &o, &err) != TL_OK ||
        tl_pass_logit_diff(pass, at, a[at], b[at], ld, &err) != TL_OK ||
        (o.for_backward && tl_pass_backward(pass, a, b, &err) != TL_OK))
        fail_msg("%s", err.text);
    tl_pass_destroy(pass);
    return r;
}

static tl_pass_options forth_and_back(tl_backward_rule rule)
{
    return (tl_pass_options){.for_backward = true, .backward_rule = rule};
}

static void a_prompt_gives_the_same_bits_in_any_batch(void **unused)
{
    (void)unused;
    for (size_t k = 0; k < CASES; k++) {
        fixture f = setup(cases[k].backend);
        const tl_pass_options way = forth_and_back(cases[k].rule);
        for (size_t i = 0; i < PROMPTS; i++) {
            double alone = 0.0, among = 0.0;
            const recording want = run(&f, &i, 1, 0, &way, NULL, &alone);
            uint32_t state = 5u + (uint32_t)i;
            for (int round = 0; round < 4; round++) {
                size_t order[PROMPTS] = {0}, at = 0;
                for (size_t j = 0; j < PROMPTS; j++) { /* a shuffle, inside out */
                    const size_t to =
                        (size_t)((test_uniform(&state) + 1.0f) / 2.0f * (float)(j + 1));
                    order[j] = order[to];
                    order[to] = j;
                }
                for (size_t j = 0; j < PROMPTS; j++)
                    at = order[j] == i ? j : at;
                const recording got = run(&f, order, PROMPTS, at, &way, NULL, &among);
                assert_same_bits(&want, &got, true);
                assert_true(alone == among);
            }
        }
        teardown(&f);
    }
}

static void the_last_position_alone_gives_the_same_bits(void **unused)
{
    (void)unused;
    const size_t order[] = {3, 1, 2};
    for (size_t k = 0; k < CASES; k++) {
        fixture f = setup(cases[k].backend);
        const tl_pass_options way = forth_and_back(cases[k].rule);
        double full = 0.0, last = 0.0;
        tl_pass_options last_only = way;
        last_only.last_only = true;
        recording want = run(&f, order, 3, 1, &way, NULL, &full);
        recording got = run(&f, order, 3, 1, &last_only, NULL, &last);
        assert_true(full == last);
        assert_same_bits(&want, &got, false);
        /* The gradient of the other positions of the last layer is exactly 0, so
         * sums over them add nothing: the same bits below it too. */
        assert_same_bits(&want, &got, true);
        teardown(&f);
    }
}

static void a_prefix_computed_before_gives_the_same_bits(void **unused)
{
    (void)unused;
    enum { LENGTH = 6 };
    for (size_t k = 0; k < CASES; k++) {
        fixture f = setup(cases[k].backend);
        const tl_pass_options way = forth_and_back(cases[k].rule);
        const size_t which = 3, count = f.dims->n_layers * LENGTH * f.dims->n_kv_heads *
                                        f.dims->d_head;
        tl_prefix prefix = {.n_pos = LENGTH,
                            .k = tl_arena_alloc(f.arena, count, sizeof(float)),
                            .v = tl_arena_alloc(f.arena, count, sizeof(float))};
        tl_pass *pass = NULL;
        tl_error err = {0};
        const tl_pass_prompt all = {.input = f.inputs[which], .collect = &prefix};
        assert_int_equal(tl_pass_create(f.model, &pass, &err), TL_OK);
        assert_int_equal(tl_pass_forward(pass, &all, 1, NULL, &err), TL_OK);
        tl_pass_destroy(pass);
        double full = 0.0, rest = 0.0;
        const recording want = run(&f, &which, 1, 0, &way, NULL, &full);
        const recording got = run(&f, &which, 1, 0, &way, &prefix, &rest);
        assert_true(full == rest);
        assert_same_bits(&want, &got, true);
        teardown(&f);
    }
}

static void recomputing_layers_gives_the_same_bits(void **unused)
{
    (void)unused;
    const size_t order[] = {4, 1};
    for (size_t k = 0; k < CASES; k++) {
        fixture f = setup(cases[k].backend);
        const tl_pass_options way = forth_and_back(cases[k].rule);
        const size_t lengths[] = {f.inputs[4].n_pos, f.inputs[1].n_pos};
        size_t most = 0;
        double keep = 0.0, again = 0.0;
        tl_error err = {0};
        assert_int_equal(tl_pass_bytes(f.model, lengths, NULL, 2, &way, &most, &err),
                         TL_OK);
        const recording want = run(&f, order, 2, 0, &way, NULL, &keep);
        size_t smallest = 0; /* found by asking for less until it is refused */
        for (size_t budget = most; budget > most / 20; budget -= most / 20) {
            tl_pass_options tight = way;
            tight.memory_budget = budget;
            size_t planned = 0;
            if (tl_pass_bytes(f.model, lengths, NULL, 2, &tight, &planned, &err) !=
                TL_OK) {
                assert_int_equal(err.status, TL_ERR_NO_MEMORY);
                break;
            }
            assert_true(planned <= budget);
            const recording got = run(&f, order, 2, 0, &tight, NULL, &again);
            assert_true(keep == again);
            assert_same_bits(&want, &got, true);
            smallest = planned;
        }
        assert_true(smallest > 0 && smallest < most * 9 / 10);
        teardown(&f);
    }
}

typedef struct counts {
    size_t calls[2][TL_SITE_COUNT]; /* [backward], over all layers */
} counts;

static tl_status count(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    ((counts *)user)->calls[e->backward][e->site]++;
    return TL_OK;
}

/* Of all layers but the last, none of which is kept, the writing tap sees again what the
 * way back reads: here neither mlp_post nor anything behind it. */
static void taps_that_read_are_called_once_and_others_again(void **unused)
{
    (void)unused;
    fixture f = setup("ref");
    const tl_pass_prompt prompt = {.input = f.inputs[2]};
    const size_t n_pos = f.inputs[2].n_pos, L = f.dims->n_layers;
    const int32_t a = 1, b = 2;
    counts reads = {{{0}}}, writes = {{{0}}};
    const tl_tap taps[] = {{.on_site = count, .user = &reads, .sites = ~0u},
                           {.on_site = count,
                            .user = &writes,
                            .sites = ~TL_SITE_BIT(TL_SITE_Z),
                            .writes = true}};
    tl_pass_options options = {.taps = taps, .n_taps = 2, .for_backward = true};
    tl_error err = {0};
    size_t bytes = 0; /* at last the smallest that is admitted */
    while (tl_pass_bytes(f.model, &n_pos, NULL, 1, &options, &bytes, &err) == TL_OK)
        options.memory_budget = bytes - 1;
    options.memory_budget = bytes;
    tl_pass *pass = NULL;
    assert_int_equal(tl_pass_create(f.model, &pass, &err), TL_OK);
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, &options, &err), TL_OK);
    assert_int_equal(tl_pass_backward(pass, &a, &b, &err), TL_OK);
    for (size_t s = 0; s < TL_SITE_COUNT; s++) {
        assert_int_equal(reads.calls[false][s], L);
        assert_int_equal(reads.calls[true][s], L);
        const size_t again = s == TL_SITE_ATTN_OUT ? L - 1 : 0;
        assert_int_equal(writes.calls[false][s], s == TL_SITE_Z ? 0 : L + again);
        assert_int_equal(writes.calls[true][s], s == TL_SITE_Z ? 0 : L);
    }
    tl_pass_destroy(pass);
    teardown(&f);
}

static void watching_and_rewriting_changes_no_bit(void **unused)
{
    (void)unused;
    fixture f = setup("ref");
    const size_t which = 1;
    double seen = 0.0, blind = 0.0, rewritten = 0.0;
    const tl_pass_options way = forth_and_back(TL_BACKWARD_GRADIENT);
    run(&f, &which, 1, 0, &way, NULL, &seen);
    tl_pass *pass = NULL;
    tl_error err = {0};
    recording r = {.arena = f.arena, .dims = f.dims, .rewrite = true};
    const tl_tap tap = {.on_site = record, .user = &r, .sites = ~0u, .writes = true};
    const tl_pass_options rewriting = {.taps = &tap, .n_taps = 1};
    const tl_pass_prompt prompt = {.input = f.inputs[which]};
    assert_int_equal(tl_pass_create(f.model, &pass, &err), TL_OK);
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, NULL, &err), TL_OK);
    assert_int_equal(tl_pass_logit_diff(pass, 0, 12, 30, &blind, &err), TL_OK);
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, &rewriting, &err), TL_OK);
    assert_int_equal(tl_pass_logit_diff(pass, 0, 12, 30, &rewritten, &err), TL_OK);
    assert_true(seen == blind && blind == rewritten);
    tl_pass_destroy(pass);
    teardown(&f);
}

static void the_plan_is_what_is_used(void **unused)
{
    (void)unused;
    fixture f = setup("ref");
    const tl_pass_options all[] = {{0},
                                   {.for_backward = true},
                                   {.last_only = true},
                                   {.for_backward = true, .last_only = true},
                                   {.for_backward = true,
                                    .last_only = true,
                                    .backward_rule = TL_BACKWARD_RELEVANCE}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        tl_pass *pass = NULL;
        tl_error err = {0};
        const size_t lengths[] = {f.inputs[2].n_pos, f.inputs[3].n_pos};
        const tl_pass_prompt prompts[] = {{.input = f.inputs[2]},
                                          {.input = f.inputs[3]}};
        size_t planned = 0;
        assert_int_equal(
            tl_pass_bytes(f.model, lengths, NULL, 2, &all[i], &planned, &err), TL_OK);
        assert_int_equal(tl_pass_create(f.model, &pass, &err), TL_OK);
        assert_int_equal(tl_pass_forward(pass, prompts, 2, &all[i], &err), TL_OK);
        assert_int_equal(tl_pass_peak_bytes(pass), planned);
        /* A second pass of the same shape finds its memory there. */
        const size_t live = tl_alloc_live();
        assert_int_equal(tl_pass_forward(pass, prompts, 2, &all[i], &err), TL_OK);
        assert_int_equal(tl_alloc_live(), live);
        tl_pass_destroy(pass);
    }
    teardown(&f);
}

/* The rule changes the way back alone; it is a rule of its own, and needs less. */
static void relevance_changes_gradients_and_no_value(void **unused)
{
    (void)unused;
    const size_t which = 3;
    for (size_t k = 0; k < 2; k++) {
        fixture f = setup(backends[k]);
        double ld[2];
        recording r[2];
        size_t bytes[2];
        for (int rule = 0; rule < 2; rule++) {
            const tl_pass_options way = forth_and_back((tl_backward_rule)rule);
            r[rule] = run(&f, &which, 1, 0, &way, NULL, &ld[rule]);
            assert_int_equal(tl_pass_bytes(f.model, &f.inputs[which].n_pos, NULL, 1,
                                           &way, &bytes[rule], NULL),
                             TL_OK);
        }
        assert_true(ld[0] == ld[1] && bytes[1] < bytes[0]);
        assert_same_bits(&r[0], &r[1], false);
        for (size_t s = 0; s < TL_SITE_COUNT; s++)
            if (s != TL_SITE_RESID_POST) /* behind it there are only products */
                assert_memory_not_equal(r[0].values[1][s][0], r[1].values[1][s][0],
                                        r[0].count[1][s][0] * sizeof(float));
        teardown(&f);
    }
}

static double metric_with_embeds(fixture *f, tl_metric metric, const float *embeds,
                                 size_t which)
{
    tl_pass *pass = NULL;
    tl_error err = {0};
    double ld = 0.0;
    tl_pass_prompt prompt = {.input = f->inputs[which]};
    prompt.input.embeds = embeds;
    if (tl_pass_create(f->model, &pass, &err) != TL_OK ||
        tl_pass_forward(pass, &prompt, 1, NULL, &err) != TL_OK ||
        tl_pass_metric(pass, 0, metric, (int32_t)(11 + which), (int32_t)(29 + which),
                       &ld, &err) != TL_OK)
        fail_msg("%s", err.text);
    tl_pass_destroy(pass);
    return ld;
}

/* Along random directions; the step trades rounding (f32 activations) against
 * curvature. Measured: 4e-4 of the slope's scale. */
static void the_gradient_is_the_slope(void **unused)
{
    (void)unused;
    fixture f = setup("ref");
    for (size_t run_of = 0; run_of < 4 * PROMPTS; run_of++) {
        const size_t which = run_of / 4;
        const tl_metric metric = (tl_metric)(run_of % 4);
        double ld = 0.0;
        tl_pass_options way = forth_and_back(TL_BACKWARD_GRADIENT);
        way.metric = metric;
        const recording r = run(&f, &which, 1, 0, &way, NULL, &ld);
        const size_t n = f.inputs[which].n_pos * f.dims->d_model;
        float *moved = tl_arena_alloc(f.arena, n, sizeof *moved);
        for (uint32_t seed = 1; seed <= 4; seed++) {
            uint32_t state = seed;
            double slope = 0.0, size = 0.0, side[2];
            /* A logit bends more than a difference of two. */
            const double h = metric == TL_METRIC_LOGIT ? 1e-3 : 2e-3;
            for (int s = 0; s < 2; s++) {
                state = seed;
                for (size_t i = 0; i < n; i++)
                    moved[i] = f.inputs[which].embeds[i] +
                               (float)(s == 0 ? h : -h) * test_uniform(&state);
                side[s] = metric_with_embeds(&f, metric, moved, which);
            }
            state = seed;
            for (size_t i = 0; i < n; i++) {
                const double g = (double)r.values[1][TL_SITE_RESID_PRE][0][i];
                slope += g * (double)test_uniform(&state);
                size += g * g / 3.0;
            }
            const double measured = (side[0] - side[1]) / (2.0 * h);
            /* A softmax is over logits in float. Measured: 6e-3. */
            const double room = metric > TL_METRIC_LOGIT ? 2e-2 : 4e-3;
            if (!(fabs(measured - slope) <= room * sqrt(size)))
                fail_msg(
                    "metric %d prompt %zu direction %u: slope %.9g, gradient says %.9g "
                    "(scale %.3g)",
                    (int)metric, which, (unsigned)seed, measured, slope, sqrt(size));
        }
    }
    teardown(&f);
}

/* What a thread needs to run a pass, and what became of it. */
typedef struct other_pass {
    tl_pass *pass;
    const tl_pass_prompt *prompt;
    tl_status status;
    tl_error err;
} other_pass;

static void *run_other(void *user)
{
    other_pass *o = user;
    o->status = tl_pass_forward(o->pass, o->prompt, 1, NULL, &o->err);
    return NULL;
}

/* While the first pass waits in its tap, a thread tries to run the second. */
static tl_status try_other(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    pthread_t thread;
    if (e->layer > 0)
        return TL_OK;
    assert_int_equal(pthread_create(&thread, NULL, run_other, user), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return TL_OK;
}

static void a_second_pass_at_the_same_time_is_refused(void **unused)
{
    (void)unused;
    for (size_t b = 0; b < sizeof backends / sizeof *backends; b++) {
        fixture f = setup(backends[b]);
        tl_pass *first = NULL, *second = NULL;
        tl_error err = {0};
        double before = 0.0, after = 0.0;
        const tl_pass_prompt prompts[] = {{.input = f.inputs[0]},
                                          {.input = f.inputs[2]}};
        assert_int_equal(tl_pass_create(f.model, &first, &err), TL_OK);
        assert_int_equal(tl_pass_create(f.model, &second, &err), TL_OK);
        assert_int_equal(tl_pass_forward(first, &prompts[0], 1, NULL, &err), TL_OK);
        assert_int_equal(tl_pass_logit_diff(first, 0, 12, 30, &before, &err), TL_OK);

        other_pass other = {.pass = second, .prompt = &prompts[1]};
        const tl_tap tap = {.on_site = try_other,
                            .user = &other,
                            .sites = TL_SITE_BIT(TL_SITE_MLP_OUT)};
        const tl_pass_options options = {.taps = &tap, .n_taps = 1};
        assert_int_equal(tl_pass_forward(first, &prompts[0], 1, &options, &err), TL_OK);
        assert_int_equal(other.status, TL_ERR_ARGUMENT);
        assert_non_null(strstr(other.err.text, "another pass"));
        assert_int_equal(tl_pass_logit_diff(first, 0, 12, 30, &after, &err), TL_OK);
        assert_true(before == after);

        run_other(&other);
        assert_int_equal(other.status, TL_OK);
        tl_pass_destroy(second);
        tl_pass_destroy(first);
        teardown(&f);
    }
}

static void senseless_batches_are_refused(void **unused)
{
    (void)unused;
    fixture f = setup("ref");
    tl_pass *pass = NULL;
    tl_error err = {0};
    double ld = 1.5;
    assert_int_equal(tl_pass_create(f.model, &pass, &err), TL_OK);
    assert_int_equal(tl_pass_logit_diff(pass, 0, 1, 2, &ld, &err), TL_ERR_ARGUMENT);
    assert_int_equal(tl_pass_forward(pass, NULL, 0, NULL, &err), TL_ERR_ARGUMENT);
    const tl_prefix whole = {.n_pos = f.inputs[0].n_pos};
    tl_pass_prompt prompt = {.input = f.inputs[0], .prefix = &whole};
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, NULL, &err), TL_ERR_ARGUMENT);
    prompt.prefix = NULL;
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, NULL, &err), TL_OK);
    assert_int_equal(tl_pass_logit_diff(pass, 1, 1, 2, &ld, &err), TL_ERR_ARGUMENT);
    assert_int_equal(tl_pass_logit_diff(pass, 0, 1, 1 << 20, &ld, &err),
                     TL_ERR_ARGUMENT);
    const int32_t a = 1, b = 2;
    assert_int_equal(tl_pass_backward(pass, &a, &b, &err), TL_ERR_ARGUMENT);
    assert_true(ld == 1.5);
    const tl_tap to_z = {
        .on_site = count, .sites = TL_SITE_BIT(TL_SITE_Z), .writes = true};
    const tl_pass_options back = {.taps = &to_z, .n_taps = 1, .for_backward = true};
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, &back, &err), TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "writes to z"));
    const tl_pass_options no_rule = {.backward_rule = (tl_backward_rule)7};
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, &no_rule, &err),
                     TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "backward rule 7"));
    const tl_pass_options starved = {.memory_budget = 1000};
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, &starved, &err),
                     TL_ERR_NO_MEMORY);
    tl_pass_destroy(pass);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_gives_the_same_bits_in_any_batch),
        cmocka_unit_test(the_last_position_alone_gives_the_same_bits),
        cmocka_unit_test(a_prefix_computed_before_gives_the_same_bits),
        cmocka_unit_test(recomputing_layers_gives_the_same_bits),
        cmocka_unit_test(taps_that_read_are_called_once_and_others_again),
        cmocka_unit_test(watching_and_rewriting_changes_no_bit),
        cmocka_unit_test(the_plan_is_what_is_used),
        cmocka_unit_test(the_gradient_is_the_slope),
        cmocka_unit_test(relevance_changes_gradients_and_no_value),
        cmocka_unit_test(a_second_pass_at_the_same_time_is_refused),
        cmocka_unit_test(senseless_batches_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
