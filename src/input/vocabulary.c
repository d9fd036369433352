/* SPDX-License-Identifier: MIT
 * vocabulary.c - see vocabulary.h. Open addressing with linear probing; the slot
 * keeps the hash, so that a probe seldom touches a string that is not it. */
#include "input/vocabulary.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

/* FNV-1a; can go on where another string ended, and is folded at the end because
 * its low bits alone depend on the low bits of the input alone. */
#define HASH_START UINT64_C(14695981039346656037)

static uint64_t hash_more(uint64_t hash, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    return hash;
}

static uint32_t hash_end(uint64_t hash)
{
    return (uint32_t)(hash ^ hash >> 32);
}

tl_status tl_vocabulary_init(tl_vocabulary *vocabulary, size_t capacity,
                             size_t text_bytes, int32_t max_id, tl_arena *arena,
                             tl_error *err)
{
    assert(max_id >= -1 && max_id <= TL_VOCABULARY_MAX_ID);

    /* One 0 behind each string. */
    tl_vocabulary made = {.capacity = capacity,
                          .size = (size_t)(max_id + 1),
                          .texts_left = text_bytes + capacity};
    size_t slots = 4;
    while (slots < 2 * capacity)
        slots *= 2;
    made.slot_mask = slots - 1;
    made.entries = tl_arena_alloc(arena, capacity, sizeof *made.entries);
    made.slots = tl_arena_alloc(arena, slots, sizeof *made.slots);
    made.by_id = tl_arena_alloc(arena, made.size, sizeof *made.by_id);
    made.texts = tl_arena_alloc(arena, made.texts_left, 1);
    if (made.entries == NULL || made.slots == NULL || made.by_id == NULL ||
        made.texts == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zu tokens", capacity);
    for (size_t i = 0; i < slots; i++)
        made.slots[i].entry = -1;
    for (size_t i = 0; i < made.size; i++)
        made.by_id[i] = -1;
    *vocabulary = made;
    return TL_OK;
}

static const tl_vocabulary_entry *entry_of(const tl_vocabulary *vocabulary,
                                           int32_t index)
{
    return index < 0 ? NULL : &vocabulary->entries[index];
}

tl_status tl_vocabulary_add(tl_vocabulary *vocabulary, const char *text, size_t bytes,
                            int32_t id, tl_error *err)
{
    assert(vocabulary->count < vocabulary->capacity && bytes < vocabulary->texts_left);
    assert(id >= 0 && (size_t)id < vocabulary->size);

    const tl_vocabulary_entry *same_id = tl_vocabulary_get(vocabulary, id);
    if (same_id != NULL)
        return tl_fail(err, TL_ERR_FORMAT, "id %d is given to '%s' and to '%s'",
                       (int)id, same_id->text, text);
    if (tl_vocabulary_find(vocabulary, text, bytes) != NULL)
        return tl_fail(err, TL_ERR_FORMAT, "'%s' is there twice", text);

    char *copy = vocabulary->texts;
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    vocabulary->texts += bytes + 1;
    vocabulary->texts_left -= bytes + 1;

    const int32_t index = (int32_t)vocabulary->count++;
    vocabulary->entries[index] = (tl_vocabulary_entry){copy, bytes, id};
    vocabulary->by_id[id] = index;
    const uint32_t hash = hash_end(hash_more(HASH_START, text, bytes));
    size_t at = hash & vocabulary->slot_mask;
    while (vocabulary->slots[at].entry >= 0)
        at = (at + 1) & vocabulary->slot_mask;
    vocabulary->slots[at] = (tl_vocabulary_slot){hash, index};
    return TL_OK;
}

static bool is_joined(const tl_vocabulary_entry *entry, const char *head,
                      size_t head_bytes, const char *tail, size_t tail_bytes)
{
    return entry->bytes == head_bytes + tail_bytes &&
           memcmp(entry->text, head, head_bytes) == 0 &&
           memcmp(entry->text + head_bytes, tail, tail_bytes) == 0;
}

static const tl_vocabulary_entry *find(const tl_vocabulary *vocabulary,
                                       const char *head, size_t head_bytes,
                                       const char *tail, size_t tail_bytes)
{
    uint64_t running = hash_more(HASH_START, head, head_bytes);
    running = hash_more(running, tail, tail_bytes);
    const uint32_t hash = hash_end(running);
    for (size_t at = hash & vocabulary->slot_mask;;
         at = (at + 1) & vocabulary->slot_mask) {
        const tl_vocabulary_slot slot = vocabulary->slots[at];
        const tl_vocabulary_entry *entry = entry_of(vocabulary, slot.entry);
        if (entry == NULL)
            return NULL;
        if (slot.hash == hash && is_joined(entry, head, head_bytes, tail, tail_bytes))
            return entry;
    }
}

const tl_vocabulary_entry *tl_vocabulary_find(const tl_vocabulary *vocabulary,
                                              const char *text, size_t bytes)
{
    return find(vocabulary, text, bytes, "", 0);
}

const tl_vocabulary_entry *tl_vocabulary_find_joined(const tl_vocabulary *vocabulary,
                                                     const tl_vocabulary_entry *head,
                                                     const tl_vocabulary_entry *tail)
{
    return find(vocabulary, head->text, head->bytes, tail->text, tail->bytes);
}

const tl_vocabulary_entry *tl_vocabulary_get(const tl_vocabulary *vocabulary,
                                             int32_t id)
{
    if (id < 0 || (size_t)id >= vocabulary->size)
        return NULL;
    return entry_of(vocabulary, vocabulary->by_id[id]);
}
