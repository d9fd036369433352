/* SPDX-License-Identifier: MIT
 *
 * test_row_sql.c - rows of every kind: they come out as they went in, all of them or none;
 * a database that holds something else is refused by table, row and column.
 */
#include "testing.h"

#include <sqlite3.h>

#include "base/alloc_test.h"
#include "made_rows.h"
#include "store/study_db.h"

static test_folder folder;
static char path[300];
static sqlite3 *raw; /* of run_sql */
static tl_arena *arena;
static tl_error err;

static tl_study_db *open_for(tl_study_access access)
{
    tl_study_db *db = NULL;
    if (tl_study_db_open(folder.path, access, &db, &err) != TL_OK)
        fail_msg("%s", err.text);
    return db;
}

/* As somebody else would, in one connection until the folder is made anew. */
static void run_sql(const char *text)
{
    char *problem = NULL;
    if (raw == NULL) {
        assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
        assert_int_equal(
            sqlite3_exec(raw, "pragma synchronous = off", NULL, NULL, NULL), SQLITE_OK);
    }
    if (sqlite3_exec(raw, text, NULL, NULL, &problem) != SQLITE_OK)
        fail_msg("%s: %s", text, problem);
}

static void make_folder(void)
{
    folder = test_folder_create();
    snprintf(path, sizeof path, "%s/study.db", folder.path);
}

static void remove_folder(void)
{
    sqlite3_close(raw);
    raw = NULL;
    test_folder_remove(folder.path);
}

static int begin(void **state)
{
    (void)state;
    make_folder();
    arena = tl_arena_create();
    err = (tl_error){0};
    return 0;
}

static int end(void **state)
{
    (void)state;
    tl_arena_destroy(arena);
    remove_folder();
    return 0;
}

/* ---- in and out -------------------------------------------------------------------- */

static tl_rows made[TL_ROW_KIND_COUNT];

static void put_everything(tl_study_db *db)
{
    make_all_rows(made, arena);
    if (tl_study_db_put(db, made, TL_ROW_KIND_COUNT, &err) != TL_OK)
        fail_msg("%s", err.text);
}

static void rows_of_every_kind_come_back(void **state)
{
    (void)state;
    tl_study_db *db = open_for(TL_STUDY_WRITE);
    put_everything(db);
    put_everything(db); /* replaced by the same */
    tl_study_db_close(db);
    db = open_for(TL_STUDY_READ);
    for (size_t k = 0; k < TL_ROW_KIND_COUNT; k++)
        for (size_t i = 0; i < made[k].n; i++) {
            char got[256];
            bool found = false;
            memcpy(got, row_at(&made[k], i), tl_row_table_get(made[k].kind)->row_bytes);
            if (tl_study_db_find(db, made[k].kind, got, arena, &found, &err) != TL_OK)
                fail_msg("%s", err.text);
            assert_true(found);
            expect_same_row(made[k].kind, got, row_at(&made[k], i));
        }
    tl_study_db_close(db);
}

/* The first keys choose, the others give the order. */
static void rows_are_chosen_by_their_first_keys(void **state)
{
    (void)state;
    tl_study_db *db = open_for(TL_STUDY_WRITE);
    put_everything(db);
    for (size_t k = 0; k < TL_ROW_KIND_COUNT; k++) {
        const tl_row_table *table = tl_row_table_get((tl_row_kind)k);
        size_t n = made[k].n;
        for (size_t n_like = 0; n_like <= table->n_keys; n_like++) {
            tl_rows got = {0};
            if (tl_study_db_get(db, (tl_row_kind)k, n_like > 0 ? made[k].rows : NULL,
                                n_like, arena, &got, &err) != TL_OK)
                fail_msg("%s", err.text);
            assert_int_equal(got.n, n);
            assert_int_equal(got.kind, k);
            if (n_like < table->n_keys)
                n /= table->columns[n_like].n_words > 0 ? table->columns[n_like].n_words
                                                        : 2;
        }
    }
    const tl_study_evaluation like = {.modality = TL_IMAGE};
    tl_rows got = {0};
    assert_int_equal(
        tl_study_db_get(db, TL_ROW_EVALUATION, &like, 1, arena, &got, &err), TL_OK);
    const tl_study_evaluation *rows = got.rows;
    assert_int_equal(got.n, TL_STUDY_KIND_COUNT * 4);
    for (size_t i = 0; i < got.n; i++) {
        assert_int_equal(rows[i].modality, TL_IMAGE);
        assert_int_equal(rows[i].kind, i / 4);
        assert_int_equal(rows[i].pair, i / 2 % 2);
        assert_int_equal(rows[i].point, i % 2);
    }
    tl_study_db_close(db);
}

