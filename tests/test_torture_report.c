/* SPDX-License-Identifier: MIT
 *
 * test_torture_report.c - what is read from a study's folder, its settings, and statistics, with
 * memory that fails: findings, summaries, report, export.
 *
 * Reading a study asks for memory some 5000 times. Every so manieth request fails, with
 * another stride for each function, so that together they meet many places.
 */
#include "small_study.h"
#include "torture.h"

#include "twinlens/finding.h"
#include "twinlens/report.h"
#include "twinlens/setting.h"
#include "twinlens/statistics.h"

static test_folder folder, other; /* a study in each */

static int set_up(void **unused)
{
    (void)unused;
    folder = test_folder_create();
    sqlite3_close(make_study(folder.path));
    other = test_folder_create();
    sqlite3_close(make_study(other.path));
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    test_folder_remove(folder.path);
    test_folder_remove(other.path);
    return 0;
}

typedef struct made {
    tl_arena *arena;
    FILE *text; /* a file without a name */
    struct {
        tl_findings findings;
    } out;
    double values[16];
} made;

static void begin(void *state)
{
    made *m = state;
    *m = (made){.arena = tl_arena_create(), .text = tmpfile()};
    assert_non_null(m->arena);
    assert_non_null(m->text);
}

static void end(void *state)
{
    made *m = state;
    fclose(m->text);
    tl_arena_destroy(m->arena);
}

static uint64_t digest(const void *state)
{
    const made *m = state;
    uint64_t d = torture_digest(0, m->values, sizeof m->values);
    return torture_digest(d, &m->out.findings.parts[0].n_points,
                          sizeof m->out.findings.parts[0].n_points);
}

static void torture_report(const char *covers, tl_status (*run)(void *, tl_error *),
                           long long stride)
{
    made m = {.arena = NULL};
    torture(&(torture_case){.covers = covers,
                            .begin = begin,
                            .run = run,
                            .end = end,
                            .digest = digest,
                            .state = &m,
                            .outputs = &m.out,
                            .output_bytes = sizeof m.out,
                            .stride = stride});
}

static tl_status read_findings(void *state, tl_error *err)
{
    made *m = state;
    return tl_findings_read(folder.path, m->arena, &m->out.findings, err);
}

static tl_status read_all_findings(void *state, tl_error *err)
{
    made *m = state;
    tl_findings *all = NULL;
    return tl_findings_read_all(&(const char *){folder.path}, 1, m->arena, &all, err);
}

static tl_status print_summary(void *state, tl_error *err)
{
    made *m = state;
    return tl_summary_print(folder.path, m->text, err);
}

static tl_status print_json(void *state, tl_error *err)
{
    made *m = state;
    return tl_summary_json(folder.path, m->text, err);
}

static tl_status print_table(void *state, tl_error *err)
{
    made *m = state;
    const char *const folders[] = {folder.path, other.path};
    return tl_summary_table(folders, 2, m->text, err);
}

static tl_status print_models(void *state, tl_error *err)
{
    made *m = state;
    const char *const folders[] = {folder.path, other.path};
    return tl_summary_models_json(folders, 2, m->text, err);
}

static tl_status write_models(void *state, tl_error *err)
{
    (void)state;
    char copy[300];
    const char *const folders[] = {folder.path, other.path};
    snprintf(copy, sizeof copy, "%s/models", folder.path);
    return tl_export_models(folders, 2, copy, err);
}

static tl_status write_report(void *state, tl_error *err)
{
    (void)state;
    char page[300];
    const char *const folders[] = {folder.path};
    snprintf(page, sizeof page, "%s/report.html", folder.path);
    return tl_report_write(folders, 1, page, err);
}

/* Of a study and of a score file. */
static tl_status write_top(void *state, tl_error *err)
{
    made *m = state;
    char scores[300];
    const tl_top_options json = {.json = true};
    snprintf(scores, sizeof scores, "%s/scores.text.safetensors", folder.path);
    tl_status status = tl_top_write(folder.path, NULL, m->text, err);
    if (status == TL_OK)
        status = tl_top_write(folder.path, &json, m->text, err);
    return status == TL_OK ? tl_top_write(scores, NULL, m->text, err) : status;
}

static tl_status list_leading(void *state, tl_error *err)
{
    made *m = state;
    char scores[300];
    tl_findings f;
    tl_finding_leaders leaders, of_file;
    tl_score_file_origin origin;
    snprintf(scores, sizeof scores, "%s/scores.text.safetensors", folder.path);
    tl_status status = tl_findings_read(folder.path, m->arena, &f, err);
    if (status == TL_OK)
        status = tl_findings_leading(&f, TL_TEXT, 3, m->arena, &leaders, err);
    if (status == TL_OK)
        status = tl_score_file_leading(scores, 3, m->arena, &of_file, &origin, err);
    if (status == TL_OK) {
        assert_int_equal(leaders.n[TL_KIND_NEURONS], 3);
        assert_int_equal(of_file.n[TL_KIND_NEURONS], 3);
        m->values[0] = leaders.of[TL_KIND_NEURONS][2].score;
        m->values[1] = of_file.of[TL_KIND_NEURONS][2].score;
    }
    return status;
}

