/*
 * test_svg.c - text that XML can hold, bytes that come back, ticks where people look for
 * them.
 */
#include "testing.h"

#include <stdlib.h>

#include "report/plot.h"
#include "report/svg.h"

static void expect_text(const char *text, const char *wanted)
{
    char *written = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&written, &bytes);
    tl_xml_text(out, text);
    fclose(out);
    assert_string_equal(written, wanted);
    free(written);
}

static void text_is_what_xml_can_hold(void **state)
{
    (void)state;
    expect_text("a<b & \"c\">", "a&lt;b &amp; &quot;c&quot;&gt;");
    expect_text("line\nend\ttab", "line\\nend\\ttab");
    expect_text("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\xbb",
                "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x8e\xbb");
    /* A lone byte, a cut character, one that is longer than it need be, a surrogate,
     * one past the last, a control, a non-character. */
    expect_text("\xff", "\xef\xbf\xbd");
    expect_text("\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd");
    expect_text("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");
    expect_text("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    expect_text("\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    expect_text("\x01z", "\xef\xbf\xbdz");
    expect_text("\xef\xbf\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

/* RFC 4648, section 10. */
static void base64_is_the_standard_s(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        char *written = NULL;
        size_t bytes = 0;
        FILE *out = open_memstream(&written, &bytes);
        tl_base64(out, vectors[i][0], strlen(vectors[i][0]));
        fclose(out);
        assert_string_equal(written, vectors[i][1]);
        free(written);
    }
}

static void ticks_are_few_round_and_inside(void **state)
{
    (void)state;
    uint32_t random = 3;
    for (size_t i = 0; i < 2000; i++) {
        const double low = test_uniform(&random) * pow(10, 3 * test_uniform(&random)),
                     high = low + pow(10, 3 * (double)test_uniform(&random));
        const tl_scale scale = {low, high, TL_SCALE_LINEAR};
        double ticks[TL_TICKS];
        const size_t n = tl_scale_ticks(&scale, ticks);
        assert_true(n >= 1 && n <= 7);
        for (size_t k = 0; k < n; k++) {
            assert_true(ticks[k] >= low - 1e-6 * (high - low));
            assert_true(ticks[k] <= high + 1e-6 * (high - low));
            if (k > 0)
                assert_close("step", k, ticks[k] - ticks[k - 1],
                             (ticks[n - 1] - ticks[0]) / (double)(n - 1), 1e-9);
        }
    }
    const tl_scale unit = {0, 1, TL_SCALE_LINEAR}, sizes = {0.001, 1, TL_SCALE_LOG};
    double ticks[TL_TICKS];
    assert_int_equal(tl_scale_ticks(&unit, ticks), 6);
    assert_close("0.2", 0, ticks[1], 0.2, 1e-12);
    assert_int_equal(tl_scale_ticks(&sizes, ticks), 4);
    assert_close("0.001", 0, ticks[0], 0.001, 1e-15);
    assert_close("1", 0, ticks[3], 1, 1e-12);
    const tl_scale point = {2, 2, TL_SCALE_LINEAR};
    assert_int_equal(tl_scale_ticks(&point, ticks), 0);
}

static void a_logarithm_has_equal_factors_equally_far(void **state)
{
    (void)state;
    const tl_scale s = {0.001, 1, TL_SCALE_LOG};
    assert_close("low", 0, tl_scale_share(&s, 0.001), 0, 1e-12);
    assert_close("decade", 0, tl_scale_share(&s, 0.01), 1.0 / 3, 1e-12);
    assert_close("high", 0, tl_scale_share(&s, 1), 1, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_what_xml_can_hold),
        cmocka_unit_test(base64_is_the_standard_s),
        cmocka_unit_test(ticks_are_few_round_and_inside),
        cmocka_unit_test(a_logarithm_has_equal_factors_equally_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
