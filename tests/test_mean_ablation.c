/*
 * test_mean_ablation.c - ablation to the mean over other prompts and to zero, against one
 * written out plainly in double: in every family, densely and sparsely; and what is refused.
 */
#include "random_inputs.h"

#include <math.h>
#include <string.h>

#include "twinlens/circuit.h"
#include "twinlens/overlap.h"
#include "twinlens/pass.h"

enum { T = 15, PAIRS = 4, CIRCUITS = 6, MOST_LAYERS = 8 };

typedef struct fixture {
    tl_model *model;
    tl_arena *arena;
    const tl_dims *dims;
    tl_pair pairs[PAIRS];
    tl_component_set set;
    tl_circuit circuits[CIRCUITS]; /* nothing, .02, .2, .7, everything, a set */
} fixture;

/* With a picture of the tiny checkpoint; or embeddings drawn from `seed`, but for the first
 * three and the last, in any family. */
static tl_input make_input(fixture *f, size_t n_pos, size_t side, uint32_t seed)
{
    if (side > 0)
        return random_input(f->model, f->arena, n_pos, 3, side, seed);
    uint32_t shared = 1u, own = (seed + 1u) * 2654435761u;
    const size_t d = f->dims->d_model;
    float *embeds = tl_arena_alloc(f->arena, n_pos * d, sizeof *embeds);
    int32_t *positions = tl_arena_alloc(f->arena, 3 * n_pos, sizeof *positions);
    assert_true(embeds != NULL && positions != NULL);
    for (size_t i = 0; i < n_pos * d; i++)
        embeds[i] = test_uniform(i < 3 * d || i >= (n_pos - 1) * d ? &shared : &own);
    for (size_t i = 0; i < 3 * n_pos; i++)
        positions[i] = (int32_t)(i % n_pos);
    return (tl_input){.n_pos = n_pos, .embeds = embeds, .positions = positions};
}

static fixture setup(const char *folder, size_t side)
{
    static const char *const fractions[] = {"0", "0.02", "0.2", "0.7", "1"};
    fixture f = {.arena = tl_arena_create()};
    tl_error err = {0};
    const tl_model_options options = {.n_threads = 2};
    if (tl_model_open(folder, &options, &f.model, &err) != TL_OK)
        fail_msg("%s: %s", folder, err.text);
    f.dims = tl_model_dims(f.model);
    assert_true(f.dims->n_layers <= MOST_LAYERS);
    for (uint32_t i = 0; i < PAIRS; i++)
        f.pairs[i] = (tl_pair){
            .clean = make_input(&f, T, side, 2 * i),
            .counterfactual = make_input(&f, T, side, 2 * i + 1),
            .answer = (int32_t)(20 + i),
            .counterfactual_answer = (int32_t)(30 + i),
        };
    const tl_ranking shape = {f.dims->n_layers, T,    f.dims->n_heads,
                              f.dims->d_mlp,    NULL, NULL};
    tl_ranking *ranking = tl_arena_alloc(f.arena, 1, sizeof *ranking);
    assert_non_null(ranking);
    assert_int_equal(tl_ranking_random(&shape, 12, f.arena, ranking, NULL), TL_OK);
    for (size_t i = 0; i + 1 < CIRCUITS; i++) {
        tl_fraction p;
        assert_int_equal(tl_fraction_parse(fractions[i], &p, NULL), TL_OK);
        f.circuits[i] = tl_circuit_at(ranking, p, TL_FRACTION_EXACT);
    }
    assert_int_equal(tl_set_from_circuit(&f.circuits[2], f.arena, &f.set, NULL), TL_OK);
    return f;
}

static void teardown(fixture *f)
{
    tl_model_close(f->model);
    tl_arena_destroy(f->arena);
}

/* ---- the definition ----------------------------------------------------------------- */

typedef struct plain {
    fixture *f;
    size_t prompt; /* under way */
    float *nodes[PAIRS][2][MOST_LAYERS];
    const tl_circuit *circuit; /* NULL: recording */
    tl_ablate ablate;
} plain;

static bool is_in(const tl_circuit *c, bool heads, size_t i)
{
    if (c->set != NULL)
        return (heads ? c->set->heads : c->set->neurons)[i] != 0;
    return (heads ? c->ranking->heads : c->ranking->neurons)[i] <
           (heads ? c->n_heads : c->n_neurons);
}

