/* SPDX-License-Identifier: MIT
 *
 * study_db.c - the file, its schema and its manifest (store/study_db.h). The rows
 * are in row_sql.c.
 *
 * What holds at every moment, also for a process that dies in the middle:
 *
 * 1. The schema is there whole or not at all: it is one transaction, and the
 *    version (user_version) is part of it.
 * 2. No row is there before the manifest is: `adopt` comes first.
 * 3. A committed transaction survives a power cut: synchronous = full syncs the log
 *    at each commit (in WAL mode "normal" would not).
 */
#include "store/study_db_private.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "store/row_sql.h"
#include "twinlens/alloc.h"

enum {
    APPLICATION = 0x74776c73, /* "twls": tells a study's database from others */
    VERSION = 10,
    OLDEST =
        3, /* without cells that were not run; tl_study_db_has_table() has the rest */
};

/* ---- the folder -------------------------------------------------------------- */

/* Whether there is anything that a study would not have left before its database. */
static tl_status check_empty(const char *folder, tl_error *err)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return tl_fail(err, TL_ERR_IO, "%s: cannot read the folder: %s", folder,
                       strerror(errno));
    tl_status status = TL_OK;
    for (const struct dirent *entry; status == TL_OK && (entry = readdir(dir)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, TL_STUDY_LOCK_NAME) != 0 &&
            strncmp(entry->d_name, TL_STUDY_DB_NAME, strlen(TL_STUDY_DB_NAME)) != 0)
            status = tl_fail(err, TL_ERR_DATA,
                             "%s: holds '%s' and no " TL_STUDY_DB_NAME
                             "; wanted the folder of a study, an empty or a new one",
                             folder, entry->d_name);
    closedir(dir);
    return status;
}

