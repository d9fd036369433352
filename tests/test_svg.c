/*
 * test_svg.c - text that XML can hold, bytes that come back, ticks where people look for
 * them.
 */
#include "testing.h"

#include <stdlib.h>

#include "report/plot.h"
#include "report/svg.h"
#include "report/table.h"

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

/* Ends of intervals and values within and beyond the axis: those within end in a bar across, the
 * others in an arrow with their number, and are counted. */
static void what_lies_beyond_the_axis_has_an_arrow_and_its_number(void **state)
{
    (void)state;
    char *written = NULL;
    size_t bytes = 0, n_open = 0;
    FILE *out = open_memstream(&written, &bytes);
    tl_plot plot = {.name = "p",
                    .title = "t",
                    .description = "d",
                    .x_label = "size",
                    .over = "over prompts",
                    .n_open = &n_open,
                    .width = 300,
                    .height = 200,
                    .x = {0, 3, TL_SCALE_LINEAR},
                    .y = {0, 2, TL_SCALE_LINEAR}};
    const tl_style style = {.name = "a", .color = "#0072b2", .radius = 3};
    tl_plot_begin(&plot, out);
    tl_plot_point(&plot, 1, &(tl_interval){1, 0.5, 1.5, 0, 9, 0}, &style);
    assert_int_equal(n_open, 0);
    tl_plot_point(&plot, 1, &(tl_interval){3.3, 0.2, 9.1, 0, 9, 0}, &style);
    assert_int_equal(n_open, 2); /* the value, and the upper end */
    const double x[] = {1, 2};
    const tl_interval y[] = {{-0.5, NAN, NAN, NAN, 9, 0}, {1, NAN, NAN, NAN, 9, 0}};
    tl_plot_curve(&plot, x, y, 2, &style);
    assert_int_equal(n_open, 3);
    tl_plot_level(&plot, &(tl_interval){2.5, -4, 2.9, 0, 9, 0}, 1, &style);
    assert_int_equal(n_open, 4);
    tl_plot_end(&plot);
    fclose(out);
    assert_non_null(strstr(written, ">3.3</text>"));
    assert_null(strstr(written, ">9.1</text>")); /* one number for one mark */
    assert_non_null(strstr(written, ">-0.5</text>"));
    assert_non_null(strstr(written, ">-4</text>"));
    assert_non_null(
        strstr(written, "<title>a: 3.300 (0.200 to 9.100, over prompts)</title>"));
    assert_non_null(strstr(written, "<title>a, size 2: 1.000</title>"));
    free(written);
}

/* Three decimals that would be -0.000 are 0.000; what has no value is a dash. */
static void intervals_in_words_say_what_they_are_over(void **state)
{
    (void)state;
    char text[TL_INTERVAL_WORDS];
    const tl_interval whole = {-0.0001, -0.25, 0.0004, 0.1, 20, 12};
    assert_string_equal(tl_interval_words(&whole, "over draws", text),
                        "0.000 (-0.250 to 0.000, over draws) -12");
    assert_string_equal(tl_interval_words(&whole, NULL, text),
                        "0.000 (-0.250 to 0.000) -12");
    const tl_interval alone = {0.5, NAN, NAN, NAN, 1, 0};
    assert_string_equal(tl_interval_words(&alone, "over draws", text), "0.500");
    const tl_interval none = {NAN, NAN, NAN, NAN, 0, 3};
    assert_string_equal(tl_interval_words(&none, "over draws", text), "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_what_xml_can_hold),
        cmocka_unit_test(base64_is_the_standard_s),
        cmocka_unit_test(ticks_are_few_round_and_inside),
        cmocka_unit_test(what_lies_beyond_the_axis_has_an_arrow_and_its_number),
        cmocka_unit_test(intervals_in_words_say_what_they_are_over),
        cmocka_unit_test(a_logarithm_has_equal_factors_equally_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