static void a_row_that_is_not_there_is_told(void **state)
{
    (void)state;
    tl_study_db *db = open_for(TL_STUDY_WRITE);
    tl_study_minimal minimal = {.modality = TL_IMAGE, .found = true, .point = 7};
    bool found = true;
    assert_int_equal(
        tl_study_db_find(db, TL_ROW_MINIMAL, &minimal, arena, &found, &err), TL_OK);
    assert_false(found);
    assert_true(minimal.found && minimal.point == 7);
    assert_int_equal(tl_study_db_find(db, TL_ROW_MINIMAL, &minimal, arena, NULL, &err),
                     TL_ERR_FORMAT);
    if (strstr(err.text, "/study.db: table minimal: no row for modality 'image'") ==
        NULL)
        fail_msg("%s", err.text);
    tl_study_key key = {.key = "seed"};
    assert_int_equal(tl_study_db_find(db, TL_ROW_KEY, &key, arena, NULL, &err),
                     TL_ERR_FORMAT);
    if (strstr(err.text, "table manifest: no row for key 'seed'") == NULL)
        fail_msg("%s", err.text);
    tl_study_db_close(db);
}

/* ---- whole units ------------------------------------------------------------------- */

static size_t count_of(const char *table)
{
    sqlite3_stmt *statement = NULL;
    char text[100];
    snprintf(text, sizeof text, "select count(*) from %s", table);
    run_sql(""); /* opens it */
    assert_int_equal(sqlite3_prepare_v2(raw, text, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const size_t n = (size_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return n;
}

/* A trigger refuses the n-th row of a table, for every table. */
static void a_unit_that_fails_anywhere_leaves_nothing(void **state)
{
    (void)state;
    tl_study_db *db = open_for(TL_STUDY_WRITE);
    make_all_rows(made, arena);
    for (size_t k = 0; k < TL_ROW_KIND_COUNT; k++) {
        const char *name = tl_row_table_get((tl_row_kind)k)->name;
        char text[300];
        snprintf(
            text, sizeof text,
            "create trigger full before insert on %s when (select count(*) from %s)"
            " >= %zu begin select raise(abort, 'no more'); end",
            name, name, made[k].n - 1);
        run_sql(text);
        assert_int_equal(tl_study_db_put(db, made, TL_ROW_KIND_COUNT, &err), TL_ERR_IO);
        assert_non_null(strstr(err.text, "no more"));
        for (size_t other = 0; other < TL_ROW_KIND_COUNT; other++)
            assert_int_equal(count_of(tl_row_table_get((tl_row_kind)other)->name), 0);
        run_sql("drop trigger full");
    }
    assert_int_equal(tl_study_db_put(db, made, TL_ROW_KIND_COUNT, &err), TL_OK);
    tl_study_db_close(db);
}

/* The memory of SQLite; the allocation that `fail_in` counts down to fails, and all behind
 * it. */
static sqlite3_mem_methods memory;
static long long fail_in = -1;

static bool is_refused(void)
{
    if (fail_in > 0)
        fail_in--;
    return fail_in == 0;
}

static void *allocate(int bytes)
{
    return is_refused() ? NULL : memory.xMalloc(bytes);
}

static void *resize(void *block, int bytes)
{
    return is_refused() ? NULL : memory.xRealloc(block, bytes);
}

static void take_memory_of_sqlite(void)
{
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory), SQLITE_OK);
    sqlite3_mem_methods ours = memory;
    ours.xMalloc = allocate;
    ours.xRealloc = resize;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &ours), SQLITE_OK);
}

