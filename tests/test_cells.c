/* SPDX-License-Identifier: MIT
 * test_cells.c - which layers are written into which. */
#include "testing.h"

#include <stdlib.h>

#include "study/cells.h"

static const size_t one[] = {1}, windows[] = {5, 3, 1};

/* "window:source>destination ..." */
static const char *text_of(const tl_cell_options *options, size_t n_layers)
{
    static char text[512];
    tl_backpatch_cell *cells = NULL;
    size_t n = 99, used = 0;
    tl_arena *arena = tl_arena_create();
    assert_int_equal(tl_cells_make(options, n_layers, arena, &cells, &n, NULL), TL_OK);
    text[0] = '\0';
    for (size_t i = 0; i < n; i++)
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%zu:%zu>%zu ",
                             cells[i].window, cells[i].source, cells[i].destination);
    tl_arena_destroy(arena);
    return text;
}

static void the_triangle_has_all_destinations_below_a_source(void **state)
{
    (void)state;
    tl_cell_options o = {.windows = {one, 1}, .times = 1};
    assert_string_equal(text_of(&o, 4), "1:1>0 1:2>0 1:2>1 1:3>0 1:3>1 1:3>2 ");
    o.windows = (tl_layer_list){windows, 3};
    assert_string_equal(text_of(&o, 2), "5:1>0 3:1>0 1:1>0 ");
}

static void the_grid_of_the_paper_goes_from_the_upper_half_into_the_lower(void **state)
{
    (void)state;
    tl_cell_options o = {.grid = TL_BP_PAPER, .windows = {one, 1}, .times = 1};
    assert_string_equal(text_of(&o, 4), "1:3>0 1:3>1 1:3>2 ");
    assert_string_equal(text_of(&o, 2), "");
}

static void layers_that_are_named_may_go_upwards(void **state)
{
    (void)state;
    const size_t up[] = {0, 3}, to[] = {2};
    tl_cell_options o = {.windows = {one, 1}, .times = 1};
    o.sources = (tl_layer_list){up, 2};
    assert_string_equal(text_of(&o, 4), "1:3>0 1:3>1 1:3>2 ");
    o.destinations = (tl_layer_list){to, 1};
    assert_string_equal(text_of(&o, 4), "1:0>2 1:3>2 ");
}

static void a_cell_that_the_model_does_not_have_is_refused(void **state)
{
    (void)state;
    const size_t even[] = {2}, far[] = {4};
    tl_backpatch_cell *cells = NULL;
    size_t n = 99;
    tl_arena *arena = tl_arena_create();
    tl_cell_options o = {.windows = {even, 1}, .times = 1};
    assert_int_equal(tl_cells_make(&o, 4, arena, &cells, &n, NULL), TL_ERR_ARGUMENT);
    o = (tl_cell_options){.windows = {one, 1}, .sources = {far, 1}, .times = 1};
    assert_int_equal(tl_cells_make(&o, 4, arena, &cells, &n, NULL), TL_ERR_ARGUMENT);
    assert_int_equal(n, 99);
    tl_arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_triangle_has_all_destinations_below_a_source),
        cmocka_unit_test(the_grid_of_the_paper_goes_from_the_upper_half_into_the_lower),
        cmocka_unit_test(layers_that_are_named_may_go_upwards),
        cmocka_unit_test(a_cell_that_the_model_does_not_have_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
