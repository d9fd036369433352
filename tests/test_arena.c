/*
 * test_arena.c - blocks that do not overlap, marks, and the count of bytes, which a
 * measuring arena and a real one must agree on.
 */
#include "testing.h"

#include <unistd.h>

#include "twinlens/alloc.h"
#include "twinlens/arena.h"

enum { BLOCKS = 300 };

/* Mostly small, some past a chunk of 64 KiB, some empty. */
static size_t size_of_block(uint32_t *state)
{
    const size_t size = (size_t)((test_uniform(state) + 1.0f) * 500.0f);
    return size % 17 == 0 ? 100 * size : size % 5 == 0 ? 0 : size;
}

static void blocks_keep_their_content(tl_arena *arena)
{
    unsigned char *blocks[BLOCKS];
    size_t sizes[BLOCKS];
    uint32_t state = 7u;
    for (int round = 0; round < 3;
         round++) { /* from fresh chunks, then from used ones */
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        for (size_t i = 0; i < BLOCKS; i++) {
            sizes[i] = size_of_block(&state);
            blocks[i] = tl_arena_alloc(arena, sizes[i], 1);
            assert_non_null(blocks[i]);
            assert_int_equal((uintptr_t)blocks[i] % TL_ALIGN, 0);
            memset(blocks[i], (int)(i % 251), sizes[i]);
        }
        for (size_t i = 0; i < BLOCKS; i++)
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(blocks[i][k], i % 251);
        tl_arena_rewind(arena, mark);
    }
    tl_arena_destroy(arena);
}

static void blocks_are_aligned_and_keep_their_content(void **unused)
{
    (void)unused;
    blocks_keep_their_content(tl_arena_create());
}

/* Of what is on the disk the allocator counts nothing, and no file can be seen. */
static void an_arena_on_the_disk_takes_no_memory(void **unused)
{
    (void)unused;
    enum { MANY = 10 << 20, FEW = 4096 };
    char folder[] = "test_arena.XXXXXX";
    assert_non_null(mkdtemp(folder));
    blocks_keep_their_content(tl_arena_create_in(folder));
    const size_t before = tl_alloc_bytes();
    tl_arena *arena = tl_arena_create_in(folder), *like = tl_arena_create_like(arena);
    unsigned char *first = tl_arena_alloc_zero(arena, MANY, 1),
                  *second = tl_arena_alloc_zero(like, MANY, 1);
    assert_non_null(first);
    assert_non_null(second);
    memset(first, 1, MANY);
    assert_int_equal(first[MANY - 1] + second[0] + second[MANY - 1], 1);
    assert_in_range(tl_alloc_bytes() - before, 0, FEW);
    assert_int_equal(rmdir(folder), 0);          /* it is empty */
    assert_null(tl_arena_alloc(arena, MANY, 1)); /* and now it is not there */
    tl_arena_destroy(arena);
    tl_arena_destroy(like);
    assert_int_equal(tl_alloc_bytes(), before);
}

static void cleared_blocks_are_clear_after_a_rewind(void **unused)
{
    (void)unused;
    tl_arena *arena = tl_arena_create();
    for (int round = 0; round < 2; round++) {
        const tl_arena_mark mark = tl_arena_get_mark(arena);
        unsigned char *block = tl_arena_alloc_zero(arena, 10, 20);
        for (size_t i = 0; i < 200; i++)
            assert_int_equal(block[i], 0);
        memset(block, 0xff, 200);
        tl_arena_rewind(arena, mark);
    }
    tl_arena_destroy(arena);
}

static void a_rewind_keeps_what_is_before_the_mark(void **unused)
{
    (void)unused;
    tl_arena *arena = tl_arena_create();
    const tl_arena_mark empty = tl_arena_get_mark(arena);
    char *kept = tl_arena_strdup(arena, "kept");
    const size_t used = tl_arena_used(arena);
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    char *forgotten = tl_arena_alloc(arena, 1, 1000);
    for (int i = 0; i < 5; i++) /* more chunks */
        memset(tl_arena_alloc(arena, 1, 1 << 16), 0xff, 1 << 16);
    tl_arena_rewind(arena, mark);
    assert_int_equal(tl_arena_used(arena), used);
    assert_ptr_equal(tl_arena_alloc(arena, 1, 1000), forgotten);
    assert_string_equal(kept, "kept");
    tl_arena_rewind(arena, empty);
    assert_int_equal(tl_arena_used(arena), 0);
    assert_ptr_equal(tl_arena_alloc(arena, 1, 5), kept);
    tl_arena_destroy(arena);
}