/* Opens, puts all rows and gets them again. */
static tl_status go_through(void)
{
    tl_study_db *db = NULL;
    tl_arena *own = tl_arena_create();
    tl_rows got;
    tl_status status = own != NULL ? TL_OK : TL_ERR_NO_MEMORY;
    if (status == TL_OK)
        status = tl_study_db_open(folder.path, TL_STUDY_WRITE, &db, &err);
    if (status == TL_OK)
        status = tl_study_db_put(db, made, TL_ROW_KIND_COUNT, &err);
    for (size_t k = 0; k < TL_ROW_KIND_COUNT && status == TL_OK; k++)
        status = tl_study_db_get(db, (tl_row_kind)k, NULL, 0, own, &got, &err);
    tl_arena_destroy(own);
    tl_study_db_close(db);
    return status;
}

/* All rows are there, or, of what failed, none. */
static void expect_whole(tl_status status, bool hit)
{
    size_t n_tables = 0;
    for (size_t k = 0; k < TL_ROW_KIND_COUNT; k++) {
        const size_t n = count_of(tl_row_table_get((tl_row_kind)k)->name);
        assert_true(n == 0 || n == made[k].n);
        n_tables += n > 0;
    }
    assert_true(n_tables == 0 || n_tables == TL_ROW_KIND_COUNT);
    if (status == TL_OK)
        assert_int_equal(n_tables, TL_ROW_KIND_COUNT);
    else if (status != TL_ERR_NO_MEMORY || !hit)
        fail_msg("status %d: %s", (int)status, err.text);
    for (size_t k = 0; k < TL_ROW_KIND_COUNT; k++) {
        char text[100];
        snprintf(text, sizeof text, "delete from %s",
                 tl_row_table_get((tl_row_kind)k)->name);
        run_sql(text);
    }
}

static void no_memory_anywhere_leaves_nothing_behind(void **state)
{
    (void)state;
    make_all_rows(made, arena);
    tl_study_db_close(open_for(TL_STUDY_WRITE));
    const size_t live = tl_alloc_live();
    size_t n_failed = 0;
    for (long long n = 0;; n++) { /* ours */
        tl_alloc_fail_at(n);
        const tl_status status = go_through();
        const bool hit = tl_alloc_fault_hit();
        tl_alloc_fail_at(-1);
        assert_int_equal(tl_alloc_live(), live);
        expect_whole(status, hit);
        n_failed += status != TL_OK;
        if (!hit)
            break;
    }
    for (long long n = 1;; n += 17) { /* SQLite's */
        fail_in = n;
        const tl_status status = go_through();
        const bool hit = fail_in == 0;
        fail_in = -1;
        assert_int_equal(tl_alloc_live(), live);
        expect_whole(status, hit);
        n_failed += status != TL_OK;
        if (!hit)
            break;
    }
    assert_in_range(n_failed, 50, 100000);
}

static void a_word_that_there_is_not_cannot_be_put(void **state)
{
    (void)state;
    tl_study_db *db = open_for(TL_STUDY_WRITE);
    const tl_study_minimal minimal = {.modality = (tl_modality)2};
    assert_int_equal(
        tl_study_db_put(db, &(tl_rows){TL_ROW_MINIMAL, &minimal, 1}, 1, &err),
        TL_ERR_IO);
    tl_study_db_close(db);
    assert_int_equal(count_of("minimal"), 0);
}

/* ---- a database that holds something else ------------------------------------------- */

/* Makes the table anew without types and constraints, as a stranger could have it, with
 * the rows that it had. */
static void loosen(const tl_row_table *table)
{
    char names[300] = "", text[900];
    for (size_t c = 0; c < table->n_columns; c++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
                 c > 0 ? ", " : "", table->columns[c].name);
    snprintf(
        text, sizeof text,
        "create table loose(%s); insert into loose select * from %s; drop table %s;"
        "alter table loose rename to %s",
        names, table->name, table->name, table->name);
    run_sql(text);
}

