/* SPDX-License-Identifier: MIT
 *
 * pyrandom.h - the random numbers of Python's `random` module (CPython 3.9 and
 * later), bit for bit: published selections of prompts were drawn with them.
 *
 *     tl_pyrandom random;
 *     tl_pyrandom_seed(&random, 42);            random.seed(42)
 *     i = tl_pyrandom_below(&random, n);        random.choice(range(n))
 *     tl_pyrandom_shuffle(&random, rows, n);    random.shuffle(rows)
 *
 * Not for secrets, and not for anything that need not repeat Python: base/random.h
 * is smaller.
 */
#ifndef TWINLENS_TASK_PYRANDOM_H
#define TWINLENS_TASK_PYRANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "twinlens/arena.h"
#include "twinlens/status.h"

enum { TL_PYRANDOM_WORDS = 624 };

/* MT19937: the state, and how many of its words have been handed out. */
typedef struct tl_pyrandom {
    uint32_t state[TL_PYRANDOM_WORDS];
    size_t used;
} tl_pyrandom;

void tl_pyrandom_seed(tl_pyrandom *random, uint64_t seed);

/* random.getrandbits(bits), 0 <= bits <= 64 */
uint64_t tl_pyrandom_bits(tl_pyrandom *random, unsigned bits);

/* random.randrange(n), and the index that random.choice() takes; n > 0 */
size_t tl_pyrandom_below(tl_pyrandom *random, size_t n);

/* random.randint(first, last), first <= last */
int64_t tl_pyrandom_between(tl_pyrandom *random, int64_t first, int64_t last);

/* random.random(): 53 bits in [0, 1) */
double tl_pyrandom_real(tl_pyrandom *random);

/* random.shuffle(items) */
void tl_pyrandom_shuffle(tl_pyrandom *random, size_t *items, size_t n);

/* random.sample(range(n), k) into `out`; k <= n. Scratch comes from `arena`, which
 * is left as it was. TL_ERR_NO_MEMORY */
tl_status tl_pyrandom_sample(tl_pyrandom *random, size_t n, size_t k, tl_arena *arena,
                             size_t *out, tl_error *err);

#endif
