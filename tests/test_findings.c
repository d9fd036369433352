/*
 * test_findings.c - what findings say of a study, against the same numbers asked of its
 * tables in SQL, and what they say when the tables contradict themselves.
 */
#include "testing.h"

#include <sqlite3.h>

#include "store/study_db.h"
#include "twinlens/finding.h"

static test_folder folder;
static sqlite3 *raw;
static tl_arena *arena;
static tl_error err;

static void run_sql(const char *text)
{
    char *problem = NULL;
    if (sqlite3_exec(raw, text, NULL, NULL, &problem) != SQLITE_OK)
        fail_msg("%.200s: %s", text, problem);
}

/* tests/data/study/version3.sql as folder/study.db: three sizes of circuits, two
 * evaluation pairs, six pairs of text and image prompts; no score files. */
static int begin(void **state)
{
    (void)state;
    char path[300];
    folder = test_folder_create();
    arena = tl_arena_create();
    err = (tl_error){0};
    snprintf(path, sizeof path, "%s/study.db", folder.path);
    FILE *file = fopen("tests/data/study/version3.sql", "rb");
    char *text = calloc(1, 1 << 20);
    assert_true(arena != NULL && file != NULL && text != NULL);
    assert_in_range(fread(text, 1, 1 << 20, file), 1 << 10, (1 << 20) - 1);
    fclose(file);
    assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
    run_sql(text);
    free(text);
    return 0;
}

static int end(void **state)
{
    (void)state;
    sqlite3_close(raw);
    tl_arena_destroy(arena);
    test_folder_remove(folder.path);
    return 0;
}

/* Gives the study the tables that came later. */
static void make_newer(void)
{
    tl_study_db *db = NULL;
    if (tl_study_db_open(folder.path, TL_STUDY_WRITE, &db, &err) != TL_OK)
        fail_msg("%s", err.text);
    tl_study_db_close(db);
}

static tl_findings read_findings(void)
{
    tl_findings found;
    if (tl_findings_read(folder.path, arena, &found, &err) != TL_OK)
        fail_msg("%s", err.text);
    return found;
}

static int take_number(void *out, int n, char **values, char **names)
{
    (void)names;
    assert_int_equal(n, 1);
    *(double *)out = values[0] != NULL ? strtod(values[0], NULL) : NAN;
    return 0;
}

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
static double
ask(const char *format, ...)
{
    char text[1024], *problem = NULL;
    double number = -12345.0;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (sqlite3_exec(raw, text, take_number, &number, &problem) != SQLITE_OK)
        fail_msg("%s: %s", text, problem);
    return number;
}

static void assert_same(const char *what, size_t at, double got, double want)
{
    if (!(isnan(got) && isnan(want)))
        assert_close(what, at, got, want, 1e-12 * (1 + fabs(want)));
}

static const char *const modalities[] = {"text", "image"};

/* ---- the numbers ----------------------------------------------------------------- */

static void accuracies_are_shares_of_right_prompts(void **state)
{
    (void)state;
    const tl_findings f = read_findings();
    assert_true(f.finished);
    assert_string_equal(tl_findings_key(&f, "ig-steps"), "5");
    assert_string_equal(tl_findings_key(&f, "elephants"), "");
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_finding_part *p = &f.parts[m];
        assert_true(p->present && p->done);
        assert_int_equal(p->n_prompts, 6);
        assert_same("limited", m, p->limited.value,
                    ask("select avg(correct_limited) from prompt where modality = '%s'",
                        modalities[m]));
        assert_same("full", m, p->full.value,
                    ask("select avg(correct_full) from prompt where modality = '%s'",
                        modalities[m]));
        assert_int_equal(p->n_discovery + p->n_evaluation,
                         (size_t)ask("select count(*) from pair where modality = '%s'",
                                     modalities[m]));
        assert_int_equal(p->n_pos,
                         (size_t)ask("select n_pos from scores where modality = '%s'",
                                     modalities[m]));
        assert_null(p->importance[TL_KIND_HEADS]); /* no score file in the folder */
    }
}

/* Eq. 6 once more, with its guard, in SQL. */
#define PAIRS                                                                          \
    "from evaluation e join baseline b using(modality, pair) where modality = '%s' "   \
    "and kind = '%s' and point = %zu and "                                             \
    "abs(clean - none) >= 1e-6 * (1 + abs(clean))"

