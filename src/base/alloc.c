/* SPDX-License-Identifier: MIT
 * alloc.c - see include/twinlens/alloc.h. */
#include "twinlens/alloc.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc_test.h"

static atomic_llong countdown = -1; /* requests until the one that fails */
static atomic_int fault_hit;
static atomic_size_t live;

int tl_size_muladd(size_t a, size_t b, size_t *sum)
{
    if (b != 0 && a > (SIZE_MAX - *sum) / b)
        return 0;
    *sum += a * b;
    return 1;
}

/* The place for a breakpoint when hunting an injected failure. */
static void *injected_failure(void)
{
    atomic_store(&fault_hit, 1);
    return NULL;
}

void *tl_alloc(size_t count, size_t size)
{
    size_t bytes = 0;
    if (!tl_size_muladd(count, size, &bytes))
        return NULL;
    if (atomic_load(&countdown) >= 0 && atomic_fetch_sub(&countdown, 1) == 0)
        return injected_failure();
    void *memory = NULL;
    if (posix_memalign(&memory, TL_ALIGN, bytes > 0 ? bytes : 1) != 0)
        return NULL;
    atomic_fetch_add(&live, 1);
    return memory;
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
    atomic_fetch_sub(&live, 1);
    free(memory);
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
