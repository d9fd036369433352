/* SPDX-License-Identifier: MIT
 * arena.c - see include/twinlens/arena.h.
 *
 * A list of chunks. A rewind leaves the chunks after the mark in the list, and
 * the next allocations fill them again, so a pass that is run a thousand times
 * asks the heap once. A chunk too small for a request is skipped until the next
 * rewind.
 */
#include "twinlens/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc_test.h"
#include "base/disk_memory.h"
#include "base/redzone.h"
#include "twinlens/alloc.h"

#ifdef TL_ASAN
enum { GAP = TL_ALIGN };
#else
enum { GAP = 0 };
#endif

enum { CHUNK_BYTES = 1 << 16 };

typedef struct chunk {
    struct chunk *next;
    size_t capacity, used;
    unsigned char *memory;
} chunk;

struct tl_arena {
    chunk *first, *current;
    size_t total, peak; /* without the gaps: what the caller asked for */
    size_t gaps;        /* of all blocks there ever were */
    bool measuring;
    bool borrowed; /* its one chunk is the caller's memory */
    char *folder;  /* where its chunks are; NULL: they are on the heap */
};

static tl_arena *create(bool measuring)
{
    tl_arena *arena = tl_alloc_zero(1, sizeof *arena);
    if (arena != NULL)
        arena->measuring = measuring;
    return arena;
}

tl_arena *tl_arena_create(void)
{
    return create(false);
}

tl_arena *tl_arena_create_in(const char *folder)
{
    tl_arena *arena = create(false);
    if (arena == NULL || folder == NULL)
        return arena;
    arena->folder = tl_strdup(folder);
    if (arena->folder == NULL) {
        tl_arena_destroy(arena);
        return NULL;
    }
    return arena;
}

tl_arena *tl_arena_create_like(const tl_arena *arena)
{
    return tl_arena_create_in(arena->folder);
}

tl_arena *tl_arena_create_measuring(void)
{
    return create(true);
}

tl_arena *tl_arena_create_over(void *memory, size_t bytes)
{
    tl_arena *arena = create(false);
    chunk *c = arena != NULL ? tl_alloc_zero(1, sizeof *c) : NULL;
    if (c == NULL) {
        tl_free(arena);
        return NULL;
    }
    *c = (chunk){.capacity = bytes, .memory = memory};
    TL_POISON(memory, bytes);
    arena->first = c;
    arena->borrowed = true;
    return arena;
}

bool tl_arena_is_measuring(const tl_arena *arena)
{
    return arena->measuring;
}

void tl_arena_destroy(tl_arena *arena)
{
    if (arena == NULL)
        return;
    for (chunk *c = arena->first, *next; c != NULL; c = next) {
        next = c->next;
        TL_UNPOISON(c->memory, c->capacity);
        if (!arena->borrowed)
            tl_free(c->memory);
        tl_free(c);
    }
    tl_free(arena->folder);
    tl_free(arena);
}

/* Puts a new chunk behind the current one. */
static chunk *add_chunk(tl_arena *arena, size_t bytes)
{
    chunk *c = tl_alloc_zero(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->capacity = bytes > CHUNK_BYTES ? bytes : (size_t)CHUNK_BYTES;
    c->memory = arena->folder != NULL ? tl_alloc_zero_in(arena->folder, c->capacity, 1)
                                      : tl_alloc(c->capacity, 1);
    if (c->memory == NULL) {
        tl_free(c);
        return NULL;
    }
    TL_POISON(c->memory, c->capacity);
    if (arena->current == NULL) {
        c->next = arena->first;
        arena->first = c;
    } else {
        c->next = arena->current->next;
        arena->current->next = c;
    }
    return c;
}

void *tl_arena_alloc(tl_arena *arena, size_t count, size_t size)
{
    size_t bytes = TL_ALIGN - 1 + GAP;
    const bool fits = tl_size_muladd(count, size, &bytes);
    bytes = bytes / TL_ALIGN * TL_ALIGN;
    if (bytes == GAP) /* an empty block has an address of its own */
        bytes += TL_ALIGN;
    if (!fits || arena->total > SIZE_MAX - bytes) {
        if (arena->measuring)
            arena->peak = SIZE_MAX; /* more than there can be */
        return NULL;
    }

    void *block = NULL;
    if (!arena->measuring && !arena->borrowed && tl_alloc_is_to_fail())
        return NULL;
    if (!arena->measuring) {
        chunk *c = arena->current != NULL ? arena->current : arena->first;
        while (c != NULL && c->capacity - c->used < bytes)
            c = c->next;
        if (c == NULL && (arena->borrowed || (c = add_chunk(arena, bytes)) == NULL))
            return NULL;
        arena->current = c;
        block = c->memory + c->used;
        c->used += bytes;
        TL_UNPOISON(block, bytes - GAP);
    }
    arena->total += bytes - GAP;
    arena->gaps += GAP;
    if (arena->total > arena->peak)
        arena->peak = arena->total;
    return block;
}

void *tl_arena_alloc_zero(tl_arena *arena, size_t count, size_t size)
{
    void *block = tl_arena_alloc(arena, count, size);
    if (block != NULL)
        memset(block, 0, count * size);
    return block;
}

char *tl_arena_strdup(tl_arena *arena, const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = tl_arena_alloc(arena, bytes, 1);
    if (copy != NULL)
        memcpy(copy, text, bytes);
    return copy;
}

tl_arena_mark tl_arena_get_mark(const tl_arena *arena)
{
    const chunk *c = arena->current;
    return (tl_arena_mark){c, c != NULL ? c->used : 0, arena->total};
}

void tl_arena_rewind(tl_arena *arena, tl_arena_mark mark)
{
    chunk *c = arena->first;
    if (mark.chunk != NULL) {
        while ((const void *)c != mark.chunk)
            c = c->next;
        arena->current = c;
        c->used = mark.used;
        TL_POISON(c->memory + c->used, c->capacity - c->used);
        c = c->next;
    } else {
        arena->current = NULL;
    }
    for (; c != NULL; c = c->next) {
        c->used = 0;
        TL_POISON(c->memory, c->capacity);
    }
    arena->total = mark.total;
}

size_t tl_arena_used(const tl_arena *arena)
{
    return arena->total;
}

size_t tl_arena_peak(const tl_arena *arena)
{
    return arena->peak;
}

size_t tl_arena_bytes_to_borrow(const tl_arena *arena)
{
    return arena->peak > SIZE_MAX - arena->gaps ? SIZE_MAX : arena->peak + arena->gaps;
}
