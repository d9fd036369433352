/*
 * test_tested_study.c - what a study finds when it tests its circuits: every logit difference
 * is that of a run which computes everything and then ablates, under the circuit that the row
 * names; ablated to the mean too; whatever the memory; and no rows when it is told not to test.
 */
#include "testing.h"

#include <math.h>

#include "circuit/circuit_tests.h"
#include "store/score_file.h"
#include "store/study_db.h"
#include "study/session.h"
#include "twinlens/finding.h"
#include "twinlens/study.h"

enum { RANDOM = 6 };

typedef struct fixture {
    tl_settings settings;
    tl_arena *arena;
    test_folder folder;
    char out[300];
} fixture;

static void must(tl_status status, const tl_error *err)
{
    if (status != TL_OK)
        fail_msg("%s", err->text);
}

static void run(fixture *f, size_t n_random, size_t memory, tl_ablate ablate)
{
    tl_error err = {0};
    *f = (fixture){.arena = tl_arena_create(), .folder = test_folder_create()};
    assert_non_null(f->arena);
    snprintf(f->out, sizeof f->out, "%s/out", f->folder.path);
    tl_settings_init(&f->settings);
    f->settings.out = f->out;
    f->settings.threads = 1;
    f->settings.model = "tests/data/qwen2vl-tiny/checkpoint";
    f->settings.dataset = "tests/data/qwen2vl-tiny/goldens";
    f->settings.keep = TL_KEEP_ALL;
    f->settings.fractions = "0.1,0.3,0.5";
    f->settings.threshold = 0.1; /* an untrained model has no small circuit */
    f->settings.validate = f->settings.pictures = 0;
    f->settings.bp_grid = TL_BP_NONE;
    f->settings.circuit_tests = n_random;
    f->settings.memory = memory;
    f->settings.ablate = (int)ablate;
    must(tl_study_run(&f->settings, NULL, NULL, &err), &err);
}

static void end(fixture *f)
{
    tl_arena_destroy(f->arena);
    test_folder_remove(f->folder.path);
}

static tl_rows rows_of_kind(const fixture *f, tl_study_db *db, tl_row_kind kind,
                            const void *like)
{
    tl_error err = {0};
    tl_rows rows = {0};
    must(tl_study_db_get(db, kind, like, 1, f->arena, &rows, &err), &err);
    return rows;
}

/* ---- the definition ---------------------------------------------------------------- */

/* The smallest faithful circuit, from the score file: a component is in it if fewer than n
 * come before it. */
static void find_circuit(const fixture *f, const tl_session *s, tl_study_db *db,
                         tl_modality m, tl_component_set *out)
{
    tl_error err = {0};
    tl_study_scores about = {.modality = m};
    tl_study_minimal minimal = {.modality = m};
    char path[400];
    tl_scores scores;
    must(tl_study_db_find(db, TL_ROW_SCORES, &about, f->arena, NULL, &err), &err);
    must(tl_study_db_find(db, TL_ROW_MINIMAL, &minimal, f->arena, NULL, &err), &err);
    assert_true(minimal.found);
    tl_study_point point = {.modality = m, .point = minimal.point};
    must(tl_study_db_find(db, TL_ROW_POINT, &point, f->arena, NULL, &err), &err);
    snprintf(path, sizeof path, "%s/%s", f->out, about.file);
    must(tl_score_file_read(path, tl_model_dims(s->model), about.n_pos, f->arena,
                            &scores, &err),
         &err);
    must(tl_set_create(about.n_layers, about.n_pos, about.n_heads, about.d_mlp,
                       f->arena, out, &err),
         &err);
    const float *of[] = {scores.heads, scores.neurons};
    uint8_t *in[] = {out->heads, out->neurons};
    const size_t places = about.n_layers * about.n_pos,
                 counts[] = {places * about.n_heads, places * about.d_mlp},
                 wanted[] = {point.n_heads, point.n_neurons};
    for (size_t k = 0; k < TL_KIND_COUNT; k++)
        for (size_t i = 0; i < counts[k]; i++) {
            size_t before = 0;
            for (size_t j = 0; j < counts[k]; j++)
                before += of[k][j] > of[k][i] || (of[k][j] == of[k][i] && j < i);
            in[k][i] = before < wanted[k];
        }
}