static void check_curves(const tl_findings *f)
{
    static const char *const kinds[] = {"circuit", "magnitude", "random"};
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++)
        for (size_t k = 0; k < TL_STUDY_KIND_COUNT; k++) {
            const tl_finding_part *p = &f->parts[m];
            double area = 0.0, away = 0.0;
            assert_int_equal(p->n_points, 3);
            for (size_t i = 0; i < p->n_points; i++) {
                const tl_finding_point *at = &p->curves[k][i];
                assert_same(
                    "mean of ratios", i, at->mean_of_ratios.value,
                    ask("select avg((logit_diff - none) / (clean - none)) " PAIRS,
                        modalities[m], kinds[k], i));
                assert_same("ratio of means", i, at->ratio_of_means.value,
                            ask("select sum(logit_diff - none) / "
                                "sum(clean - none) " PAIRS,
                                modalities[m], kinds[k], i));
                if (i == 0)
                    continue;
                const tl_finding_point *before = &p->curves[k][i - 1];
                const double step = at->fraction - before->fraction,
                             y1 = at->mean_of_ratios.value,
                             y0 = before->mean_of_ratios.value;
                area += step * (y0 + y1) / 2;
                away += step * (fabs(1 - y0) + fabs(1 - y1)) / 2;
            }
            assert_same("CPR", k,
                        tl_findings_area(f, p, (tl_study_kind)k)->performance.value,
                        area / 0.95);
            assert_same("CMD", k,
                        tl_findings_area(f, p, (tl_study_kind)k)->distance.value,
                        away / 0.95);
        }
}

static void curves_follow_from_the_evaluations(void **state)
{
    (void)state;
    const tl_findings f = read_findings();
    check_curves(&f);
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_finding_point *p = tl_findings_smallest(&f.parts[m], TL_STUDY_CIRCUIT);
        assert_non_null(p);
        assert_string_equal(p->point->fraction, "0.5");
        assert_ptr_equal(tl_findings_chosen(&f, p), &p->mean_of_ratios);
        /* The median of two is their mean. */
        assert_same("median", m, p->median.value, p->mean_of_ratios.value);
    }
}

static bool has_caveat(const tl_findings *f, tl_modality modality, const char *words)
{
    for (size_t i = 0; i < f->n_caveats; i++)
        if (f->caveats[i].modality == modality &&
            strstr(f->caveats[i].text, words) != NULL)
            return true;
    return false;
}

/* Each evaluation pair four times: eight of them. */
static void repeat_pairs(void)
{
    for (size_t k = 2; k < 8; k += 2) {
        char sql[600];
        snprintf(sql, sizeof sql,
                 "insert into baseline select modality, pair + %zu, clean, none from "
                 "baseline where pair < 2; insert into evaluation select modality, "
                 "kind, pair + %zu, point, logit_diff from evaluation where pair < 2; "
                 "insert into pair select modality, part, pair + %zu, row, "
                 "counterfactual, answer_id, counterfactual_answer_id from pair "
                 "where part = 'evaluation' and pair < 2",
                 k, k, k);
        run_sql(sql);
    }
    run_sql("update curve set n = 8");
}

/* Three quarters in half of the pairs are above .8 on average, and not for sure; of two pairs
 * nothing is for sure. */
static void a_circuit_is_shown_by_its_whole_interval(void **state)
{
    (void)state;
    tl_findings f = read_findings();
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        assert_false(f.parts[m].is_shown);
        assert_null(f.parts[m].shown);
        assert_true(has_caveat(&f, (tl_modality)m, "2 evaluation prompts: few"));
        assert_true(has_caveat(&f, (tl_modality)m,
                               "the smallest circuit with faithfulness above 0.8 (50 % "
                               "of the components) is not shown to have it: it is of "
                               "too few prompts, 2; no size is"));
    }
    assert_string_equal(f.not_shown,
                        "not shown: the faithfulness of the text and image circuits "
                        "that this is of may be 0.8 or less");
    repeat_pairs();
    f = read_findings();
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_finding_part *p = &f.parts[m];
        assert_true(p->is_shown);
        assert_ptr_equal(p->shown, tl_findings_smallest(p, TL_STUDY_CIRCUIT));
    }
    assert_null(f.not_shown);
    assert_int_equal(f.n_caveats, 2); /* few prompts */
    run_sql("update evaluation set logit_diff = (select none + 0.75 * (clean - none) "
            "from baseline b where b.modality = 'image' and b.pair = evaluation.pair) "
            "where modality = 'image' and kind = 'circuit' and point = 1 and "
            "pair % 2 = 1");
    f = read_findings();
    const tl_finding_part *p = &f.parts[TL_IMAGE];
    const double low =
        tl_findings_chosen(&f, tl_findings_smallest(p, TL_STUDY_CIRCUIT))->low;
    char text[64];
    assert_true(low > 0.7 && low < 0.8);
    assert_true(f.parts[TL_TEXT].is_shown && !p->is_shown);
    assert_string_equal(p->shown->point->fraction, "1");
    assert_string_equal(f.not_shown, "not shown: the faithfulness of the image circuit "
                                     "that this is of may be 0.8 or less");
    snprintf(text, sizeof text,
             "its interval begins at %.3f; the smallest that is has 100 %%", low);
    assert_true(has_caveat(&f, TL_IMAGE, text));
    assert_false(has_caveat(&f, TL_TEXT, "not shown"));
}

