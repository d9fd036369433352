/* SPDX-License-Identifier: MIT
 *
 * validate_sample.c - which components of a pair to patch: see validate_sample.h, and
 * tl_validate_draw() in include/twinlens/validate.h.
 */
#include "circuit/validate_sample.h"

#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "twinlens/alloc.h"

enum {
    SCREENED = 256, /* looked at for each that is drawn */
    TOP = 32        /* the largest of so many make a stratum */
};

/* ---- screening ------------------------------------------------------------------- */

/* Of the last layer only the last position acts on the answer. */
static size_t place_count(const tl_screen_span *s)
{
    return (s->n_layers - 1) * (s->n_pos - s->n_prefix) + 1;
}

static size_t component_count(const tl_screen_span *s, tl_component_kind kind)
{
    return place_count(s) * s->per_pos[kind];
}

size_t tl_screen_count(const tl_screen_span *s, tl_component_kind kind, size_t n)
{
    const size_t count = component_count(s, kind), most = n * SCREENED;
    return count < most ? count : most;
}

static tl_component component_at(const tl_screen_span *s, tl_component_kind kind,
                                 size_t i)
{
    const size_t place = i / s->per_pos[kind], n_rows = s->n_pos - s->n_prefix;
    tl_component c = {.kind = kind, .index = i % s->per_pos[kind]};
    c.layer = place / n_rows;
    c.pos = s->n_prefix + place % n_rows;
    if (c.layer == s->n_layers - 1)
        c.pos = s->n_pos - 1;
    return c;
}

/* @source Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S */
void tl_screen(const tl_screen_span *s, tl_component_kind kind, size_t n, uint64_t seed,
               tl_component *out)
{
    tl_random random = {seed};
    const size_t count = component_count(s, kind);
    size_t kept = 0;
    for (size_t i = 0; i < count && kept < n; i++)
        if (tl_random_below(&random, count - i) < n - kept)
            out[kept++] = component_at(s, kind, i);
}

/* ---- drawing --------------------------------------------------------------------- */

typedef struct sized_place {
    double size;
    size_t at;
} sized_place;

static int larger_first(const void *a, const void *b)
{
    const sized_place *x = a, *y = b;
    return x->size != y->size ? (x->size < y->size) - (x->size > y->size)
                              : (x->at > y->at) - (x->at < y->at);
}

/* One of the places[n] that are not taken yet, at random; false: all are taken. */
static bool take_one(const sized_place *places, size_t n, tl_random *random,
                     bool *taken, size_t *out)
{
    size_t n_free = 0;
    for (size_t i = 0; i < n; i++)
        n_free += !taken[places[i].at];
    if (n_free == 0)
        return false;
    size_t left = (size_t)tl_random_below(random, n_free);
    for (size_t i = 0; i < n; i++)
        if (!taken[places[i].at] && left-- == 0) {
            taken[places[i].at] = true;
            *out = places[i].at;
        }
    return true;
}

tl_status tl_validate_draw(const double *scores, size_t n_ways, size_t n_screened,
                           size_t n, uint64_t seed, size_t *chosen, tl_error *err)
{
    const size_t most = n_screened / TOP, n_top = most > n         ? most
                                                  : n < n_screened ? n
                                                                   : n_screened;
    tl_random random = {seed};
    if (n > n_screened || n_ways == 0)
        return tl_fail(
            err, TL_ERR_ARGUMENT,
            "%zu of %zu components by %zu ways, wanted at most all, and a way", n,
            n_screened, n_ways);
    sized_place *order = tl_alloc(n_ways * n_screened + 1, sizeof *order);
    bool *taken = tl_alloc_zero(n_screened + 1, sizeof *taken);
    tl_status status = TL_OK;
    if (order == NULL || taken == NULL) {
        status =
            tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu components", n_screened);
        goto done;
    }
    for (size_t m = 0; m < n_ways; m++) {
        sized_place *of = order + m * n_screened;
        for (size_t i = 0; i < n_screened; i++) {
            const double size = fabs(scores[m * n_screened + i]);
            of[i] = (sized_place){isnan(size) ? 0.0 : size, i};
        }
        qsort(of, n_screened, sizeof *of, larger_first);
    }
    /* A round takes one of each way's largest and one of all; it begins anywhere, so that
     * none gains when the last round is not whole. */
    const size_t n_strata = n_ways + 1,
                 first = (size_t)tl_random_below(&random, n_strata);
    for (size_t i = 0; i < n; i++) {
        const size_t stratum = (first + i) % n_strata;
        if (stratum == n_ways ||
            !take_one(order + stratum * n_screened, n_top, &random, taken, &chosen[i]))
            take_one(order, n_screened, &random, taken, &chosen[i]);
    }
done:
    tl_free(taken);
    tl_free(order);
    return status;
}
