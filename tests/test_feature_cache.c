/* SPDX-License-Identifier: MIT
 * test_feature_cache.c - features that are kept, forgotten, and counted. */
#include "testing.h"

#include "vision/feature_cache.h"

enum { COUNT = 2, WIDTH = 4, BYTES = COUNT * WIDTH * 4 };

/* The key of an image whose pixels all have that value. */
static const char *key_of(float value, char key[TL_SHA256_HEX])
{
    const float values[6] = {value, value, value, value, value, value};
    const tl_pixels pixels = {.n_dims = 2,
                              .dims = {2, 3},
                              .values = values,
                              .n_tokens = 2,
                              .n_views = 1,
                              .views = {{1, 2}}};
    tl_feature_cache_key(&pixels, key);
    return key;
}

static void add(tl_feature_cache *cache, float value)
{
    char key[TL_SHA256_HEX];
    const float features[COUNT * WIDTH] = {value};
    tl_feature_cache_add(cache, key_of(value, key), features, COUNT, WIDTH);
}

static bool has(tl_feature_cache *cache, float value)
{
    char key[TL_SHA256_HEX];
    size_t count = 0;
    const float *found = tl_feature_cache_find(cache, key_of(value, key), &count);
    assert_true(found == NULL || (count == COUNT && found[0] == value));
    return found != NULL;
}

static void what_was_used_least_recently_goes(void **state)
{
    (void)state;
    tl_feature_cache cache = {.limit = 2 * BYTES};
    add(&cache, 1.0f);
    add(&cache, 2.0f);
    assert_true(has(&cache, 1.0f));
    add(&cache, 3.0f);
    assert_true(has(&cache, 1.0f));
    assert_false(has(&cache, 2.0f));
    assert_true(has(&cache, 3.0f));
    assert_int_equal(cache.bytes, 2 * BYTES);
    tl_feature_cache_set_limit(&cache, BYTES);
    assert_false(has(&cache, 1.0f));
    assert_true(has(&cache, 3.0f));
    tl_feature_cache_release(&cache);
}

static void runs_and_images_are_counted_also_when_nothing_is_kept(void **state)
{
    (void)state;
    tl_feature_cache cache = {.limit = BYTES - 1};
    for (int i = 0; i < 3; i++)
        for (int image = 0; image < 100; image++)
            add(&cache, (float)image);
    assert_false(has(&cache, 99.0f));
    assert_int_equal(cache.n_runs, 300);
    assert_int_equal(cache.n_images, 100);
    assert_int_equal(cache.bytes, 0);
    tl_feature_cache_release(&cache);
}

static void images_of_equal_values_and_other_shape_are_others(void **state)
{
    (void)state;
    char a[TL_SHA256_HEX], b[TL_SHA256_HEX], c[TL_SHA256_HEX];
    const float values[6] = {0};
    tl_pixels pixels = {.n_dims = 2, .dims = {2, 3}, .values = values};
    tl_feature_cache_key(&pixels, a);
    pixels.dims[0] = 3;
    pixels.dims[1] = 2;
    tl_feature_cache_key(&pixels, b);
    pixels.n_tokens = 1;
    tl_feature_cache_key(&pixels, c);
    assert_string_not_equal(a, b);
    assert_string_not_equal(b, c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_used_least_recently_goes),
        cmocka_unit_test(runs_and_images_are_counted_also_when_nothing_is_kept),
        cmocka_unit_test(images_of_equal_values_and_other_shape_are_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