/* Twice as much in a pair of small differences, half in one of large ones. */
static void means_that_disagree_and_mirrored_pairs_are_said(void **state)
{
    (void)state;
    run_sql("update baseline set none = 0, clean = 1 + 99 * pair "
            "where modality = 'image'");
    run_sql("update evaluation set logit_diff = 2 + 48 * pair "
            "where modality = 'image' and kind = 'circuit' and point = 1");
    run_sql("update pair set row = 11, counterfactual = 1 "
            "where modality = 'image' and part = 'evaluation' and pair = 1");
    const tl_findings f = read_findings();
    assert_true(has_caveat(&f, TL_IMAGE,
                           "the mean of ratios of the smallest circuit (1.250) and its "
                           "ratio of means (0.515) disagree"));
    assert_true(has_caveat(&f, TL_IMAGE, "2 of 2 evaluation pairs are mirrored"));
    assert_int_equal(f.parts[TL_IMAGE].n_mirrored, 2);
    assert_int_equal(f.parts[TL_TEXT].n_mirrored, 0);
    assert_false(has_caveat(&f, TL_TEXT, "disagree") ||
                 has_caveat(&f, TL_TEXT, "mirrored"));
}

/* A pair whose clean run is that of nothing has no faithfulness, anywhere. */
static void excluded_pairs_count_nowhere(void **state)
{
    (void)state;
    run_sql("update baseline set none = clean where modality = 'text' and pair = 0");
    const tl_findings f = read_findings();
    check_curves(&f);
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++)
        assert_same(
            "swapped", s, f.swaps[TL_TEXT][s].value.value,
            ask("select (logit_diff - none) / (clean - none) from interchange i "
                "join baseline b on b.modality = host and b.pair = i.pair "
                "where host = 'text' and i.pair = 1 and swap = %zu",
                s + 1));
}

static void check_swaps(const char *faithfulness)
{
    const tl_findings f = read_findings();
    double values[TL_MODALITY_COUNT][3];
    for (size_t s = 0; s < TL_SEGMENT_COUNT; s++) {
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            const tl_finding_swap *w = &f.swaps[m][s];
            const size_t swaps[] = {1 + s, 4 + s, 0}; /* the other's, random, own */
            assert_true(f.has_swaps[m]);
            for (size_t i = 0; i < 3; i++)
                values[m][i] =
                    ask("select %s from interchange i join baseline b on "
                        "b.modality = host and b.pair = i.pair where host = '%s' and "
                        "swap = %zu",
                        faithfulness, modalities[m], swaps[i]);
            assert_same("value", s, w->value.value, values[m][0]);
            assert_same("random", s, w->random.value, values[m][1]);
            assert_same("own", s, w->own.value, values[m][2]);
            assert_same("normalised", s, w->normalised.value,
                        (values[m][0] - values[m][1]) / (values[m][2] - values[m][1]));
        }
        assert_same("both", s, f.swapped[s].value,
                    (values[0][0] + values[1][0] - values[0][1] - values[1][1]) /
                        (values[0][2] + values[1][2] - values[0][1] - values[1][1]));
    }
}

/* With the faithfulness that the study means, as its curves are. */
static void swaps_follow_from_the_interchanges(void **state)
{
    (void)state;
    check_swaps("avg((logit_diff - none) / (clean - none))");
    run_sql("update manifest set value = 'ratio_mean' where key = 'faith'");
    check_swaps("sum(logit_diff - none) / sum(clean - none)");
}

