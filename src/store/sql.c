/* SPDX-License-Identifier: MIT
 * sql.c - see sql.h. */
#include "store/sql.h"

#include <string.h>

tl_status tl_sql_fail(const tl_sql *sql, int code, tl_error *err)
{
    const char *text =
        sql->handle != NULL ? sqlite3_errmsg(sql->handle) : sqlite3_errstr(code);
    const int os = sql->handle != NULL ? sqlite3_system_errno(sql->handle) : 0;
    switch (code == SQLITE_IOERR_NOMEM ? SQLITE_NOMEM : code & 0xff) {
    case SQLITE_NOMEM:
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", sql->path);
    case SQLITE_ERROR: /* a table or a column that is not there */
        return tl_fail(err, TL_ERR_FORMAT, "%s: %s", sql->path, text);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return tl_fail(err, TL_ERR_FORMAT, "%s: not a sound SQLite file: %s", sql->path,
                       text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return tl_fail(err, TL_ERR_IO, "%s: another program is using it", sql->path);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        if (os != 0)
            return tl_fail(err, TL_ERR_IO, "%s: %s: %s", sql->path, text, strerror(os));
        break;
    default: break;
    }
    return tl_fail(err, TL_ERR_IO, "%s: %s", sql->path, text);
}

tl_status tl_sql_run(const tl_sql *sql, const char *text, tl_error *err)
{
    const int code = sqlite3_exec(sql->handle, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? TL_OK : tl_sql_fail(sql, code, err);
}

tl_status tl_sql_query_int(const tl_sql *sql, const char *text, int64_t *out,
                           tl_error *err)
{
    tl_sql_statement statement = {0};
    bool row = false;
    tl_status status = tl_sql_prepare(sql, text, &statement, err);
    if (status == TL_OK)
        status = tl_sql_step(&statement, &row, err);
    if (status == TL_OK)
        *out = row ? sqlite3_column_int64(statement.handle, 0) : 0;
    tl_sql_release(&statement);
    return status;
}

tl_status tl_sql_prepare(const tl_sql *sql, const char *text,
                         tl_sql_statement *statement, tl_error *err)
{
    sqlite3_stmt *handle = NULL;
    const int code = sqlite3_prepare_v2(sql->handle, text, -1, &handle, NULL);
    if (code != SQLITE_OK)
        return tl_sql_fail(sql, code, err);
    *statement = (tl_sql_statement){sql, handle};
    return TL_OK;
}

void tl_sql_release(tl_sql_statement *statement)
{
    sqlite3_finalize(statement->handle);
    *statement = (tl_sql_statement){0};
}

tl_status tl_sql_bind(tl_sql_statement *statement, int parameter, const tl_value *value,
                      tl_error *err)
{
    sqlite3_stmt *handle = statement->handle;
    int code = SQLITE_MISUSE;
    switch (value->type) {
    case TL_VALUE_INTEGER:
        code = sqlite3_bind_int64(handle, parameter, value->integer);
        break;
    case TL_VALUE_REAL:
        code = sqlite3_bind_double(handle, parameter, value->real);
        break;
    case TL_VALUE_TEXT:
        code = sqlite3_bind_text64(handle, parameter, value->bytes, value->n_bytes,
                                   SQLITE_STATIC, SQLITE_UTF8);
        break;
    case TL_VALUE_BLOB:
        code = sqlite3_bind_blob64(handle, parameter, value->bytes, value->n_bytes,
                                   SQLITE_STATIC);
        break;
    case TL_VALUE_NULL: code = sqlite3_bind_null(handle, parameter); break;
    }
    return code == SQLITE_OK ? TL_OK : tl_sql_fail(statement->sql, code, err);
}

tl_status tl_sql_step(tl_sql_statement *statement, bool *row, tl_error *err)
{
    const int code = sqlite3_step(statement->handle);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return tl_sql_fail(statement->sql, code, err);
    *row = code == SQLITE_ROW;
    return TL_OK;
}

tl_status tl_sql_execute(tl_sql_statement *statement, tl_error *err)
{
    bool row = false;
    const tl_status status = tl_sql_step(statement, &row, err);
    sqlite3_reset(statement->handle);
    return status;
}

tl_value tl_sql_column(const tl_sql_statement *statement, int column)
{
    sqlite3_stmt *row = statement->handle;
    tl_value value = {.type = TL_VALUE_NULL};
    switch (sqlite3_column_type(row, column)) {
    case SQLITE_INTEGER:
        value.type = TL_VALUE_INTEGER;
        value.integer = sqlite3_column_int64(row, column);
        break;
    case SQLITE_FLOAT:
        value.type = TL_VALUE_REAL;
        value.real = sqlite3_column_double(row, column);
        break;
    case SQLITE_TEXT:
        value.type = TL_VALUE_TEXT;
        value.bytes = sqlite3_column_text(row, column);
        value.n_bytes = (size_t)sqlite3_column_bytes(row, column);
        break;
    case SQLITE_BLOB:
        value.type = TL_VALUE_BLOB;
        value.bytes = sqlite3_column_blob(row, column);
        value.n_bytes = (size_t)sqlite3_column_bytes(row, column);
        break;
    default: break;
    }
    return value;
}

tl_status tl_sql_begin(const tl_sql *sql, tl_error *err)
{
    return tl_sql_run(sql, "begin immediate", err);
}

tl_status tl_sql_end(const tl_sql *sql, tl_status status, tl_error *err)
{
    if (status == TL_OK)
        status = tl_sql_run(sql, "commit", err);
    /* Some errors have rolled back already; then this fails, and that is fine. */
    if (status != TL_OK && !sqlite3_get_autocommit(sql->handle))
        (void)tl_sql_run(sql, "rollback", NULL);
    return status;
}
