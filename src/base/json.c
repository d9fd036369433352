/* SPDX-License-Identifier: MIT
 * json.c - see json.h. */
#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "twinlens/arena.h"

tl_status tl_json_parse(const char *text, size_t bytes, const char *where, json_t **out,
                        tl_error *err)
{
    json_error_t problem;
    json_t *parsed = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &problem);
    if (parsed == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "%s: line %d, column %d: %s", where,
                       problem.line, problem.column, problem.text);
    *out = parsed;
    return TL_OK;
}

tl_status tl_json_read(const char *path, json_t **out, tl_error *err)
{
    tl_arena *arena = tl_arena_create();
    if (arena == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    char *text = NULL;
    size_t bytes = 0;
    tl_status status = tl_file_read(path, arena, &text, &bytes, err);
    if (status == TL_OK && tl_file_is_lfs_pointer(text, bytes))
        status = tl_fail(err, TL_ERR_FORMAT,
                         "%s: is a git-lfs pointer to the file, wanted the file", path);
    if (status == TL_OK)
        status = tl_json_parse(text, bytes, path, out, err);
    tl_arena_destroy(arena);
    return status;
}

tl_status tl_json_put_line(tl_file_writer *writer, json_t *value, tl_error *err)
{
    char *text = value != NULL ? json_dumps(value, JSON_REAL_PRECISION(6)) : NULL;
    json_decref(value);
    if (text == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a line of JSON");
    tl_status status = tl_file_writer_put(writer, text, strlen(text), err);
    if (status == TL_OK)
        status = tl_file_writer_put(writer, "\n", 1, err);
    free(text);
    return status;
}

tl_status tl_json_write(const char *path, json_t *value, tl_error *err)
{
    tl_file_writer file = {0};
    tl_status status = tl_file_writer_open(&file, path, err);
    if (status == TL_OK)
        status = tl_json_put_line(&file, value, err);
    else
        json_decref(value);
    if (status == TL_OK)
        status = tl_file_writer_commit(&file, err);
    tl_file_writer_abandon(&file);
    return status;
}

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number with a fraction";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: return "null";
    }
    return "something else";
}

static tl_status mismatch(const json_t *value, const char *key, const char *where,
                          const char *wanted, tl_error *err)
{
    if (json_is_integer(value))
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: '%s' is %" JSON_INTEGER_FORMAT ", wanted %s", where, key,
                       json_integer_value(value), wanted);
    return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is %s, wanted %s", where, key,
                   kind_of(value), wanted);
}

/* NULL when there is nothing to get. */
static const json_t *present(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value == NULL || json_is_null(value) ? NULL : value;
}

/* Far above any real count, far below an overflow of a product of two. */
#define LARGEST_SIZE ((json_int_t)1 << 31)

tl_status tl_json_get_size(const json_t *object, const char *key, const char *where,
                           size_t *out, tl_error *err)
{
    const json_t *value = present(object, key);
    if (value == NULL)
        return TL_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > LARGEST_SIZE)
        return mismatch(value, key, where, "an integer in 0..2^31", err);
    *out = (size_t)json_integer_value(value);
    return TL_OK;
}

tl_status tl_json_get_square(const json_t *object, const char *key, const char *where,
                             size_t *out, tl_error *err)
{
    const json_t *value = present(object, key), *first = json_array_get(value, 0);
    if (!json_is_array(value))
        return tl_json_get_size(object, key, where, out, err);
    if (json_array_size(value) != 2 || !json_is_integer(first) ||
        !json_equal(first, json_array_get(value, 1)) || json_integer_value(first) < 0 ||
        json_integer_value(first) > LARGEST_SIZE)
        return mismatch(value, key, where, "an integer in 0..2^31 or two equal ones",
                        err);
    *out = (size_t)json_integer_value(first);
    return TL_OK;
}

tl_status tl_json_get_id(const json_t *object, const char *key, const char *where,
                         int32_t *out, tl_error *err)
{
    const json_t *value = present(object, key);
    if (value == NULL)
        return TL_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > INT32_MAX)
        return mismatch(value, key, where, "a token id", err);
    *out = (int32_t)json_integer_value(value);
    return TL_OK;
}

tl_status tl_json_get_double(const json_t *object, const char *key, const char *where,
                             double *out, tl_error *err)
{
    const json_t *value = present(object, key);
    if (value == NULL)
        return TL_OK;
    if (!json_is_number(value))
        return mismatch(value, key, where, "a number", err);
    *out = json_number_value(value);
    return TL_OK;
}

tl_status tl_json_get_bool(const json_t *object, const char *key, const char *where,
                           bool *out, tl_error *err)
{
    const json_t *value = present(object, key);
    if (value == NULL)
        return TL_OK;
    if (!json_is_boolean(value))
        return mismatch(value, key, where, "true or false", err);
    *out = json_is_true(value);
    return TL_OK;
}

tl_status tl_json_get_string(const json_t *object, const char *key, const char *where,
                             const char **out, tl_error *err)
{
    const json_t *value = present(object, key);
    if (value == NULL)
        return TL_OK;
    if (!json_is_string(value))
        return mismatch(value, key, where, "a string", err);
    *out = json_string_value(value);
    return TL_OK;
}

bool tl_json_version_reaches(const json_t *object, const char *key, long major,
                             long minor)
{
    const char *text = json_string_value(json_object_get(object, key));
    char *rest = NULL;
    if (text == NULL)
        return false;
    const long first = strtol(text, &rest, 10),
               second = *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;
    return first > major || (first == major && second >= minor);
}