static void overlaps_are_normalised_as_the_study_says(void **state)
{
    (void)state;
    tl_findings f = read_findings();
    assert_int_equal(f.n_overlaps, 9);
    for (size_t i = 0; i < f.n_overlaps; i++) {
        const tl_finding_overlap *o = &f.overlaps[i];
        assert_same("normalised", i, o->normalised.value,
                    ask("select (iou - random) / (1 - random) from overlap where "
                        "segment = '%s' and kind = '%s'",
                        o->row->segment, o->row->kind));
        assert_same("random", i, o->random.value, o->row->random);
        /* A larger baseline leaves less. */
        assert_true(o->normalised.low <= o->normalised.value &&
                    o->normalised.value <= o->normalised.high);
    }
    assert_ptr_equal(tl_findings_overlap(&f, TL_SEGMENT_QUERY, "heads")->row->segment,
                     tl_findings_overlap(&f, TL_SEGMENT_QUERY, "heads")->row->segment);
    assert_null(tl_findings_overlap(&f, TL_SEGMENT_QUERY, "elephants"));

    /* One draw has no interval; equal circuits whose random ones are equal too leave
     * nothing to normalise. */
    run_sql("update manifest set value = '1' where key = 'rand-draws';"
            "update overlap set iou = 1, random = 1 where kind = 'heads' and segment = "
            "'data'");
    f = read_findings();
    assert_true(isnan(f.overlaps[0].random.low) &&
                isnan(f.overlaps[0].normalised.high));
    assert_true(
        isnan(tl_findings_overlap(&f, TL_SEGMENT_DATA, "heads")->normalised.value));

    /* As published: IoU - 2 B of three decimals, between 0.01 and 1. */
    run_sql("update manifest set value = 'ref' where key = 'niou';"
            "update overlap set iou = 0.5004, random = 0.1 where kind = 'heads' and "
            "segment = 'query';"
            "update overlap set iou = 0.1, random = 0.3 where kind = 'neurons' and "
            "segment = 'query'");
    f = read_findings();
    assert_close("heads", 0,
                 tl_findings_overlap(&f, TL_SEGMENT_QUERY, "heads")->normalised.value,
                 0.3, 1e-12);
    assert_close("neurons", 0,
                 tl_findings_overlap(&f, TL_SEGMENT_QUERY, "neurons")->normalised.value,
                 0.01, 1e-12);
    /* Of both: the means of the kinds, 0.3 - 2 x 0.2. */
    assert_close("both", 0,
                 tl_findings_overlap(&f, TL_SEGMENT_QUERY, "both")->normalised.value,
                 0.01, 1e-12);
}

static void layers_are_means_over_pairs(void **state)
{
    (void)state;
    const tl_findings f = read_findings();
    assert_int_equal(f.n_layers, 4);
    for (size_t l = 0; l < f.n_layers; l++) {
        const tl_finding_layer *x = &f.layers[l];
        assert_int_equal(x->matched.n, 6);
        assert_same("matched", l, x->matched.value,
                    ask("select avg(matched) from alignment where layer = %zu", l));
        assert_same("other", l, x->other.value,
                    ask("select avg(other) from alignment where layer = %zu", l));
        assert_same(
            "difference", l, x->difference.value,
            ask("select avg(matched - other) from alignment where layer = %zu", l));
        assert_same("centred", l, x->centred_difference.value,
                    ask("select avg(centred_matched - centred_other) from alignment "
                        "where layer = %zu",
                        l));
    }
}

/* A pair beside which there is no other content counts where it has a value. */
static void alignments_without_other_content_are_left_out_there(void **state)
{
    (void)state;
    run_sql("update alignment set other = null, centred_other = null where pair = 2");
    const tl_findings f = read_findings();
    for (size_t l = 0; l < f.n_layers; l++) {
        const tl_finding_layer *x = &f.layers[l];
        assert_int_equal(x->matched.n, 6);
        assert_int_equal(x->other.n, 5);
        assert_int_equal(x->difference.n, 5);
        assert_same(
            "difference", l, x->difference.value,
            ask("select avg(matched - other) from alignment where layer = %zu", l));
    }
}

