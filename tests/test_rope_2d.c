/*
 * test_rope_2d.c - which patch each row of a tower's table belongs to.
 */
#include "testing.h"

#include "vision/rope_2d.h"

/* A 4 x 4 grid merged 2 x 2: patches come block by block. */
static void patches_of_a_block_stand_together(void **unused)
{
    (void)unused;
    enum { D = 8 };
    static const size_t order[16][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}, {0, 2}, {0, 3},
                                        {1, 2}, {1, 3}, {2, 0}, {2, 1}, {3, 0}, {3, 1},
                                        {2, 2}, {2, 3}, {3, 2}, {3, 3}};
    float c[16 * 4], s[16 * 4];
    tl_rope_table_2d(10000.0, D, 4, 4, 2, c, s);
    for (size_t r = 0; r < 16; r++)
        for (size_t f = 0; f < 4; f++) {
            const double angle =
                (double)order[r][f / 2] * pow(10000.0, -(double)(f % 2) / 2.0);
            assert_true(fabs((double)c[r * 4 + f] - cos(angle)) < 1e-7);
            assert_true(fabs((double)s[r * 4 + f] - sin(angle)) < 1e-7);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patches_of_a_block_stand_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