static void expect_refusal(tl_row_kind kind, const void *like, size_t n_like,
                           const char *part)
{
    tl_rows got = {0};
    tl_study_db *db = open_for(TL_STUDY_READ);
    err = (tl_error){0};
    const tl_status status = tl_study_db_get(db, kind, like, n_like, arena, &got, &err);
    tl_study_db_close(db);
    if (status != TL_ERR_FORMAT || strstr(err.text, part) == NULL)
        fail_msg("status %d, '%s', wanted '%s'", (int)status, err.text, part);
    assert_null(got.rows);
}

/* Every column of every table is given values that it cannot have. */
static void values_that_a_column_cannot_have_are_refused(void **state)
{
    (void)state;
    static const char *const values[] = {"null", "-1",  "2",  "2147483648",
                                         "1.5",  "'x'", "''", "x'00'"};
    tl_study_db *db = open_for(TL_STUDY_WRITE);
    put_everything(db);
    tl_study_db_close(db);
    size_t n_refused = 0;
    for (size_t k = 0; k < TL_ROW_KIND_COUNT; k++) {
        const tl_row_table *table = tl_row_table_get((tl_row_kind)k);
        loosen(table);
        for (size_t c = 0; c < table->n_columns; c++)
            for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
                const tl_column *column = &table->columns[c];
                const bool is_text = values[v][0] == '\'', is_null = v == 0,
                           is_number = v > 0 && !is_text && values[v][0] != 'x',
                           is_real = v == 4;
                bool fits = false;
                switch (column->type) {
                case TL_COLUMN_TEXT:
                case TL_COLUMN_WORD:
                    fits = (is_text && column->n_words == 0) ||
                           (is_null && column->is_optional);
                    break;
                case TL_COLUMN_REAL: fits = is_real || is_null; break;
                case TL_COLUMN_BLOB: fits = values[v][0] == 'x'; break;
                case TL_COLUMN_INTEGER: fits = is_number && !is_real; break;
                case TL_COLUMN_BOOL: break; /* none of these */
                case TL_COLUMN_SIZE:
                case TL_COLUMN_ID:
                    fits = v == 2 || (is_null && column->is_optional);
                    break;
                }
                if (fits)
                    continue;
                char text[300], part[100];
                snprintf(
                    text, sizeof text,
                    "create temp table kept as select %s as v from %s where rowid ="
                    " 1; update %s set %s = %s where rowid = 1",
                    column->name, table->name, table->name, column->name, values[v]);
                run_sql(text);
                snprintf(part, sizeof part, "study.db: table %s, row ", table->name);
                expect_refusal((tl_row_kind)k, NULL, 0, part);
                snprintf(part, sizeof part, ": %s is ", column->name);
                assert_non_null(strstr(err.text, part));
                snprintf(text, sizeof text,
                         "update %s set %s = (select v from kept) where rowid = 1;"
                         "drop table kept",
                         table->name, column->name);
                run_sql(text);
                n_refused++;
            }
    }
    assert_in_range(n_refused, 500, 2000);
}

