/* SPDX-License-Identifier: MIT
 *
 * json.h - checked access to parsed JSON: every getter says which key of which
 * file was wrong, what it found there and what was wanted. Parsing is jansson's.
 *
 * `where` names the file or object in messages, for example "config.json".
 */
#ifndef TWINLENS_BASE_JSON_H
#define TWINLENS_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"

/* Parses a file or a text; duplicate keys are refused. json_decref() the result. */
tl_status tl_json_read(const char *path, json_t **out, tl_error *err);
tl_status tl_json_parse(const char *text, size_t bytes, const char *where, json_t **out,
                        tl_error *err);

/* Writes a value as one line, numbers with six digits, and takes the reference to it
 * in any case; NULL stands for one that there was no memory for. */
tl_status tl_json_put_line(tl_file_writer *writer, json_t *value, tl_error *err);
/* The same as a file that holds nothing else. */
tl_status tl_json_write(const char *path, json_t *value, tl_error *err);

/* A getter leaves *out alone when the key is absent or null; a value of another
 * type, or one that does not fit, is TL_ERR_FORMAT. */
tl_status tl_json_get_size(const json_t *object, const char *key, const char *where,
                           size_t *out, tl_error *err);
/* The side of a square: a size, or a list of two equal ones. */
tl_status tl_json_get_square(const json_t *object, const char *key, const char *where,
                             size_t *out, tl_error *err);
tl_status tl_json_get_id(const json_t *object, const char *key, const char *where,
                         int32_t *out, tl_error *err);
tl_status tl_json_get_double(const json_t *object, const char *key, const char *where,
                             double *out, tl_error *err);
tl_status tl_json_get_bool(const json_t *object, const char *key, const char *where,
                           bool *out, tl_error *err);
/* Whether `key` is a version, such as "4.53.1", from major.minor on; false if absent. */
bool tl_json_version_reaches(const json_t *object, const char *key, long major,
                             long minor);
/* Borrowed from the object. */
tl_status tl_json_get_string(const json_t *object, const char *key, const char *where,
                             const char **out, tl_error *err);

#endif
