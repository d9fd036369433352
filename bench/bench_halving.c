/* SPDX-License-Identifier: MIT
 *
 * bench_halving.c - what successive halving over the cells of back-patching costs beside
 * all cells on all prompts, and how good the cell is that it finds. The tables of finished
 * studies (with `--bp-search full`) answer both for any seed: no model is run.
 *
 *     bench_halving SEEDS STUDY...
 *
 * Work is in layer runs, clean runs and the control included, mean over seeds. Then, of
 * SEEDS searches in each study, those whose cell is within one standard error (of a share
 * of so many prompts) of the best cell of all on prompts that were not searched:
 *
 * "apart": half of the prompts, as the seed has them, are a study of their own, in which
 * all cells and the search find each a cell; both are judged on the other half.
 * "inside": the search is as a study makes it; judged on the prompts that no round saw
 * beside the best cell of the whole table, which was chosen on these too.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "figure.h"
#include "store/study_db.h"
#include "study/cells.h"

static void must(tl_status status, const tl_error *err)
{
    if (status == TL_OK)
        return;
    fprintf(stderr, "bench_halving: %s\n", err->text);
    exit(EXIT_FAILURE);
}

/* What a study found out about its cells. */
typedef struct table {
    const tl_study_patched *rows; /* of image prompts */
    const tl_study_cell *found;
    tl_backpatch_cell *cells;
    size_t n, n_cells, n_layers;
} table;

static table read_table(const char *folder, tl_arena *arena)
{
    const tl_study_patched like = {.modality = TL_IMAGE};
    tl_study_db *db = NULL;
    tl_rows cells = {0}, rows = {0};
    tl_error err = {0};
    must(tl_study_db_open(folder, TL_STUDY_READ, &db, &err), &err);
    must(tl_study_db_get(db, TL_ROW_CELL, NULL, 0, arena, &cells, &err), &err);
    must(tl_study_db_get(db, TL_ROW_PATCHED, &like, 1, arena, &rows, &err), &err);
    tl_study_db_close(db);
    table t = {.rows = rows.rows, .found = cells.rows, .n = rows.n, .n_cells = cells.n};
    t.cells = tl_arena_alloc(arena, t.n_cells, sizeof *t.cells);
    if (t.cells == NULL)
        must(tl_fail(&err, TL_ERR_NO_MEMORY, "no memory"), &err);
    for (size_t c = 0; c < t.n_cells; c++) {
        const tl_study_cell *cell = &t.found[c];
        t.cells[c] = (tl_backpatch_cell){.source = cell->source,
                                         .destination = cell->destination,
                                         .window = cell->window,
                                         .times = 1};
        t.n_layers = cell->source + 1 > t.n_layers ? cell->source + 1 : t.n_layers;
    }
    for (size_t i = 0; i < t.n; i++)
        if (strlen(t.rows[i].cells) != t.n_cells ||
            strspn(t.rows[i].cells, "01") != t.n_cells)
            must(tl_fail(&err, TL_ERR_DATA, "%s: not all cells ran on all prompts",
                         folder),
                 &err);
    if (t.n < 8)
        must(
            tl_fail(&err, TL_ERR_DATA, "%s: %zu pairs, wanted at least 8", folder, t.n),
            &err);
    return t;
}

/* Share of the prompts order[0 .. n - 1] that a cell leaves right. */
static double accuracy(const table *t, size_t cell, const size_t *order, size_t n)
{
    size_t right = 0;
    for (size_t i = 0; i < n; i++)
        right += t->rows[order[i]].cells[cell] == '1';
    return (double)right / (double)n;
}

static size_t best_of_all(const table *t, const size_t *order, size_t n)
{
    size_t best = 0;
    for (size_t c = 1; c < t->n_cells; c++)
        if (accuracy(t, c, order, n) > accuracy(t, best, order, n))
            best = c;
    return best;
}

/* A search among the cells on the prompts order[0 .. n - 1], as a study makes it. */
static void search_cells(const table *t, const size_t *order, size_t n, uint64_t seed,
                         tl_arena *arena, tl_cell_search *s, double *work)
{
    tl_error err = {0};
    tl_cell_plan plan;
    must(tl_cells_plan(t->cells, t->n_cells, t->n_layers, n, true, arena, &plan, &err),
         &err);
    must(tl_cell_search_init(s, &plan, seed, arena, &err), &err);
    char *seen = tl_arena_alloc_zero(arena, t->n_cells + 1, 1);
    if (seen == NULL)
        must(tl_fail(&err, TL_ERR_NO_MEMORY, "no memory"), &err);
    *work = 2.0 * (double)(n * t->n_layers); /* clean, of both modalities */
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < t->n_cells; c++) {
            const bool runs = tl_cell_search_runs(s, s->n_done, c);
            const size_t layers = tl_backpatch_layers(&t->cells[c], t->n_layers);
            seen[c] = runs ? t->rows[order[i]].cells[c] : '-';
            *work += runs ? (double)layers : 0.0;
            *work += tl_cell_search_controls(s, i, c) ? (double)layers : 0.0;
        }
        must(tl_cell_search_add(s, seen, &err), &err);
    }
}

