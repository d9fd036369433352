/*
 * test_status.c - how a failure's story is told, cut and put in front of.
 */
#include "testing.h"

#include "twinlens/status.h"

static void a_failure_is_told_in_one_line(void **unused)
{
    (void)unused;
    tl_error err = {0};
    assert_int_equal(tl_fail(&err, TL_ERR_FORMAT, "header ends after %d bytes", 6),
                     TL_ERR_FORMAT);
    assert_int_equal(err.status, TL_ERR_FORMAT);
    assert_string_equal(err.text, "header ends after 6 bytes");
}

static void the_callers_context_goes_in_front(void **unused)
{
    (void)unused;
    tl_error err = {0};
    const tl_status status = tl_fail(&err, TL_ERR_FORMAT, "header ends");
    assert_int_equal(tl_fail_while(&err, status, "%s", "model.safetensors"),
                     TL_ERR_FORMAT);
    assert_string_equal(err.text, "model.safetensors: header ends");
    assert_int_equal(tl_fail_while(&err, TL_ERR_IO, "loading"), TL_ERR_IO);
    assert_int_equal(err.status, TL_ERR_IO);
    assert_string_equal(err.text, "loading: model.safetensors: header ends");
}

static void success_leaves_the_story_alone(void **unused)
{
    (void)unused;
    tl_error err = {TL_ERR_IO, "old"};
    assert_int_equal(tl_fail_while(&err, TL_OK, "loading"), TL_OK);
    assert_int_equal(err.status, TL_ERR_IO);
    assert_string_equal(err.text, "old");
}

static void nobody_has_to_listen(void **unused)
{
    (void)unused;
    assert_int_equal(tl_fail(NULL, TL_ERR_IO, "%s", "lost"), TL_ERR_IO);
    assert_int_equal(tl_fail_while(NULL, TL_ERR_DATA, "%s", "lost"), TL_ERR_DATA);
}

/* 767 characters fit; of 768 the last three become dots, wherever they come from. */
static void a_text_that_was_cut_ends_in_dots(void **unused)
{
    (void)unused;
    enum { ROOM = sizeof((tl_error *)0)->text - 1 };
    static char longest[ROOM + 2];
    tl_error err = {0};
    memset(longest, 'x', ROOM + 1);

    longest[ROOM] = '\0';
    tl_fail(&err, TL_ERR_IO, "%s", longest);
    assert_string_equal(err.text, longest);
    longest[ROOM] = 'x';
    tl_fail(&err, TL_ERR_IO, "%s", longest);
    assert_int_equal(strlen(err.text), ROOM);
    assert_string_equal(err.text + ROOM - 4, "x...");

    tl_fail(&err, TL_ERR_IO, "%s", longest + 4);
    tl_fail_while(&err, TL_ERR_IO, "y");
    assert_int_equal(strlen(err.text), ROOM);
    assert_string_equal(err.text + ROOM - 4, "xxxx");
    tl_fail_while(&err, TL_ERR_IO, "z");
    assert_memory_equal(err.text, "z: y: x", 7);
    assert_string_equal(err.text + ROOM - 4, "x...");
}

static void a_story_may_be_told_from_itself(void **unused)
{
    (void)unused;
    tl_error err = {0};
    tl_fail(&err, TL_ERR_IO, "cause");
    tl_fail(&err, TL_ERR_DATA, "again: %s", err.text);
    assert_string_equal(err.text, "again: cause");
    tl_fail_while(&err, TL_ERR_DATA, "<%s>", err.text);
    assert_string_equal(err.text, "<again: cause>: again: cause");
}

static void every_status_has_a_name_of_its_own(void **unused)
{
    (void)unused;
    for (int i = TL_OK; i <= TL_ERR_TOO_FEW; i++) {
        assert_string_not_equal(tl_status_name((tl_status)i), "unknown status");
        for (int k = TL_OK; k < i; k++)
            assert_string_not_equal(tl_status_name((tl_status)i),
                                    tl_status_name((tl_status)k));
    }
    assert_string_equal(tl_status_name(TL_OK), "ok");
    assert_string_equal(tl_status_name((tl_status)(TL_ERR_TOO_FEW + 1)),
                        "unknown status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_is_told_in_one_line),
        cmocka_unit_test(the_callers_context_goes_in_front),
        cmocka_unit_test(success_leaves_the_story_alone),
        cmocka_unit_test(nobody_has_to_listen),
        cmocka_unit_test(a_text_that_was_cut_ends_in_dots),
        cmocka_unit_test(a_story_may_be_told_from_itself),
        cmocka_unit_test(every_status_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
