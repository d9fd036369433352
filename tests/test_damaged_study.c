/* SPDX-License-Identifier: MIT
 *
 * test_damaged_study.c - a study.db that has lost rows, or has those of another study:
 * whatever is wrong, each command that reads a study and `study` itself, which goes on
 * from it, do what they can or say what is wrong; they never read what is not there.
 */
#include "small_study.h"

#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "store/study_db.h"
#include "twinlens/report.h"

static test_folder folder;
static tl_error err;

static int begin(void **state)
{
    (void)state;
    folder = test_folder_create();
    err = (tl_error){0};
    return 0;
}

static int end(void **state)
{
    (void)state;
    test_folder_remove(folder.path);
    return 0;
}

/* ---- the study ------------------------------------------------------------------- */

static tl_status export_study(void)
{
    char copy[300];
    snprintf(copy, sizeof copy, "%s/export", folder.path);
    return tl_export_write(folder.path, copy, &err);
}

/* Everything that reads a study; the first failure, which must be one line of text. */
static tl_status read_everything(const char *after)
{
    char page[300];
    const char *const folders[] = {folder.path};
    FILE *out = fopen("/dev/null", "w");
    assert_non_null(out);
    snprintf(page, sizeof page, "%s/report.html", folder.path);
    err = (tl_error){0};
    tl_status status = tl_summary_print(folder.path, out, &err);
    if (status == TL_OK)
        status = tl_summary_json(folder.path, out, &err);
    if (status == TL_OK)
        status = tl_summary_table(folders, 1, out, &err);
    if (status == TL_OK)
        status = tl_report_write(folders, 1, page, &err);
    if (status != TL_OK && (err.text[0] == '\0' || strchr(err.text, '\n') != NULL))
        fail_msg("after '%s': status %d says '%s'", after, (int)status, err.text);
    fclose(out);
    return status;
}

static tl_status damage(sqlite3 *raw, const char *text)
{
    print_message("%s\n", text); /* names the culprit if reading crashes */
    run_sql(raw, "begin");
    run_sql(raw, text);
    run_sql(raw, "commit");
    return read_everything(text);
}

/* ---- what is missing ------------------------------------------------------------- */

typedef struct texts {
    char text[256][96];
    size_t n;
} texts;

static int add_text(void *data, int n, char **values, char **names)
{
    texts *list = data;
    (void)names;
    assert_int_equal(n, 1);
    assert_in_range(list->n, 0, 255);
    snprintf(list->text[list->n++], sizeof *list->text, "%s", values[0]);
    return 0;
}

static texts ask(sqlite3 *raw, const char *text)
{
    texts list = {.n = 0};
    assert_int_equal(sqlite3_exec(raw, text, add_text, &list, NULL), SQLITE_OK);
    return list;
}

static const char all_tables[] = "select name from sqlite_schema where type = 'table'";

static void a_whole_study_can_be_read(void **state)
{
    (void)state;
    sqlite3 *raw = make_study(folder.path);
    if (read_everything("nothing") != TL_OK || export_study() != TL_OK)
        fail_msg("%s", err.text);
    sqlite3_close(raw);
}

static void a_table_without_rows_is_told_or_not_missed(void **state)
{
    (void)state;
    sqlite3 *raw = make_study(folder.path);
    const texts tables = ask(raw, all_tables);
    assert_int_equal(tables.n, 22);
    for (size_t i = 0; i < tables.n; i++) {
        char text[200];
        sqlite3_close(raw);
        test_folder_remove(folder.path);
        folder = test_folder_create();
        raw = make_study(folder.path);
        snprintf(text, sizeof text, "delete from \"%s\"", tables.text[i]);
        damage(raw, text);
        export_study();
    }
    sqlite3_close(raw);
}

/* Modality, part, kind, segment, ...: each value of each word that is part of a key. */
static void rows_of_a_kind_are_told_or_not_missed(void **state)
{
    (void)state;
    sqlite3 *raw = make_study(folder.path);
    const texts conditions =
        ask(raw, "select t.name || '.' || c.name from sqlite_schema t,"
                 " pragma_table_info(t.name) c where t.type = 'table' and c.pk > 0"
                 " and c.type = 'TEXT' and t.name not in ('manifest', 'file')");
    size_t n_cases = 0;
    assert_in_range(conditions.n, 10, 40);
    for (size_t i = 0; i < conditions.n; i++) {
        char table[96], text[400];
        snprintf(table, sizeof table, "%s", conditions.text[i]);
        char *column = strchr(table, '.');
        *column++ = '\0';
        snprintf(text, sizeof text, "select distinct \"%s\" from \"%s\"", column,
                 table);
        const texts values = ask(raw, text);
        for (size_t k = 0; k < values.n; k++, n_cases++) {
            sqlite3_close(raw);
            test_folder_remove(folder.path);
            folder = test_folder_create();
            raw = make_study(folder.path);
            snprintf(text, sizeof text, "delete from \"%s\" where \"%s\" = '%s'", table,
                     column, values.text[k]);
            damage(raw, text);
        }
    }
    assert_in_range(n_cases, 40, 80);
    sqlite3_close(raw);
}