/* Cells that repair something: which is the best, and by how much. */
static void cells_are_judged_by_what_they_repair(void **state)
{
    (void)state;
    run_sql(
        "update backpatch set is_right = 1, cells = '110111111' where modality = "
        "'image' and pair = 0;"
        "update backpatch set cells = '001010000' where modality = 'image' and pair "
        "in (1, 2);"
        "update backpatch set is_right = 1, cells = '111111111' where modality = "
        "'text' and pair < 4");
    const tl_findings f = read_findings();
    const tl_finding_backpatch *b = &f.backpatch;
    assert_int_equal(b->n_cells, 9);
    assert_int_equal(b->n, 6);
    for (size_t c = 0; c < b->n_cells; c++)
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            const tl_interval *accuracy = &b->cells[c].accuracy[m];
            const double want = ask("select avg(substr(cells, %zu, 1) = '1') from "
                                    "backpatch where modality = '%s'",
                                    c + 1, modalities[m]);
            double low, high;
            assert_same("accuracy", c, accuracy->value, want);
            assert_same("gain", c, b->cells[c].gain[m],
                        want - ask("select avg(is_right) from backpatch where "
                                   "modality = '%s'",
                                   modalities[m]));
            tl_wilson((size_t)lround(6 * want), 6, &low, &high);
            assert_same("low", c, accuracy->low, low);
            assert_same("high", c, accuracy->high, high);
        }
    assert_int_equal(b->best, 4); /* 1 right before, 3 with it */
    const tl_finding_change *here = &b->chosen_here, *elsewhere = &b->chosen_elsewhere;
    assert_same("best", 0, here->accuracy.value, 3.0 / 6);
    assert_same("gain", 0, here->gain.value, 2.0 / 6);
    assert_same("closed", 0, here->closed.value, 2.0 / 3); /* text: 4 right */
    assert_int_equal(here->n_fixed - here->n_broken, 2);
    assert_same("crossed", 0, elsewhere->accuracy.value,
                elsewhere->gain.value + 1.0 / 6);
    assert_same("crossed, closed", 0, elsewhere->closed.value,
                elsewhere->gain.value / (3.0 / 6));
    assert_false(tl_finding_helps(elsewhere)); /* six prompts do not show it */
    assert_true(b->p > 0.0 && b->p <= 1.0);
    assert_int_equal(b->n_iterations, 10);
    assert_same("iterations", 0, b->iterations[0].value, 0.0);
}

/* Once, three of six are right; twice, two others more and one of these less. */
static void once_is_compared_with_more_on_the_same_prompts(void **state)
{
    (void)state;
    make_newer();
    run_sql("insert into crossed_iteration select * from iteration;"
            "update crossed_iteration set times = '0111111111' where pair < 3;"
            "update crossed_iteration set times = '0000000000' where pair > 2;"
            "update crossed_iteration set times = '0010000000' where pair in (3, 4);"
            "update crossed_iteration set times = '0101111111' where pair = 0");
    const tl_findings f = read_findings();
    const tl_finding_backpatch *b = &f.backpatch;
    assert_int_equal(b->n_times, 10);
    const tl_finding_time *twice = &b->times[2];
    assert_same("once", 0, b->times[1].accuracy.value, 0.5);
    assert_same("twice", 0, twice->accuracy.value, 4.0 / 6);
    assert_int_equal(twice->n_more, 2);
    assert_int_equal(twice->n_fewer, 1);
    const tl_interval want = tl_interval_gain(2, 1, 6);
    assert_same("difference", 0, twice->above_once.value, 1.0 / 6);
    assert_same("low", 0, twice->above_once.low, want.low);
    assert_same("high", 0, twice->above_once.high, want.high);
    assert_same("p", 0, twice->p, 1.0);
    assert_same("nothing else", 0, b->times[3].above_once.value, 0.0);
    assert_int_equal(tl_finding_better_time(b), 0);

    /* Twelve fixed and none broken in one of eight times: p = .0005, below .05 / 8. */
    const tl_finding_time times[10] = {
        [1] = {.p = 1.0},
        [2] = {.n_more = 6, .p = tl_mcnemar(6, 0), .above_once = {.value = 0.1}},
        [3] = {.n_more = 12, .p = tl_mcnemar(12, 0), .above_once = {.value = 0.2}},
        [4] = {.n_fewer = 12, .p = tl_mcnemar(0, 12), .above_once = {.value = -0.2}}};
    const tl_finding_backpatch more = {.times = times, .n_times = 10};
    assert_int_equal(tl_finding_better_time(&more), 3);
}

