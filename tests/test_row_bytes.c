/* SPDX-License-Identifier: MIT
 *
 * test_row_bytes.c - rows as bytes for another process: they come out as they went in, and
 * bytes that are damaged are refused.
 */
#include "testing.h"

#include "base/alloc_test.h"
#include "made_rows.h"
#include "store/row_bytes.h"

static tl_arena *arena;
static tl_error err;

static int begin(void **state)
{
    (void)state;
    arena = tl_arena_create();
    err = (tl_error){0};
    return 0;
}

static int end(void **state)
{
    (void)state;
    tl_arena_destroy(arena);
    return 0;
}

static void pack(const tl_rows *units, size_t n, const void **bytes, size_t *n_bytes)
{
    if (tl_rows_pack(units, n, arena, bytes, n_bytes, &err) != TL_OK)
        fail_msg("%s", err.text);
}

static void rows_of_every_kind_come_back(void **state)
{
    (void)state;
    tl_rows made[TL_ROW_KIND_COUNT];
    const tl_rows *got = NULL;
    const void *bytes = NULL;
    size_t n_bytes = 0, n = 0;
    make_all_rows(made, arena);
    made[3].n = 0; /* a unit may be empty */
    pack(made, TL_ROW_KIND_COUNT, &bytes, &n_bytes);
    if (tl_rows_unpack(bytes, n_bytes, arena, &got, &n, &err) != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(n, TL_ROW_KIND_COUNT);
    for (size_t k = 0; k < n; k++) {
        assert_int_equal(got[k].kind, made[k].kind);
        assert_int_equal(got[k].n, made[k].n);
        for (size_t i = 0; i < got[k].n; i++)
            expect_same_row(got[k].kind, row_at(&got[k], i), row_at(&made[k], i));
    }
    pack(NULL, 0, &bytes, &n_bytes);
    assert_int_equal(tl_rows_unpack(bytes, n_bytes, arena, &got, &n, &err), TL_OK);
    assert_int_equal(n, 0);
}

/* From ranks of any machine. */
static void the_bytes_are_always_the_same(void **state)
{
    (void)state;
    /* clang-format off */
    static const unsigned char want[] = {
        'r', 'o', 'w', 'w', 't', 'l', 's', '1',
        1, 0, 0, 0, 0, 0, 0, 0,  /* one unit */
        TL_ROW_MINIMAL, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0, 0, 0, 0, 0,  /* one row */
        3, 0, 0, 0, 0, 0, 0, 0,  /* a text */
        5, 0, 0, 0, 0, 0, 0, 0,  /* of five bytes */
        'i', 'm', 'a', 'g', 'e',
        1, 0, 0, 0, 0, 0, 0, 0,  /* a number */
        2, 1, 0, 0, 0, 0, 0, 0,
    };
    /* clang-format on */
    const tl_study_minimal row = {TL_IMAGE, true, 258};
    const tl_rows unit = {TL_ROW_MINIMAL, &row, 1};
    const void *bytes = NULL;
    size_t n_bytes = 0;
    pack(&unit, 1, &bytes, &n_bytes);
    assert_int_equal(n_bytes, sizeof want);
    assert_memory_equal(bytes, want, sizeof want);
}

/* A copy in a block of its own size, so that AddressSanitizer sees what is read behind. */
static tl_status unpack(const void *bytes, size_t n_bytes)
{
    const tl_rows *got = NULL;
    size_t n = 77;
    unsigned char *copy = malloc(n_bytes > 0 ? n_bytes : 1);
    tl_arena *own = tl_arena_create();
    assert_true(copy != NULL && own != NULL);
    memcpy(copy, bytes, n_bytes);
    err = (tl_error){0};
    const tl_status status = tl_rows_unpack(copy, n_bytes, own, &got, &n, &err);
    if (status != TL_OK)
        assert_true(got == NULL && n == 77 && err.text[0] != '\0');
    tl_arena_destroy(own);
    free(copy);
    return status;
}

static void bytes_that_end_anywhere_are_refused(void **state)
{
    (void)state;
    tl_rows made[TL_ROW_KIND_COUNT];
    const void *bytes = NULL;
    size_t n_bytes = 0;
    make_all_rows(made, arena);
    pack(made, TL_ROW_KIND_COUNT, &bytes, &n_bytes);
    for (size_t n = 0; n < n_bytes; n += n < 200 ? 1 : 37)
        assert_int_equal(unpack(bytes, n), TL_ERR_FORMAT);
    unsigned char *longer = calloc(1, n_bytes + 1);
    assert_non_null(longer);
    memcpy(longer, bytes, n_bytes);
    assert_int_equal(unpack(longer, n_bytes + 1), TL_ERR_FORMAT);
    assert_non_null(strstr(err.text, "1 bytes behind"));
    free(longer);
}

/* Each byte in turn gets all its bits turned, or the largest value. */
static void damaged_bytes_are_refused_or_other_rows(void **state)
{
    (void)state;
    const tl_row_kind kinds[] = {TL_ROW_PROMPT, TL_ROW_PICTURE, TL_ROW_SWAP};
    for (size_t k = 0; k < 3; k++) {
        const tl_rows made = make_rows(kinds[k], arena);
        const void *bytes = NULL;
        size_t n_bytes = 0, n_refused = 0;
        pack(&made, 1, &bytes, &n_bytes);
        unsigned char *damaged = malloc(n_bytes);
        assert_non_null(damaged);
        memcpy(damaged, bytes, n_bytes);
        for (size_t i = 0; i < n_bytes; i++)
            for (int way = 0; way < 2; way++) {
                const unsigned char kept = damaged[i];
                damaged[i] = way == 0 ? (unsigned char)~kept : 0x7f;
                const tl_status status = unpack(damaged, n_bytes);
                assert_true(status == TL_OK || status == TL_ERR_FORMAT);
                n_refused += status != TL_OK;
                damaged[i] = kept;
            }
        assert_true(n_refused > n_bytes / 2);
        free(damaged);
    }
}

static void no_memory_is_told(void **state)
{
    (void)state;
    const size_t live = tl_alloc_live();
    tl_rows made[TL_ROW_KIND_COUNT];
    make_all_rows(made, arena);
    for (long long n = 0;; n++) {
        const tl_rows *got = NULL;
        const void *bytes = NULL;
        size_t n_bytes = 0, n_units = 0;
        tl_arena *own = tl_arena_create();
        assert_non_null(own);
        tl_alloc_fail_at(n);
        tl_status status =
            tl_rows_pack(made, TL_ROW_KIND_COUNT, own, &bytes, &n_bytes, &err);
        if (status == TL_OK)
            status = tl_rows_unpack(bytes, n_bytes, own, &got, &n_units, &err);
        const bool hit = tl_alloc_fault_hit();
        tl_alloc_fail_at(-1);
        tl_arena_destroy(own);
        assert_int_equal(status, hit ? TL_ERR_NO_MEMORY : TL_OK);
        if (!hit)
            break;
    }
    assert_true(tl_alloc_live() >= live);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_of_every_kind_come_back),
        TEST(the_bytes_are_always_the_same),
        TEST(bytes_that_end_anywhere_are_refused),
        TEST(damaged_bytes_are_refused_or_other_rows),
        TEST(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