/* Makes the folder and those above it. */
static tl_status make_folders(const char *folder, tl_arena *arena, tl_error *err)
{
    if (tl_file_exists(folder) || strcmp(folder, "/") == 0)
        return tl_file_make_folder(folder, err);
    const char *parent = tl_path_folder(arena, folder);
    if (parent == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", folder);
    const tl_status status =
        strcmp(parent, ".") != 0 ? make_folders(parent, arena, err) : TL_OK;
    return status == TL_OK ? tl_file_make_folder(folder, err) : status;
}

/* "file:..." for SQLite, with the bytes escaped that mean something in a URI. */
static const char *immutable_uri(const char *path, tl_arena *arena)
{
    static const char head[] = "file:", tail[] = "?immutable=1";
    const size_t bytes = 3 * strlen(path) + sizeof head + sizeof tail;
    char *uri = tl_arena_alloc(arena, bytes, 1);
    if (uri == NULL)
        return NULL;
    int at = snprintf(uri, bytes, "%s", head);
    for (const char *c = path; *c != '\0'; c++)
        at += snprintf(uri + at, bytes - (size_t)at,
                       strchr("%?#", *c) != NULL ? "%%%02X" : "%c", (unsigned)*c);
    snprintf(uri + at, bytes - (size_t)at, "%s", tail);
    return uri;
}

/* ---- the file ---------------------------------------------------------------- */

/* SQLite opens whatever has the name; a FIFO it would wait for. */
static tl_status check_kinds(const tl_study_db *db, tl_error *err)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    tl_status status = TL_OK;
    for (size_t i = 0; i < sizeof tails / sizeof *tails && status == TL_OK; i++) {
        const size_t bytes = strlen(db->sql.path) + strlen(tails[i]) + 1;
        char *path = tl_arena_alloc(db->arena, bytes, 1);
        if (path == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", db->sql.path);
        snprintf(path, bytes, "%s%s", db->sql.path, tails[i]);
        tl_error found = {0};
        status = tl_file_check(path, &found);
        if (status == TL_ERR_NOT_FOUND)
            status = TL_OK;
        else if (status != TL_OK)
            tl_fail(err, status, "%s", found.text);
    }
    return status;
}

static tl_status connect_to(tl_study_db *db, const char *name, int flags, tl_error *err)
{
    const bool is_file = (flags & SQLITE_OPEN_MEMORY) == 0;
    const tl_status kinds = is_file ? check_kinds(db, err) : TL_OK;
    if (kinds != TL_OK)
        return kinds;
    const int code = sqlite3_open_v2(name, &db->sql.handle, flags, NULL);
    if (code != SQLITE_OK) {
        const tl_status status = tl_sql_fail(&db->sql, code, err);
        sqlite3_close(db->sql.handle);
        db->sql.handle = NULL;
        return status;
    }
    sqlite3_extended_result_codes(db->sql.handle, 1);
    /* Somebody may look into a study under way; it waits for him, up to a minute. */
    sqlite3_busy_timeout(db->sql.handle, 60000);
    return TL_OK;
}

bool tl_study_db_has_table(const tl_study_db *db, tl_row_kind kind)
{
    switch (kind) {
    case TL_ROW_WORK:
    case TL_ROW_MEMORY: return db->version >= 5;
    case TL_ROW_PRECISION: return db->version >= 6;
    case TL_ROW_RANKED:
    case TL_ROW_TEST:
    case TL_ROW_TEST_RUN:
    case TL_ROW_CROSSED_ITERATION:
    case TL_ROW_LEFT_OUT:
    case TL_ROW_OVERLAP_WITHOUT: return db->version >= 7;
    case TL_ROW_PICTURE_VIEW: return db->version >= 8;
    case TL_ROW_TEXT_LENGTH: return db->version >= 9;
    case TL_ROW_LEADING: return db->version >= 10;
    default: return db->version >= OLDEST;
    }
}

/* Every table must be one: a view in its place could be anything. */
static tl_status check_tables(const tl_study_db *db, tl_error *err)
{
    for (size_t k = 0; k < TL_ROW_KIND_COUNT; k++) {
        if (!tl_study_db_has_table(db, (tl_row_kind)k))
            continue;
        const char *name = tl_row_table_get((tl_row_kind)k)->name;
        char text[120];
        int64_t n = 0;
        snprintf(
            text, sizeof text,
            "select count(*) from sqlite_schema where name = '%s' and type = 'table'"
            " and rootpage > 0",
            name);
        const tl_status status = tl_sql_query_int(&db->sql, text, &n, err);
        if (status != TL_OK)
            return status;
        if (n == 0)
            return tl_fail(err, TL_ERR_FORMAT, "%s: no table '%s'", db->sql.path, name);
    }
    return TL_OK;
}

/* Tells whose database it is; *fresh: nobody's yet. */
static tl_status check_schema(tl_study_db *db, bool *fresh, tl_error *err)
{
    int64_t application = 0, version = 0, tables = 0;
    tl_status status =
        tl_sql_query_int(&db->sql, "pragma application_id", &application, err);
    if (status == TL_OK)
        status = tl_sql_query_int(&db->sql, "pragma user_version", &version, err);
    if (status == TL_OK)
        status = tl_sql_query_int(&db->sql, "select count(*) from sqlite_schema",
                                  &tables, err);
    if (status != TL_OK)
        return status;
    *fresh = application == 0 && version == 0 && tables == 0;
    if (!*fresh && application != APPLICATION)
        return tl_fail(err, TL_ERR_FORMAT, "%s: a database, but not of a study",
                       db->sql.path);
    if (!*fresh && (version < OLDEST || version > VERSION))
        return tl_fail(err, TL_ERR_DATA,
                       "%s: its layout has version %" PRId64
                       ", this program reads versions %d to %d and writes the last",
                       db->sql.path, version, OLDEST, VERSION);
    db->version = version;
    return *fresh ? TL_OK : check_tables(db, err);
}

/* Makes the tables that are not there, all of a new file. */
static tl_status make_schema(tl_study_db *db, tl_error *err)
{
    char versions[80];
    snprintf(versions, sizeof versions,
             "pragma application_id = %d; pragma user_version = %d", APPLICATION,
             VERSION);
    tl_status status = tl_sql_begin(&db->sql, err);
    if (status != TL_OK)
        return status;
    for (size_t k = 0; k < TL_ROW_KIND_COUNT && status == TL_OK; k++)
        if (!tl_study_db_has_table(db, (tl_row_kind)k))
            status = tl_row_sql_create(&db->sql, tl_row_table_get((tl_row_kind)k), err);
    if (status == TL_OK)
        status = tl_sql_run(&db->sql, versions, err);
    status = tl_sql_end(&db->sql, status, err);
    if (status == TL_OK)
        db->version = VERSION;
    return status;
}

static tl_status open_writable(tl_study_db *db, const char *folder, tl_error *err)
{
    bool fresh = false;
    tl_status status = make_folders(folder, db->arena, err);
    if (status == TL_OK && !tl_file_exists(db->sql.path))
        status = check_empty(folder, err);
    if (status == TL_OK)
        status = tl_study_lock_init(&db->lock, folder, err);
    if (status == TL_OK)
        status = connect_to(db, db->sql.path,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (status == TL_OK)
        status = check_schema(db, &fresh, err);
    if (status == TL_OK && fresh)
        status = tl_sql_run(&db->sql, "pragma journal_mode = wal", err);
    if (status == TL_OK)
        status = tl_sql_run(&db->sql, "pragma synchronous = full", err);
    if (status == TL_OK && db->version < VERSION)
        status = make_schema(db, err);
    return status;
}

/*
 * Opened for writing although nothing is written: SQLite then takes its log away at
 * the end, as a reader it would leave an empty one behind. All that is read is one
 * transaction, so that rows of different tables belong together. A folder that cannot be
 * written has no place for the log's index; when there is no log either, the file
 * alone is the whole truth.
 */
static tl_status open_readable(tl_study_db *db, const char *folder, tl_error *err)
{
    if (!tl_file_exists(db->sql.path))
        return tl_fail(
            err, TL_ERR_NOT_FOUND,
            "%s: no " TL_STUDY_DB_NAME " there; wanted the folder of a study", folder);
    bool fresh = false;
    tl_error first = {0};
    tl_status status = connect_to(db, db->sql.path, SQLITE_OPEN_READWRITE, &first);
    if (status == TL_OK)
        status = tl_sql_run(&db->sql, "pragma query_only = on; begin", &first);
    if (status == TL_OK)
        status = check_schema(db, &fresh, &first);
    if (status == TL_ERR_IO) {
        const size_t bytes = strlen(db->sql.path) + sizeof "-wal";
        char *log = tl_arena_alloc(db->arena, bytes, 1);
        const char *uri = immutable_uri(db->sql.path, db->arena);
        if (log == NULL || uri == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", folder);
        snprintf(log, bytes, "%s-wal", db->sql.path);
        if (!tl_file_exists(log)) {
            sqlite3_close(db->sql.handle);
            db->sql.handle = NULL;
            first = (tl_error){0};
            status =
                connect_to(db, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, &first);
            if (status == TL_OK)
                status = check_schema(db, &fresh, &first);
        }
    }
    if (status != TL_OK)
        return tl_fail(err, status, "%s", first.text);
    if (fresh)
        return tl_fail(err, TL_ERR_NOT_FOUND, "%s: the study there has not begun",
                       folder);
    return TL_OK;
}

static tl_status open_copy(tl_study_db *db, tl_error *err)
{
    db->is_copy = true;
    const tl_status status = connect_to(
        db, "copy", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY,
        err);
    return status == TL_OK ? make_schema(db, err) : status;
}

tl_status tl_study_db_open(const char *folder, tl_study_access access,
                           tl_study_db **out, tl_error *err)
{
    tl_status status = TL_OK;
    tl_study_db *db = tl_alloc_zero(1, sizeof *db);
    if (db == NULL || (db->arena = tl_arena_create()) == NULL ||
        (db->sql.path = tl_path_join(db->arena, folder, TL_STUDY_DB_NAME)) == NULL)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", folder);
    if (status == TL_OK)
        status = access == TL_STUDY_WRITE  ? open_writable(db, folder, err)
                 : access == TL_STUDY_READ ? open_readable(db, folder, err)
                                           : open_copy(db, err);
    if (status == TL_OK)
        *out = db;
    else
        tl_study_db_close(db);
    return status;
}

void tl_study_db_close(tl_study_db *db)
{
    if (db == NULL)
        return;
    sqlite3_close(db->sql.handle);
    tl_study_lock_release(&db->lock);
    tl_arena_destroy(db->arena);
    tl_free(db);
}

/* ---- the manifest ------------------------------------------------------------ */

/* Long values, hashes and grids, are cut in messages. */
enum { SHOWN = 40 };

static const char *shown(const char *value, char text[SHOWN + 4])
{
    snprintf(text, SHOWN + 4, "%.*s%s", SHOWN, value,
             strlen(value) > SHOWN ? "..." : "");
    return text;
}

/* Appends "key 'there' there and key 'here' here" to `text`. */
static void add_difference(char *text, size_t bytes, const char *key, const char *there,
                           const char *here, tl_study_key_say *say)
{
    enum { SAID = 3 * SHOWN };
    const char *values[] = {there, here};
    char said[2][SAID] = {"", ""}, cut[SHOWN + 4];
    for (size_t i = 0; i < 2; i++) {
        const char *value = values[i] != NULL ? shown(values[i], cut) : NULL;
        if (say != NULL)
            say(key, value, said[i], SAID);
        if (said[i][0] == '\0' && value != NULL)
            snprintf(said[i], SAID, "%s '%s'", key, value);
        else if (said[i][0] == '\0')
            snprintf(said[i], SAID, "no %s", key);
    }
    const size_t used = strlen(text);
    snprintf(text + used, bytes - used, "%s%s there and %s here", used > 0 ? "; " : "",
             said[0], said[1]);
}

static const tl_study_key *find_key(const tl_study_key *keys, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(keys[i].key, key) == 0)
            return &keys[i];
    return NULL;
}

/* "model-name": what a thing is called, beside its hash. It may be called otherwise later. */
static bool is_name(const char *key)
{
    static const char end[] = "-name";
    const size_t length = strlen(key);
    return length >= strlen(end) && strcmp(key + length - strlen(end), end) == 0;
}

/* "model-files", the hash of all files, tells studies apart where there is one; "model" beside
 * it is what the thing is known by. */
static bool is_known_by_files(const tl_study_key *keys, size_t n, const char *key)
{
    char files[64];
    snprintf(files, sizeof files, "%.50s-files", key);
    return find_key(keys, n, files) != NULL;
}

/* The value there of a key here. Studies that have no "model-files" have that hash as "model". */
static const tl_study_key *find_there(const tl_study_key *there, size_t n,
                                      const char *key)
{
    static const char end[] = "-files";
    const tl_study_key *found = find_key(there, n, key);
    const char *at = strstr(key, end);
    char whole[64];
    if (found != NULL || at == NULL || at[strlen(end)] != '\0')
        return found;
    snprintf(whole, sizeof whole, "%.*s", (int)(at - key), key);
    return find_key(there, n, whole);
}

/* Compares in both directions; `text` receives the differences. */
static void compare_keys(const tl_study_key *there, size_t n_there,
                         const tl_study_key *here, size_t n_here, char *text,
                         size_t bytes, tl_study_key_say *say)
{
    for (size_t i = 0; i < n_here; i++) {
        const tl_study_key *k = find_there(there, n_there, here[i].key);
        if (!is_name(here[i].key) && !is_known_by_files(here, n_here, here[i].key) &&
            (k == NULL || strcmp(k->value, here[i].value) != 0))
            add_difference(text, bytes, here[i].key, k != NULL ? k->value : NULL,
                           here[i].value, say);
    }
    for (size_t i = 0; i < n_there; i++)
        if (!is_name(there[i].key) && find_key(here, n_here, there[i].key) == NULL)
            add_difference(text, bytes, there[i].key, there[i].value, NULL, say);
}

static tl_status adopt(tl_study_db *db, const tl_rows *keys, const tl_rows *files,
                       tl_study_key_say *say, tl_arena *arena, tl_error *err)
{
    char differences[640] = "";
    tl_rows there = {0};
    tl_status status = tl_study_db_get(db, TL_ROW_KEY, NULL, 0, arena, &there, err);
    if (status != TL_OK)
        return status;
    if (there.n > 0)
        compare_keys(there.rows, there.n, keys->rows, keys->n, differences,
                     sizeof differences, say);
    if (differences[0] != '\0')
        return tl_fail(err, TL_ERR_DATA, "%s: holds another study: %s", db->sql.path,
                       differences);
    bool all_known = there.n > 0;
    for (size_t i = 0; i < files->n && status == TL_OK && all_known; i++) {
        const tl_study_file *file = (const tl_study_file *)files->rows + i;
        const char *hash = NULL;
        status = tl_study_db_get_hash(db, file->path, file->bytes, file->modified_ns,
                                      arena, &hash, err);
        all_known = hash != NULL && strcmp(hash, file->sha256) == 0;
    }
    const tl_rows both[] = {*files, *keys};
    /* A reader remembers nothing. */
    const bool is_reader = db->lock.descriptor == 0 && !db->is_copy;
    return status != TL_OK || all_known || is_reader
               ? status
               : tl_study_db_put(db, both, there.n == 0 ? 2 : 1, err);
}

tl_status tl_study_db_adopt(tl_study_db *db, const tl_study_key *keys, size_t n_keys,
                            const tl_study_file *files, size_t n_files,
                            tl_study_key_say *say, tl_error *err)
{
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", db->sql.path);
    const tl_status status =
        adopt(db, &(tl_rows){TL_ROW_KEY, keys, n_keys},
              &(tl_rows){TL_ROW_FILE, files, n_files}, say, arena, err);
    tl_arena_destroy(arena);
    return status;
}

tl_status tl_study_db_get_hash(const tl_study_db *db, const char *path, int64_t bytes,
                               int64_t modified_ns, tl_arena *arena,
                               const char **sha256, tl_error *err)
{
    tl_study_file file = {.path = path};
    bool found = false;
    const tl_status status =
        tl_study_db_find(db, TL_ROW_FILE, &file, arena, &found, err);
    if (status == TL_OK)
        *sha256 = found && file.bytes == bytes && file.modified_ns == modified_ns
                      ? file.sha256
                      : NULL;
    return status;
}

/* ---- stages ------------------------------------------------------------------ */

tl_status tl_study_db_has_stage(const tl_study_db *db, const char *name, bool *out,
                                tl_error *err)
{
    tl_study_stage stage = {name};
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", db->sql.path);
    const tl_status status =
        tl_study_db_find(db, TL_ROW_STAGE, &stage, arena, out, err);
    tl_arena_destroy(arena);
    return status;
}

/* ---- rows -------------------------------------------------------------------- */

tl_status tl_study_db_put(tl_study_db *db, const tl_rows *units, size_t n,
                          tl_error *err)
{
    return tl_row_sql_put(&db->sql, units, n, err);
}

tl_status tl_study_db_get(const tl_study_db *db, tl_row_kind kind, const void *like,
                          size_t n_like, tl_arena *arena, tl_rows *out, tl_error *err)
{
    if (!tl_study_db_has_table(db, kind)) {
        *out = (tl_rows){.kind = kind};
        return TL_OK;
    }
    return tl_row_sql_get(&db->sql, kind, like, n_like, arena, out, err);
}

tl_status tl_study_db_find(const tl_study_db *db, tl_row_kind kind, void *row,
                           tl_arena *arena, bool *found, tl_error *err)
{
    return tl_row_sql_find(&db->sql, kind, row, arena, found, err);
}

/* ---- rows that are often asked for ------------------------------------------- */

tl_status tl_study_db_get_prompts(const tl_study_db *db, tl_modality modality,
                                  tl_arena *arena, const tl_study_prompt **prompts,
                                  size_t *n_prompts, tl_error *err)
{
    tl_rows all = {0};
    const tl_status status =
        tl_study_db_get(db, TL_ROW_PROMPT, NULL, 0, arena, &all, err);
    if (status != TL_OK)
        return status;
    const tl_study_prompt *rows = all.rows;
    tl_study_prompt *kept = tl_arena_alloc(arena, all.n, sizeof *kept);
    if (kept == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory for %zu prompts",
                       db->sql.path, all.n);
    size_t n = 0;
    for (size_t i = 0; i < all.n; i++)
        if (rows[i].modality == modality)
            kept[n++] = rows[i];
    *prompts = kept;
    *n_prompts = n;
    return TL_OK;
}

tl_status tl_study_db_get_pairs(const tl_study_db *db, tl_modality modality,
                                tl_study_part part, tl_arena *arena,
                                const tl_study_pair **pairs, size_t *n_pairs,
                                tl_error *err)
{
    const tl_study_pair like = {.modality = modality, .part = part};
    tl_rows rows = {0};
    const tl_status status =
        tl_study_db_get(db, TL_ROW_PAIR, &like, 2, arena, &rows, err);
    if (status == TL_OK) {
        *pairs = rows.rows;
        *n_pairs = rows.n;
    }
    return status;
}

tl_status tl_study_db_get_evaluations(const tl_study_db *db, tl_modality modality,
                                      size_t n_points, tl_arena *arena,
                                      tl_study_evaluations *out, tl_error *err)
{
    const tl_study_baseline like_pair = {.modality = modality};
    const tl_study_evaluation like = {.modality = modality};
    tl_rows pairs = {0}, circuits = {0};
    tl_status status =
        tl_study_db_get(db, TL_ROW_BASELINE, &like_pair, 1, arena, &pairs, err);
    if (status == TL_OK)
        status =
            tl_study_db_get(db, TL_ROW_EVALUATION, &like, 1, arena, &circuits, err);
    if (status != TL_OK)
        return status;
    const tl_study_evaluation *rows = circuits.rows;
    if (circuits.n != TL_STUDY_KIND_COUNT * pairs.n * n_points ||
        (circuits.n > 0 && rows[circuits.n - 1].pair + 1 != pairs.n))
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: table evaluation: %zu rows of %s prompts, wanted %d x %zu "
                       "x %zu: kinds, pairs of table baseline, points",
                       db->sql.path, circuits.n, tl_modality_name(modality),
                       TL_STUDY_KIND_COUNT, pairs.n, n_points);
    *out = (tl_study_evaluations){pairs.rows, rows, pairs.n, n_points};
    return TL_OK;
}