static void a_curve_without_one_kind_is_told_by_its_name(void **state)
{
    (void)state;
    static const char *const kinds[] = {"circuit", "magnitude", "random"};
    for (size_t i = 0; i < 3; i++) {
        char text[200];
        sqlite3 *raw = make_study(folder.path);
        snprintf(text, sizeof text, "delete from curve where kind = '%s'", kinds[i]);
        assert_int_equal(damage(raw, text), TL_ERR_FORMAT);
        snprintf(
            text, sizeof text,
            "study.db: table curve: no row for modality 'text', kind '%s', point 0",
            kinds[i]);
        if (strstr(err.text, text) == NULL)
            fail_msg("'%s' does not say '%s'", err.text, text);
        sqlite3_close(raw);
        test_folder_remove(folder.path);
        folder = test_folder_create();
    }
}

/* ---- a study that goes on ---------------------------------------------------------- */

static tl_status run_study_by(char *search)
{
    char *arguments[] = {(char[]){"--bp-search"},
                         search,
                         (char[]){"--model"},
                         (char[]){"tests/data/qwen2vl-tiny/checkpoint"},
                         (char[]){"--dataset"},
                         (char[]){"tests/data/qwen2vl-tiny/goldens"},
                         (char[]){"--fractions"},
                         (char[]){"0.05,0.5,1"},
                         (char[]){"--bp-grid"},
                         (char[]){"paper"},
                         (char[]){"--keep"},
                         (char[]){"all"},
                         (char[]){"--pictures"},
                         (char[]){"1"},
                         (char[]){"--validate"},
                         (char[]){"1"},
                         (char[]){"--inter-draws"},
                         (char[]){"1"},
                         (char[]){"--threads"},
                         (char[]){"1"},
                         (char[]){"--out"},
                         folder.path,
                         NULL};
    FILE *out = fopen("/dev/null", "w");
    assert_non_null(out);
    err = (tl_error){0};
    const tl_status status = tl_command_study.run(
        sizeof arguments / sizeof *arguments - 1, arguments, out, &err);
    fclose(out);
    return status;
}

static tl_status run_study(void)
{
    return run_study_by((char[]){"full"});
}

typedef struct damage_case {
    const char *sql, *says; /* NULL: the study goes on */
} damage_case;

/* Each damage to a finished study, of which `reopened` makes one that has not ended. */
static void check_damages(char *search, const char *reopened, const damage_case *cases,
                          size_t n)
{
    char path[300];
    sqlite3 *raw = NULL;
    if (run_study_by(search) != TL_OK)
        fail_msg("%s", err.text);
    snprintf(path, sizeof path, "%s/study.db", folder.path);
    FILE *file = fopen(path, "rb");
    static char whole[1 << 20];
    assert_non_null(file);
    const size_t bytes = fread(whole, 1, sizeof whole, file);
    fclose(file);
    for (size_t i = 0; i < n; i++) {
        test_file(&folder, "study.db", whole, bytes);
        assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
        run_sql(raw, reopened);
        run_sql(raw, cases[i].sql);
        sqlite3_close(raw);
        const tl_status status = run_study_by(search);
        if (cases[i].says == NULL
                ? status != TL_OK
                : status != TL_ERR_FORMAT || strstr(err.text, cases[i].says) == NULL)
            fail_msg("after '%s': status %d, '%s'", cases[i].sql, (int)status,
                     err.text);
    }
}

/* Views of a picture whose cells, added up in 64 bits, are as many as there are scores. */
static void views_larger_than_memory_are_refused(void **state)
{
    (void)state;
    char path[300];
    tl_study_db *db = NULL;
    sqlite3 *raw = make_study(folder.path);
    sqlite3_close(raw);
    if (tl_study_db_open(folder.path, TL_STUDY_WRITE, &db, &err) != TL_OK)
        fail_msg("%s", err.text);
    tl_study_db_close(db); /* which has all tables now */
    snprintf(path, sizeof path, "%s/study.db", folder.path);
    assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
    assert_int_equal(
        damage(raw,
               "with v(view, n_rows, n_columns) as (values (1, 2147483647, 2147483647),"
               " (2, 2147483647, 2147483647), (3, 2147483647, 2147483647),"
               " (4, 2147483647, 2147483647), (5, 2147483647, 8),"
               " (6, 1, (select max(pos) + 4 from picture_score)))"
               " insert into picture_view (pair, view, n_rows, n_columns)"
               " select pair, view, v.n_rows, v.n_columns from picture, v;"
               " update picture set n_rows = 1, n_columns = 1"),
        TL_ERR_FORMAT);
    assert_non_null(strstr(err.text, "too many image tokens"));
    sqlite3_close(raw);
}

