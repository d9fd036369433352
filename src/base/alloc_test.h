/* SPDX-License-Identifier: MIT
 *
 * alloc_test.h - what tests ask of the allocator: a request that fails, how many blocks
 * there are, and how much memory they have taken, which a study reports as well.
 *
 *     for (long long n = 0, hit = 1; hit; n++) {
 *         tl_alloc_fail_at(n);
 *         status = what_is_tested(&err);
 *         hit = tl_alloc_fault_hit();
 *         tl_alloc_fail_at(-1);
 *     }
 */
#ifndef TWINLENS_BASE_ALLOC_TEST_H
#define TWINLENS_BASE_ALLOC_TEST_H

#include <stdbool.h>
#include <stddef.h>

/* Request number `n` from now (0: the next one) fails, and only that one; a negative n
 * turns it off. What is asked of an arena is a request as well. */
void tl_alloc_fail_at(long long n);

/* Whether that has happened. */
int tl_alloc_fault_hit(void);

/* Asked by the allocator and by arenas, once for every request: whether it is that one. */
bool tl_alloc_is_to_fail(void);

/* Blocks that are not yet freed. */
size_t tl_alloc_live(void);

/* Bytes of those blocks, as they were asked for; and the most there have been since the
 * last reset. */
size_t tl_alloc_bytes(void);
size_t tl_alloc_peak_bytes(void);
void tl_alloc_reset_peak(void);

#endif
