/*
 * test_rope.c - rotary positions and tables: the published grids, and that text
 * alone makes M-RoPE the plain encoding.
 */
#include "testing.h"

#include <math.h>
#include <string.h>

#include "model/rope.h"

enum { IMAGE = 9, N = 40 };

/* docs/math.md eq. 9: an image at 15; 9 x 9 resumes at 24, 3 rows x 12 columns at 27. */
static void text_resumes_behind_the_larger_side(void **unused)
{
    (void)unused;
    static const struct {
        size_t rows, columns, first;
        int32_t next;
    } cases[] = {{9, 9, 15, 24}, {3, 12, 15, 27}, {1, 1, 4, 5}, {5, 2, 0, 5}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        const size_t n_image = cases[c].rows * cases[c].columns, first = cases[c].first;
        const size_t n = first + n_image + 4;
        int32_t ids[128], positions[3 * 128];
        for (size_t t = 0; t < n; t++)
            ids[t] = t >= first && t < first + n_image ? IMAGE : 1;
        tl_rope_positions(ids, n, IMAGE, cases[c].rows, cases[c].columns, TL_ROPE_TRUE,
                          positions);
        for (size_t t = 0; t < n; t++) {
            int32_t want[3];
            for (size_t a = 0; a < 3; a++)
                want[a] = t < first ? (int32_t)t
                                    : cases[c].next + (int32_t)(t - first - n_image);
            if (ids[t] == IMAGE) {
                want[0] = (int32_t)first;
                want[1] = (int32_t)(first + (t - first) / cases[c].columns);
                want[2] = (int32_t)(first + (t - first) % cases[c].columns);
            }
            for (size_t a = 0; a < 3; a++)
                if (positions[a * n + t] != want[a])
                    fail_msg("grid %zux%zu, token %zu, axis %zu: %d, wanted %d",
                             cases[c].rows, cases[c].columns, t, a,
                             (int)positions[a * n + t], (int)want[a]);
        }
    }
}

static void sequential_positions_count_tokens(void **unused)
{
    (void)unused;
    int32_t ids[N], positions[3 * N];
    for (size_t t = 0; t < N; t++)
        ids[t] = t >= 3 && t < 9 ? IMAGE : 1;
    tl_rope_positions(ids, N, IMAGE, 2, 3, TL_ROPE_SEQUENTIAL, positions);
    for (size_t i = 0; i < 3 * N; i++)
        assert_int_equal(positions[i], i % N);
}

/* The tables are the same bits, so everything behind them is. */
static void mrope_on_text_is_the_plain_encoding(void **unused)
{
    (void)unused;
    enum { D = 16 };
    int32_t ids[N], positions[3 * N];
    for (size_t t = 0; t < N; t++)
        ids[t] = (int32_t)t + 10;
    tl_rope_positions(ids, N, IMAGE, 0, 0, TL_ROPE_TRUE, positions);
    float c[2][N * D / 2], s[2][N * D / 2];
    const tl_rope_spec mrope = {.theta = 1e4, .factor = 1.0, .sections = {2, 3, 3}},
                       plain = {.theta = 1e4, .factor = 1.0};
    tl_rope_table(&mrope, D, positions, N, 0, N, c[0], s[0]);
    tl_rope_table(&plain, D, positions, N, 0, N, c[1], s[1]);
    assert_memory_equal(c[0], c[1], sizeof c[0]);
    assert_memory_equal(s[0], s[1], sizeof s[0]);
}

static void a_frequency_turns_with_its_own_axis(void **unused)
{
    (void)unused;
    enum { D = 8 };
    const tl_rope_spec rope = {.theta = 100.0, .factor = 2.0, .sections = {1, 1, 2}};
    const int32_t positions[] = {0, 3, 0, 5, 0, 7}; /* [3, 2]: token 1 at (3, 5, 7) */
    float c[4], s[4];
    tl_rope_table(&rope, D, positions, 2, 1, 1, c, s);
    const double at[4] = {3.0, 5.0, 7.0, 7.0};
    for (size_t f = 0; f < 4; f++) {
        const double angle = at[f] / 2.0 * pow(100.0, -(double)f / 4.0);
        assert_true(fabs((double)c[f] - cos(angle)) < 1e-7 &&
                    fabs((double)s[f] - sin(angle)) < 1e-7);
    }
}

