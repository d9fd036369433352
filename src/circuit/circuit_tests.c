/* SPDX-License-Identifier: MIT
 *
 * circuit_tests.c - see circuit_tests.h. Samples are drawn by selection sampling, as in
 * random_set.c: one pass over the components, each taken with the probability that fills the
 * sample in the end.
 */
#include "circuit/circuit_tests.h"

#include <stdlib.h>

#include "circuit/random_set.h"

const char *tl_test_circuit_name(tl_test_circuit circuit)
{
    static const char *const names[TL_TEST_CIRCUITS] = {
        "circuit", "complement", "random", "without", "with"};
    return names[circuit];
}

size_t tl_circuit_tests_components(size_t n_random)
{
    return (n_random + 1) / 2;
}

static uint8_t *members(const tl_component_set *set, tl_component_kind kind,
                        size_t *per_pos)
{
    *per_pos = kind == TL_KIND_HEADS ? set->n_heads : set->d_mlp;
    return kind == TL_KIND_HEADS ? set->heads : set->neurons;
}

/* ---- which components ------------------------------------------------------------ */

/* A sample under way. */
typedef struct sample {
    tl_circuit_test *tests;
    size_t n;
    tl_random random;
} sample;

/* Adds n of those in the circuit, or of those that are not, at positions [begin, end); all
 * of them when there are no more. */
static void draw(const tl_component_set *circuit, tl_component_kind kind, bool inside,
                 size_t begin, size_t end, size_t n, sample *s)
{
    size_t per_pos;
    const uint8_t *in = members(circuit, kind, &per_pos);
    const size_t count = tl_set_count_between(circuit, kind, begin, end);
    size_t left =
        inside ? count : circuit->n_layers * (end - begin) * per_pos - count;
    for (size_t l = 0; l < circuit->n_layers && n > 0; l++)
        for (size_t t = begin; t < end && n > 0; t++)
            for (size_t i = 0; i < per_pos && n > 0; i++) {
                if ((in[(l * circuit->n_pos + t) * per_pos + i] != 0) != inside)
                    continue;
                if (tl_random_below(&s->random, left--) >= n)
                    continue;
                s->tests[s->n++] = (tl_circuit_test){
                    .circuit = inside ? TL_TEST_WITHOUT : TL_TEST_WITH,
                    .kind = kind,
                    .layer = l,
                    .pos = t,
                    .index = i};
                n--;
            }
}

/* Up to n components of a kind, and beside them as many in each segment that are not in the
 * circuit. The segments lie behind each other, from the data to the last position. */
static void draw_kind(const tl_component_set *circuit, const tl_span *span,
                      tl_component_kind kind, size_t n, sample *s)
{
    const size_t first = s->n;
    draw(circuit, kind, true, span->data_begin, span->n_pos, n, s);
    const size_t last = s->n;
    for (size_t g = 0; g < TL_SEGMENT_COUNT; g++) {
        size_t begin, end, in_segment = 0;
        tl_span_segment(span, (tl_segment)g, &begin, &end);
        for (size_t i = first; i < last; i++)
            in_segment += s->tests[i].pos >= begin && s->tests[i].pos < end;
        draw(circuit, kind, false, begin, end, in_segment, s);
    }
}

/* No two tests are alike in all of these. */
static int from_the_last_position(const void *a, const void *b)
{
    const tl_circuit_test *x = a, *y = b;
    const size_t keys[][2] = {{y->pos, x->pos},
                              {x->kind, y->kind},
                              {x->circuit, y->circuit},
                              {x->layer, y->layer},
                              {x->index, y->index}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i][0] != keys[i][1])
            return keys[i][0] < keys[i][1] ? -1 : 1;
    return 0;
}

tl_status tl_circuit_tests_list(const tl_component_set *circuit, const tl_span *span,
                                size_t n_random, uint64_t seed, tl_arena *arena,
                                const tl_circuit_test **out, size_t *n, tl_error *err)
{
    const size_t of_kind = tl_circuit_tests_components(n_random);
    sample s = {.tests = tl_arena_alloc(
                    arena, 2 + n_random + 2 * TL_KIND_COUNT * of_kind, sizeof *s.tests),
                .random = {seed}};
    if (s.tests == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu random circuits",
                       n_random);
    s.tests[s.n++] = (tl_circuit_test){.circuit = TL_TEST_ITSELF};
    s.tests[s.n++] = (tl_circuit_test){.circuit = TL_TEST_COMPLEMENT};
    for (size_t i = 0; i < n_random; i++)
        s.tests[s.n++] = (tl_circuit_test){.circuit = TL_TEST_RANDOM,
                                           .seed = tl_random_next(&s.random)};
    const size_t first = s.n;
    for (size_t k = 0; k < TL_KIND_COUNT; k++)
        draw_kind(circuit, span, (tl_component_kind)k, of_kind, &s);
    qsort(s.tests + first, s.n - first, sizeof *s.tests, from_the_last_position);
    *out = s.tests;
    *n = s.n;
    return TL_OK;
}

/* ---- what they consist of -------------------------------------------------------- */

static void invert(tl_component_set *set)
{
    for (size_t k = 0; k < TL_KIND_COUNT; k++) {
        size_t per_pos;
        uint8_t *in = members(set, (tl_component_kind)k, &per_pos);
        for (size_t i = 0; i < set->n_layers * set->n_pos * per_pos; i++)
            in[i] = !in[i];
    }
}

static void draw_like(const tl_component_set *circuit, const tl_span *span,
                      uint64_t seed, tl_component_set *out)
{
    tl_random random = {seed};
    for (size_t k = 0; k < TL_KIND_COUNT; k++)
        for (size_t g = 0; g < TL_SEGMENT_COUNT; g++) {
            const tl_component_kind kind = (tl_component_kind)k;
            size_t begin, end;
            tl_span_segment(span, (tl_segment)g, &begin, &end);
            tl_set_draw(out, kind, begin, end,
                        tl_set_count_between(circuit, kind, begin, end), &random);
        }
}

tl_status tl_circuit_test_build(const tl_component_set *circuit, const tl_span *span,
                                const tl_circuit_test *test, tl_arena *arena,
                                tl_component_set *out, tl_error *err)
{
    tl_component_set set;
    const tl_status status =
        tl_set_create(circuit->n_layers, circuit->n_pos, circuit->n_heads,
                      circuit->d_mlp, arena, &set, err);
    if (status != TL_OK)
        return status;
    if (test->circuit == TL_TEST_RANDOM)
        draw_like(circuit, span, test->seed, &set);
    else
        tl_set_add(circuit, 0, circuit->n_pos, &set);
    if (test->circuit == TL_TEST_COMPLEMENT)
        invert(&set);
    if (test->circuit == TL_TEST_WITHOUT || test->circuit == TL_TEST_WITH) {
        size_t per_pos;
        uint8_t *in = members(&set, test->kind, &per_pos);
        in[(test->layer * set.n_pos + test->pos) * per_pos + test->index] =
            test->circuit == TL_TEST_WITH;
    }
    *out = set;
    return TL_OK;
}
