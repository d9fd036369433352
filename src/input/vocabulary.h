/* SPDX-License-Identifier: MIT
 *
 * vocabulary.h - strings with ids, found by either. Filled once and then only
 * read; all memory is the arena's.
 */
#ifndef TWINLENS_INPUT_VOCABULARY_H
#define TWINLENS_INPUT_VOCABULARY_H

#include <stddef.h>
#include <stdint.h>

#include "twinlens/arena.h"
#include "twinlens/status.h"

/* Sixteen times the largest vocabulary in use; ids index tables. */
enum { TL_VOCABULARY_MAX_ID = (1 << 22) - 1 };

typedef struct tl_vocabulary_entry {
    const char *text; /* [bytes] and a 0 behind */
    size_t bytes;
    int32_t id;
} tl_vocabulary_entry;

typedef struct tl_vocabulary_slot {
    uint32_t hash;
    int32_t entry; /* -1: free */
} tl_vocabulary_slot;

typedef struct tl_vocabulary {
    tl_vocabulary_entry *entries; /* [count], in the order of adding */
    size_t count, capacity;
    tl_vocabulary_slot *slots; /* [slot_mask + 1], at least half of them free */
    size_t slot_mask;
    int32_t *by_id; /* [size] entry of an id, -1: none */
    size_t size;    /* largest possible id + 1 */
    char *texts;    /* where the next string goes */
    size_t texts_left;
} tl_vocabulary;

/* Room for `capacity` strings of together text_bytes, with ids 0 to max_id. */
tl_status tl_vocabulary_init(tl_vocabulary *vocabulary, size_t capacity,
                             size_t text_bytes, int32_t max_id, tl_arena *arena,
                             tl_error *err);

/* Copies the string. TL_ERR_FORMAT if it or the id is there already. */
tl_status tl_vocabulary_add(tl_vocabulary *vocabulary, const char *text, size_t bytes,
                            int32_t id, tl_error *err);

/* NULL if there is none. The second finds `head` followed by `tail`. */
const tl_vocabulary_entry *tl_vocabulary_find(const tl_vocabulary *vocabulary,
                                              const char *text, size_t bytes);
const tl_vocabulary_entry *tl_vocabulary_find_joined(const tl_vocabulary *vocabulary,
                                                     const tl_vocabulary_entry *head,
                                                     const tl_vocabulary_entry *tail);
const tl_vocabulary_entry *tl_vocabulary_get(const tl_vocabulary *vocabulary,
                                             int32_t id);

#endif
