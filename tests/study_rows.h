/* SPDX-License-Identifier: MIT
 *
 * study_rows.h - whether two studies are the same: all rows of their databases as text, and
 * the bytes of their files.
 */
#ifndef TESTS_STUDY_ROWS_H
#define TESTS_STUDY_ROWS_H

#include "testing.h"

#include <sqlite3.h>

#include "base/file.h"
#include "twinlens/arena.h"

static inline void add_rows(sqlite3 *db, FILE *out, const char *sql)
{
    sqlite3_stmt *rows = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &rows, NULL), SQLITE_OK);
    while (sqlite3_step(rows) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(rows); i++)
            if (sqlite3_column_type(rows, i) == SQLITE_FLOAT)
                fprintf(out, "%a,", sqlite3_column_double(rows, i));
            else if (sqlite3_column_type(rows, i) == SQLITE_BLOB)
                for (int k = 0; k < sqlite3_column_bytes(rows, i); k++)
                    fprintf(out, "%02x",
                            ((const uint8_t *)sqlite3_column_blob(rows, i))[k]);
            else
                fprintf(out, "%s,", (const char *)sqlite3_column_text(rows, i));
        fputc('\n', out);
    }
    assert_int_equal(sqlite3_finalize(rows), SQLITE_OK);
}

/* All rows of all tables, in the order of their primary keys; the caller's. */
static inline char *rows_of(const char *folder)
{
    char path[400], *text = NULL, *tables = NULL, *rest = NULL;
    size_t bytes = 0;
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/study.db", folder);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL),
                     SQLITE_OK);
    FILE *out = open_memstream(&tables, &bytes);
    add_rows(
        db, out,
        "select name, (select group_concat(name) from (select name from "
        "pragma_table_info(s.name) where pk > 0 order by pk)) from sqlite_schema s "
        "where type = 'table' and name <> 'memory' order by name");
    fclose(out);
    out = open_memstream(&text, &bytes);
    for (char *line = strtok_r(tables, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char sql[400];
        line[strlen(line) - 1] = '\0';
        const size_t name = strcspn(line, ",");
        snprintf(sql, sizeof sql, "select * from \"%.*s\" order by %s", (int)name, line,
                 line + name + 1);
        fprintf(out, "[%.*s]\n", (int)name, line);
        add_rows(db, out, sql);
    }
    fclose(out);
    free(tables);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return text;
}

static inline void expect_same_file(const char *wanted, const char *folder,
                                    const char *name)
{
    const char *const folders[] = {wanted, folder};
    char *data[2] = {NULL, NULL};
    size_t bytes[2] = {0, 0};
    tl_arena *arena = tl_arena_create();
    for (size_t i = 0; i < 2; i++) {
        tl_error err = {0};
        if (tl_file_read(tl_path_join(arena, folders[i], name), arena, &data[i],
                         &bytes[i], &err) != TL_OK)
            fail_msg("%s", err.text);
    }
    if (bytes[0] != bytes[1] || memcmp(data[0], data[1], bytes[0]) != 0)
        fail_msg("%s/%s differs", folder, name);
    tl_arena_destroy(arena);
}

/* Fails with the first difference of rows_of() two studies. */
static inline void expect_same_rows(const char *wanted, const char *folder)
{
    char *rows = rows_of(folder);
    size_t same = 0;
    while (rows[same] != '\0' && rows[same] == wanted[same])
        same++;
    if (rows[same] != wanted[same])
        fail_msg("%s: other rows: %.300s\nwanted: %.300s", folder, rows + same,
                 wanted + same);
    free(rows);
}

#endif
