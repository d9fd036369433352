/*
 * test_alloc.c - sizes that overflow, requests made to fail, blocks counted.
 */
#include "testing.h"

#include "twinlens/alloc.h"

static void blocks_are_aligned_and_counted(void **unused)
{
    (void)unused;
    static const size_t sizes[] = {0, 1, 63, 64, 65, 100000};
    const size_t live = tl_alloc_live();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *block = tl_alloc(sizes[i], 1), *other = tl_alloc(sizes[i], 1);
        assert_non_null(block);
        assert_non_null(other);
        assert_ptr_not_equal(block, other);
        assert_int_equal((uintptr_t)block % TL_ALIGN, 0);
        assert_int_equal(tl_alloc_live(), live + 2);
        memset(block, 1, sizes[i]);
        tl_free(block);
        tl_free(other);
        assert_int_equal(tl_alloc_live(), live);
    }
    tl_free(NULL);
    assert_int_equal(tl_alloc_live(), live);
}

static void cleared_blocks_are_clear(void **unused)
{
    (void)unused;
    enum { BYTES = 3 * 7 };
    for (int round = 0; round < 4; round++) { /* the heap hands out what was dirtied */
        unsigned char *block = tl_alloc_zero(3, 7);
        for (size_t i = 0; i < BYTES; i++)
            assert_int_equal(block[i], 0);
        memset(block, 0xff, BYTES);
        tl_free(block);
    }
}

static void bytes_are_counted_and_their_peak_is_kept(void **unused)
{
    (void)unused;
    const size_t before = tl_alloc_bytes();
    tl_alloc_reset_peak();
    void *a = tl_alloc(1000, 3), *b = tl_alloc(7, 1);
    assert_int_equal(tl_alloc_bytes(), before + 3007);
    tl_free(a);
    assert_int_equal(tl_alloc_bytes(), before + 7);
    a = tl_realloc(NULL, 0, 500, 2);
    assert_int_equal(tl_alloc_bytes(), before + 1007);
    assert_int_equal(tl_alloc_peak_bytes(), before + 3007);
    a = tl_realloc(a, 500, 1500, 2); /* for a moment both are there */
    assert_int_equal(tl_alloc_peak_bytes(), before + 4007);
    tl_free(a);
    tl_free(b);
    assert_int_equal(tl_alloc_bytes(), before);
    tl_alloc_reset_peak();
    assert_int_equal(tl_alloc_peak_bytes(), before);
    assert_null(tl_alloc(SIZE_MAX - 10, 1)); /* what is not there is not counted */
    assert_int_equal(tl_alloc_peak_bytes(), before);
}

static void a_size_that_overflows_is_refused(void **unused)
{
    (void)unused;
    const size_t live = tl_alloc_live(), half = SIZE_MAX / 2 + 1;
    assert_null(tl_alloc(half, 2)); /* 0 once wrapped */
    assert_null(tl_alloc(half + 1, 2));
    assert_null(tl_alloc(3, SIZE_MAX / 2));
    assert_null(tl_alloc_zero(half, 2));
    assert_int_equal(tl_alloc_live(), live);
}

static void muladd_is_exact_or_refuses(void **unused)
{
    (void)unused;
    static const struct {
        size_t sum, a, b;
        int fits;
    } cases[] = {
        {0, 0, 0, 1},
        {5, 6, 7, 1},
        {SIZE_MAX, 0, SIZE_MAX, 1},
        {SIZE_MAX, SIZE_MAX, 0, 1},
        {SIZE_MAX, 1, 1, 0},
        {SIZE_MAX - 6, 2, 3, 1},
        {SIZE_MAX - 5, 2, 3, 0},
        {0, SIZE_MAX, 1, 1},
        {1, SIZE_MAX, 1, 0},
        {0, SIZE_MAX / 2 + 1, 2, 0},
        {0, (size_t)1 << 32, ((size_t)1 << 32) - 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t sum = cases[i].sum;
        assert_int_equal(tl_size_muladd(cases[i].a, cases[i].b, &sum), cases[i].fits);
        const size_t product = cases[i].a * cases[i].b;
        assert_int_equal(sum, cases[i].sum + (cases[i].fits ? product : 0));
    }
}

static void a_resized_block_keeps_what_fits(void **unused)
{
    (void)unused;
    const size_t live = tl_alloc_live();
    uint32_t *block = tl_realloc(NULL, 0, 3, sizeof *block);
    assert_non_null(block);
    for (uint32_t i = 0; i < 3; i++)
        block[i] = 10 + i;
    block = tl_realloc(block, 3, 1000, sizeof *block);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(block[i], 10 + i);
    block = tl_realloc(block, 1000, 2, sizeof *block);
    assert_int_equal(block[1], 11);
    assert_int_equal(tl_alloc_live(), live + 1);

    tl_alloc_fail_at(0);
    assert_null(tl_realloc(block, 2, 4, sizeof *block));
    assert_null(tl_realloc(block, 2, SIZE_MAX / 2, sizeof *block));
    assert_int_equal(block[1], 11);
    assert_int_equal(tl_alloc_live(), live + 1);
    tl_free(block);
}

static void only_the_request_asked_for_fails(void **unused)
{
    (void)unused;
    enum { REQUESTS = 4 };
    for (int n = 0; n < REQUESTS + 2; n++) {
        const size_t live = tl_alloc_live();
        tl_alloc_fail_at(n);
        assert_int_equal(tl_alloc_fault_hit(), 0);
        void *blocks[REQUESTS];
        for (int i = 0; i < REQUESTS; i++) {
            blocks[i] = tl_alloc(8, 1);
            assert_int_equal(blocks[i] == NULL, i == n);
            assert_int_equal(tl_alloc_fault_hit(), i >= n);
        }
        assert_int_equal(tl_alloc_live(), live + REQUESTS - (n < REQUESTS));
        for (int i = 0; i < REQUESTS; i++)
            tl_free(blocks[i]);
        tl_alloc_fail_at(-1);
        assert_int_equal(tl_alloc_fault_hit(), 0);
        assert_int_equal(tl_alloc_live(), live);
    }
}

static void a_copied_text_is_its_own(void **unused)
{
    (void)unused;
    char text[] = "z of head 3";
    char *copy = tl_strdup(text);
    text[0] = 'Z';
    assert_string_equal(copy, "z of head 3");
    tl_free(copy);
    tl_alloc_fail_at(0);
    assert_null(tl_strdup(text));
    tl_alloc_fail_at(-1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_and_counted),
        cmocka_unit_test(cleared_blocks_are_clear),
        cmocka_unit_test(bytes_are_counted_and_their_peak_is_kept),
        cmocka_unit_test(a_size_that_overflows_is_refused),
        cmocka_unit_test(muladd_is_exact_or_refuses),
        cmocka_unit_test(a_resized_block_keeps_what_fits),
        cmocka_unit_test(only_the_request_asked_for_fails),
        cmocka_unit_test(a_copied_text_is_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