static void what_was_wrong_and_wanted_is_said(void **state)
{
    (void)state;
    static const struct {
        tl_row_kind kind;
        const char *damage, *says;
    } cases[] = {
        {TL_ROW_POINT, "update curve set n_heads = -3",
         "table curve, row 1: n_heads is -3, wanted an integer from 0 to 2147483647"},
        {TL_ROW_POINT, "update curve set kind = 'best' where kind = 'random'",
         "kind is 'best', wanted circuit, magnitude or random"},
        {TL_ROW_PROMPT, "update prompt set id = null",
         "row 1: id is NULL, wanted a text"},
        {TL_ROW_PROMPT, "update prompt set correct_full = 2",
         "correct_full is 2, wanted 0 or 1"},
        {TL_ROW_PROMPT, "update prompt set top_logit = 'much'",
         "top_logit is 'much', wanted a real number or NULL"},
        {TL_ROW_PROMPT, "update prompt set id = 'a' || char(0) || 'b'", "id is 'a"},
        {TL_ROW_FILE, "update file set bytes = 1.5", "bytes is 1.5, wanted an integer"},
        {TL_ROW_PICTURE, "update picture set bytes = 'GIF'",
         "bytes is 'GIF', wanted a blob"},
        {TL_ROW_PICTURE, "update picture set type = 'text/html'",
         "wanted image/png, image/jpeg or image/webp"},
        {TL_ROW_STAGE, "insert into stage select * from stage",
         "table stage, row 2: its key is there twice"},
        {TL_ROW_EFFECT, "insert into effect select * from effect",
         "table effect, row 2: its key is there twice"},
        {TL_ROW_MINIMAL, "alter table minimal drop column point",
         "no such column: point"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tl_study_db *db = open_for(TL_STUDY_WRITE);
        put_everything(db);
        tl_study_db_close(db);
        loosen(tl_row_table_get(cases[i].kind));
        run_sql(cases[i].damage);
        expect_refusal(cases[i].kind, NULL, 0, cases[i].says);
        remove_folder();
        make_folder();
    }
}

/* Of keys that count, each row is taken away in turn. */
static void a_row_that_is_missing_is_named(void **state)
{
    (void)state;
    tl_study_db *db = open_for(TL_STUDY_WRITE);
    put_everything(db);
    tl_study_db_close(db);
    const tl_study_point curve = {.modality = TL_IMAGE};
    run_sql("delete from curve where modality = 'image' and kind = 'magnitude'"
            " and point = 1");
    expect_refusal(
        TL_ROW_POINT, &curve, 1,
        "study.db: table curve: no row for modality 'image', kind 'magnitude',"
        " point 1");
    run_sql("delete from curve where kind = 'random'");
    const tl_study_point other = {.modality = TL_TEXT};
    expect_refusal(TL_ROW_POINT, &other, 1,
                   "table curve: no row for modality 'text', kind 'random', point 0");
    run_sql("delete from alignment where pair = 0 and layer = 1");
    expect_refusal(TL_ROW_ALIGNMENT, NULL, 0,
                   "table alignment: no row for pair 0, layer 1");
    run_sql("delete from cell where cell = 0");
    expect_refusal(TL_ROW_CELL, NULL, 0, "table cell: no row for cell 0");
    run_sql("update token set pos = 2147483647 where pos = 1");
    const tl_study_token token = {.modality = TL_TEXT};
    expect_refusal(TL_ROW_TOKEN, &token, 1,
                   "table token: no row for modality 'text', pos 1");
    run_sql("delete from pair where part = 'discovery' and pair = 0");
    const tl_study_pair pair = {.modality = TL_TEXT, .part = TL_STUDY_DISCOVERY};
    expect_refusal(TL_ROW_PAIR, &pair, 2,
                   "table pair: no row for modality 'text', part 'discovery', pair 0");
}

/* A view could go on for ever. */
static void a_table_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const damages[] = {
        "drop table curve",
        "drop table curve; create view curve as with recursive n(i) as (select 1 union"
        " all select i + 1 from n) select i from n",
    };
    for (size_t i = 0; i < 2; i++) {
        tl_study_db_close(open_for(TL_STUDY_WRITE));
        run_sql(damages[i]);
        for (size_t access = 0; access < 2; access++) {
            tl_study_db *db = NULL;
            assert_int_equal(
                tl_study_db_open(folder.path, (tl_study_access)access, &db, &err),
                TL_ERR_FORMAT);
            if (strstr(err.text, "/study.db: no table 'curve'") == NULL)
                fail_msg("%s", err.text);
        }
        remove_folder();
        make_folder();
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_of_every_kind_come_back),
        TEST(rows_are_chosen_by_their_first_keys),
        TEST(a_row_that_is_not_there_is_told),
        TEST(a_unit_that_fails_anywhere_leaves_nothing),
        TEST(no_memory_anywhere_leaves_nothing_behind),
        TEST(a_word_that_there_is_not_cannot_be_put),
        TEST(values_that_a_column_cannot_have_are_refused),
        TEST(what_was_wrong_and_wanted_is_said),
        TEST(a_row_that_is_missing_is_named),
        TEST(a_table_that_is_none_is_refused),
    };
    take_memory_of_sqlite();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