/* Each damage to a finished study, which then has not ended any more. */
static void a_damaged_study_goes_on_or_says_why_not(void **state)
{
    (void)state;
    static const damage_case cases[] = {
        {"delete from stage", NULL},
        {"delete from minimal; delete from curve; delete from scores", NULL},
        {"delete from iteration; delete from crossed_iteration", NULL},
        {"delete from token; delete from picture; delete from picture_score", NULL},
        {"update prompt set row = 99999 where row = 0",
         "study.db: table prompt, row 12: the dataset has no such row"},
        {"update prompt set data_end = 500 where row = 0",
         "table prompt, row 1: its data are not in it"},
        {"update pair set row = 99999 where pair = 1",
         "table pair, row 2: the dataset has no such row"},
        {"update pair set answer_id = 2147483647",
         "table pair, row 1: the model has no such token"},
        {"delete from pair where part = 'evaluation'",
         "table pair: text prompts have one part only"},
        {"update minimal set point = 3", "the grid has no such point"},
        {"update scores set data_end = 0",
         "table scores, row 1: its data are not in it"},
        {"update backpatch set cells = '1'; delete from iteration; delete from "
         "crossed_iteration",
         "table backpatch, pair 0: wanted 9 cells"},
        {"delete from minimal; delete from evaluation where point = 1 and pair = 0",
         "no row for modality 'text', kind 'circuit', pair 0, point 1"},
        {"delete from alignment where layer = 0 and pair = 2",
         "table alignment: no row for pair 2, layer 0"},
    };
    check_damages((char[]){"full"}, "delete from stage", cases,
                  sizeof cases / sizeof *cases);
}

/* The same of a search, which goes on from what its rows say. */
static void a_damaged_search_goes_on_or_says_why_not(void **state)
{
    (void)state;
    static const damage_case cases[] = {
        {"delete from iteration; delete from crossed_iteration", NULL},
        {"delete from backpatch where pair > 1; delete from iteration; delete from "
         "crossed_iteration",
         NULL},
        {"update backpatch set cells = replace(cells, '-', '0') where modality = "
         "'image' and pair = 4",
         "table backpatch, pair 4: cell "},
        {"update backpatch set cells = '1' where modality = 'image' and pair = 0",
         "table backpatch, pair 0: wanted 9 cells"},
        {"delete from backpatch where modality = 'image'; delete from iteration; "
         "delete from crossed_iteration; "
         "insert "
         "into stage values ('back-patch image')",
         "table backpatch: the search ends after pair 0"},
    };
    check_damages((char[]){"halving"},
                  "delete from stage where name in ('back-patch text', 'back-patch "
                  "image', 'iterate', 'all')",
                  cases, sizeof cases / sizeof *cases);
}

/* As on a disk that cannot be written: the lock cannot be had. */
static void a_finished_study_needs_no_lock(void **state)
{
    (void)state;
    int ready[2], over[2];
    char byte = 0;
    if (run_study() != TL_OK)
        fail_msg("%s", err.text);
    assert_int_equal(pipe(ready) + pipe(over), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        tl_study_db *db = NULL;
        if (tl_study_db_open(folder.path, TL_STUDY_WRITE, &db, &err) != TL_OK)
            _exit(1);
        close(over[1]);
        _exit(write(ready[1], "x", 1) == 1 && read(over[0], &byte, 1) == 0 ? 0 : 2);
    }
    close(over[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    if (run_study() != TL_OK)
        fail_msg("%s", err.text);
    char path[300];
    sqlite3 *raw = NULL;
    snprintf(path, sizeof path, "%s/study.db", folder.path);
    assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
    run_sql(raw, "delete from stage where name = 'all'");
    sqlite3_close(raw);
    assert_int_equal(run_study(), TL_ERR_IO); /* there is something to do */
    assert_non_null(strstr(err.text, "works in this folder"));
    close(over[1]);
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(run_study(), TL_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_whole_study_can_be_read),
        TEST(a_table_without_rows_is_told_or_not_missed),
        TEST(rows_of_a_kind_are_told_or_not_missed),
        TEST(a_curve_without_one_kind_is_told_by_its_name),
        TEST(views_larger_than_memory_are_refused),
        TEST(a_damaged_study_goes_on_or_says_why_not),
        TEST(a_damaged_search_goes_on_or_says_why_not),
        TEST(a_finished_study_needs_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
