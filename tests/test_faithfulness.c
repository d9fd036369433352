/*
 * test_faithfulness.c - the identities of ablation: nothing and everything,
 * the run that need not be made; and the dense ablation, by which tests/test_sparse.c judges
 * the other one, against one written out plainly.
 */
#include "random_inputs.h"

#include <math.h>
#include <string.h>

#include "twinlens/circuit.h"
#include "twinlens/pass.h"
#include "twinlens/statistics.h"

enum { T = 19, SAME = 4, SIDE = 4, PAIRS = 2, CIRCUITS = 5 };

typedef struct fixture {
    tl_model *model;
    tl_arena *arena;
    const tl_dims *dims;
    tl_pair pairs[PAIRS];
    tl_ranking ranking;
    tl_circuit circuits[CIRCUITS]; /* nothing, .1, .3, .7, everything */
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
    const tl_ranking shape = {f.dims->n_layers, T,    f.dims->n_heads,
                              f.dims->d_mlp,    NULL, NULL};
    assert_int_equal(tl_ranking_random(&shape, 12, f.arena, &f.ranking, NULL), TL_OK);
    return f;
}

static void cut(fixture *f)
{
    static const char *const fractions[CIRCUITS] = {"0", "0.1", "0.3", "0.7", "1"};
    for (size_t i = 0; i < CIRCUITS; i++) {
        tl_fraction p;
        assert_int_equal(tl_fraction_parse(fractions[i], &p, NULL), TL_OK);
        f->circuits[i] = tl_circuit_at(&f->ranking, p, TL_FRACTION_EXACT);
    }
}

static void teardown(fixture *f)
{
    tl_model_close(f->model);
    tl_arena_destroy(f->arena);
}

static void evaluate(fixture *f, const tl_evaluate_options *options,
                     tl_evaluation results[PAIRS], double ld[PAIRS][CIRCUITS])
{
    tl_error err = {0};
    for (size_t i = 0; i < PAIRS; i++)
        results[i].circuit = ld[i];
    if (tl_evaluate(f->model, f->pairs, PAIRS, f->circuits, CIRCUITS, options, results,
                    &err) != TL_OK)
        fail_msg("%s", err.text);
}

static void nothing_is_the_counterfactual_and_everything_the_clean_run(void **unused)
{
    (void)unused;
    for (size_t side = 0; side <= SIDE; side += SIDE) {
        fixture f = setup("ref", side);
        cut(&f);
        tl_evaluation r[PAIRS], real[PAIRS];
        double ld[PAIRS][CIRCUITS], real_ld[PAIRS][CIRCUITS];
        const tl_evaluate_options dense = {.how = TL_EVALUATE_DENSE},
                                  run_none = {.how = TL_EVALUATE_DENSE,
                                              .run_none = true};
        evaluate(&f, &dense, r, ld);
        evaluate(&f, &run_none, real, real_ld);
        for (size_t i = 0; i < PAIRS; i++) {
            assert_true(ld[i][CIRCUITS - 1] == r[i].clean); /* the same bits */
            assert_true(fabs(r[i].clean - r[i].none) > 1e-2);
            /* The empty circuit's run and the identity that spares it. */
            assert_true(real[i].none == ld[i][0]);
            if (!(fabs(real[i].none - r[i].none) <= 1e-5 * (1.0 + fabs(r[i].none))))
                fail_msg("all ablated: run %.9g, identity %.9g", real[i].none,
                         r[i].none);
            assert_memory_equal(ld[i], real_ld[i], sizeof ld[i]);
            const double clean = r[i].clean, none = r[i].none;
            assert_true(tl_faithfulness_of(clean, none, ld[i][CIRCUITS - 1]) == 1.0);
            assert_true(tl_faithfulness_of(clean, none, none) == 0.0);
        }
        teardown(&f);
    }
}

/* ---- the definition once more, without prefix, batch or shortcut -------------- */

typedef struct plain {
    const tl_circuit *circuit;
    float *z[4], *mlp[4]; /* counterfactual, all positions */
    bool recording;
    const tl_dims *dims;
    tl_arena *arena;
} plain;