/* What a row names; that of a random circuit is drawn again. */
static void make_named(const fixture *f, const tl_component_set *circuit,
                       const tl_study_test *row, const tl_circuit_test *drawn,
                       const tl_span *span, tl_component_set *out)
{
    tl_error err = {0};
    const size_t places = circuit->n_layers * circuit->n_pos;
    if (strcmp(row->circuit, "random") == 0) {
        assert_int_equal(drawn->circuit, TL_TEST_RANDOM);
        must(tl_circuit_test_build(circuit, span, drawn, f->arena, out, &err), &err);
        return;
    }
    must(tl_set_create(circuit->n_layers, circuit->n_pos, circuit->n_heads,
                       circuit->d_mlp, f->arena, out, &err),
         &err);
    const bool flip = strcmp(row->circuit, "complement") == 0;
    for (size_t i = 0; i < places * circuit->n_heads; i++)
        out->heads[i] = circuit->heads[i] ^ flip;
    for (size_t i = 0; i < places * circuit->d_mlp; i++)
        out->neurons[i] = circuit->neurons[i] ^ flip;
    if (!row->has_component)
        return;
    const size_t place = row->layer * circuit->n_pos + row->pos;
    uint8_t *in = strcmp(row->kind, "heads") == 0
                      ? &out->heads[place * circuit->n_heads + row->index]
                      : &out->neurons[place * circuit->d_mlp + row->index];
    assert_int_equal(*in, strcmp(row->circuit, "without") == 0);
    *in = !*in;
}

/* What tl_evaluate finds of all evaluation pairs, densely. */
static tl_evaluation *evaluate_pairs(const fixture *f, tl_session *s,
                                     const tl_study_pair *rows, size_t n_pairs,
                                     const tl_circuit *circuits, size_t n)
{
    tl_error err = {0};
    const tl_evaluate_options dense = {.how = TL_EVALUATE_DENSE,
                                       .ablate = (tl_ablate)f->settings.ablate};
    tl_pair *pairs = tl_arena_alloc_zero(f->arena, n_pairs, sizeof *pairs);
    tl_evaluation *found = tl_arena_alloc(f->arena, n_pairs, sizeof *found);
    assert_true(pairs != NULL && found != NULL);
    for (size_t p = 0; p < n_pairs; p++) {
        pairs[p].answer = rows[p].answer_id;
        pairs[p].counterfactual_answer = rows[p].counterfactual_answer_id;
        must(tl_session_input(s, rows[p].row, f->arena, NULL, &pairs[p].clean, &err),
             &err);
        must(tl_session_input(s, rows[p].counterfactual, f->arena, NULL,
                              &pairs[p].counterfactual, &err),
             &err);
        found[p].circuit = tl_arena_alloc(f->arena, n, sizeof(double));
    }
    must(tl_evaluate(s->model, pairs, n_pairs, circuits, n, &dense, found, &err), &err);
    return found;
}

static void expect(const char *what, size_t i, double got, double want, double scale)
{
    if (!(fabs(got - want) <= 1e-5 * (1.0 + scale)))
        fail_msg("%s %zu: %g, wanted %g", what, i, got, want);
}