static tl_status write_export(void *state, tl_error *err)
{
    (void)state;
    char copy[300];
    snprintf(copy, sizeof copy, "%s/export", folder.path);
    return tl_export_write(folder.path, copy, err);
}

static void reports(void **unused)
{
    (void)unused;
    torture_report("tl_findings_read", read_findings, 101);
    torture_report("tl_findings_read_all", read_all_findings, 307);
    torture_report("tl_summary_print", print_summary, 613);
    torture_report("tl_summary_json", print_json, 617);
    torture_report("tl_summary_table", print_table, 1259);
    torture_report("tl_report_write", write_report, 701);
    torture_report("tl_export_write", write_export, 709);
    torture_report("tl_top_write", write_top, 1249);
    torture_report("tl_findings_leading tl_score_file_leading", list_leading, 607);
    torture_report("tl_summary_models_json", print_models, 1301);
    torture_report("tl_export_models", write_models, 1303);
}

/* ---- settings --------------------------------------------------------------------- */

/* Set, written as a manifest's lines, read back. */
static tl_status use_settings(void *state, tl_error *err)
{
    made *m = state;
    tl_settings settings, again;
    const tl_study_key *keys = NULL;
    size_t n_keys = 0;
    const char *value = NULL;
    tl_settings_init(&settings);
    tl_settings_init(&again);
    tl_status status = tl_settings_set(&settings, "rand-match", "segment", err);
    if (status == TL_OK)
        status = tl_settings_check(&settings, err);
    if (status == TL_OK)
        status = tl_settings_write(&settings, m->arena, &keys, &n_keys, err);
    if (status == TL_OK)
        status = tl_settings_read(&again, keys, n_keys, err);
    if (status == TL_OK)
        status = tl_settings_get(&again, "rand-match", m->arena, &value, err);
    m->values[0] = (double)n_keys;
    m->values[1] = value != NULL && strcmp(value, "segment") == 0;
    return status;
}

static void settings_of_a_study(void **unused)
{
    (void)unused;
    torture_report(
        "tl_settings_set tl_settings_check tl_settings_write tl_settings_read "
        "tl_settings_get",
        use_settings, 1);
}

/* ---- statistics ------------------------------------------------------------------- */

enum { N = 6 };
static const double x[2 * N] = {1, 5, 2, 8, 3, 9, 2, 2, 7, 1, 4, 6};

static tl_status resample(void *state, tl_error *err)
{
    made *m = state;
    tl_interval interval = {0};
    const tl_bootstrap_options options = {.n_resamples = 20};
    const tl_status status =
        tl_bootstrap(tl_statistic_mean, x, N, &options, &interval, err);
    m->values[0] = interval.low;
    m->values[1] = interval.high;
    return status;
}

static tl_status correlate(void *state, tl_error *err)
{
    made *m = state;
    return tl_spearman(x, x + N, N, &m->values[0], err);
}

static tl_status correlate_clusters(void *state, tl_error *err)
{
    made *m = state;
    static const size_t clusters[N] = {0, 0, 1, 1, 1, 2};
    tl_correlation c = {.n_clusters = 0};
    const tl_status status = tl_correlate(x, x + N, clusters, N, true, &c, err);
    m->values[0] = c.pearson.low;
    m->values[1] = c.spearman.high;
    return status;
}

static tl_status test_best_cell(void *state, tl_error *err)
{
    made *m = state;
    return tl_best_cell_test(x, 2, N, 20, 3, &m->values[0], err);
}

static tl_status cross_best_cell(void *state, tl_error *err)
{
    made *m = state;
    size_t cells[2] = {0};
    const tl_status status =
        tl_best_cell_crossed(x, 2, N, 3, &m->values[2], cells, err);
    m->values[0] = (double)cells[0];
    m->values[1] = (double)cells[1];
    return status;
}

static tl_status halve(void *state, tl_error *err)
{
    made *m = state;
    bool in_first[N] = {false};
    const tl_status status = tl_best_cell_halves(N, 3, in_first, err);
    for (size_t i = 0; i < N; i++)
        m->values[0] += in_first[i] ? (double)(1 << i) : 0.0;
    return status;
}

static void statistics(void **unused)
{
    (void)unused;
    torture_report("tl_bootstrap", resample, 1);
    torture_report("tl_spearman", correlate, 1);
    torture_report("tl_correlate", correlate_clusters, 1);
    torture_report("tl_best_cell_test", test_best_cell, 1);
    torture_report("tl_best_cell_crossed", cross_best_cell, 1);
    torture_report("tl_best_cell_halves", halve, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reports),
                                       cmocka_unit_test(settings_of_a_study),
                                       cmocka_unit_test(statistics)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
