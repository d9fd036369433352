/*
 * test_newer_options.c - every function that takes a struct of options reads its size: it
 * refuses a larger one that asks for what it does not know, before it looks at anything else.
 */
#include "testing.h"

#include <string.h>

#include "twinlens/twinlens.h"

/* An options struct of `type` as a newer version may have it, with its new field set. */
#define NEWER(type)                                                                    \
    struct {                                                                           \
        type options;                                                                  \
        size_t newer;                                                                  \
    } given = {.options = {.size = sizeof given}, .newer = 1}

static void assert_refused(tl_status status, const tl_error *err, const char *type)
{
    if (status != TL_ERR_ARGUMENT || strstr(err->text, type) == NULL ||
        strstr(err->text, "newer") == NULL)
        fail_msg("%s: %s, '%s'", type, tl_status_name(status), err->text);
}

static void newer_options_are_refused_by_name(void **unused)
{
    (void)unused;
    tl_error err = {0};
    {
        NEWER(tl_model_options);
        tl_model *model = NULL;
        assert_refused(tl_model_open("nowhere", &given.options, &model, &err), &err,
                       "tl_model_options");
    }
    {
        NEWER(tl_pass_options);
        size_t bytes = 0;
        assert_refused(tl_pass_bytes(NULL, NULL, NULL, 0, &given.options, &bytes, &err),
                       &err, "tl_pass_options");
    }
    {
        NEWER(tl_attribution_options);
        tl_attribution *attribution = NULL;
        assert_refused(
            tl_attribution_create(NULL, 4, &given.options, &attribution, &err), &err,
            "tl_attribution_options");
    }
    {
        NEWER(tl_evaluate_options);
        assert_refused(tl_evaluate(NULL, NULL, 0, NULL, 0, &given.options, NULL, &err),
                       &err, "tl_evaluate_options");
    }
    {
        NEWER(tl_validate_options);
        tl_validation found;
        assert_refused(
            tl_validator_pair(NULL, NULL, &given.options, 0, NULL, &found, &err), &err,
            "tl_validate_options");
    }
    {
        NEWER(tl_precision_options);
        tl_precision_check found;
        assert_refused(
            tl_precision_compare(NULL, NULL, 0, &given.options, &found, &err), &err,
            "tl_precision_options");
    }
    {
        NEWER(tl_bootstrap_options);
        tl_interval interval;
        assert_refused(
            tl_bootstrap(tl_statistic_mean, NULL, 0, &given.options, &interval, &err),
            &err, "tl_bootstrap_options");
    }
    {
        NEWER(tl_split_options);
        tl_split split;
        assert_refused(tl_split_draw(NULL, 0, &given.options, NULL, &split, &err), &err,
                       "tl_split_options");
    }
    {
        NEWER(tl_scene_options);
        assert_refused(tl_scene_write(&given.options, 1, 0, "nowhere", &err), &err,
                       "tl_scene_options");
        assert_refused(tl_scene_sheet(&given.options, 1, 0, "nowhere.png", &err), &err,
                       "tl_scene_options");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newer_options_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
