/* SPDX-License-Identifier: MIT
 * test_cell_search.c - successive halving over cells and prompts, on tables that are made
 * up: what it runs, what that costs, what it finds. */
#include "testing.h"

#include <string.h>

#include "base/random.h"
#include "stat/cell_search.h"

enum { CELLS = 84, PROMPTS = 160, LAYERS = 8 };

/* The layers above the destination, as in a triangle of eight layers and three windows. */
static void triangle(size_t costs[CELLS])
{
    size_t n = 0;
    for (size_t half = 3; half-- > 0;)
        for (size_t source = 1; source < LAYERS; source++)
            for (size_t to = 0; to < source; to++)
                costs[n++] = LAYERS - 1 - (to > half ? to - half : 0);
    assert_int_equal(n, CELLS);
}

static tl_cell_plan plan_of(size_t n_prompts, bool with_control)
{
    size_t costs[CELLS];
    tl_cell_plan plan;
    triangle(costs);
    tl_cell_plan_make(costs, CELLS, LAYERS, n_prompts, with_control, &plan);
    return plan;
}

/* A table of outcomes: cell c is right on a prompt with the probability share[c]. */
static void make_table(const double *share, uint64_t seed, char table[PROMPTS][CELLS])
{
    tl_random random = {seed};
    for (size_t i = 0; i < PROMPTS; i++)
        for (size_t c = 0; c < CELLS; c++)
            table[i][c] =
                (double)tl_random_below(&random, 1000000) < 1e6 * share[c] ? '1' : '0';
}

/* What a search sees of the table; the layer runs that it takes. */
static double search_table(tl_cell_search *s, char table[PROMPTS][CELLS], uint64_t seed,
                           size_t n, bool control_too)
{
    static size_t order[PROMPTS];
    size_t costs[CELLS];
    double work = 0;
    tl_error err = {0};
    triangle(costs);
    tl_cell_search_order(PROMPTS, seed, order);
    for (size_t i = s->n_done; i < n; i++) {
        char seen[CELLS + 1] = "";
        work += LAYERS * (control_too ? 2 : 1);
        for (size_t c = 0; c < CELLS; c++) {
            const bool runs = tl_cell_search_runs(s, s->n_done, c);
            seen[c] = runs ? table[order[i]][c] : '-';
            work += runs ? (double)costs[c] : 0.0;
            if (tl_cell_search_controls(s, i, c))
                work += (double)costs[c];
        }
        if (tl_cell_search_add(s, seen, &err) != TL_OK)
            fail_msg("prompt %zu: %s", i, err.text);
    }
    return work;
}

static void a_plan_keeps_to_a_tenth(void **state)
{
    (void)state;
    for (size_t n = 60; n <= 1000; n += 47) {
        const tl_cell_plan p = plan_of(n, true);
        size_t seen = 0;
        assert_close("most", n, fmax(p.most, 0.1 * p.full), 0.1 * p.full, 1e-9);
        assert_true(p.most > 0.08 * p.full); /* it is used */
        assert_int_equal(p.cells[0], CELLS);
        for (size_t r = 0; r < p.n_rounds; r++) {
            assert_true(p.prompts[r] > 0);
            assert_int_equal(r + 1 < p.n_rounds ? p.cells[r + 1] : 1,
                             (p.cells[r] + 1) / 2);
            seen += p.prompts[r];
        }
        assert_int_equal(seen, p.n_seen);
        assert_true(3 * p.n_seen <= 2 * n);
        assert_true(p.n_control_cells >= 2 && p.n_control_prompts > 0);
        assert_true(p.n_seen + p.n_control_prompts <= n);
    }
}

/* Of all cells on all prompts, counted one by one. */
static void the_cost_of_everything_is_that_of_the_definition(void **state)
{
    (void)state;
    size_t costs[CELLS], sum = LAYERS;
    triangle(costs);
    for (size_t c = 0; c < CELLS; c++)
        sum += costs[c];
    assert_close("one modality", 0, plan_of(PROMPTS, false).full, (double)(sum * 160),
                 0);
    assert_close("two", 0, plan_of(PROMPTS, true).full, (double)(2 * sum * 160), 0);
    assert_int_equal(plan_of(PROMPTS, false).n_control_cells, 0);
}

