/* SPDX-License-Identifier: MIT
 * alloc.c - see include/twinlens/alloc.h. */
#include "twinlens/alloc.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc_test.h"
#include "base/redzone.h"

static atomic_llong countdown = -1; /* requests until the one that fails */
static atomic_int fault_hit;
static atomic_size_t live, used_bytes, peak_bytes;

/* In front of a block lies its size. */
enum { FRONT = TL_ALIGN };

int tl_size_muladd(size_t a, size_t b, size_t *sum)
{
    if (b != 0 && a > (SIZE_MAX - *sum) / b)
        return 0;
    *sum += a * b;
    return 1;
}

bool tl_alloc_is_to_fail(void)
{
    if (atomic_load(&countdown) < 0 || atomic_fetch_sub(&countdown, 1) != 0)
        return false;
    atomic_store(&fault_hit, 1); /* the place for a breakpoint */
    return true;
}

static void count_block(size_t bytes)
{
    atomic_fetch_add(&live, 1);
    const size_t used = atomic_fetch_add(&used_bytes, bytes) + bytes;
    size_t peak = atomic_load(&peak_bytes);
    while (used > peak && !atomic_compare_exchange_weak(&peak_bytes, &peak, used))
        continue;
}

void *tl_alloc(size_t count, size_t size)
{
    size_t bytes = 0;
    if (!tl_size_muladd(count, size, &bytes) || tl_alloc_is_to_fail())
        return NULL;
    size_t with_front = FRONT;
    void *front = NULL;
    if (!tl_size_muladd(1, bytes > 0 ? bytes : 1, &with_front) ||
        posix_memalign(&front, TL_ALIGN, with_front) != 0)
        return NULL;
    memcpy(front, &bytes, sizeof bytes);
    TL_POISON(front, FRONT);
    count_block(bytes);
    return (char *)front + FRONT;
}

void *tl_alloc_zero(size_t count, size_t size)
{
    void *memory = tl_alloc(count, size);
    if (memory != NULL)
        memset(memory, 0, count * size);
    return memory;
}

void *tl_realloc(void *memory, size_t old_count, size_t new_count, size_t size)
{
    void *grown = tl_alloc(new_count, size);
    if (grown == NULL)
        return NULL;
    if (memory != NULL)
        memcpy(grown, memory, (old_count < new_count ? old_count : new_count) * size);
    tl_free(memory);
    return grown;
}

void tl_free(void *memory)
{
    if (memory == NULL)
        return;
    void *front = (char *)memory - FRONT;
    size_t bytes;
    TL_UNPOISON(front, FRONT);
    memcpy(&bytes, front, sizeof bytes);
    atomic_fetch_sub(&live, 1);
    atomic_fetch_sub(&used_bytes, bytes);
    free(front);
}

char *tl_strdup(const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = tl_alloc(bytes, 1);
    if (copy != NULL)
        memcpy(copy, text, bytes);
    return copy;
}

void tl_alloc_fail_at(long long n)
{
    atomic_store(&fault_hit, 0);
    atomic_store(&countdown, n);
}

int tl_alloc_fault_hit(void)
{
    return atomic_load(&fault_hit);
}

size_t tl_alloc_live(void)
{
    return atomic_load(&live);
}

size_t tl_alloc_bytes(void)
{
    return atomic_load(&used_bytes);
}

size_t tl_alloc_peak_bytes(void)
{
    return atomic_load(&peak_bytes);
}

void tl_alloc_reset_peak(void)
{
    atomic_store(&peak_bytes, atomic_load(&used_bytes));
}
