/* SPDX-License-Identifier: MIT
 * cell_search.c - see cell_search.h. */
#include "stat/cell_search.h"

#include <string.h>

#include "base/random.h"

enum {
    BUDGET = 10,      /* a tenth of everything */
    ROUNDS = 4,       /* four fifths of what clean runs leave of it */
    CONTROL = 8,      /* an eighth of that */
    FIRST_ROUND = 2,  /* rounds get prompts as 2, 3, 4, ... */
    CONTROL_PART = 4, /* a quarter of all prompts, of those that judge */
    STEPS = 16,       /* in which prompts are added to rounds */
};

/* ---- the plan ---------------------------------------------------------------------- */

/* What the n dearest cells cost on a prompt. */
static size_t dearest(const size_t *costs, size_t n_cells, size_t n)
{
    size_t sum = 0, below = SIZE_MAX;
    for (size_t left = n; left > 0;) {
        size_t most = 0, count = 0; /* of the costs below those that were added */
        for (size_t c = 0; c < n_cells; c++)
            if (costs[c] < below && costs[c] >= most) {
                count = costs[c] > most ? 1 : count + 1;
                most = costs[c];
            }
        if (most == 0)
            break;
        count = count < left ? count : left;
        sum += most * count;
        left -= count;
        below = most;
    }
    return sum;
}

/* How many cells each round has, when one of `kept` goes on. */
static size_t count_rounds(size_t n_cells, size_t kept, size_t cells[TL_CELL_ROUNDS])
{
    size_t n = 0;
    for (size_t left = n_cells; left > 1; left = (left + kept - 1) / kept)
        cells[n++] = left;
    return n;
}

/* Prompts of a round; the number of steps says how many there are of all rounds. */
static size_t prompts_of(size_t round, size_t steps)
{
    const size_t n = steps * (FIRST_ROUND + round) / (STEPS * FIRST_ROUND);
    return n > 0 ? n : 1;
}

/* Layer runs of rounds and judgement; *n_seen: prompts of the rounds. */
static double rounds_cost(const tl_cell_plan *p, const double *dear, double dearest_one,
                          size_t steps, size_t *n_seen)
{
    double sum = 0.0;
    *n_seen = 0;
    for (size_t r = 0; r < p->n_rounds; r++) {
        const size_t n = prompts_of(r, steps);
        sum += (double)n * dear[r];
        *n_seen += n;
    }
    const size_t judging = p->n_prompts > *n_seen ? p->n_prompts - *n_seen : 0;
    return sum + (double)judging * dearest_one;
}

/* As many prompts as `budget` layer runs allow, at most two thirds; what they take. */
static double plan_rounds(tl_cell_plan *p, const size_t *costs, double budget)
{
    double dear[TL_CELL_ROUNDS];
    for (size_t r = 0; r < p->n_rounds; r++)
        dear[r] = (double)dearest(costs, p->n_cells, p->cells[r]);
    const double one = (double)dearest(costs, p->n_cells, 1);
    size_t steps = 0, n_seen = 0;
    while (rounds_cost(p, dear, one, steps + 1, &n_seen) <= budget &&
           3 * n_seen <= 2 * p->n_prompts)
        steps++;
    for (size_t r = 0; r < p->n_rounds; r++)
        p->prompts[r] = prompts_of(r, steps);
    return rounds_cost(p, dear, one, steps, &p->n_seen);
}

/* As many cells as `budget` layer runs allow, at least two; if these are too many, on fewer
 * prompts. What they take. */
static double plan_control(tl_cell_plan *p, const size_t *costs, double budget)
{
    const size_t judging = p->n_prompts - p->n_seen,
                 part = (p->n_prompts + CONTROL_PART - 1) / CONTROL_PART;
    size_t cells = 2, n = judging < part ? judging : part;
    const double two = 2.0 * (double)dearest(costs, p->n_cells, cells);
    if (two * (double)n > budget)
        n = budget > two ? (size_t)(budget / two) : 1;
    while (cells < p->n_cells &&
           2.0 * (double)n * (double)dearest(costs, p->n_cells, cells + 1) <= budget)
        cells++;
    p->n_control_prompts = n;
    p->n_control_cells = cells;
    return 2.0 * (double)n * (double)dearest(costs, p->n_cells, cells);
}

