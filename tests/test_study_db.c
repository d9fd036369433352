/* SPDX-License-Identifier: MIT
 *
 * test_study_db.c - the database of a study: rows come out as they went in, units of
 * work are whole or absent, and what is not a study is refused and left alone.
 */
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "store/study_db.h"
#include "twinlens/alloc.h"

static test_folder root;
static char folder[300], path[320];
static tl_arena *arena;
static tl_error err;

static int begin(void **state)
{
    (void)state;
    umask(022);
    root = test_folder_create();
    snprintf(folder, sizeof folder, "%s/runs/a", root.path);
    snprintf(path, sizeof path, "%s/study.db", folder);
    arena = tl_arena_create();
    err = (tl_error){0};
    return 0;
}

static int end(void **state)
{
    (void)state;
    tl_arena_destroy(arena);
    test_folder_remove(root.path);
    return 0;
}

/* ---- small helpers ----------------------------------------------------------- */

static tl_study_db *open_for(tl_study_access access)
{
    tl_study_db *db = NULL;
    const tl_status status = tl_study_db_open(folder, access, &db, &err);
    if (status != TL_OK)
        fail_msg("%s", err.text);
    return db;
}

static const tl_study_key keys[] = {{"ig-steps", "5"}, {"seed", "42"}};
static const tl_study_file files[] = {{"m/config.json", "abc", 12, 34}};

static tl_study_db *open_adopted(void)
{
    tl_study_db *db = open_for(TL_STUDY_WRITE);
    assert_int_equal(tl_study_db_adopt(db, keys, 2, files, 1, NULL, &err), TL_OK);
    return db;
}

/* The failure that opening ends in. */
static void expect_refusal(tl_study_access access, tl_status status, const char *part)
{
    tl_study_db *db = NULL;
    err = (tl_error){0};
    assert_int_equal(tl_study_db_open(folder, access, &db, &err), status);
    assert_null(db);
    if (strstr(err.text, part) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, part);
    assert_null(strchr(err.text, '\n'));
}

static void run_sql(const char *text)
{
    sqlite3 *raw = NULL;
    assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(raw);
}

static void make_folder(void)
{
    char command[400];
    snprintf(command, sizeof command, "mkdir -p '%s'", folder);
    assert_int_equal(system(command), 0);
}