/* Shares of cells by what they gain on images and on text. */
static void cells_gain_more_as_much_or_less(void **state)
{
    (void)state;
    run_sql("update backpatch set is_right = 0, cells = '111000000' where modality = "
            "'image';"
            "update backpatch set is_right = 0, cells = '000000011' where modality = "
            "'text'");
    tl_findings f = read_findings();
    const tl_finding_backpatch *b = &f.backpatch;
    assert_same("no worse", 0, b->no_worse.value, 7.0 / 9);
    assert_same("more", 0, b->better.value, 3.0 / 9);
    assert_same("as much", 0, b->equal.value, 4.0 / 9);
    assert_false(tl_finding_text_at_ceiling(b));
    /* Three windows of three cells each: all three gain more, as much, two lose. */
    assert_int_equal(b->n_windows, 3);
    static const size_t counts[3][3] = {{3, 0, 0}, {0, 3, 0}, {0, 1, 2}};
    for (size_t w = 0; w < 3; w++) {
        const tl_finding_window *of = &b->windows[w];
        assert_int_equal(of->window, b->cells[3 * w].window);
        assert_int_equal(of->n_cells, 3);
        assert_int_equal(of->n_better, counts[w][0]);
        assert_int_equal(of->n_equal, counts[w][1]);
        assert_int_equal(of->n_worse, counts[w][2]);
        assert_same("window", w, of->no_worse.value,
                    (double)(counts[w][0] + counts[w][1]) / 3.0);
    }
    run_sql("update backpatch set is_right = 1 where modality = 'text'");
    f = read_findings();
    assert_true(tl_finding_text_at_ceiling(&f.backpatch));
}

static void pictures_add_up_layers_in_three_bands(void **state)
{
    (void)state;
    const tl_findings f = read_findings();
    assert_int_equal(f.n_pictures, 1);
    const tl_finding_picture *p = &f.pictures[0];
    const size_t n_pos = p->row->n_rows * p->row->n_columns;
    double most = 0.0;
    assert_int_equal(p->first_layer[TL_FINDING_BANDS], 4);
    assert_int_equal(p->first_layer[0], 0);
    assert_int_equal(p->first_layer[TL_FINDING_BANDS], 4);
    for (size_t b = 0; b < TL_FINDING_BANDS; b++)
        for (size_t i = 0; i < n_pos; i++) {
            const double want =
                ask("select sum(heads + neurons) from picture_score where pair = 0 and "
                    "pos = %zu and layer >= %zu and layer < %zu",
                    i, p->first_layer[b], p->first_layer[b + 1]);
            assert_same("band", b, p->bands[b][i], want);
            most = fmax(most, want);
        }
    assert_same("most", 0, p->most, most);
}

static void validation_is_of_the_steps_that_the_study_takes(void **state)
{
    (void)state;
    tl_findings f = read_findings();
    for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
        const tl_finding_validation *v = &f.validations[m];
        assert_int_equal(
            v->n_effects,
            (size_t)ask("select count(*) from effect where modality = '%s'",
                        modalities[m]));
        assert_int_equal(v->n_gaps, 3);
        assert_int_equal(v->ig_steps, 5);
        for (size_t i = 0; i < v->n_gaps; i++)
            assert_same("gap", i, v->gaps[i].gap.value,
                        ask("select avg(abs(attributed - difference) / "
                            "abs(difference)) from completeness where modality = '%s' "
                            "and ig_steps = %zu",
                            modalities[m], v->gaps[i].ig_steps));
    }
    run_sql("update manifest set value = '15' where key = 'ig-steps'");
    f = read_findings();
    assert_int_equal(f.validations[TL_TEXT].ig_steps, 20);
}

/* A search of two rounds, of six and of three cells on a prompt each; cell 4 is left, and
 * judged on the other four, on two of which the control of cells 1 and 7 runs. */
static void make_search(void)
{
    run_sql("update backpatch set cells = '---------';"
            "update backpatch set is_right = pair % 2 where modality = 'text';"
            "update backpatch set is_right = pair = 2 where modality = 'image';"
            "update backpatch set cells = '001110000' where modality = 'image' and "
            "pair = 0;"
            "update backpatch set cells = '--0-10---' where modality = 'image' and "
            "pair = 1;"
            "update backpatch set cells = '-1--1--0-' where modality = 'image' and "
            "pair = 2;"
            "update backpatch set cells = '-0--1--1-' where modality = 'image' and "
            "pair = 3;"
            "update backpatch set cells = '----0----' where modality = 'image' and "
            "pair in (4, 5);"
            "update backpatch set cells = '-1-----0-' where modality = 'text' and pair "
            "= 2;"
            "update backpatch set cells = '-0-----0-' where modality = 'text' and pair "
            "= 3");
}

