/* SPDX-License-Identifier: MIT
 * draw_pairs.c - see draw_pairs.h. */
#include "study/draw_pairs.h"

#include <stdlib.h>

#include "base/random.h"
#include "twinlens/alloc.h"

/* A pair in the order in which pairs are taken: by how many of its answer came before. */
typedef struct turn {
    size_t round, place, pair;
} turn;

static int by_round(const void *a, const void *b)
{
    const turn *x = a, *y = b;
    return x->round != y->round ? (x->round > y->round) - (x->round < y->round)
                                : (x->place > y->place) - (x->place < y->place);
}

static int by_number(const void *a, const void *b)
{
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

tl_status tl_draw_pairs(const int32_t *answers, size_t n, size_t wanted,
                        size_t most_each, uint64_t seed, size_t *chosen,
                        size_t *n_drawn, tl_error *err)
{
    tl_random random = {seed};
    turn *turns = tl_alloc(n + 1, sizeof *turns);
    size_t *order = tl_alloc(n + 1, sizeof *order), kept = 0;
    tl_status status = TL_OK;
    if (turns == NULL || order == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory to draw from %zu pairs", n);
        goto done;
    }
    tl_random_order(&random, n, order);
    for (size_t i = 0; i < n; i++) {
        turns[i] = (turn){0, i, order[i]};
        for (size_t k = 0; k < i; k++)
            turns[i].round += answers[order[k]] == answers[order[i]];
    }
    qsort(turns, n, sizeof *turns, by_round);
    for (size_t i = 0; i < n && kept < wanted; i++)
        if (most_each == 0 || turns[i].round < most_each)
            chosen[kept++] = turns[i].pair;
    qsort(chosen, kept, sizeof *chosen, by_number);
    *n_drawn = kept;
done:
    tl_free(order);
    tl_free(turns);
    return status;
}