void tl_cell_plan_make(const size_t *costs, size_t n_cells, size_t clean,
                       size_t n_prompts, bool with_control, tl_cell_plan *out)
{
    tl_cell_plan p = {.n_cells = n_cells, .n_prompts = n_prompts};
    const double all = (double)n_prompts * (with_control ? 2.0 : 1.0),
                 fixed = all * (double)clean;
    p.full = fixed + all * (double)dearest(costs, n_cells, n_cells);
    p.most = p.full;
    size_t kept = 2;
    while (2 * (p.n_rounds = count_rounds(n_cells, kept, p.cells)) > n_prompts &&
           kept < n_cells)
        kept++; /* few prompts: fewer rounds, of which more cells leave */
    if (2 * p.n_rounds > n_prompts)
        p.n_rounds = 0;
    if (p.n_rounds > 0) {
        const double left = p.full / BUDGET > fixed ? p.full / BUDGET - fixed : 0.0,
                     rounds = plan_rounds(&p, costs,
                                          with_control ? left * ROUNDS / 5.0 : left);
        p.most = fixed + rounds;
        if (with_control)
            p.most += plan_control(&p, costs, left / CONTROL);
    }
    *out = p;
}

/* ---- the search -------------------------------------------------------------------- */

void tl_cell_search_order(size_t n, uint64_t seed, size_t *order)
{
    tl_random random = {seed};
    tl_random_order(&random, n, order);
}

tl_status tl_cell_search_init(tl_cell_search *search, const tl_cell_plan *plan,
                              uint64_t seed, tl_arena *arena, tl_error *err)
{
    const size_t n = plan->n_cells;
    tl_cell_search s = {
        .plan = *plan,
        .alive = tl_arena_alloc(arena, n, sizeof *s.alive),
        .control = tl_arena_alloc_zero(arena, n, sizeof *s.control),
        .right = tl_arena_alloc_zero(arena, n, sizeof *s.right),
    };
    size_t *order = tl_arena_alloc(arena, n, sizeof *order);
    if (s.alive == NULL || s.control == NULL || s.right == NULL || order == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory to search %zu cells", n);
    for (size_t c = 0; c < n; c++)
        s.alive[c] = true;
    tl_cell_search_order(n, seed, order);
    for (size_t i = 0; i < plan->n_control_cells; i++)
        s.control[order[i]] = true;
    *search = s;
    return TL_OK;
}

bool tl_cell_search_controls(const tl_cell_search *s, size_t i, size_t cell)
{
    return s->plan.n_rounds == 0 || (s->control[cell] && i >= s->plan.n_seen &&
                                     i - s->plan.n_seen < s->plan.n_control_prompts);
}

bool tl_cell_search_runs(const tl_cell_search *s, size_t i, size_t cell)
{
    return s->alive[cell] || tl_cell_search_controls(s, i, cell);
}

size_t tl_cell_search_reach(const tl_cell_search *s)
{
    return s->round < s->plan.n_rounds
               ? s->n_done + s->plan.prompts[s->round] - s->n_of_round
               : s->plan.n_prompts;
}

/* Those n with most right answers stay, the first of equal ones. */
static void keep(tl_cell_search *s, size_t n)
{
    const size_t n_cells = s->plan.n_cells;
    for (size_t taken = 0; taken < n_cells; taken++) {
        size_t last = n_cells; /* the last of the worst that are left */
        size_t left = 0;
        for (size_t c = 0; c < n_cells; c++)
            if (s->alive[c]) {
                left++;
                if (last == n_cells || s->right[c] <= s->right[last])
                    last = c;
            }
        if (left <= n)
            break;
        s->alive[last] = false;
    }
}

static void end_round(tl_cell_search *s)
{
    s->round++;
    s->n_of_round = 0;
    keep(s, s->round < s->plan.n_rounds ? s->plan.cells[s->round] : 1);
    s->found = 0;
    while (!s->alive[s->found])
        s->found++;
}

tl_status tl_cell_search_add(tl_cell_search *s, const char *outcomes, tl_error *err)
{
    const size_t n_cells = s->plan.n_cells;
    if (strlen(outcomes) != n_cells)
        return tl_fail(err, TL_ERR_FORMAT, "wanted %zu cells", n_cells);
    for (size_t c = 0; c < n_cells; c++) {
        const bool runs = tl_cell_search_runs(s, s->n_done, c);
        if (strchr(runs ? "01" : "-", outcomes[c]) == NULL)
            return tl_fail(err, TL_ERR_FORMAT, "cell %zu is '%c', wanted %s", c,
                           outcomes[c], runs ? "0 or 1" : "-: it was not to be run");
    }
    if (s->round < s->plan.n_rounds) {
        for (size_t c = 0; c < n_cells; c++)
            s->right[c] += outcomes[c] == '1';
        if (++s->n_of_round == s->plan.prompts[s->round])
            end_round(s);
    }
    s->n_done++;
    return TL_OK;
}