/* Of one table, or of all. */
typedef struct score {
    double work, full;
    double apart_found, apart_best, inside_found, inside_best; /* accuracies, summed */
    size_t apart, inside, n;
} score;

static bool is_close(double found, double best, size_t n)
{
    return found >= best - sqrt(best * (1.0 - best) / (double)n) - 1e-12;
}

static score judge(const table *t, size_t n_seeds, tl_arena *arena)
{
    score s = {.n = n_seeds};
    const size_t half = t->n / 2;
    for (uint64_t seed = 0; seed < n_seeds; seed++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        size_t *order = tl_arena_alloc(arena, t->n, sizeof *order);
        tl_cell_search search;
        double work = 0.0;
        if (order == NULL)
            exit(EXIT_FAILURE);
        tl_cell_search_order(t->n, seed, order);

        search_cells(t, order, half, seed, arena, &search, &work);
        const size_t *rest = order + half, n_rest = t->n - half;
        double found = accuracy(t, search.found, rest, n_rest),
               best = accuracy(t, best_of_all(t, order, half), rest, n_rest);
        s.apart += is_close(found, best, n_rest);
        s.apart_found += found;
        s.apart_best += best;

        search_cells(t, order, t->n, seed, arena, &search, &work);
        const size_t n_seen = search.plan.n_seen;
        found = accuracy(t, search.found, order + n_seen, t->n - n_seen);
        best = accuracy(t, best_of_all(t, order, t->n), order + n_seen, t->n - n_seen);
        s.inside += is_close(found, best, t->n - n_seen);
        s.inside_found += found;
        s.inside_best += best;
        s.work += work;
        s.full += search.plan.full;
        tl_arena_rewind(arena, mark);
    }
    return s;
}

static void show_accuracy(const char *study, const char *what, double found,
                          double best)
{
    figure_show(&(figure){.name = what,
                          .of = study,
                          .value = found,
                          .unit = "mean accuracy",
                          .how = COUNTED,
                          .peer = "best of all cells",
                          .peer_value = best,
                          .more_is_better = true});
}

static void show_within(const char *study, const char *what, size_t within, size_t n)
{
    figure_show(&(figure){.name = what,
                          .of = study,
                          .value = (double)within,
                          .unit = "searches within one standard error",
                          .how = COUNTED,
                          .peer = "all searches",
                          .peer_value = (double)n,
                          .more_is_better = true});
}

static void show_score(const char *study, const score *s)
{
    const double n = (double)s->n;
    figure_show(&(figure){.name = "search for a cell",
                          .of = study,
                          .value = s->work / n,
                          .unit = "layer runs",
                          .how = COUNTED,
                          .peer = "all cells",
                          .peer_value = s->full / n});
    show_accuracy(study, "cell, apart", s->apart_found / n, s->apart_best / n);
    show_within(study, "cell, apart", s->apart, s->n);
    show_accuracy(study, "cell, inside", s->inside_found / n, s->inside_best / n);
    show_within(study, "cell, inside", s->inside, s->n);
}

int main(int argc, char **argv)
{
    const long seeds = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
    if (seeds < 1 || seeds > 100000) {
        fprintf(stderr, "usage: bench_halving SEEDS STUDY...\n");
        return 2;
    }
    tl_arena *arena = tl_arena_create();
    score all = {0};
    if (arena == NULL)
        return EXIT_FAILURE;
    figure_head();
    for (int i = 2; i < argc; i++) {
        const table t = read_table(argv[i], arena);
        const score s = judge(&t, (size_t)seeds, arena);
        show_score(argv[i], &s);
        all.work += s.work;
        all.full += s.full;
        all.apart += s.apart;
        all.inside += s.inside;
        all.apart_found += s.apart_found;
        all.apart_best += s.apart_best;
        all.inside_found += s.inside_found;
        all.inside_best += s.inside_best;
        all.n += s.n;
    }
    show_score("all", &all);
    tl_arena_destroy(arena);
    return EXIT_SUCCESS;
}