static tl_status plain_tap(void *user, const tl_tap_event *e, tl_error *err)
{
    (void)err;
    plain *p = user;
    if (e->site != TL_SITE_Z && e->site != TL_SITE_MLP_POST)
        return TL_OK;
    float **kept = e->site == TL_SITE_Z ? p->z : p->mlp;
    if (p->recording) {
        kept[e->layer] = tl_arena_alloc(p->arena, e->n_pos * e->width, sizeof(float));
        memcpy(kept[e->layer], e->values, e->n_pos * e->width * sizeof(float));
        return TL_OK;
    }
    const size_t per = e->site == TL_SITE_Z ? p->dims->d_head : 1, n = e->width / per;
    const uint32_t *rank = e->site == TL_SITE_Z ? p->circuit->ranking->heads
                                                : p->circuit->ranking->neurons;
    const size_t size =
        e->site == TL_SITE_Z ? p->circuit->n_heads : p->circuit->n_neurons;
    for (size_t t = 0; t < e->n_pos; t++)
        for (size_t i = 0; i < e->width; i++)
            if (rank[(e->layer * T + t) * n + i / per] >= size)
                e->values[t * e->width + i] = kept[e->layer][t * e->width + i];
    return TL_OK;
}

static double plain_run(fixture *f, plain *p, const tl_input *input,
                        const tl_pair *pair)
{
    tl_pass *pass = NULL;
    tl_error err = {0};
    double ld = 0.0;
    const tl_tap tap = {.on_site = plain_tap, .user = p, .sites = ~0u, .writes = true};
    const tl_pass_options options = {.taps = &tap, .n_taps = 1};
    const tl_pass_prompt prompt = {.input = *input};
    assert_int_equal(tl_pass_create(f->model, &pass, &err), TL_OK);
    assert_int_equal(tl_pass_forward(pass, &prompt, 1, &options, &err), TL_OK);
    assert_int_equal(tl_pass_logit_diff(pass, 0, pair->answer,
                                        pair->counterfactual_answer, &ld, &err),
                     TL_OK);
    tl_pass_destroy(pass);
    return ld;
}

static void a_circuit_run_is_the_ablation_as_defined(void **unused)
{
    (void)unused;
    for (size_t side = 0; side <= SIDE; side += SIDE) {
        fixture f = setup(NULL, side);
        cut(&f);
        tl_evaluation r[PAIRS];
        double ld[PAIRS][CIRCUITS];
        const tl_evaluate_options dense = {.how = TL_EVALUATE_DENSE};
        evaluate(&f, &dense, r, ld);
        for (size_t i = 0; i < PAIRS; i++) {
            plain p = {.dims = f.dims, .arena = f.arena, .recording = true};
            plain_run(&f, &p, &f.pairs[i].counterfactual, &f.pairs[i]);
            p.recording = false;
            for (size_t c = 0; c < CIRCUITS; c++) {
                p.circuit = &f.circuits[c];
                const double want = plain_run(&f, &p, &f.pairs[i].clean, &f.pairs[i]);
                if (want != ld[i][c])
                    fail_msg("pair %zu circuit %zu: %.9g, plainly %.9g", i, c, ld[i][c],
                             want);
            }
        }
        teardown(&f);
    }
}

static void circuits_of_another_shape_are_refused(void **unused)
{
    (void)unused;
    fixture f = setup("ref", 0);
    cut(&f);
    tl_evaluation r[PAIRS] = {{0}};
    tl_error err = {0};
    tl_ranking other = f.ranking;
    other.n_pos = T + 1;
    const tl_circuit wrong = {&other, 1, 1, NULL};
    assert_int_equal(tl_evaluate(f.model, f.pairs, PAIRS, &wrong, 1, NULL, r, &err),
                     TL_ERR_DATA);
    assert_non_null(strstr(err.text, "20 positions"));
    other = f.ranking;
    other.d_mlp = 3;
    assert_int_equal(tl_evaluate(f.model, f.pairs, PAIRS, &wrong, 1, NULL, r, &err),
                     TL_ERR_DATA);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_the_counterfactual_and_everything_the_clean_run),
        cmocka_unit_test(a_circuit_run_is_the_ablation_as_defined),
        cmocka_unit_test(circuits_of_another_shape_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