static tl_status plain_tap(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    plain *p = user;
    const bool heads = e->site == TL_SITE_Z;
    if (!heads && e->site != TL_SITE_MLP_POST)
        return TL_OK;
    if (p->circuit == NULL) {
        float *to = tl_arena_alloc(p->f->arena, e->n_pos * e->width, sizeof *to);
        memcpy(to, e->values, e->n_pos * e->width * sizeof *to);
        p->nodes[p->prompt][heads][e->layer] = to;
        return TL_OK;
    }
    const size_t per = heads ? p->f->dims->d_head : 1, n = e->width / per;
    for (size_t t = 0; t < T; t++)
        for (size_t i = 0; i < e->width; i++) {
            double sum = 0.0;
            if (is_in(p->circuit, heads, (e->layer * T + t) * n + i / per))
                continue;
            for (size_t k = 0; k < PAIRS; k++)
                if (k != p->prompt && p->ablate == TL_ABLATE_MEAN)
                    sum += (double)p->nodes[k][heads][e->layer][t * e->width + i];
            e->values[t * e->width + i] = (float)(sum / (PAIRS - 1));
        }
    return TL_OK;
}

static double plain_run(plain *p, size_t prompt, const tl_circuit *circuit)
{
    const tl_pair *pair = &p->f->pairs[prompt];
    tl_pass *pass = NULL;
    tl_error err = {0};
    double ld = 0.0;
    const tl_tap tap = {.on_site = plain_tap, .user = p, .sites = ~0u, .writes = true};
    const tl_pass_options options = {.taps = &tap, .n_taps = 1};
    const tl_pass_prompt clean = {.input = pair->clean};
    p->prompt = prompt;
    p->circuit = circuit;
    assert_int_equal(tl_pass_create(p->f->model, &pass, &err), TL_OK);
    assert_int_equal(tl_pass_forward(pass, &clean, 1, &options, &err), TL_OK);
    assert_int_equal(tl_pass_logit_diff(pass, 0, pair->answer,
                                        pair->counterfactual_answer, &ld, &err),
                     TL_OK);
    tl_pass_destroy(pass);
    return ld;
}

static void expect(const char *what, size_t pair, double got, double want, double scale)
{
    if (!(fabs(got - want) <= 2e-5 * (1.0 + scale)))
        fail_msg("%s, pair %zu: %.9g, wanted %.9g", what, pair, got, want);
}

static void check_ablation(const char *folder, size_t side, tl_ablate ablate)
{
    static const tl_evaluate_how hows[] = {TL_EVALUATE_DENSE, TL_EVALUATE_SPARSE,
                                           TL_EVALUATE_AUTO};
    fixture f = setup(folder, side);
    f.circuits[CIRCUITS - 1] = (tl_circuit){.set = &f.set};
    plain p = {.f = &f, .ablate = ablate};
    double want[PAIRS][CIRCUITS], clean[PAIRS];
    for (size_t i = 0; i < PAIRS; i++)
        clean[i] = plain_run(&p, i, NULL);
    for (size_t i = 0; i < PAIRS; i++)
        for (size_t c = 0; c < CIRCUITS; c++)
            want[i][c] = plain_run(&p, i, &f.circuits[c]);
    for (size_t h = 0; h < 3; h++) {
        const tl_evaluate_options options = {.how = hows[h], .ablate = ablate};
        tl_evaluation r[PAIRS];
        double ld[PAIRS][CIRCUITS];
        tl_error err = {0};
        for (size_t i = 0; i < PAIRS; i++)
            r[i].circuit = ld[i];
        if (tl_evaluate(f.model, f.pairs, PAIRS, f.circuits, CIRCUITS, &options, r,
                        &err) != TL_OK)
            fail_msg("%s: %s", folder, err.text);
        for (size_t i = 0; i < PAIRS; i++) {
            const double scale = fabs(clean[i]) + fabs(want[i][0]);
            expect(folder, i, r[i].clean, clean[i], scale);
            expect(folder, i, r[i].none, want[i][0], scale);
            for (size_t c = 0; c < CIRCUITS; c++)
                expect(folder, i, ld[i][c], want[i][c], scale);
            assert_true(ld[i][0] == r[i].none); /* which is the run of its own */
            assert_true(fabs(ld[i][4] - r[i].clean) <= 2e-5 * (1.0 + scale));
        }
    }
    teardown(&f);
}