static void write_file(const char *name, const char *text)
{
    char file_path[400];
    make_folder();
    snprintf(file_path, sizeof file_path, "%s/%s", folder, name);
    FILE *file = fopen(file_path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static tl_study_prompt prompt_of(size_t row)
{
    return (tl_study_prompt){
        .row = row,
        .id = row % 2 == 0 ? "text-0" : "image \"1\"",
        .modality = row % 2 == 0 ? TL_TEXT : TL_IMAGE,
        .n_pos = 50 + row,
        .data_begin = 3,
        .data_end = 9,
        .answer_id = 7,
        .label_id = row == 2 ? -1 : 8,
        .top_id = 9,
        .answer = "one",
        .label = row == 2 ? NULL : "two",
        .top = row == 4 ? NULL : "\xc3\xa9",
        .answer_logit = 0.1 + 0.2,
        .label_logit = row == 2 ? NAN : 5e-324,
        .top_logit = -1.0 / 3.0,
        .correct_limited = row == 0,
        .correct_full = row == 4,
    };
}

static tl_status put_prompts(tl_study_db *db, const tl_study_prompt *prompts, size_t n)
{
    return tl_study_db_put(db, &(tl_rows){TL_ROW_PROMPT, prompts, n}, 1, &err);
}

/* The manifest's value; NULL when there is no such key. */
static const char *value_of(const tl_study_db *db, const char *key)
{
    tl_study_key row = {.key = key};
    bool found = false;
    assert_int_equal(tl_study_db_find(db, TL_ROW_KEY, &row, arena, &found, &err),
                     TL_OK);
    return found ? row.value : NULL;
}

/* ---- rows -------------------------------------------------------------------- */

static void prompts_come_back_bit_for_bit_in_order_of_rows(void **state)
{
    (void)state;
    tl_study_db *db = open_adopted();
    const tl_study_prompt first[] = {prompt_of(4), prompt_of(1)};
    const tl_study_prompt second[] = {prompt_of(0), prompt_of(2), prompt_of(4)};
    assert_int_equal(put_prompts(db, first, 2), TL_OK);
    assert_int_equal(put_prompts(db, second, 3), TL_OK);
    tl_study_db_close(db);

    db = open_for(TL_STUDY_READ);
    const tl_study_prompt *got = NULL;
    size_t n = 0;
    assert_int_equal(tl_study_db_get_prompts(db, TL_TEXT, arena, &got, &n, &err),
                     TL_OK);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) {
        const tl_study_prompt want = prompt_of(2 * i);
        assert_int_equal(got[i].row, want.row);
        assert_string_equal(got[i].id, want.id);
        assert_int_equal(got[i].modality, TL_TEXT);
        assert_int_equal(got[i].n_pos, want.n_pos);
        assert_int_equal(got[i].label_id, want.label_id);
        assert_int_equal(got[i].top_id, 9);
        assert_string_equal(got[i].answer, "one");
        assert_memory_equal(&got[i].answer_logit, &want.answer_logit, sizeof(double));
        assert_memory_equal(&got[i].top_logit, &want.top_logit, sizeof(double));
        assert_int_equal(got[i].correct_limited, want.correct_limited);
        assert_int_equal(got[i].correct_full, want.correct_full);
    }
    assert_true(got[0].label_logit == 5e-324);
    assert_null(got[1].label);
    assert_true(isnan(got[1].label_logit));
    assert_string_equal(got[0].top, "\xc3\xa9");
    assert_null(got[2].top);
    assert_int_equal(tl_study_db_get_prompts(db, TL_IMAGE, arena, &got, &n, &err),
                     TL_OK);
    assert_int_equal(n, 1);
    assert_string_equal(got[0].id, "image \"1\"");
    tl_study_db_close(db);
    char log[400];
    snprintf(log, sizeof log, "%s-wal", path);
    assert_int_not_equal(access(log, F_OK), 0); /* a reader leaves nothing behind */
}

static void pairs_keep_their_part_and_order(void **state)
{
    (void)state;
    tl_study_db *db = open_adopted();
    const tl_study_pair discovery[] = {
        {TL_IMAGE, TL_STUDY_DISCOVERY, 0, 9, 3, 1, 2},
        {TL_IMAGE, TL_STUDY_DISCOVERY, 1, 3, 9, 2, 1},
        {TL_IMAGE, TL_STUDY_DISCOVERY, 2, 5, 9, 4, 1},
    };
    const tl_study_pair evaluation = {TL_IMAGE, TL_STUDY_EVALUATION, 0, 1, 7, 6, 5};
    const tl_rows parts[] = {{TL_ROW_PAIR, discovery, 3},
                             {TL_ROW_PAIR, &evaluation, 1}};
    assert_int_equal(tl_study_db_put(db, parts, 2, &err), TL_OK);
    const tl_study_pair *got = NULL;
    size_t n = 0;
    assert_int_equal(
        tl_study_db_get_pairs(db, TL_IMAGE, TL_STUDY_DISCOVERY, arena, &got, &n, &err),
        TL_OK);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(&got[i], &discovery[i], sizeof got[i]);
    assert_int_equal(
        tl_study_db_get_pairs(db, TL_IMAGE, TL_STUDY_EVALUATION, arena, &got, &n, &err),
        TL_OK);
    assert_int_equal(n, 1);
    assert_int_equal(got[0].counterfactual, 7);
    assert_int_equal(
        tl_study_db_get_pairs(db, TL_TEXT, TL_STUDY_EVALUATION, arena, &got, &n, &err),
        TL_OK);
    assert_int_equal(n, 0);
    tl_study_db_close(db);
}

/* Two pairs under three circuits of each kind; the second pair first. */
static void evaluations_come_back_by_kind_pair_and_point(void **state)
{
    (void)state;
    tl_study_db *db = open_adopted();
    for (size_t pair = 2; pair-- > 0;) {
        const tl_study_baseline baseline = {TL_TEXT, pair, 0.5, pair == 0 ? NAN : -0.5};
        tl_study_evaluation rows[3 * TL_STUDY_KIND_COUNT];
        for (size_t i = 0; i < 3 * TL_STUDY_KIND_COUNT; i++)
            rows[i] =
                (tl_study_evaluation){TL_TEXT, (tl_study_kind)(i / 3), pair, i % 3,
                                      (double)(100 * (i / 3) + 10 * pair + i % 3)};
        const tl_rows both[] = {{TL_ROW_BASELINE, &baseline, 1},
                                {TL_ROW_EVALUATION, rows, 3 * TL_STUDY_KIND_COUNT}};
        assert_int_equal(tl_study_db_put(db, both, 2, &err), TL_OK);
    }
    tl_study_evaluations got = {0};
    assert_int_equal(tl_study_db_get_evaluations(db, TL_TEXT, 3, arena, &got, &err),
                     TL_OK);
    assert_int_equal(got.n_pairs, 2);
    assert_true(isnan(got.pairs[0].none) && got.pairs[1].none == -0.5);
    assert_true(tl_study_evaluations_at(&got, TL_STUDY_CIRCUIT, 0, 2) == 2.0);
    assert_true(tl_study_evaluations_at(&got, TL_STUDY_MAGNITUDE, 1, 0) == 110.0);
    assert_true(tl_study_evaluations_at(&got, TL_STUDY_RANDOM, 1, 1) == 211.0);
    /* Another grid than the one it was made with cannot be read by accident. */
    assert_int_equal(tl_study_db_get_evaluations(db, TL_TEXT, 2, arena, &got, &err),
                     TL_ERR_FORMAT);
    assert_int_equal(tl_study_db_get_evaluations(db, TL_IMAGE, 3, arena, &got, &err),
                     TL_OK);
    assert_int_equal(got.n_pairs, 0);
    tl_study_db_close(db);
}

/* What is read belongs together, also while the study goes on. */
static void a_reader_sees_the_study_as_it_was_opened(void **state)
{
    (void)state;
    tl_study_db *writer = open_adopted();
    const tl_study_prompt first = prompt_of(0), second = prompt_of(2);
    assert_int_equal(put_prompts(writer, &first, 1), TL_OK);
    tl_study_db *reader = open_for(TL_STUDY_READ);
    for (size_t want = 1; want <= 2; want++) {
        const tl_study_prompt *got = NULL;
        size_t n = 0;
        assert_int_equal(put_prompts(writer, &second, 1), TL_OK);
        assert_int_equal(
            tl_study_db_get_prompts(reader, TL_TEXT, arena, &got, &n, &err), TL_OK);
        assert_int_equal(n, want);
        tl_study_db_close(reader);
        reader = open_for(TL_STUDY_READ);
    }
    tl_study_db_close(reader);
    tl_study_db_close(writer);
}

/* ---- the manifest ------------------------------------------------------------ */

static void a_study_of_other_keys_is_refused_with_each_difference(void **state)
{
    (void)state;
    tl_study_db *db = open_adopted();
    static const struct {
        tl_study_key keys[3];
        size_t n_keys;
        const char *says;
    } cases[] = {
        {{{"ig-steps", "7"}, {"seed", "42"}},
         2,
         "ig-steps '5' there and ig-steps '7' here"},
        {{{"ig-steps", "7"}, {"seed", "1"}},
         2,
         "ig-steps '5' there and ig-steps '7' here; seed '42' there and seed '1' here"},
        {{{"ig-steps", "5"}, {"seed", "42"}, {"pct", "f32"}},
         3,
         "no pct there and pct 'f32' here"},
        {{{"ig-steps", "5"}}, 1, "seed '42' there and no seed here"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err = (tl_error){0};
        const tl_study_file other = {"new", "def", 1, 1};
        assert_int_equal(tl_study_db_adopt(db, cases[i].keys, cases[i].n_keys, &other,
                                           1, NULL, &err),
                         TL_ERR_DATA);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
        const char *hash = "x";
        assert_int_equal(tl_study_db_get_hash(db, "new", 1, 1, arena, &hash, &err),
                         TL_OK);
        assert_null(hash); /* nothing was touched */
    }
    assert_int_equal(tl_study_db_adopt(db, keys, 2, files, 1, NULL, &err), TL_OK);
    assert_string_equal(value_of(db, "seed"), "42");
    assert_null(value_of(db, "none"));
    tl_study_db_close(db);
}

static void a_hash_is_remembered_while_the_file_looks_the_same(void **state)
{
    (void)state;
    tl_study_db *db = open_adopted();
    const char *hash = NULL;
    assert_int_equal(
        tl_study_db_get_hash(db, "m/config.json", 12, 34, arena, &hash, &err), TL_OK);
    assert_string_equal(hash, "abc");
    assert_int_equal(
        tl_study_db_get_hash(db, "m/config.json", 13, 34, arena, &hash, &err), TL_OK);
    assert_null(hash);
    assert_int_equal(
        tl_study_db_get_hash(db, "m/config.json", 12, 35, arena, &hash, &err), TL_OK);
    assert_null(hash);
    const tl_study_file touched = {"m/config.json", "abc", 12, 35};
    assert_int_equal(tl_study_db_adopt(db, keys, 2, &touched, 1, NULL, &err), TL_OK);
    assert_int_equal(
        tl_study_db_get_hash(db, "m/config.json", 12, 35, arena, &hash, &err), TL_OK);
    assert_string_equal(hash, "abc");
    tl_study_db_close(db);
}

/* ---- what is refused --------------------------------------------------------- */

static void folders_that_are_no_study_are_refused_and_left_alone(void **state)
{
    (void)state;
    expect_refusal(TL_STUDY_READ, TL_ERR_NOT_FOUND, "no study.db there");

    write_file("notes.txt", "mine");
    expect_refusal(TL_STUDY_WRITE, TL_ERR_DATA, "holds 'notes.txt' and no study.db");
    expect_refusal(TL_STUDY_READ, TL_ERR_NOT_FOUND, "no study.db there");
    char lock[400];
    snprintf(lock, sizeof lock, "%s/study.lock", folder);
    assert_int_not_equal(access(lock, F_OK), 0);

    test_folder_remove(folder);
    write_file("study.db", "this is certainly no database, just a text of some length");
    expect_refusal(TL_STUDY_WRITE, TL_ERR_FORMAT, "not a sound SQLite file");
    expect_refusal(TL_STUDY_READ, TL_ERR_FORMAT, "not a sound SQLite file");

    test_folder_remove(folder);
    make_folder();
    run_sql("create table t(a)");
    expect_refusal(TL_STUDY_WRITE, TL_ERR_FORMAT, "not of a study");
    expect_refusal(TL_STUDY_READ, TL_ERR_FORMAT, "not of a study");

    test_folder_remove(folder);
    FILE *file = fopen(folder, "w");
    assert_non_null(file);
    fclose(file);
    expect_refusal(TL_STUDY_WRITE, TL_ERR_IO, "is a file, a folder was wanted");
}

static void another_version_is_refused_with_both_numbers(void **state)
{
    (void)state;
    tl_study_db_close(open_adopted());
    static const int versions[] = {2, 99};
    for (size_t i = 0; i < 2; i++) {
        char text[100];
        snprintf(text, sizeof text, "pragma user_version = %d", versions[i]);
        run_sql(text);
        snprintf(text, sizeof text,
                 "study.db: its layout has version %d, this program reads versions"
                 " 3 to 10 and writes the last",
                 versions[i]);
        expect_refusal(TL_STUDY_WRITE, TL_ERR_DATA, text);
        expect_refusal(TL_STUDY_READ, TL_ERR_DATA, text);
    }
}

static void a_study_of_version_4_gets_what_it_has_not(void **state)
{
    (void)state;
    tl_study_db_close(open_adopted());
    run_sql("drop table work; drop table memory; drop table precision;"
            "drop table ranked; drop table circuit_test;"
            "drop table circuit_test_run; drop table crossed_iteration; drop table "
            "left_out; drop table overlap_without; drop table picture_view;"
            "drop table text_length; drop table leading;"
            "pragma user_version = 4");
    const tl_study_work work = {"predict text", INT64_C(1) << 40};
    tl_rows rows = {0};
    tl_study_db *db = open_for(TL_STUDY_READ);
    assert_int_equal(tl_study_db_get(db, TL_ROW_WORK, NULL, 0, arena, &rows, &err),
                     TL_OK);
    assert_int_equal(rows.n, 0);
    tl_study_db_close(db);
    db = open_for(TL_STUDY_WRITE);
    if (tl_study_db_put(db, &(tl_rows){TL_ROW_WORK, &work, 1}, 1, &err) != TL_OK)
        fail_msg("%s", err.text);
    tl_study_db_close(db);
    db = open_for(TL_STUDY_READ);
    assert_int_equal(tl_study_db_get(db, TL_ROW_WORK, NULL, 0, arena, &rows, &err),
                     TL_OK);
    assert_int_equal(rows.n, 1);
    assert_true(((const tl_study_work *)rows.rows)->product_flops == INT64_C(1) << 40);
    tl_study_db_close(db);
}

static void a_second_process_is_refused(void **state)
{
    (void)state;
    tl_study_db *db = open_adopted();
    char says[64];
    snprintf(says, sizeof says, "process %lld, works in this folder",
             (long long)getpid());
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        tl_study_db *second = NULL;
        const tl_status status =
            tl_study_db_open(folder, TL_STUDY_WRITE, &second, &err);
        _exit(status == TL_ERR_IO && strstr(err.text, says) != NULL ? 0 : 1);
    }
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    tl_study_db_close(db);
    tl_study_db_close(open_for(TL_STUDY_WRITE)); /* the lock went with its holder */
}

/* ---- units of work ----------------------------------------------------------- */

static void a_killed_process_leaves_committed_units_only(void **state)
{
    (void)state;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        tl_study_db *db = open_adopted();
        const tl_study_prompt whole[] = {prompt_of(0), prompt_of(2)};
        /* The third row breaks "not null" in the middle of the unit. */
        tl_study_prompt broken[] = {prompt_of(4), prompt_of(6), prompt_of(8)};
        broken[2].answer = NULL;
        if (put_prompts(db, whole, 2) == TL_OK &&
            put_prompts(db, broken, 3) == TL_ERR_IO)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    int result = 0;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result));
    for (int pass = 0; pass < 2; pass++) {
        tl_study_db *db = open_for(pass == 0 ? TL_STUDY_READ : TL_STUDY_WRITE);
        const tl_study_prompt *got = NULL;
        size_t n = 0;
        assert_int_equal(tl_study_db_get_prompts(db, TL_TEXT, arena, &got, &n, &err),
                         TL_OK);
        assert_int_equal(n, 2);
        tl_study_db_close(db);
    }
}

