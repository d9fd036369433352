/* SPDX-License-Identifier: MIT
 *
 * test_row_sql.c - rows of every kind: they come out as they went in, all of them or none;
 * a database that holds something else is refused by table, row and column.
 */
#include "testing.h"

#include <sqlite3.h>

#include "store/columns.h"
#include "store/study_db.h"

enum { MOST_ROWS = 64, ROW_BYTES = 256 };

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

/* ---- rows that are made up --------------------------------------------------------- */

static tl_value of_integer(size_t value)
{
    return (tl_value){.type = TL_VALUE_INTEGER, .integer = (int64_t)value};
}

static tl_value of_text(const char *text)
{
    return (tl_value){.type = TL_VALUE_TEXT, .bytes = text, .n_bytes = strlen(text)};
}

/* Something for column c of row i: each type's odd values come up. */
static tl_value make_value(const tl_column *c, size_t i, size_t number)
{
    static const char *const texts[] = {"", "one", "\xc3\xa9 \"x\",\n'y'", "NULL"};
    static const double reals[] = {0.1 + 0.2, 5e-324, -1.0 / 3, 1e300, 3.0, NAN};
    static const char blob[] = {0, 'P', 'N', 'G', 0, (char)0x89};
    const bool is_null = c->is_optional && i % 2 == 1;
    switch (c->type) {
    case TL_COLUMN_TEXT:
    case TL_COLUMN_WORD:
        return is_null          ? (tl_value){0}
               : c->n_words > 0 ? of_text(c->words[i % c->n_words])
                                : of_text(texts[(i + number) % 4]);
    case TL_COLUMN_REAL:
        return isnan(reals[(i + number) % 6])
                   ? (tl_value){0}
                   : (tl_value){.type = TL_VALUE_REAL, .real = reals[(i + number) % 6]};
    case TL_COLUMN_BLOB:
        return (tl_value){.type = TL_VALUE_BLOB, .bytes = blob, .n_bytes = i % 7};
    case TL_COLUMN_INTEGER:
        return (tl_value){.type = TL_VALUE_INTEGER, .integer = -(INT64_C(1) << 40)};
    case TL_COLUMN_BOOL: return of_integer((i + number) % 2);
    case TL_COLUMN_SIZE:
    case TL_COLUMN_ID: break;
    }
    return is_null  ? (tl_value){0}
           : i == 0 ? of_integer(TL_COLUMN_MOST)
                    : of_integer(1000 * number + i);
}

/* Key k of row i: all combinations of all words and of two of everything else. */
static tl_value make_key(const tl_row_table *table, size_t k, size_t i)
{
    const tl_column *c = &table->columns[k];
    size_t extent = 1;
    for (size_t later = k + 1; later < table->n_keys; later++)
        extent *= table->columns[later].n_words > 0 ? table->columns[later].n_words : 2;
    i /= extent;
    return c->n_words > 0              ? of_text(c->words[i % c->n_words])
           : c->type == TL_COLUMN_TEXT ? of_text(i % 2 == 0 ? "a" : "b")
                                       : of_integer(i % 2);
}

/* As many as there are keys. */
static size_t make_rows(const tl_row_table *table, char rows[MOST_ROWS][ROW_BYTES],
                        char *packed)
{
    size_t n = 1;
    assert_in_range(table->row_bytes, 1, ROW_BYTES);
    for (size_t k = 0; k < table->n_keys; k++)
        n *= table->columns[k].n_words > 0 ? table->columns[k].n_words : 2;
    assert_in_range(n, 1, MOST_ROWS);
    for (size_t i = 0; i < n; i++) {
        memset(rows[i], 0, ROW_BYTES);
        for (size_t c = 0; c < table->n_columns; c++) {
            const tl_value value = c < table->n_keys
                                       ? make_key(table, c, i)
                                       : make_value(&table->columns[c], i, c);
            if (tl_column_set(&table->columns[c], &value, arena, rows[i], &err) !=
                TL_OK)
                fail_msg("%s: %s", table->name, err.text);
        }
        memcpy(packed + i * table->row_bytes, rows[i], table->row_bytes);
    }
    return n;
}

