/* SPDX-License-Identifier: MIT
 *
 * test_site.c - the names of the sites, which are the names in files.
 */
#include "testing.h"

#include "twinlens/site.h"

static void every_site_has_the_name_of_the_contract(void **state)
{
    (void)state;
    static const char *const names[] = {"resid_pre", "z",       "attn_out",
                                        "mlp_post",  "mlp_out", "resid_post"};
    assert_int_equal(TL_SITE_COUNT, sizeof names / sizeof names[0]);
    for (size_t s = 0; s < TL_SITE_COUNT; s++)
        assert_string_equal(tl_site_name((tl_site)s), names[s]);
}

static void sets_of_sites_are_bits(void **state)
{
    (void)state;
    uint32_t all = 0;
    for (size_t s = 0; s < TL_SITE_COUNT; s++) {
        assert_int_equal(all & TL_SITE_BIT(s), 0);
        all |= TL_SITE_BIT(s);
    }
    assert_int_equal(all, (1u << TL_SITE_COUNT) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_site_has_the_name_of_the_contract),
        cmocka_unit_test(sets_of_sites_are_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
