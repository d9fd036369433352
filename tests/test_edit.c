/* SPDX-License-Identifier: MIT
 *
 * test_edit.c - every rule of an edit and of a reading against its line in op/edit.h,
 * element by element.
 */
#include "testing.h"

#include "op/edit.h"

enum { ROWS = 3, COMPONENTS = 5, WIDTH = 4, PLACES = ROWS * COMPONENTS };

/* The largest shape; with a width of 1 the arrays are not used up. */
static float before[PLACES * WIDTH + 1], after[PLACES * WIDTH + 1],
    from[PLACES * WIDTH];
static uint32_t rank[PLACES];
static uint8_t in[PLACES];

/* A cut that is met exactly: the component with that rank is outside. */
enum { CUT = 6, COMPONENT = 3 };

static void draw(void)
{
    uint32_t seed = 31u;
    for (size_t i = 0; i < PLACES * WIDTH; i++) {
        before[i] = test_uniform(&seed);
        from[i] = test_uniform(&seed);
    }
    before[PLACES * WIDTH] = test_uniform(&seed);
    for (size_t i = 0; i < PLACES; i++) {
        rank[i] = (uint32_t)(i * 7 % PLACES);
        in[i] = i % 3 == 1;
    }
    memcpy(after, before, sizeof after);
}

static float wanted(const tl_edit_rows *e, size_t i)
{
    const size_t place = i / e->per_component;
    switch (e->rule) {
    case TL_EDIT_OVERWRITE: return from[i];
    case TL_EDIT_ADD: return before[i] + from[i];
    case TL_EDIT_OUTSIDE_CUT: return rank[place] < e->cut ? before[i] : from[i];
    case TL_EDIT_OUTSIDE_SET: return in[place] == 1 ? before[i] : from[i];
    case TL_EDIT_COMPONENT:
        return place % COMPONENTS == COMPONENT ? from[i] : before[i];
    }
    return NAN;
}

static void each_rule_changes_what_it_says_and_nothing_else(void **unused)
{
    (void)unused;
    for (int rule = TL_EDIT_OVERWRITE; rule <= TL_EDIT_COMPONENT; rule++)
        for (size_t width = 1; width <= WIDTH; width += WIDTH - 1) {
            const tl_edit_rows e = {.rule = (tl_edit_rule)rule,
                                    .n_rows = ROWS,
                                    .n_components = COMPONENTS,
                                    .per_component = width,
                                    .from = from,
                                    .rank = rank,
                                    .cut = CUT,
                                    .in = in,
                                    .component = COMPONENT};
            draw();
            tl_edit_apply(&e, after);
            for (size_t i = 0; i < PLACES * width; i++)
                if (after[i] != wanted(&e, i))
                    fail_msg("rule %d, %zu per component, element %zu: %g, wanted %g",
                             rule, width, i, (double)after[i], (double)wanted(&e, i));
            for (size_t i = PLACES * width; i <= PLACES * WIDTH; i++)
                assert_true(after[i] == before[i]);
        }
}

/* Then nobody has to make a ranking. */
static void a_cut_of_0_needs_no_ranking(void **unused)
{
    (void)unused;
    const tl_edit_rows e = {.rule = TL_EDIT_OUTSIDE_CUT,
                            .n_rows = ROWS,
                            .n_components = COMPONENTS,
                            .per_component = WIDTH,
                            .from = from};
    draw();
    tl_edit_apply(&e, after);
    assert_memory_equal(after, from, sizeof from);
}

static void an_edit_of_no_rows_changes_nothing(void **unused)
{
    (void)unused;
    for (int rule = TL_EDIT_OVERWRITE; rule <= TL_EDIT_COMPONENT; rule++) {
        const tl_edit_rows e = {.rule = (tl_edit_rule)rule,
                                .n_components = COMPONENTS,
                                .per_component = WIDTH,
                                .from = from,
                                .rank = rank,
                                .in = in};
        draw();
        tl_edit_apply(&e, after);
        assert_memory_equal(after, before, sizeof before);
    }
}

static void a_reading_copies_adds_or_subtracts(void **unused)
{
    (void)unused;
    static const tl_read_rule rules[] = {TL_READ_COPY, TL_READ_ADD, TL_READ_SUBTRACT};
    enum { COUNT = PLACES };
    for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
        draw();
        tl_read_apply(rules[r], COUNT, from, after);
        for (size_t i = 0; i < COUNT; i++) {
            const float want = rules[r] == TL_READ_COPY  ? from[i]
                               : rules[r] == TL_READ_ADD ? before[i] + from[i]
                                                         : before[i] - from[i];
            assert_true(after[i] == want);
        }
        assert_true(after[COUNT] == before[COUNT]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_changes_what_it_says_and_nothing_else),
        cmocka_unit_test(a_cut_of_0_needs_no_ranking),
        cmocka_unit_test(an_edit_of_no_rows_changes_nothing),
        cmocka_unit_test(a_reading_copies_adds_or_subtracts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