static void expect_same(const tl_row_table *table, const void *got, const void *want)
{
    for (size_t c = 0; c < table->n_columns; c++) {
        const tl_value a = tl_column_get(&table->columns[c], got),
                       b = tl_column_get(&table->columns[c], want);
        if (a.type != b.type || a.integer != b.integer || a.n_bytes != b.n_bytes ||
            memcmp(&a.real, &b.real, sizeof a.real) != 0 ||
            (a.n_bytes > 0 && memcmp(a.bytes, b.bytes, a.n_bytes) != 0))
            fail_msg("table %s: column %s does not come back", table->name,
                     table->columns[c].name);
    }
}

/* ---- in and out -------------------------------------------------------------------- */

/* What went into all tables; `rows` are those of the kind. */
static char made[TL_ROW_KIND_COUNT][MOST_ROWS * ROW_BYTES];
static size_t n_made[TL_ROW_KIND_COUNT];

static void put_everything(tl_study_db *db)
{
    static char rows[MOST_ROWS][ROW_BYTES];
    tl_rows all[TL_ROW_KIND_COUNT];
    for (size_t k = 0; k < TL_ROW_KIND_COUNT; k++) {
        n_made[k] = make_rows(tl_row_table_get((tl_row_kind)k), rows, made[k]);
        all[k] = (tl_rows){(tl_row_kind)k, made[k], n_made[k]};
    }
    if (tl_study_db_put(db, all, TL_ROW_KIND_COUNT, &err) != TL_OK)
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
    for (size_t k = 0; k < TL_ROW_KIND_COUNT; k++) {
        const tl_row_table *table = tl_row_table_get((tl_row_kind)k);
        for (size_t i = 0; i < n_made[k]; i++) {
            const char *want = made[k] + i * table->row_bytes;
            char got[ROW_BYTES];
            bool found = false;
            memcpy(got, want, table->row_bytes);
            if (tl_study_db_find(db, (tl_row_kind)k, got, arena, &found, &err) != TL_OK)
                fail_msg("%s", err.text);
            assert_true(found);
            expect_same(table, got, want);
        }
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
        size_t n = n_made[k];
        for (size_t n_like = 0; n_like <= table->n_keys; n_like++) {
            tl_rows got = {0};
            if (tl_study_db_get(db, (tl_row_kind)k, n_like > 0 ? made[k] : NULL, n_like,
                                arena, &got, &err) != TL_OK)
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
    tl_rows all[TL_ROW_KIND_COUNT];
    put_everything(db);
    for (size_t k = 0; k < TL_ROW_KIND_COUNT; k++) {
        const char *name = tl_row_table_get((tl_row_kind)k)->name;
        char text[200];
        snprintf(text, sizeof text, "delete from %s", name);
        run_sql(text);
        all[k] = (tl_rows){(tl_row_kind)k, made[k], n_made[k]};
    }
    for (size_t k = 0; k < TL_ROW_KIND_COUNT; k++) {
        const char *name = tl_row_table_get((tl_row_kind)k)->name;
        char text[300];
        snprintf(
            text, sizeof text,
            "create trigger full before insert on %s when (select count(*) from %s)"
            " >= %zu begin select raise(abort, 'no more'); end",
            name, name, n_made[k] - 1);
        run_sql(text);
        assert_int_equal(tl_study_db_put(db, all, TL_ROW_KIND_COUNT, &err), TL_ERR_IO);
        assert_non_null(strstr(err.text, "no more"));
        for (size_t other = 0; other < TL_ROW_KIND_COUNT; other++)
            assert_int_equal(count_of(tl_row_table_get((tl_row_kind)other)->name), 0);
        run_sql("drop trigger full");
    }
    assert_int_equal(tl_study_db_put(db, all, TL_ROW_KIND_COUNT, &err), TL_OK);
    tl_study_db_close(db);
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
        TEST(a_word_that_there_is_not_cannot_be_put),
        TEST(values_that_a_column_cannot_have_are_refused),
        TEST(what_was_wrong_and_wanted_is_said),
        TEST(a_row_that_is_missing_is_named),
        TEST(a_table_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