static void few_prompts_have_few_rounds_and_one_has_none(void **state)
{
    (void)state;
    for (size_t n = 0; n < 30; n++) {
        const tl_cell_plan p = plan_of(n, true);
        assert_true(2 * p.n_rounds <= n);
        assert_true(p.n_rounds == 0 || p.n_seen < n);
        assert_int_equal(p.n_rounds > 0, n >= 2);
        if (p.n_rounds == 0)
            assert_close("most", n, p.most, p.full, 0);
    }
    const size_t one[1] = {3};
    tl_cell_plan p;
    tl_cell_plan_make(one, 1, LAYERS, 50, true, &p);
    assert_int_equal(p.n_rounds, 0); /* nothing to choose from */
}

static void what_runs_costs_no_more_than_was_planned(void **state)
{
    (void)state;
    static char table[PROMPTS][CELLS];
    double share[CELLS];
    for (size_t c = 0; c < CELLS; c++)
        share[c] = 0.5 + 0.4 * (double)c / CELLS;
    tl_arena *arena = tl_arena_create();
    for (uint64_t seed = 0; seed < 20; seed++)
        for (int both = 0; both < 2; both++) {
            const tl_cell_plan p = plan_of(PROMPTS, both);
            tl_cell_search s;
            make_table(share, seed, table);
            assert_int_equal(tl_cell_search_init(&s, &p, seed, arena, NULL), TL_OK);
            const double work = search_table(&s, table, seed, PROMPTS, both);
            assert_true(work <= p.most);
        }
    tl_arena_destroy(arena);
}

/* One cell is better than all others, by as much as ten prompts show. */
static void the_best_cell_is_found(void **state)
{
    (void)state;
    static char table[PROMPTS][CELLS];
    size_t found = 0;
    tl_arena *arena = tl_arena_create();
    for (uint64_t seed = 0; seed < 50; seed++) {
        const tl_cell_plan p = plan_of(PROMPTS, true);
        const size_t best = (size_t)(seed * 31 % CELLS);
        double share[CELLS];
        tl_cell_search s;
        for (size_t c = 0; c < CELLS; c++)
            share[c] = c == best ? 0.97 : 0.4;
        make_table(share, seed, table);
        assert_int_equal(tl_cell_search_init(&s, &p, seed, arena, NULL), TL_OK);
        search_table(&s, table, seed, PROMPTS, true);
        assert_int_equal(s.round, p.n_rounds);
        found += s.found == best;
    }
    assert_in_range(found, 45, 50);
    tl_arena_destroy(arena);
}

static void of_equal_cells_the_first_stays(void **state)
{
    (void)state;
    static char table[PROMPTS][CELLS];
    const tl_cell_plan p = plan_of(PROMPTS, true);
    tl_cell_search s;
    tl_arena *arena = tl_arena_create();
    memset(table, '1', sizeof table);
    for (size_t i = 0; i < PROMPTS; i++)
        table[i][0] = table[i][1] = '0';
    assert_int_equal(tl_cell_search_init(&s, &p, 3, arena, NULL), TL_OK);
    search_table(&s, table, 3, p.prompts[0], true);
    for (size_t c = 0; c < CELLS; c++)
        assert_int_equal(s.alive[c], c >= 2 && c < 2 + CELLS / 2);
    search_table(&s, table, 3, PROMPTS, true);
    assert_int_equal(s.found, 2);
    tl_arena_destroy(arena);
}