static void check_model(const char *folder, size_t side)
{
    check_ablation(folder, side, TL_ABLATE_MEAN);
    check_ablation(folder, side, TL_ABLATE_ZERO);
}

static void circuits_are_run_as_defined(void **unused)
{
    (void)unused;
    static const char *const folders[] = {
        "tests/data/families/qwen2_5_vl", "tests/data/families/pixtral",
        "tests/data/families/gemma3", "tests/data/families/llava",
        "tests/data/families/paligemma2"};
    check_model("tests/data/qwen2vl-tiny/checkpoint", 0);
    check_model("tests/data/qwen2vl-tiny/checkpoint", 2);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        check_model(folders[i], 0);
}

/* ---- what it depends on ------------------------------------------------------------- */

static void evaluate(fixture *f, tl_evaluator *e, size_t first, size_t n,
                     double ld[PAIRS][CIRCUITS])
{
    tl_evaluation r[PAIRS];
    tl_error err = {0};
    for (size_t i = 0; i < n; i++)
        r[i].circuit = ld[first + i];
    if (tl_evaluator_run(e, f->pairs + first, n, f->circuits, CIRCUITS, r, &err) !=
        TL_OK)
        fail_msg("%s", err.text);
}

static void budgets_and_groups_change_no_bit(void **unused)
{
    (void)unused;
    fixture f = setup("tests/data/qwen2vl-tiny/checkpoint", 0);
    f.circuits[CIRCUITS - 1] = (tl_circuit){.set = &f.set};
    double want[PAIRS][CIRCUITS], got[PAIRS][CIRCUITS];
    size_t least = 0;
    tl_error err = {0};
    assert_int_equal(tl_evaluator_bytes(f.model, T, &least, &err), TL_OK);
    least += tl_evaluator_mean_bytes(f.model, T);
    for (size_t budget = 0; budget <= least; budget += least) {
        const tl_evaluate_options options = {.memory_budget = budget,
                                             .ablate = TL_ABLATE_MEAN};
        tl_evaluator *e = NULL;
        assert_int_equal(tl_evaluator_create(f.model, &options, &e, &err), TL_OK);
        for (size_t i = 0; i < PAIRS; i++)
            assert_int_equal(tl_evaluator_add_to_mean(e, &f.pairs[i].clean, &err),
                             TL_OK);
        evaluate(&f, e, 0, PAIRS, budget == 0 ? want : got);
        for (size_t i = 0; i < PAIRS; i++)
            evaluate(&f, e, i, 1, got);
        assert_memory_equal(got, want, sizeof got);
        tl_evaluator_destroy(e);
    }
    teardown(&f);
}

static void what_has_no_mean_is_refused(void **unused)
{
    (void)unused;
    fixture f = setup("tests/data/qwen2vl-tiny/checkpoint", 0);
    const tl_evaluate_options means = {.ablate = TL_ABLATE_MEAN};
    tl_evaluator *e = NULL;
    tl_error err = {0};
    double ld[CIRCUITS];
    tl_evaluation r = {.circuit = ld};
    assert_int_equal(tl_evaluator_create(f.model, NULL, &e, &err), TL_OK);
    assert_int_equal(tl_evaluator_add_to_mean(e, &f.pairs[0].clean, &err),
                     TL_ERR_ARGUMENT);
    tl_evaluator_destroy(e);
    assert_int_equal(tl_evaluator_create(f.model, &means, &e, &err), TL_OK);
    assert_int_equal(tl_evaluator_run(e, f.pairs, 1, f.circuits, 1, &r, &err),
                     TL_ERR_DATA);
    assert_int_equal(tl_evaluator_add_to_mean(e, &f.pairs[0].clean, &err), TL_OK);
    assert_int_equal(tl_evaluator_run(e, f.pairs, 1, f.circuits, 1, &r, &err),
                     TL_ERR_DATA);
    assert_non_null(strstr(err.text, "wanted two or more"));
    const tl_input longer = make_input(&f, T + 1, 0, 9);
    assert_int_equal(tl_evaluator_add_to_mean(e, &longer, &err), TL_ERR_DATA);
    assert_non_null(strstr(err.text, "16 positions among prompts of 15"));
    tl_evaluator_destroy(e);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(circuits_are_run_as_defined),
        cmocka_unit_test(budgets_and_groups_change_no_bit),
        cmocka_unit_test(what_has_no_mean_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
