/* SPDX-License-Identifier: MIT
 *
 * test_bpe.c - the heap of candidates against the definition: look at all pairs,
 * merge the one of best rank that is leftmost, look again. Vocabularies, merges
 * and words are random.
 */
#include "testing.h"

#include <stdio.h>
#include <string.h>

#include "input/bpe.h"

enum { N_LETTERS = 4, MAX_TOKENS = 64, MAX_TEXT = 16, MAX_WORD = 80 };

struct made {
    char tokens[MAX_TOKENS][MAX_TEXT];
    size_t n_tokens;
    struct {
        size_t left, right, joined;
    } merges[MAX_TOKENS];
    size_t n_merges;
};

static size_t below(size_t n, uint32_t *state)
{
    const double unit = ((double)test_uniform(state) + 1.0) / 2.0;
    return (size_t)(unit * (double)n);
}

static size_t find_token(const struct made *m, const char *text)
{
    size_t i = 0;
    while (i < m->n_tokens && strcmp(m->tokens[i], text) != 0)
        i++;
    return i;
}

static bool has_merge(const struct made *m, size_t left, size_t right)
{
    for (size_t i = 0; i < m->n_merges; i++) {
        if (m->merges[i].left == left && m->merges[i].right == right)
            return true;
    }
    return false;
}

/* Single letters, and pairs of what is there already; not all of them new. */
static struct made make(uint32_t *state)
{
    struct made m = {.n_tokens = N_LETTERS};
    for (size_t i = 0; i < N_LETTERS; i++)
        m.tokens[i][0] = (char)('a' + i);
    while (m.n_merges < MAX_TOKENS - N_LETTERS) {
        const size_t left = below(m.n_tokens, state), right = below(m.n_tokens, state);
        if (strlen(m.tokens[left]) + strlen(m.tokens[right]) >= MAX_TEXT ||
            has_merge(&m, left, right))
            continue;
        char joined[2 * MAX_TEXT];
        snprintf(joined, sizeof joined, "%s%s", m.tokens[left], m.tokens[right]);
        const size_t id = find_token(&m, joined);
        if (id == m.n_tokens)
            memcpy(m.tokens[m.n_tokens++], joined, strlen(joined) + 1);
        m.merges[m.n_merges].left = left;
        m.merges[m.n_merges].right = right;
        m.merges[m.n_merges++].joined = id;
    }
    return m;
}

static json_t *as_json(const struct made *m)
{
    json_t *vocab = json_object(), *merges = json_array();
    for (size_t i = 0; i < m->n_tokens; i++)
        json_object_set_new(vocab, m->tokens[i], json_integer((json_int_t)i));
    for (size_t i = 0; i < m->n_merges; i++)
        json_array_append_new(merges, json_pack("[ss]", m->tokens[m->merges[i].left],
                                                m->tokens[m->merges[i].right]));
    return json_pack("{soso}", "vocab", vocab, "merges", merges);
}

/* The definition, quadratic: ids of the word in `ids`; their number. */
static size_t encode_slowly(const struct made *m, const char *word, size_t *ids)
{
    size_t n = strlen(word);
    for (size_t i = 0; i < n; i++)
        ids[i] = (size_t)(word[i] - 'a');
    for (;;) {
        size_t best = m->n_merges, at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            for (size_t k = 0; k < best; k++) {
                if (m->merges[k].left == ids[i] && m->merges[k].right == ids[i + 1]) {
                    best = k;
                    at = i;
                }
            }
        }
        if (best == m->n_merges)
            return n;
        ids[at] = m->merges[best].joined;
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
    }
}

static void merges_go_by_rank_and_then_from_the_left(void **state)
{
    (void)state;
    uint32_t seed = 20240607u;
    for (int round = 0; round < 40; round++) {
        const struct made m = make(&seed);
        tl_arena *arena = tl_arena_create();
        json_t *json = as_json(&m);
        const tl_bpe *bpe = NULL;
        tl_error err = {0};
        if (tl_bpe_read(json, arena, &bpe, &err) != TL_OK)
            fail_msg("%s", err.text);
        for (int w = 0; w < 100; w++) {
            char word[MAX_WORD + 1] = "";
            const size_t bytes = 1 + below(MAX_WORD, &seed);
            for (size_t i = 0; i < bytes; i++)
                word[i] = (char)('a' + below(N_LETTERS, &seed));
            tl_pieces pieces;
            assert_int_equal(tl_pieces_from_text(word, bytes, arena, &pieces, &err),
                             TL_OK);
            assert_int_equal(tl_bpe_apply(bpe, &pieces, &pieces, &err), TL_OK);
            size_t want[MAX_WORD];
            const size_t count = encode_slowly(&m, word, want);
            assert_int_equal(pieces.count, count);
            for (size_t i = 0; i < count; i++) {
                if ((size_t)pieces.list[i].id != want[i])
                    fail_msg("'%s': token %zu is %d, wanted %zu", word, i,
                             (int)pieces.list[i].id, want[i]);
            }
        }
        json_decref(json);
        tl_arena_destroy(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_go_by_rank_and_then_from_the_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
