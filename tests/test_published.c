/*
 * test_published.c - the table of published numbers against the means that the paper gives.
 */
#include "testing.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "finding/published.h"

/* The published averages, which the paper gives beside its figures: 18, 12 and 38 % of
 * generation, query and data, and a gap closed of 32 %. */
static void published_tables_add_up_to_what_the_paper_says(void **state)
{
    (void)state;
    static const char *const tasks[] = {"counting", "arithmetic", "color_ordering",
                                        "factual_recall", "sentiment"};
    static const struct {
        const char *family;
        size_t n_layers, n_heads, d_mlp;
    } models[] = {{"qwen2_vl", 28, 28, 18944},
                  {"llava", 40, 32, 14336},
                  {"gemma3", 48, 16, 15360}};
    double overlap[TL_SEGMENT_COUNT] = {0}, gain = 0.0, closed = 0.0, size[2] = {0};
    size_t n_closed = 0;
    for (size_t m = 0; m < 3; m++)
        for (size_t t = 0; t < 5; t++) {
            const tl_study_key keys[] = {{"family", models[m].family},
                                         {"task", tasks[t]}};
            tl_findings f = {.keys = keys, .n_keys = 2};
            f.parts[TL_TEXT].scores = (tl_study_scores){.n_layers = models[m].n_layers,
                                                        .n_heads = models[m].n_heads,
                                                        .d_mlp = models[m].d_mlp};
            const tl_published *p = tl_published_find(&f);
            assert_non_null(p);
            for (size_t s = 0; s < TL_SEGMENT_COUNT; s++)
                overlap[s] += p->overlap[s] / 15;
            const double g = p->backpatched - p->accuracy[TL_IMAGE],
                         share = g / (p->accuracy[TL_TEXT] - p->accuracy[TL_IMAGE]);
            gain += g / 15;
            if (share > 0.0 && share <= 1.0) {
                closed += share;
                n_closed++;
            }
            size[0] += p->size[TL_TEXT] / 15;
            size[1] += p->size[TL_IMAGE] / 15;
            assert_true(p->best.source > p->best.destination);
            assert_true(p->best.source < models[m].n_layers);
        }
    assert_close("query", 0, overlap[TL_SEGMENT_QUERY], 0.12, 0.02);
    assert_close("generation", 0, overlap[TL_SEGMENT_GENERATION], 0.38, 0.02);
    assert_close("all", 0, (overlap[0] + overlap[1] + overlap[2]) / 3, 0.18, 0.02);
    assert_close("gain", 0, gain, 0.047, 0.0005);
    assert_int_equal(n_closed, 12);
    assert_close("closed", 0, closed / 12, 0.342, 0.0005);
    assert_close("text circuits", 0, size[0], 0.053, 0.0005);
    assert_close("image circuits", 0, size[1], 0.131, 0.0005);
}

/* Without a mark stands only what has the name of the paper's model, whoever offers it, and
 * its prompts for that model. */
static void what_is_not_the_papers_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *family, *name;
        size_t n_layers, n_heads, d_mlp;
    } models[] = {{"qwen2_vl", "Qwen/Qwen2-VL-7B-Instruct", 28, 28, 18944},
                  {"llava", "mistral-community/pixtral-12b", 40, 32, 14336},
                  {"gemma3", "google/gemma-3-12b-it", 48, 16, 15360}};
    static const char *const others[] = {
        "",                              /* of a study that keeps no name */
        "Qwen/Qwen2-VL-7B",              /* not instructed */
        "Qwen/Qwen2-VL-7B-Instruct-AWQ", /* quantised */
        "my-Qwen2-VL-7B-Instruct",
        "Qwen2-VL-7B-Instruct/",
        "gemma-3-12b-pt",
        "pixtral-12b-tuned",
        "bundled"};
    for (size_t m = 0; m < 3; m++) {
        char published[40], shout[80];
        const char *slash = strrchr(models[m].name, '/');
        snprintf(published, sizeof published, "published %s", models[m].family);
        for (size_t i = 0; i <= strlen(models[m].name); i++)
            shout[i] = (char)toupper((unsigned char)models[m].name[i]);
        const char *same[] = {models[m].name, slash + 1, shout};
        const char *prompts[] = {published, "", "mine",
                                 m == 0 ? "published gemma3" : "published qwen2_vl"};
        enum { SAME = 3, OTHERS = sizeof others / sizeof *others };
        for (size_t n = 0; n < SAME + OTHERS; n++)
            for (size_t p = 0; p < 4; p++) {
                const char *name = n < SAME ? same[n] : others[n - SAME],
                           *want = n < SAME ? p == 0 ? "" : "other prompts"
                                   : p == 0 ? "other model"
                                            : "other model and prompts";
                const tl_study_key keys[] = {{"family", models[m].family},
                                             {"task", "counting"},
                                             {"model-name", name},
                                             {"prompts-of", prompts[p]}};
                tl_findings f = {.keys = keys, .n_keys = 4};
                assert_null(tl_published_find(&f)); /* of no model's shape */
                assert_string_equal(tl_published_differs(&f)[0] != '\0' ? "marked" : "",
                                    "marked");
                f.parts[TL_IMAGE].scores =
                    (tl_study_scores){.n_layers = models[m].n_layers,
                                      .n_heads = models[m].n_heads,
                                      .d_mlp = models[m].d_mlp};
                assert_non_null(tl_published_find(&f));
                if (strcmp(tl_published_differs(&f), want) != 0)
                    fail_msg("'%s' with '%s': '%s', wanted '%s'", name, prompts[p],
                             tl_published_differs(&f), want);
            }
    }
}

/* The places of the paper's models and tasks, and the readings of figure 7. */
static void models_and_tasks_have_the_paper_s_places(void **state)
{
    (void)state;
    assert_int_equal(tl_published_model_place("qwen/qwen2-vl-7b-instruct"), 0);
    assert_int_equal(tl_published_model_place("gemma-3-12b-it"), 2);
    assert_int_equal(tl_published_model_place("gemma-3-12b"), 3);
    assert_int_equal(tl_published_model_place(""), 3);
    assert_int_equal(tl_published_task_place("counting"), 0);
    assert_int_equal(tl_published_task_place("sentiment"), 4);
    assert_int_equal(tl_published_task_place("counting (2)"), 5);
    assert_null(tl_published_alignment(3));
    static const size_t n_layers[] = {28, 40, 48};
    for (size_t m = 0; m < 3; m++) {
        const tl_published_layer *l = tl_published_alignment(m);
        for (size_t i = 0; i < TL_PUBLISHED_LAYERS; i++) {
            assert_true(l[i].low < l[i].high && l[i].high <= 1.0);
            assert_true(i == 0 || l[i].layer > l[i - 1].layer);
        }
        assert_int_equal(l[TL_PUBLISHED_LAYERS - 1].layer, n_layers[m] - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_tables_add_up_to_what_the_paper_says),
        cmocka_unit_test(what_is_not_the_papers_is_said),
        cmocka_unit_test(models_and_tasks_have_the_paper_s_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
