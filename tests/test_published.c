/*
 * test_published.c - the table of published numbers against the means that the paper gives.
 */
#include "testing.h"

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

/* The paper's prompts for one model are other prompts for another. */
static void prompts_are_the_papers_or_others(void **state)
{
    (void)state;
    static const struct {
        const char *family, *prompts;
        bool same;
    } cases[] = {{"qwen2_vl", "published qwen2_vl", true},
                 {"qwen2_vl", "published gemma3", false},
                 {"qwen2_vl", "", false},
                 {"qwen2_vl", "mine", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const tl_study_key keys[] = {{"family", cases[i].family},
                                     {"task", "counting"},
                                     {"prompts-of", cases[i].prompts}};
        tl_findings f = {.keys = keys, .n_keys = 3};
        assert_false(tl_published_same_prompts(&f)); /* of no model's shape */
        f.parts[TL_TEXT].scores =
            (tl_study_scores){.n_layers = 28, .n_heads = 28, .d_mlp = 18944};
        assert_non_null(tl_published_find(&f));
        assert_true(tl_published_same_prompts(&f) == cases[i].same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_tables_add_up_to_what_the_paper_says),
        cmocka_unit_test(prompts_are_the_papers_or_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
