/* SPDX-License-Identifier: MIT
 *
 * torture.h - request for memory number n fails, for n = 0, 1, ... until none is left to
 * fail.
 *
 *     static tl_status encode(void *state, tl_error *err) { ... one call, or a few ... }
 *
 *     torture(&(torture_case){.covers = "tl_dataset_encode",
 *                             .begin = begin, .run = encode, .digest = digest, .end = end,
 *                             .state = &state, .outputs = &state.encoding,
 *                             .output_bytes = sizeof state.encoding});
 *
 * Every time, what must hold is: the status is TL_ERR_NO_MEMORY and the error has a text, or
 * else the result is the right one (a cache may do without memory); outputs are as they were;
 * the same call succeeds afterwards, on the same objects, with the result that it always has;
 * and nothing leaks.
 */
#ifndef TESTS_TORTURE_H
#define TESTS_TORTURE_H

#include "testing.h"

#include "twinlens/status.h"

typedef struct torture_case {
    /* The public functions that `run` calls; test_torture_list.c reads it. */
    const char *covers;
    void (*begin)(
        void *state); /* makes what `run` needs, with all the memory; or NULL */
    tl_status (*run)(void *state, tl_error *err);
    void (*end)(void *state); /* frees what begin and run have made; or NULL */
    uint64_t (*digest)(const void *state); /* of a result, not of addresses; or NULL */
    void *state;
    void *outputs; /* a part of the state that only success may change; or NULL */
    size_t output_bytes;
    long long stride; /* every so manieth request fails; 0: each */
} torture_case;

/* Continues `digest`, which begins as 0 (FNV-1a). */
static inline uint64_t torture_digest(uint64_t digest, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    uint64_t h = digest ^ UINT64_C(14695981039346656037);
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ at[i]) * UINT64_C(1099511628211);
    return h;
}

/* One begin, run, end: the run's result. Request n fails and the run is repeated if n is not
 * negative; *hit tells whether there was such a request. */
static inline uint64_t torture_once(const torture_case *t, long long n, bool *hit)
{
    const size_t live = tl_alloc_live();
    tl_error err = {0};
    if (t->begin != NULL)
        t->begin(t->state);
    void *before = malloc(t->output_bytes + 1);
    assert_non_null(before);
    if (t->outputs != NULL)
        memcpy(before, t->outputs, t->output_bytes);
    tl_alloc_fail_at(n);
    tl_status status = t->run(t->state, &err);
    *hit = tl_alloc_fault_hit() != 0;
    tl_alloc_fail_at(-1);
    if (*hit && status != TL_OK) {
        if (status != TL_ERR_NO_MEMORY || err.status != status || err.text[0] == '\0')
            fail_msg("%s: request %lld fails: %s '%s'", t->covers, n,
                     tl_status_name(status), err.text);
        if (t->outputs != NULL && memcmp(before, t->outputs, t->output_bytes) != 0)
            fail_msg("%s: request %lld fails: an output has changed", t->covers, n);
        status = t->run(t->state, &err);
    }
    if (status != TL_OK)
        fail_msg("%s: %s: %s '%s'", t->covers,
                 *hit ? "a second call, with memory" : "no request fails",
                 tl_status_name(status), err.text);
    const uint64_t digest = t->digest != NULL ? t->digest(t->state) : 0;
    free(before);
    if (t->end != NULL)
        t->end(t->state);
    if (tl_alloc_live() != live)
        fail_msg("%s: request %lld fails: %lld blocks leak", t->covers, n,
                 (long long)tl_alloc_live() - (long long)live);
    return digest;
}

static inline void torture(const torture_case *t)
{
    bool hit = false;
    const uint64_t want = torture_once(t, -1, &hit);
    long long n = 0;
    do {
        if (torture_once(t, n, &hit) != want)
            fail_msg("%s: request %lld fails: another result", t->covers, n);
        n += t->stride > 0 ? t->stride : 1;
    } while (hit);
    print_message("%s: %lld requests\n", t->covers, n);
    if (n < 2) /* then this has tested nothing */
        fail_msg("%s: asks for no memory", t->covers);
}

#endif
