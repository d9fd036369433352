/*
 * test_sized.c - structs of options between programs and libraries of different versions.
 */
#include "testing.h"

#include <string.h>

#include "base/sized.h"

/* A struct as three versions of the library have it. */
typedef struct first {
    size_t size;
    int a;
} first;

typedef struct second {
    size_t size;
    int a, b;
    double c;
} second;

typedef struct third {
    size_t size;
    int a, b;
    double c;
    const char *d;
} third;

static void no_struct_is_one_of_zeros(void **unused)
{
    (void)unused;
    second out;
    memset(&out, 0x55, sizeof out);
    assert_int_equal(tl_sized_copy(NULL, &out, sizeof out, "second", NULL), TL_OK);
    assert_int_equal(out.size, sizeof out);
    assert_true(out.a == 0 && out.b == 0 && out.c == 0);
}

static void without_a_size_it_is_that_of_today(void **unused)
{
    (void)unused;
    const second given = {.a = 1, .b = 2, .c = 3};
    second out;
    assert_int_equal(tl_sized_copy(&given, &out, sizeof out, "second", NULL), TL_OK);
    assert_int_equal(out.size, sizeof out);
    assert_true(out.a == 1 && out.b == 2 && out.c == 3);
}

static void what_an_older_program_does_not_have_is_0(void **unused)
{
    (void)unused;
    struct {
        first options;
        int behind[8]; /* not the library's to read */
    } given = {{sizeof(first), 7}, {1, 2, 3, 4, 5, 6, 7, 8}};
    second out;
    memset(&out, 0x55, sizeof out);
    assert_int_equal(tl_sized_copy(&given, &out, sizeof out, "second", NULL), TL_OK);
    assert_int_equal(out.a, 7);
    assert_true(out.c == 0);
}

static void a_newer_program_may_not_ask_for_what_is_unknown(void **unused)
{
    (void)unused;
    third given;
    memset(&given, 0, sizeof given);
    given.size = sizeof given;
    given.b = 5;
    second out = {0};
    tl_error err = {0};
    assert_int_equal(tl_sized_copy(&given, &out, sizeof out, "tl_third", &err), TL_OK);
    assert_int_equal(out.b, 5);
    assert_int_equal(out.size, sizeof out);

    given.d = "something";
    given.b = 6;
    assert_int_equal(tl_sized_copy(&given, &out, sizeof out, "tl_third", &err),
                     TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "tl_third"));
    assert_non_null(strstr(err.text, "newer twinlens"));
    assert_int_equal(out.b, 5); /* untouched */
}

static void a_size_below_its_own_is_refused(void **unused)
{
    (void)unused;
    const second given = {.size = 4};
    second out = {.b = 9};
    tl_error err = {0};
    assert_int_equal(tl_sized_copy(&given, &out, sizeof out, "tl_second", &err),
                     TL_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "tl_second"));
    assert_int_equal(out.b, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_struct_is_one_of_zeros),
        cmocka_unit_test(without_a_size_it_is_that_of_today),
        cmocka_unit_test(what_an_older_program_does_not_have_is_0),
        cmocka_unit_test(a_newer_program_may_not_ask_for_what_is_unknown),
        cmocka_unit_test(a_size_below_its_own_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