static void a_full_disk_is_told_and_takes_nothing(void **state)
{
    (void)state;
    tl_study_db *db = open_adopted();
    const tl_study_prompt prompt = prompt_of(0);
    assert_int_equal(put_prompts(db, &prompt, 1), TL_OK);
    tl_study_db_close(db);

    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit limit = {96 << 10, 96 << 10};
        signal(SIGXFSZ, SIG_IGN);
        db = open_for(TL_STUDY_WRITE);
        setrlimit(RLIMIT_FSIZE, &limit);
        tl_status status = TL_OK;
        for (size_t i = 0; i < 4096 && status == TL_OK; i += 64) {
            tl_study_prompt many[64];
            for (size_t j = 0; j < 64; j++)
                many[j] = prompt_of(10 + 2 * (i + j));
            status = put_prompts(db, many, 64);
        }
        tl_study_db_close(db);
        _exit(status == TL_ERR_IO && strstr(err.text, "study.db: ") != NULL ? 0 : 1);
    }
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);

    db = open_for(TL_STUDY_READ);
    const tl_study_prompt *got = NULL;
    size_t n = 0;
    assert_int_equal(tl_study_db_get_prompts(db, TL_TEXT, arena, &got, &n, &err),
                     TL_OK);
    assert_int_equal(n % 64, 1); /* whole units only */
    assert_int_equal(got[0].row, 0);
    tl_study_db_close(db);
}