static void a_search_says_what_it_ran(void **state)
{
    (void)state;
    make_search();
    const tl_findings f = read_findings();
    const tl_finding_backpatch *b = &f.backpatch;
    assert_int_equal(b->n, 6);
    assert_int_equal(b->n_rounds, 2);
    assert_int_equal(b->rounds[0].n_cells, 9);
    assert_int_equal(b->rounds[0].n_prompts, 1);
    assert_int_equal(b->rounds[1].n_cells, 3);
    assert_int_equal(b->rounds[1].n_prompts, 1);
    assert_int_equal(b->n_runs, 9 + 3 + 3 + 3 + 1 + 1 + 2 + 2);
    for (size_t c = 0; c < b->n_cells; c++)
        for (size_t m = 0; m < TL_MODALITY_COUNT; m++) {
            const tl_interval *accuracy = &b->cells[c].accuracy[m];
            char where[200];
            snprintf(where, sizeof where,
                     "from backpatch where modality = '%s' and substr(cells, %zu, 1) "
                     "<> '-'",
                     modalities[m], c + 1);
            assert_int_equal(accuracy->n, (size_t)ask("select count(*) %s", where));
            assert_same(
                "accuracy", c, accuracy->value,
                ask("select avg(substr(cells, %zu, 1) = '1') %s", c + 1, where));
            assert_same("gain", c, b->cells[c].gain[m],
                        ask("select avg((substr(cells, %zu, 1) = '1') - is_right) %s",
                            c + 1, where));
        }
    assert_true(isnan(b->cells[0].accuracy[TL_TEXT].value)); /* never run */
    /* The cell that was left, over pairs 2 to 5: right in two, without it in one. */
    assert_int_equal(b->best, 4);
    const tl_finding_change *found = &b->chosen_elsewhere;
    assert_int_equal(found->accuracy.n, 4);
    assert_same("best", 0, found->accuracy.value, 2.0 / 4);
    assert_same("gain", 0, found->gain.value, 1.0 / 4);
    assert_same("the same", 0, b->chosen_here.gain.value, 1.0 / 4);
    assert_same("closed", 0, found->closed.value,
                ask("select 1.0 / nullif(max(sum(t.is_right) - sum(i.is_right), 0), 0) "
                    "from backpatch t join backpatch i using (pair) where t.modality = "
                    "'text' and i.modality = 'image' and pair > 1"));
    /* One change of four prompts: either sign is as likely, and p is of both. */
    assert_same("p", 0, b->p, 1.0);
    /* Cell 1 gains 0 on images and 0 on text; cell 7 gains 0 there and -1 here. */
    assert_int_equal(b->n_control_cells, 2);
    assert_int_equal(b->no_worse.n, 2);
    assert_same("no worse", 0, b->no_worse.value,
                ask("select avg(g >= h) from (select 1 k, 1 + 0 - 1 - 0 g, (select "
                    "sum(substr(cells, 2, 1) = '1') - sum(is_right) from backpatch "
                    "where modality = 'text' and pair in (2, 3)) h union select 7, 0 + "
                    "1 - 1 - 0, (select sum(substr(cells, 8, 1) = '1') - sum(is_right) "
                    "from backpatch where modality = 'text' and pair in (2, 3)))"));
    assert_true(b->no_worse.high - b->no_worse.low > 0.3); /* two cells of nine */
}

/* Nothing changes under the control: prompts leave nothing open, two cells of nine do. */
static void a_share_of_a_sample_is_as_sure_as_the_sample_is_large(void **state)
{
    (void)state;
    double low, high;
    make_search();
    run_sql("update backpatch set is_right = 0 where pair in (2, 3);"
            "update backpatch set cells = '-0--1--0-' where modality = 'image' and "
            "pair in (2, 3);"
            "update backpatch set cells = '-0-----0-' where modality = 'text' and pair "
            "in (2, 3)");
    const tl_interval share = read_findings().backpatch.no_worse;
    tl_wilson(2, 2, &low, &high);
    assert_same("share", 0, share.value, 1.0);
    assert_same("high", 0, share.high, 1.0);
    assert_same("low", 0, share.low, 1.0 - sqrt(7.0 / 8.0) * (1.0 - low));
}

static void a_search_that_contradicts_itself_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *damage, *says;
    } cases[] = {
        {"update backpatch set cells = '0011x0000' where modality = 'image' and pair = "
         "0",
         "a prompt with 'x' for a cell, wanted 0, 1 or -"},
        {"update backpatch set cells = '----1----' where modality = 'image' and pair = "
         "0",
         "pair 1 is of a round, after one that judges"},
        {"update backpatch set cells = '---------' where modality = 'image' and pair = "
         "5",
         "pair 5 judges without cell 4"},
        {"update backpatch set cells = '11-------' where modality = 'image' and pair = "
         "1",
         "pair 2 judges without cell 0"},
        {"update backpatch set cells = '0-1-1----' where modality = 'image' and pair > "
         "1; update backpatch set cells = '---------' where modality = 'text'",
         "without prompts that judge"},
        {"update backpatch set cells = '----1----' where modality = 'image'",
         "without rounds"},
        {"update backpatch set cells = '111------' where modality = 'image' and pair = "
         "0; update backpatch set cells = '---111---' where modality = 'image' and "
         "pair = 1",
         "without a cell that is left"},
        {"update backpatch set cells = '-1-------' where modality = 'text' and pair = "
         "3",
         "pair 3 is without cell 7 of the control"},
        {"update backpatch set cells = '-1--1----' where modality = 'image' and pair = "
         "3",
         "pair 3 is without cell 7 of the control"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_findings f;
        make_search();
        run_sql(cases[i].damage);
        err = (tl_error){0};
        if (tl_findings_read(folder.path, arena, &f, &err) != TL_ERR_FORMAT ||
            strstr(err.text, cases[i].says) == NULL)
            fail_msg("after '%s': '%s'", cases[i].damage, err.text);
    }
}

