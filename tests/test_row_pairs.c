/* SPDX-License-Identifier: MIT
 *
 * test_row_pairs.c - which image prompts stand beside which text prompts: by the name of
 * their pair, in the order of the image rows; and those that are left out, and why.
 */
#include "testing.h"

#include "study/row_pairs.h"

enum { ROWS = 9 };

static const tl_dataset_row rows[ROWS] = {
    {.id = "a", .modality = TL_IMAGE, .pair = "7"},
    {.id = "b", .modality = TL_TEXT, .pair = "3"},
    {.id = "c", .modality = TL_TEXT, .pair = "7"},
    {.id = "d", .modality = TL_TEXT, .pair = NULL},
    {.id = "e", .modality = TL_IMAGE, .pair = "3"},
    {.id = "f", .modality = TL_IMAGE, .pair = "4"},
    {.id = "g", .modality = TL_IMAGE, .pair = NULL},
    {.id = "h", .modality = TL_TEXT, .pair = "5"},
    {.id = "i", .modality = TL_IMAGE, .pair = "7"},
};

/* A session of nothing but rows. */
static tl_session session_of(tl_dataset *d, size_t n, tl_arena *arena)
{
    *d = (tl_dataset){.path = "made.jsonl", .n_rows = n};
    d->rows = tl_arena_alloc(arena, n, sizeof *d->rows);
    assert_non_null(d->rows);
    memcpy((void *)(uintptr_t)d->rows, rows, n * sizeof *rows);
    return (tl_session){.dataset = d, .arena = arena};
}

static void images_stand_beside_the_text_of_their_pair(void **unused)
{
    (void)unused;
    static const tl_row_pair want[] = {{2, 0}, {1, 4}, {2, 8}};
    static const tl_pairing pairings[ROWS] = {TL_PAIRED, TL_PAIRED, TL_PAIRED,
                                              TL_ALONE,  TL_PAIRED, TL_ALONE,
                                              TL_ALONE,  TL_ALONE,  TL_PAIRED};
    tl_arena *arena = tl_arena_create();
    tl_dataset d;
    tl_session s = session_of(&d, ROWS, arena);
    tl_row_pairs got;
    tl_error err = {0};
    assert_int_equal(tl_session_row_pairs(&s, TL_BP_FILTER_NONE, &got, &err), TL_OK);
    assert_int_equal(got.n, 3);
    assert_int_equal(got.length, 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(got.rows[i].text, want[i].text);
        assert_int_equal(got.rows[i].image, want[i].image);
    }
    for (size_t i = 0; i < ROWS; i++)
        assert_int_equal(got.pairings[i], pairings[i]);
    /* Of the image rows: a, e and i; f and g. */
    assert_int_equal(got.counts[TL_PAIRED], 3);
    assert_int_equal(got.counts[TL_ALONE], 2);
    assert_int_equal(got.counts[TL_OTHER_LENGTH], 0);

    size_t some[] = {8, 3, 1, 5}, n = 4, counts[TL_PAIRING_COUNT] = {9, 9, 9};
    tl_row_pairs_keep(&got, some, &n, counts);
    assert_int_equal(n, 2);
    assert_int_equal(some[0], 8);
    assert_int_equal(some[1], 1);
    assert_int_equal(counts[TL_PAIRED], 2);
    assert_int_equal(counts[TL_ALONE], 2);
    assert_int_equal(counts[TL_OTHER_LENGTH], 0);
    tl_arena_destroy(arena);
}

static void without_any_pair_the_dataset_is_named(void **unused)
{
    (void)unused;
    tl_arena *arena = tl_arena_create();
    tl_dataset d;
    tl_session s = session_of(&d, 2, arena); /* an image of 7, a text of 3 */
    tl_row_pairs got = {.n = 77};
    tl_error err = {0};
    assert_int_equal(tl_session_row_pairs(&s, TL_BP_FILTER_NONE, &got, &err),
                     TL_ERR_DATA);
    assert_string_equal(
        err.text, "made.jsonl: no image prompt has a text prompt of the same 'pair'");
    assert_int_equal(got.n, 77);
    tl_arena_destroy(arena);
}