static void a_finished_study_can_be_read_where_nothing_can_be_written(void **state)
{
    (void)state;
    tl_study_db_close(open_adopted());
    assert_int_equal(chmod(root.path, 0755), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* root could write everywhere: be nobody */
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(2);
        tl_study_db *db = open_for(TL_STUDY_READ);
        const char *value = value_of(db, "seed");
        if (value == NULL || strcmp(value, "42") != 0)
            _exit(3);
        const tl_study_file unknown = {"new", "def", 1, 1};
        if (tl_study_db_adopt(db, keys, 2, &unknown, 1, NULL, &err) != TL_OK ||
            tl_study_db_adopt(db, keys, 1, files, 1, NULL, &err) != TL_ERR_DATA)
            _exit(4);
        tl_study_db_close(db);
        expect_refusal(TL_STUDY_WRITE, TL_ERR_IO, "cannot write: Permission denied");
        _exit(0);
    }
    int result = -1;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    assert_int_equal(chmod(folder, 0755), 0);
}

static void no_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    tl_study_db_close(open_adopted());
    const size_t live = tl_alloc_live();
    for (long long n = 0;; n++) {
        tl_study_db *db = NULL;
        tl_arena *own = NULL;
        const tl_study_prompt *got = NULL;
        size_t count = 0;
        tl_alloc_fail_at(n);
        tl_status status = tl_study_db_open(folder, TL_STUDY_WRITE, &db, &err);
        if (status == TL_OK)
            status = tl_study_db_adopt(db, keys, 2, files, 1, NULL, &err);
        if (status == TL_OK && (own = tl_arena_create()) == NULL)
            status = TL_ERR_NO_MEMORY;
        if (status == TL_OK)
            status = tl_study_db_get_prompts(db, TL_TEXT, own, &got, &count, &err);
        const bool hit = tl_alloc_fault_hit();
        tl_alloc_fail_at(-1);
        tl_arena_destroy(own);
        tl_study_db_close(db);
        assert_int_equal(tl_alloc_live(), live);
        assert_int_equal(status, hit ? TL_ERR_NO_MEMORY : TL_OK);
        if (!hit)
            break;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(prompts_come_back_bit_for_bit_in_order_of_rows),
        TEST(pairs_keep_their_part_and_order),
        TEST(evaluations_come_back_by_kind_pair_and_point),
        TEST(a_reader_sees_the_study_as_it_was_opened),
        TEST(a_study_of_other_keys_is_refused_with_each_difference),
        TEST(a_hash_is_remembered_while_the_file_looks_the_same),
        TEST(folders_that_are_no_study_are_refused_and_left_alone),
        TEST(another_version_is_refused_with_both_numbers),
        TEST(a_study_of_version_4_gets_what_it_has_not),
        TEST(a_second_process_is_refused),
        TEST(a_killed_process_leaves_committed_units_only),
        TEST(a_full_disk_is_told_and_takes_nothing),
        TEST(a_finished_study_can_be_read_where_nothing_can_be_written),
        TEST(no_memory_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
