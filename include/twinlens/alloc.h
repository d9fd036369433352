/* SPDX-License-Identifier: MIT
 *
 * alloc.h - every heap allocation of the library goes through here.
 *
 * Sizes are always count times size, checked for overflow. Memory is aligned to
 * TL_ALIGN bytes (one cache line, one AVX-512 register) and not cleared, except
 * by tl_alloc_zero(). All functions can be called from several threads at a time.
 */
#ifndef TWINLENS_ALLOC_H
#define TWINLENS_ALLOC_H

#include <stddef.h>

#include "twinlens/api.h"

TL_BEGIN_DECLS

enum { TL_ALIGN = 64 };

/* The caller's, until tl_free. NULL when the memory is not there or count * size
 * overflows. A request for zero bytes gives a unique pointer. */
void *tl_alloc(size_t count, size_t size);
void *tl_alloc_zero(size_t count, size_t size);

/* Grows or shrinks to new_count, keeping the first old_count elements: `memory` is gone
 * and what is returned stands for it. On failure returns NULL and leaves `memory` as it
 * was. NULL memory is allowed. */
void *tl_realloc(void *memory, size_t old_count, size_t new_count, size_t size);

/* Frees what tl_alloc gave; NULL does nothing. */
void tl_free(void *memory);

/* A copy of `text` that tl_free frees; NULL when there is no memory. */
char *tl_strdup(const char *text);

/* Adds a * b to *sum; 0 (and *sum unchanged) when that overflows, else 1. */
int tl_size_muladd(size_t a, size_t b, size_t *sum);

TL_END_DECLS

#endif