/* A pass run again asks the heap for nothing. */
static void memory_is_reused_after_a_rewind(void **unused)
{
    (void)unused;
    tl_arena *arena = tl_arena_create();
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    size_t live = 0;
    for (int round = 0; round < 5; round++) {
        uint32_t state = 99u;
        for (size_t i = 0; i < BLOCKS; i++)
            tl_arena_alloc(arena, size_of_block(&state), 1);
        tl_arena_rewind(arena, mark);
        if (round == 0)
            live = tl_alloc_live();
        assert_int_equal(tl_alloc_live(), live);
    }
    tl_arena_destroy(arena);
}

/* A block too long for the chunks behind the mark goes in between them. */
static void chunks_too_short_are_kept_for_later(void **unused)
{
    (void)unused;
    const size_t live = tl_alloc_live();
    tl_arena *arena = tl_arena_create();
    tl_arena_alloc(arena, 1, 60000);
    const tl_arena_mark mark = tl_arena_get_mark(arena);
    char *second = tl_arena_alloc(arena, 1, 60000);
    tl_arena_rewind(arena, mark);
    memset(tl_arena_alloc(arena, 1, 200000), 0xff, 200000);
    assert_ptr_equal(tl_arena_alloc(arena, 1, 60000), second);
    tl_arena_destroy(arena);
    assert_int_equal(tl_alloc_live(), live);
}

static void a_measuring_arena_counts_as_a_real_one(void **unused)
{
    (void)unused;
    tl_arena *real = tl_arena_create(), *measuring = tl_arena_create_measuring();
    assert_false(tl_arena_is_measuring(real));
    assert_true(tl_arena_is_measuring(measuring));
    const size_t live = tl_alloc_live();
    tl_arena *const both[] = {measuring, real};
    size_t peak[2];
    for (size_t a = 0; a < 2; a++) {
        uint32_t state = 5u;
        tl_arena_alloc(both[a], 3, 30);
        for (int round = 0; round < 4; round++) {
            const tl_arena_mark mark = tl_arena_get_mark(both[a]);
            for (int i = 0; i < 40 * (4 - round); i++)
                assert_int_equal(tl_arena_alloc(both[a], size_of_block(&state), 1) ==
                                     NULL,
                                 both[a] == measuring);
            tl_arena_rewind(both[a], mark);
        }
        peak[a] = tl_arena_peak(both[a]);
        assert_int_equal(tl_arena_used(both[a]), 128);
        if (a == 0)
            assert_int_equal(tl_alloc_live(), live);
    }
    assert_int_equal(peak[0], peak[1]);
    tl_arena_destroy(real);
    tl_arena_destroy(measuring);
}

static void bytes_are_counted_with_their_alignment(void **unused)
{
    (void)unused;
    static const struct {
        size_t count, size, want;
    } cases[] = {
        {0, 8, 64}, {1, 1, 64}, {8, 8, 64}, {13, 5, 128}, {1, 100000, 100032},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_arena *arena = tl_arena_create();
        tl_arena_alloc(arena, cases[i].count, cases[i].size);
        assert_int_equal(tl_arena_used(arena), cases[i].want);
        tl_arena_alloc(arena, cases[i].count, cases[i].size);
        assert_int_equal(tl_arena_peak(arena), 2 * cases[i].want);
        tl_arena_destroy(arena);
    }
}

static void a_size_that_overflows_is_refused(void **unused)
{
    (void)unused;
    tl_arena *const both[] = {tl_arena_create(), tl_arena_create_measuring()};
    for (size_t a = 0; a < 2; a++) {
        tl_arena_alloc(both[a], 1, 1);
        assert_null(tl_arena_alloc(both[a], SIZE_MAX / 2 + 1, 2));
        assert_null(tl_arena_alloc(both[a], SIZE_MAX, 1));
        assert_null(tl_arena_alloc(both[a], SIZE_MAX - TL_ALIGN, 1));
        assert_null(tl_arena_alloc_zero(both[a], SIZE_MAX / 2 + 1, 2));
        assert_int_equal(tl_arena_used(both[a]), 64);
        tl_arena_destroy(both[a]);
    }
}

