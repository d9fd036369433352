/*
 * test_finding_gap.c - how much of the gap to text back-patching closes, against values by
 * hand.
 */
#include "testing.h"

#include "twinlens/finding.h"

static const tl_finding_cell cells[1];

/* Accuracies of text and image prompts, and what the best cell adds. */
static tl_findings make(double text, double image, double gain)
{
    return (tl_findings){
        .backpatch = {.cells = cells,
                      .n_cells = 1,
                      .clean = {{.value = text}, {.value = image}},
                      .chosen_here = {.gain = {.value = gain}},
                      .chosen_elsewhere = {.gain = {.value = gain / 2}}}};
}

static void gaps_are_closed_as_defined(void **state)
{
    (void)state;
    /* Shares: 0.25, 0.6 and -0.1; one without a gap, one without back-patching. */
    const tl_findings studies[] = {make(0.9, 0.5, 0.1),
                                   make(0.8, 0.7, 0.06),
                                   make(0.9, 0.7, -0.02),
                                   make(0.5, 0.6, 0.04),
                                   {.folder = "runs/y"}};
    tl_gap_closed g;
    assert_int_equal(tl_findings_gap(studies, 5, false, &g, NULL), TL_OK);
    assert_int_equal(g.n, 3);
    assert_close("mean", 0, g.mean.value, 0.25, 1e-12);
    assert_close("median", 0, g.median.value, 0.25, 1e-12);
    assert_close("published way", 0, g.published_way.value, (0.25 + 0.6) / 2, 1e-12);
    assert_close("pooled", 0, g.pooled.value, (0.1 + 0.06 - 0.02) / (0.4 + 0.1 + 0.2),
                 1e-12);
    assert_close("mean gain", 0, g.mean_gain.value, (0.1 + 0.06 - 0.02 + 0.04) / 4,
                 1e-12);
    assert_int_equal(g.mean.n, 3);
    assert_int_equal(g.published_way.n, 2);
    assert_int_equal(g.mean_gain.n, 4);
    /* Resamples of studies: the interval of the mean is within what there is. */
    assert_true(g.mean.low >= -0.1 && g.mean.low < 0.25 && g.mean.high <= 0.6 &&
                g.mean.high > 0.25);
    assert_true(g.pooled.low < g.pooled.value && g.pooled.value < g.pooled.high);
    assert_int_equal(tl_findings_gap(studies, 5, true, &g, NULL), TL_OK);
    assert_close("chosen elsewhere", 0, g.mean.value, 0.125, 1e-12);
    assert_int_equal(tl_findings_gap(studies + 4, 1, true, &g, NULL), TL_OK);
    assert_int_equal(g.n, 0);
    assert_true(isnan(g.mean.value) && isnan(g.pooled.value) &&
                isnan(g.mean_gain.value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaps_are_closed_as_defined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
