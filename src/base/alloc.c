/* SPDX-License-Identifier: MIT
 * alloc.c - see include/twinlens/alloc.h. */
#include "twinlens/alloc.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc_test.h"
#include "base/disk_memory.h"
#include "base/redzone.h"

static atomic_llong countdown = -1; /* requests until the one that fails */
static atomic_int fault_hit;
static atomic_size_t live, used_bytes, peak_bytes;

/* Lies in front of a block. */
typedef struct front {
    size_t bytes;
    void *memory;  /* of the system, to be freed */
    size_t mapped; /* bytes of it that are a file's; 0: it is the heap's */
} front;
enum { FRONT = TL_ALIGN };
static_assert(sizeof(front) <= FRONT, "a block begins behind its front");

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

/* The bytes of a block, and with its front and so many more; false: there are too many, or
 * the request is to fail. */
static bool take_request(size_t count, size_t size, size_t more, size_t *bytes,
                         size_t *all)
{
    *bytes = 0;
    *all = FRONT + more;
    return tl_size_muladd(count, size, bytes) && !tl_alloc_is_to_fail() &&
           tl_size_muladd(1, *bytes > 0 ? *bytes : 1, all);
}

/* Makes a block at `at`, which is aligned, in memory of the system. */
static void *begin_block(void *at, void *memory, size_t bytes, size_t mapped)
{
    const front f = {bytes, memory, mapped};
    memcpy(at, &f, sizeof f);
    TL_POISON(at, FRONT);
    count_block(bytes);
    return (char *)at + FRONT;
}

void *tl_alloc(size_t count, size_t size)
{
    size_t bytes, all;
    void *memory = NULL;
    if (!take_request(count, size, 0, &bytes, &all) ||
        posix_memalign(&memory, TL_ALIGN, all) != 0)
        return NULL;
    return begin_block(memory, memory, bytes, 0);
}

/* Pages of a large block take no memory until something is written there. */
void *tl_alloc_zero(size_t count, size_t size)
{
    size_t bytes, all;
    if (!take_request(count, size, TL_ALIGN - 1, &bytes, &all))
        return NULL;
    char *memory = calloc(1, all);
    if (memory == NULL)
        return NULL;
    const size_t off = (uintptr_t)memory % TL_ALIGN;
    return begin_block(memory + (off > 0 ? TL_ALIGN - off : 0), memory, bytes, 0);
}

/* Its bytes are the disk's, and not counted. */
void *tl_alloc_zero_in(const char *folder, size_t count, size_t size)
{
    size_t bytes, all;
    if (folder == NULL)
        return tl_alloc_zero(count, size);
    if (!take_request(count, size, 0, &bytes, &all))
        return NULL;
    void *memory = tl_disk_pages(folder, all);
    return memory != NULL ? begin_block(memory, memory, 0, all) : NULL;
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
    void *at = (char *)memory - FRONT;
    front f;
    TL_UNPOISON(at, FRONT);
    memcpy(&f, at, sizeof f);
    atomic_fetch_sub(&live, 1);
    atomic_fetch_sub(&used_bytes, f.bytes);
    if (f.mapped > 0)
        tl_disk_pages_release(f.memory, f.mapped);
    else
        free(f.memory);
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