/* Six pairs, of which the texts of those in `longer` (bits) are two words longer. */
static void check_lengths(unsigned longer, unsigned left_out)
{
    test_folder folder = test_folder_create();
    char text[4096] = "";
    for (unsigned i = 0; i < 6; i++) { /* no picture is opened */
        const size_t used = strlen(text);
        snprintf(
            text + used, sizeof text - used,
            "{\"id\": \"t%u\", \"pair\": \"%u\", \"modality\": \"text\", \"data\": "
            "\" apple car%s\", \"query\": \" How many?\", \"answer\": \"1\"}\n"
            "{\"id\": \"i%u\", \"pair\": \"%u\", \"modality\": \"image\", "
            "\"image\": \"0.png\", \"query\": \" How many?\", \"answer\": "
            "\"1\"}\n",
            i, i, (longer >> i & 1) != 0 ? " dog dog" : "", i, i);
    }
    test_file(&folder, "task.json", "{\"name\": \"x\"}", 13);
    test_file(&folder, "dataset.jsonl", text, strlen(text));
    tl_settings settings;
    tl_settings_init(&settings);
    settings.model = TWINLENS_SOURCE_DIR "/tests/data/qwen2vl-tiny/checkpoint";
    settings.dataset = folder.path;
    tl_session s;
    tl_row_pairs got;
    tl_error err = {0};
    if (tl_session_open(&settings, &s, &err) != TL_OK ||
        tl_session_row_pairs(&s, TL_BP_FILTER_MODAL, &got, &err) != TL_OK)
        fail_msg("%s", err.text);
    size_t n = 0;
    for (size_t i = 0; i < 6; i++) {
        const bool is_out = (left_out >> i & 1) != 0;
        tl_encoding e;
        for (size_t row = 2 * i; row < 2 * i + 2; row++)
            assert_int_equal(got.pairings[row], is_out ? TL_OTHER_LENGTH : TL_PAIRED);
        if (tl_dataset_encode(s.dataset, 2 * i, s.processor, s.arena, &e, &err) !=
            TL_OK)
            fail_msg("%s", err.text);
        assert_int_equal(got.length == e.n_pos, !is_out);
        if (is_out)
            continue;
        assert_int_equal(got.rows[n].text, 2 * i);
        assert_int_equal(got.rows[n++].image, 2 * i + 1);
    }
    assert_int_equal(got.n, n);
    assert_int_equal(got.counts[TL_PAIRED], n);
    assert_int_equal(got.counts[TL_OTHER_LENGTH], 6 - n);
    tl_session_close(&s);
    test_folder_remove(folder.path);
}

static void texts_of_the_most_frequent_length_are_left(void **unused)
{
    (void)unused;
    check_lengths(0x00, 0x00);
    check_lengths(0x28, 0x28);
    check_lengths(0x1e, 0x21); /* the longer ones are more */
    check_lengths(0x07, 0x07); /* of two that are as frequent, the shorter */
    check_lengths(0x38, 0x38);
}

/* Pairs 0 and 1 share words, 1 and 2 an answer, 4 an answer with 0. */
static void other_content_has_other_words_and_another_answer(void **unused)
{
    (void)unused;
    enum { N = 5, DRAWS = 3000 };
    static const char *const words[N] = {"a b", "a b", "c d", "e f", "g h"},
                             *const answers[N] = {"1", "2", "2", "3", "1"};
    static const bool may[N][N] = {{0, 0, 1, 1, 0},
                                   {0, 0, 0, 1, 1},
                                   {1, 0, 0, 1, 1},
                                   {1, 1, 1, 0, 1},
                                   {0, 1, 1, 1, 0}};
    tl_dataset_row made[N] = {{.data = NULL}};
    tl_row_pair pairs[N];
    size_t others[N], again[N], seen[N][N] = {{0}};
    for (size_t i = 0; i < N; i++) {
        made[i] = (tl_dataset_row){.data = words[i], .answer = answers[i]};
        pairs[i] = (tl_row_pair){i, i};
    }
    const tl_dataset d = {.rows = made, .n_rows = N};
    const tl_row_pairs all = {.rows = pairs, .n = N}, same = {.rows = pairs, .n = 2};
    for (uint64_t seed = 0; seed < DRAWS; seed++) {
        tl_row_pairs_others(&d, &all, seed, others);
        tl_row_pairs_others(&d, &all, seed, again);
        assert_memory_equal(others, again, sizeof others);
        for (size_t i = 0; i < N; i++)
            seen[i][others[i]]++;
    }
    for (size_t i = 0; i < N; i++) {
        size_t n = 0;
        for (size_t k = 0; k < N; k++)
            n += may[i][k];
        for (size_t k = 0; k < N; k++) /* sd at most 27 */
            if (may[i][k])
                assert_in_range(seen[i][k], DRAWS / n - 110, DRAWS / n + 110);
            else
                assert_int_equal(seen[i][k], 0);
    }
    tl_row_pairs_others(&d, &same, 42, others);
    assert_true(others[0] == TL_NO_PAIR && others[1] == TL_NO_PAIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_stand_beside_the_text_of_their_pair),
        cmocka_unit_test(without_any_pair_the_dataset_is_named),
        cmocka_unit_test(other_content_has_other_words_and_another_answer),
        cmocka_unit_test(texts_of_the_most_frequent_length_are_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
