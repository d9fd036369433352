/* SPDX-License-Identifier: MIT
 *
 * arena.h - memory that is freed all at once. A model, a pass and an experiment
 * have one each; what lives as long as the arena is never freed by hand.
 *
 *     tl_arena *arena = tl_arena_create();
 *     float *x = tl_arena_alloc(arena, n, sizeof *x);
 *     const tl_arena_mark mark = tl_arena_get_mark(arena);
 *     ... temporary things ...
 *     tl_arena_rewind(arena, mark);
 *     tl_arena_destroy(arena);
 *
 * Blocks are aligned to TL_ALIGN bytes and not cleared. Builds with
 * AddressSanitizer keep a poisoned gap between blocks.
 *
 * A measuring arena hands out no memory and only counts: run the same layout
 * code on it to learn what a real one will need (tl_arena_peak; SIZE_MAX if that is
 * more than can be counted).
 */
#ifndef TWINLENS_ARENA_H
#define TWINLENS_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "twinlens/api.h"

TL_BEGIN_DECLS

typedef struct tl_arena tl_arena;

typedef struct tl_arena_mark {
    const void *chunk;
    size_t used, total;
} tl_arena_mark;

/* NULL when there is no memory. One thread at a time uses an arena. */
tl_arena *tl_arena_create(void);

/* An arena for arrays that memory has no room for: it is pages of files without a name in
 * `folder`, which the system writes to the disk when it wants the room and reads again, and
 * of which nothing is left when the process ends. NULL: as tl_arena_create(). */
tl_arena *tl_arena_create_in(const char *folder);

/* An empty one that is where that one is. */
tl_arena *tl_arena_create_like(const tl_arena *arena);

/* Every tl_arena_alloc on it returns NULL, which is then no error. */
tl_arena *tl_arena_create_measuring(void);
bool tl_arena_is_measuring(const tl_arena *arena);

/* An arena over memory of the caller, which is aligned to TL_ALIGN, outlives it and is not
 * grown. The arena itself never reads or writes there: it may be memory of a backend. */
tl_arena *tl_arena_create_over(void *memory, size_t bytes);

void tl_arena_destroy(tl_arena *arena);

/* NULL when the memory is not there or count * size overflows. */
void *tl_arena_alloc(tl_arena *arena, size_t count, size_t size);
void *tl_arena_alloc_zero(tl_arena *arena, size_t count, size_t size);
char *tl_arena_strdup(tl_arena *arena, const char *text);

/* Forgets everything allocated since the mark, which nobody may use any more; keeps the
 * memory for what is allocated next. A mark is valid until the arena is rewound to an
 * earlier one. */
tl_arena_mark tl_arena_get_mark(const tl_arena *arena);
void tl_arena_rewind(tl_arena *arena, tl_arena_mark mark);

/* Bytes in use now, and the most there have been, counted with alignment. */
size_t tl_arena_used(const tl_arena *arena);
size_t tl_arena_peak(const tl_arena *arena);

/* How much memory tl_arena_create_over() must get for what a measuring arena has counted:
 * the peak, and with AddressSanitizer the gaps. */
size_t tl_arena_bytes_to_borrow(const tl_arena *arena);

TL_END_DECLS

#endif
