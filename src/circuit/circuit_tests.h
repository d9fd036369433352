/* SPDX-License-Identifier: MIT
 *
 * circuit_tests.h - the circuits that a circuit is tested against (docs/math.md eq. 22): the
 * same number of components drawn at random, the circuit without one of its components, the
 * circuit with one more, and all that is not in it.
 *
 *     tl_circuit_tests_list(&circuit, &span, 100, seed, arena, &tests, &n, &err);
 *     for (size_t i = 0; i < n; i++)
 *         tl_circuit_test_build(&circuit, &span, &tests[i], arena, &sets[i], &err);
 */
#ifndef TWINLENS_CIRCUIT_CIRCUIT_TESTS_H
#define TWINLENS_CIRCUIT_CIRCUIT_TESTS_H

#include "twinlens/overlap.h"

typedef enum tl_test_circuit {
    TL_TEST_ITSELF,
    TL_TEST_COMPLEMENT, /* every component that is not in the circuit */
    TL_TEST_RANDOM,     /* as many heads and neurons in each segment */
    TL_TEST_WITHOUT,    /* one of its components */
    TL_TEST_WITH        /* a component that is not in it, of that kind and segment */
} tl_test_circuit;
enum { TL_TEST_CIRCUITS = TL_TEST_WITH + 1 };

/* "circuit", "complement", "random", "without", "with" */
const char *tl_test_circuit_name(tl_test_circuit circuit);

typedef struct tl_circuit_test {
    tl_test_circuit circuit;
    uint64_t seed; /* of a random one */
    /* Of one component more or less. */
    tl_component_kind kind;
    size_t layer, pos, index;
} tl_circuit_test;

/* What is drawn depends on the study's seed and the modality. */
static inline uint64_t tl_circuit_tests_seed(uint64_t seed, tl_modality modality)
{
    return seed + 2000003 * (1 + (uint64_t)modality);
}

/* How many heads, and how many neurons, are left out one by one beside so many random
 * circuits, if there are as many. */
size_t tl_circuit_tests_components(size_t n_random);

/*
 * The circuit itself, its complement, n_random random circuits; then a sample of its heads
 * and of its neurons, and for each of these one that is not in the circuit, of the same kind
 * and segment, if there is one: from the last position to the first, because circuits that
 * are the same at early positions share work. Components in no segment are left out. Every
 * choice is equally likely. In `arena`.
 */
tl_status tl_circuit_tests_list(const tl_component_set *circuit, const tl_span *span,
                                size_t n_random, uint64_t seed, tl_arena *arena,
                                const tl_circuit_test **out, size_t *n, tl_error *err);

/* *out receives the components of a test, in `arena`. */
tl_status tl_circuit_test_build(const tl_component_set *circuit, const tl_span *span,
                                const tl_circuit_test *test, tl_arena *arena,
                                tl_component_set *out, tl_error *err);

#endif