static void check_modality(const fixture *f, tl_session *s, tl_study_db *db,
                           tl_modality m)
{
    tl_error err = {0};
    const tl_rows rows =
        rows_of_kind(f, db, TL_ROW_TEST, &(tl_study_test){.modality = m});
    const tl_rows runs =
        rows_of_kind(f, db, TL_ROW_TEST_RUN, &(tl_study_test_run){.modality = m});
    tl_study_scores about = {.modality = m};
    must(tl_study_db_find(db, TL_ROW_SCORES, &about, f->arena, NULL, &err), &err);
    const tl_span span = {about.n_pos, about.data_begin, about.data_end};
    const tl_study_pair *pairs = NULL;
    const tl_circuit_test *drawn = NULL;
    size_t n_pairs = 0, n = 0;
    tl_component_set circuit;
    must(tl_study_db_get_pairs(db, m, TL_STUDY_EVALUATION, f->arena, &pairs, &n_pairs,
                               &err),
         &err);
    find_circuit(f, s, db, m, &circuit);
    must(tl_circuit_tests_list(&circuit, &span, RANDOM,
                               tl_circuit_tests_seed(f->settings.seed, m), f->arena,
                               &drawn, &n, &err),
         &err);
    assert_int_equal(rows.n, n);
    assert_true(runs.n > 0 && runs.n % n == 0 && runs.n / n <= n_pairs);
    tl_component_set *sets = tl_arena_alloc(f->arena, n, sizeof *sets);
    tl_circuit *circuits = tl_arena_alloc_zero(f->arena, n, sizeof *circuits);
    assert_true(sets != NULL && circuits != NULL);
    for (size_t i = 0; i < n; i++) {
        make_named(f, &circuit, (const tl_study_test *)rows.rows + i, &drawn[i], &span,
                   &sets[i]);
        circuits[i].set = &sets[i];
    }
    const tl_rows base =
        rows_of_kind(f, db, TL_ROW_BASELINE, &(tl_study_baseline){.modality = m});
    assert_int_equal(base.n, n_pairs);
    const tl_evaluation *want = evaluate_pairs(f, s, pairs, n_pairs, circuits, n);
    for (size_t p = 0; p < n_pairs; p++) {
        const tl_study_baseline *b = (const tl_study_baseline *)base.rows + p;
        const double scale = fabs(want[p].clean - want[p].none);
        expect("clean", p, b->clean, want[p].clean, scale);
        expect("none", p, b->none, want[p].none, scale);
        for (size_t i = 0; i < n && p < runs.n / n; i++)
            expect("circuit", i,
                   ((const tl_study_test_run *)runs.rows)[p * n + i].logit_diff,
                   want[p].circuit[i], scale);
    }
}

static void check_study(tl_ablate ablate)
{
    fixture f;
    tl_session s;
    tl_study_db *db = NULL;
    tl_error err = {0};
    run(&f, RANDOM, 0, ablate);
    must(tl_session_open(&f.settings, &s, &err), &err);
    must(tl_study_db_open(f.out, TL_STUDY_READ, &db, &err), &err);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        check_modality(&f, &s, db, (tl_modality)m);
    tl_study_db_close(db);
    tl_session_close(&s);
    end(&f);
}

static void rows_are_what_dense_runs_give(void **unused)
{
    (void)unused;
    check_study(TL_ABLATE_COUNTERFACTUAL);
}

static void so_they_are_ablated_to_the_mean(void **unused)
{
    (void)unused;
    check_study(TL_ABLATE_MEAN);
}

/* ---- memory, and none -------------------------------------------------------------- */

static tl_rows runs_of(const fixture *f)
{
    tl_study_db *db = NULL;
    tl_error err = {0};
    must(tl_study_db_open(f->out, TL_STUDY_READ, &db, &err), &err);
    const tl_rows runs = rows_of_kind(f, db, TL_ROW_TEST_RUN,
                                      &(tl_study_test_run){.modality = TL_TEXT});
    tl_study_db_close(db);
    return runs;
}

static void memory_changes_no_bit(void **unused)
{
    (void)unused;
    fixture all, little;
    run(&all, RANDOM, 0, TL_ABLATE_MEAN);
    run(&little, RANDOM, (size_t)4 << 20, TL_ABLATE_MEAN);
    const tl_rows a = runs_of(&all), b = runs_of(&little);
    assert_true(a.n > 0 && a.n == b.n);
    for (size_t i = 0; i < a.n; i++) {
        const double x = ((const tl_study_test_run *)a.rows)[i].logit_diff,
                     y = ((const tl_study_test_run *)b.rows)[i].logit_diff;
        assert_memory_equal(&x, &y, sizeof x);
    }
    end(&all);
    end(&little);
}

static void zero_means_no_tests(void **unused)
{
    (void)unused;
    fixture f;
    tl_findings found;
    tl_error err = {0};
    run(&f, 0, 0, TL_ABLATE_COUNTERFACTUAL);
    assert_int_equal(runs_of(&f).n, 0);
    must(tl_findings_read(f.out, f.arena, &found, &err), &err);
    assert_int_equal(found.tests[TL_TEXT].n_pairs, 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_what_dense_runs_give),
        cmocka_unit_test(so_they_are_ablated_to_the_mean),
        cmocka_unit_test(memory_changes_no_bit),
        cmocka_unit_test(zero_means_no_tests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
