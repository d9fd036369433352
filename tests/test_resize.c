/*
 * test_resize.c - tl_image_resize against Pillow: tests/data/images/resize.tsv names
 * patterns, sizes and filters, and the hash of what Pillow 13 made of them.
 */
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256.h"
#include "twinlens/alloc.h"
#include "twinlens/image.h"

static const char table_path[] = TWINLENS_SOURCE_DIR "/tests/data/images/resize.tsv";

/* As in make.py: noise for even seeds, for odd ones black and white. */
static tl_image draw_pattern(uint32_t seed, size_t width, size_t height,
                             tl_arena *arena)
{
    uint8_t *rgb = tl_arena_alloc(arena, width * height, 3);
    assert_non_null(rgb);
    uint32_t state = seed;
    for (size_t i = 0; i < width * height * 3; i++) {
        state = state * 1664525u + 1013904223u;
        rgb[i] = (uint8_t)(seed % 2 == 0 ? state >> 24 : 255 * (state >> 31));
    }
    return (tl_image){.width = width, .height = height, .rgb = rgb};
}

static void every_row_of_the_table_is_pillows(void **unused)
{
    (void)unused;
    FILE *file = fopen(table_path, "r");
    assert_non_null(file);
    char line[256];
    assert_non_null(fgets(line, sizeof line, file)); /* the heading */
    size_t n_rows = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned seed;
        size_t width, height, new_width, new_height;
        int filter;
        char wanted[TL_SHA256_HEX], got[TL_SHA256_HEX];
        assert_int_equal(sscanf(line, "%u %zu %zu %zu %zu %d %64s", &seed, &width,
                                &height, &new_width, &new_height, &filter, wanted),
                         7);
        tl_arena *arena = tl_arena_create();
        const tl_image image = draw_pattern(seed, width, height, arena);
        tl_image out = {0};
        tl_error err = {0};
        if (tl_image_resize(&image, new_width, new_height, (tl_resample)filter, arena,
                            &out, &err) != TL_OK)
            fail_msg("%s", err.text);
        assert_int_equal(out.width, new_width);
        assert_int_equal(out.height, new_height);
        tl_sha256 hash;
        tl_sha256_init(&hash);
        tl_sha256_update(&hash, out.rgb, new_width * new_height * 3);
        tl_sha256_hex(&hash, got);
        if (strcmp(got, wanted) != 0)
            fail_msg(
                "pattern %u, %zux%zu to %zux%zu, filter %d: hash %s, Pillow has %s",
                seed, width, height, new_width, new_height, filter, got, wanted);
        tl_arena_destroy(arena);
        n_rows++;
    }
    fclose(file);
    assert_true(n_rows > 100);
}

static void same_size_is_a_copy(void **unused)
{
    (void)unused;
    tl_arena *arena = tl_arena_create();
    const tl_image image = draw_pattern(4, 5, 3, arena);
    tl_image out = {0};
    assert_int_equal(tl_image_resize(&image, 5, 3, TL_BICUBIC, arena, &out, NULL),
                     TL_OK);
    assert_ptr_not_equal(out.rgb, image.rgb);
    assert_memory_equal(out.rgb, image.rgb, 5 * 3 * 3);
    tl_arena_destroy(arena);
}

static void one_colour_stays_that_colour(void **unused)
{
    (void)unused;
    tl_arena *arena = tl_arena_create();
    uint8_t *rgb = tl_arena_alloc(arena, 13 * 11, 3);
    memset(rgb, 201, 13 * 11 * 3);
    const tl_image image = {.width = 13, .height = 11, .rgb = rgb};
    for (size_t size = 1; size < 40; size++) {
        tl_image out = {0};
        assert_int_equal(
            tl_image_resize(&image, size, 40 - size, TL_BICUBIC, arena, &out, NULL),
            TL_OK);
        for (size_t i = 0; i < size * (40 - size) * 3; i++)
            assert_int_equal(out.rgb[i], 201);
    }
    tl_arena_destroy(arena);
}

static void senseless_arguments_are_told(void **unused)
{
    (void)unused;
    tl_arena *arena = tl_arena_create();
    const tl_image image = draw_pattern(1, 4, 4, arena);
    const tl_image empty = {0};
    tl_image out = {.width = 77};
    const struct {
        const tl_image *image;
        size_t width, height;
        int filter;
        const char *part;
    } cases[] = {
        {NULL, 2, 2, TL_BICUBIC, "an image"},
        {&empty, 2, 2, TL_BICUBIC, "an image"},
        {&image, 0, 2, TL_BICUBIC, "0x2"},
        {&image, 2, 0, TL_BILINEAR, "2x0"},
        {&image, SIZE_MAX, 2, TL_BILINEAR, "1 to 268435456"},
        {&image, 1 << 15, 1 << 14, TL_BILINEAR, "1 to 268435456"},
        {&image, 2, 2, 0, "filter 0"},
        {&image, 2, 2, 4, "filter 4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tl_error err = {0};
        assert_int_equal(tl_image_resize(cases[i].image, cases[i].width,
                                         cases[i].height, (tl_resample)cases[i].filter,
                                         arena, &out, &err),
                         TL_ERR_ARGUMENT);
        if (strstr(err.text, cases[i].part) == NULL)
            fail_msg("case %zu: '%s' does not say '%s'", i, err.text, cases[i].part);
        assert_int_equal(out.width, 77);
    }
    assert_int_equal(tl_image_resize(&image, 2, 2, TL_BICUBIC, NULL, &out, NULL),
                     TL_ERR_ARGUMENT);
    tl_arena_destroy(arena);
}

static void any_failed_allocation_is_told_and_leaks_nothing(void **unused)
{
    (void)unused;
    static const size_t sizes[][2] = {{9, 9}, {3, 20}, {5, 7}, {30, 3}};
    tl_arena *source = tl_arena_create();
    const tl_image image = draw_pattern(6, 5, 20, source);
    const size_t live = tl_alloc_live();
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        tl_status status = TL_ERR_NO_MEMORY;
        for (long long n = 0; status != TL_OK; n++) {
            assert_true(n < 100);
            tl_arena *arena = tl_arena_create();
            tl_image out = {0};
            tl_error err = {0};
            tl_alloc_fail_at(n);
            status = tl_image_resize(&image, sizes[s][0], sizes[s][1], TL_BICUBIC,
                                     arena, &out, &err);
            tl_alloc_fail_at(-1);
            if (status != TL_OK) {
                assert_int_equal(status, TL_ERR_NO_MEMORY);
                assert_non_null(strstr(err.text, "no memory"));
                assert_null(out.rgb);
            }
            tl_arena_destroy(arena);
            assert_int_equal(tl_alloc_live(), live);
        }
    }
    tl_arena_destroy(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_table_is_pillows),
        cmocka_unit_test(same_size_is_a_copy),
        cmocka_unit_test(one_colour_stays_that_colour),
        cmocka_unit_test(senseless_arguments_are_told),
        cmocka_unit_test(any_failed_allocation_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