/* ---- what is wrong --------------------------------------------------------------- */

static void a_folder_without_a_study_is_refused(void **state)
{
    (void)state;
    tl_findings f;
    run_sql("delete from manifest");
    assert_int_equal(tl_findings_read(folder.path, arena, &f, &err), TL_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "has not begun"));
    assert_int_equal(tl_findings_read("tests/data", arena, &f, &err), TL_ERR_NOT_FOUND);
}

static void effects_without_completeness_are_refused(void **state)
{
    (void)state;
    tl_findings f;
    run_sql("delete from completeness where modality = 'image'");
    assert_int_equal(tl_findings_read(folder.path, arena, &f, &err), TL_ERR_FORMAT);
    assert_non_null(strstr(err.text, "effects of image prompts without"));
}

static void what_a_study_has_not_reached_has_no_rows(void **state)
{
    (void)state;
    run_sql("delete from stage; delete from overlap; delete from swap; delete from "
            "interchange; delete from alignment; delete from backpatch; delete from "
            "iteration; delete from cell; delete from "
            "picture; delete from "
            "picture_score; delete from effect; delete from completeness");
    const tl_findings f = read_findings();
    assert_false(f.finished);
    assert_true(f.n_overlaps == 0 && f.n_layers == 0 && f.n_pictures == 0);
    assert_true(f.backpatch.n_cells == 0 && f.validations[TL_TEXT].n_effects == 0);
    assert_false(f.has_swaps[TL_TEXT] || f.has_swaps[TL_IMAGE]);
    check_curves(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(accuracies_are_shares_of_right_prompts, begin,
                                        end),
        cmocka_unit_test_setup_teardown(curves_follow_from_the_evaluations, begin, end),
        cmocka_unit_test_setup_teardown(a_circuit_is_shown_by_its_whole_interval, begin,
                                        end),
        cmocka_unit_test_setup_teardown(means_that_disagree_and_mirrored_pairs_are_said,
                                        begin, end),
        cmocka_unit_test_setup_teardown(excluded_pairs_count_nowhere, begin, end),
        cmocka_unit_test_setup_teardown(swaps_follow_from_the_interchanges, begin, end),
        cmocka_unit_test_setup_teardown(overlaps_are_normalised_as_the_study_says,
                                        begin, end),
        cmocka_unit_test_setup_teardown(layers_are_means_over_pairs, begin, end),
        cmocka_unit_test_setup_teardown(
            alignments_without_other_content_are_left_out_there, begin, end),
        cmocka_unit_test_setup_teardown(cells_are_judged_by_what_they_repair, begin,
                                        end),
        cmocka_unit_test_setup_teardown(once_is_compared_with_more_on_the_same_prompts,
                                        begin, end),
        cmocka_unit_test_setup_teardown(cells_gain_more_as_much_or_less, begin, end),
        cmocka_unit_test_setup_teardown(a_search_says_what_it_ran, begin, end),
        cmocka_unit_test_setup_teardown(
            a_share_of_a_sample_is_as_sure_as_the_sample_is_large, begin, end),
        cmocka_unit_test_setup_teardown(a_search_that_contradicts_itself_is_refused,
                                        begin, end),
        cmocka_unit_test_setup_teardown(pictures_add_up_layers_in_three_bands, begin,
                                        end),
        cmocka_unit_test_setup_teardown(validation_is_of_the_steps_that_the_study_takes,
                                        begin, end),
        cmocka_unit_test_setup_teardown(a_folder_without_a_study_is_refused, begin,
                                        end),
        cmocka_unit_test_setup_teardown(effects_without_completeness_are_refused, begin,
                                        end),
        cmocka_unit_test_setup_teardown(what_a_study_has_not_reached_has_no_rows, begin,
                                        end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