/* On a measuring arena the sum may pass what can be counted; a plan must then not
 * look as if it fitted. */
static void a_sum_that_overflows_is_a_peak_that_nothing_fits(void **unused)
{
    (void)unused;
    tl_arena *arena = tl_arena_create_measuring();
    for (int i = 0; i < 5; i++)
        tl_arena_alloc(arena, SIZE_MAX / 4, 1);
    assert_int_equal(tl_arena_used(arena), 3 * (SIZE_MAX / 4 + 1));
    assert_int_equal(tl_arena_peak(arena), SIZE_MAX);
    tl_arena_destroy(arena);
}

static void no_failing_request_leaks_or_harms_in(const char *folder)
{
    const size_t live = tl_alloc_live();
    for (int n = 0, hit = 1; hit; n++) {
        tl_alloc_fail_at(n);
        tl_arena *arena = tl_arena_create_in(folder);
        if (arena != NULL) {
            char *first = tl_arena_strdup(arena, "first");
            for (int i = 0; i < 3; i++) {
                const size_t used = tl_arena_used(arena);
                if (tl_arena_alloc(arena, 1, 70000) == NULL)
                    assert_int_equal(tl_arena_used(arena), used);
            }
            if (first != NULL)
                assert_string_equal(first, "first");
            if (tl_arena_strdup(arena, "more") == NULL)
                assert_non_null(tl_arena_strdup(arena, "more"));
        }
        hit = tl_alloc_fault_hit();
        tl_arena_destroy(arena);
        assert_int_equal(tl_alloc_live(), live);
    }
    tl_alloc_fail_at(-1);
}

static void no_failing_request_leaks_or_harms(void **unused)
{
    (void)unused;
    no_failing_request_leaks_or_harms_in(NULL);
    no_failing_request_leaks_or_harms_in(".");
}

static void memory_of_the_caller_is_filled_and_not_grown(void **unused)
{
    (void)unused;
    static const size_t sizes[] = {100, 0, 64, 1000};
    tl_arena *measuring = tl_arena_create_measuring();
    for (size_t i = 0; i < 4; i++)
        tl_arena_alloc(measuring, sizes[i], 1);
    const size_t bytes = tl_arena_bytes_to_borrow(measuring);
    unsigned char *memory = tl_alloc(bytes, 1);
    tl_arena *arena = tl_arena_create_over(memory, bytes);
    for (int round = 0; round < 2; round++) {
        tl_arena_rewind(arena, (tl_arena_mark){0});
        for (size_t i = 0; i < 4; i++) {
            unsigned char *block = tl_arena_alloc(arena, sizes[i], 1);
            assert_non_null(block);
            assert_true(block >= memory && block + sizes[i] <= memory + bytes);
            memset(block, (int)i, sizes[i]);
        }
        assert_int_equal(tl_arena_used(arena), tl_arena_peak(measuring));
        assert_null(tl_arena_alloc(arena, 1, 1));
    }
    tl_arena_destroy(arena);
    memset(memory, 0, bytes); /* the caller's again, gaps and all */
    tl_free(memory);
    tl_arena_destroy(measuring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_and_keep_their_content),
        cmocka_unit_test(an_arena_on_the_disk_takes_no_memory),
        cmocka_unit_test(cleared_blocks_are_clear_after_a_rewind),
        cmocka_unit_test(a_rewind_keeps_what_is_before_the_mark),
        cmocka_unit_test(memory_is_reused_after_a_rewind),
        cmocka_unit_test(chunks_too_short_are_kept_for_later),
        cmocka_unit_test(a_measuring_arena_counts_as_a_real_one),
        cmocka_unit_test(bytes_are_counted_with_their_alignment),
        cmocka_unit_test(a_size_that_overflows_is_refused),
        cmocka_unit_test(a_sum_that_overflows_is_a_peak_that_nothing_fits),
        cmocka_unit_test(no_failing_request_leaks_or_harms),
        cmocka_unit_test(memory_of_the_caller_is_filled_and_not_grown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