/* The prompts that judge run the cell that was found, and some of them the control. */
static void rounds_run_what_is_left_and_the_rest_judges(void **state)
{
    (void)state;
    static char table[PROMPTS][CELLS];
    double share[CELLS];
    const tl_cell_plan p = plan_of(PROMPTS, true);
    tl_cell_search s;
    tl_arena *arena = tl_arena_create();
    for (size_t c = 0; c < CELLS; c++)
        share[c] = 0.6;
    make_table(share, 5, table);
    assert_int_equal(tl_cell_search_init(&s, &p, 5, arena, NULL), TL_OK);
    for (size_t i = 0; i < PROMPTS; i++) {
        size_t runs = 0, controls = 0, extra = 0;
        for (size_t c = 0; c < CELLS; c++) {
            runs += tl_cell_search_runs(&s, s.n_done, c);
            controls += tl_cell_search_controls(&s, i, c);
            extra += tl_cell_search_controls(&s, i, c) && !s.alive[c];
        }
        if (i < p.n_seen) {
            assert_int_equal(runs, p.cells[s.round]);
            assert_int_equal(controls, 0);
        } else {
            assert_int_equal(
                controls, i < p.n_seen + p.n_control_prompts ? p.n_control_cells : 0);
            assert_int_equal(runs, 1 + extra);
            assert_true(tl_cell_search_runs(&s, s.n_done, s.found));
        }
        search_table(&s, table, 5, i + 1, true);
    }
    tl_arena_destroy(arena);
}

static void a_seed_gives_one_order_with_all_prompts(void **state)
{
    (void)state;
    size_t a[PROMPTS], b[PROMPTS], c[PROMPTS];
    bool there[PROMPTS] = {false};
    tl_cell_search_order(PROMPTS, 1, a);
    tl_cell_search_order(PROMPTS, 1, b);
    tl_cell_search_order(PROMPTS, 2, c);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    for (size_t i = 0; i < PROMPTS; i++)
        there[a[i]] = true;
    for (size_t i = 0; i < PROMPTS; i++)
        assert_true(there[i]);
}

static void outcomes_that_were_not_to_be_run_are_refused(void **state)
{
    (void)state;
    const size_t costs[] = {1, 1, 1};
    tl_cell_plan p;
    tl_cell_search s;
    tl_error err = {0};
    tl_arena *arena = tl_arena_create();
    tl_cell_plan_make(costs, 3, 4, 4, false, &p);
    assert_int_equal(p.n_rounds, 2); /* 3 cells, 2 cells */
    assert_int_equal(tl_cell_search_init(&s, &p, 1, arena, &err), TL_OK);
    assert_int_equal(tl_cell_search_add(&s, "01", &err), TL_ERR_FORMAT);
    assert_string_equal(err.text, "wanted 3 cells");
    err = (tl_error){0};
    assert_int_equal(tl_cell_search_add(&s, "0-1", &err), TL_ERR_FORMAT);
    assert_string_equal(err.text, "cell 1 is '-', wanted 0 or 1");
    err = (tl_error){0};
    assert_int_equal(tl_cell_search_add(&s, "0x1", &err), TL_ERR_FORMAT);
    assert_int_equal(tl_cell_search_add(&s, "011", NULL), TL_OK);
    err = (tl_error){0};
    assert_int_equal(tl_cell_search_add(&s, "011", &err), TL_ERR_FORMAT);
    assert_string_equal(err.text, "cell 0 is '0', wanted -: it was not to be run");
    assert_int_equal(tl_cell_search_add(&s, "-01", NULL), TL_OK);
    assert_int_equal(s.found, 2);
    assert_int_equal(tl_cell_search_add(&s, "--0", NULL), TL_OK);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_keeps_to_a_tenth),
        cmocka_unit_test(the_cost_of_everything_is_that_of_the_definition),
        cmocka_unit_test(few_prompts_have_few_rounds_and_one_has_none),
        cmocka_unit_test(what_runs_costs_no_more_than_was_planned),
        cmocka_unit_test(the_best_cell_is_found),
        cmocka_unit_test(of_equal_cells_the_first_stays),
        cmocka_unit_test(rounds_run_what_is_left_and_the_rest_judges),
        cmocka_unit_test(a_seed_gives_one_order_with_all_prompts),
        cmocka_unit_test(outcomes_that_were_not_to_be_run_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