/* Three by turns while there are any, and the rest turns with the first. */
static void axes_may_be_interleaved(void **unused)
{
    (void)unused;
    enum { D = 20 };
    const tl_rope_spec rope = {
        .theta = 100.0, .factor = 1.0, .sections = {5, 3, 2}, .interleaved = true};
    const int32_t positions[] = {3, 5, 7};
    const double at[D / 2] = {3, 5, 7, 3, 5, 7, 3, 5, 3, 3};
    float c[D / 2], s[D / 2];
    tl_rope_table(&rope, D, positions, 1, 0, 1, c, s);
    for (size_t f = 0; f < D / 2; f++) {
        const double angle = at[f] * pow(100.0, -2.0 * (double)f / D);
        assert_true(fabs((double)c[f] - cos(angle)) < 1e-7 &&
                    fabs((double)s[f] - sin(angle)) < 1e-7);
    }
}

/* Of transformers 5.24, _compute_llama3_parameters, which computes in float. */
static void slow_frequencies_are_scaled_as_llama_3_has_it(void **unused)
{
    (void)unused;
    enum { D = 32 };
    const tl_rope_spec rope = {
        .theta = 500.0, .factor = 8.0, .context = 128.0, .low = 1.5, .high = 4.0};
    const double want[D / 2] = {
        1.0,           0.678132236,   0.4598632753,  0.3118481041,
        0.2114742398,  0.08927341551, 0.02853301167, 0.008243480697,
        0.00559017016, 0.00379087450, 0.00257071410, 0.00174328394,
        0.00118217699, 0.00080167234, 0.00054363982, 0.00036865968};
    const int32_t positions[] = {1};
    float c[D / 2], s[D / 2];
    tl_rope_table(&rope, D, positions, 1, 0, 1, c, s);
    for (size_t f = 0; f < D / 2; f++)
        assert_true(fabs((double)c[f] - cos(want[f])) < 2e-7 &&
                    fabs((double)s[f] - sin(want[f])) < 2e-7 * sin(want[f]) + 1e-9);
}

/* Of transformers 5.24, _compute_dynamic_ntk_parameters, which computes in float. */
static void a_base_may_grow_with_the_prompt(void **unused)
{
    (void)unused;
    enum { D = 16, LONGEST = 25 };
    const tl_rope_spec rope = {
        .theta = 100.0, .factor = 1.0, .growth = 2.5, .n_plain = 10};
    static const double plain[D / 2] = {1.0,          0.562341332, 0.316227764,
                                        0.177827939,  0.100000001, 0.0562341288,
                                        0.0316227786, 0.0177827943},
                                  eleven[D / 2] = {1.0,          0.544697881,
                                                   0.296695828,  0.16160959,
                                                   0.0880284086, 0.0479488857,
                                                   0.0261176601, 0.0142262345},
                                  most[D / 2] = {1.0,           0.450121194,
                                                 0.202609107,   0.0911986604,
                                                 0.0410504527,  0.0184776802,
                                                 0.00831719488, 0.00374374632};
    const struct {
        size_t n_pos;
        const double *want;
    } cases[] = {{9, plain}, {10, plain}, {11, eleven}, {LONGEST, most}};
    int32_t positions[3 * LONGEST];
    for (size_t i = 0; i < 3 * LONGEST; i++)
        positions[i] = 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float c[D / 2], s[D / 2];
        tl_rope_table(&rope, D, positions, cases[i].n_pos, cases[i].n_pos - 1, 1, c, s);
        for (size_t f = 0; f < D / 2; f++)
            assert_close("sine", f, (double)s[f], sin(cases[i].want[f]), 2e-7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_resumes_behind_the_larger_side),
        cmocka_unit_test(sequential_positions_count_tokens),
        cmocka_unit_test(mrope_on_text_is_the_plain_encoding),
        cmocka_unit_test(a_frequency_turns_with_its_own_axis),
        cmocka_unit_test(axes_may_be_interleaved),
        cmocka_unit_test(slow_frequencies_are_scaled_as_llama_3_has_it),
        cmocka_unit_test(a_base_may_grow_with_the_prompt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
