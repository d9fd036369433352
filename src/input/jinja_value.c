/* SPDX-License-Identifier: MIT
 *
 * jinja_value.c - values of a template: what they are as text and as a condition, their
 * members, and what signs between two of them make. See jinja_private.h.
 */
#include "input/jinja_private.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

json_t *tl_jinja_keep(tl_jinja *j, json_t *value, size_t bytes)
{
    if (value == NULL || json_array_append_new(j->made, value) != 0)
        return tl_jinja_fail(j, TL_ERR_NO_MEMORY, "no memory for a chat template");
    j->made_bytes += bytes + sizeof(json_t);
    j->lists += json_is_array(value) || json_is_object(value);
    if (bytes > TL_JINJA_LONGEST || j->made_bytes > TL_JINJA_MOST ||
        j->lists > TL_JINJA_LISTS)
        return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "so long values");
    return value;
}

json_t *tl_jinja_string(tl_jinja *j, const char *text, size_t bytes)
{
    return tl_jinja_keep(j, json_stringn(text, bytes), bytes);
}

bool tl_jinja_truth(const json_t *value)
{
    switch (value == NULL ? JSON_NULL : json_typeof(value)) {
    case JSON_STRING: return json_string_length(value) > 0;
    case JSON_ARRAY: return json_array_size(value) > 0;
    case JSON_OBJECT: return json_object_size(value) > 0;
    case JSON_INTEGER:
    case JSON_REAL: return json_number_value(value) != 0.0;
    default: return json_is_true(value);
    }
}

const char *tl_jinja_text(tl_jinja *j, const json_t *value)
{
    enum { NUMBER = 32 };
    if (value == NULL)
        return "";
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_null(value) || json_is_boolean(value))
        return json_is_null(value) ? "None" : json_is_true(value) ? "True" : "False";
    if (json_is_integer(value)) {
        char *text = tl_arena_alloc(j->arena, NUMBER, 1);
        if (text != NULL)
            snprintf(text, NUMBER, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        else
            tl_jinja_fail(j, TL_ERR_NO_MEMORY, "no memory for a chat template");
        return text != NULL ? text : "";
    }
    tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "%s as text",
                  json_is_real(value) ? "a number with a fraction" : "a whole list");
    return "";
}

json_t *tl_jinja_get(tl_jinja *j, const char *name)
{
    for (size_t i = json_array_size(j->scopes); i-- > 0;) {
        json_t *found = json_object_get(json_array_get(j->scopes, i), name);
        if (found != NULL)
            return found;
    }
    return NULL;
}

/* Counted from the end if it is below 0. */
static json_int_t place(const json_t *index, size_t n)
{
    const json_int_t i = json_integer_value(index);
    return i < 0 ? i + (json_int_t)n : i;
}

/* Where character `index` of a UTF-8 text begins. */
static size_t character(const char *text, size_t index)
{
    size_t at = 0;
    for (; text[at] != '\0' && index > 0; index--)
        do
            at++;
        while (((unsigned char)text[at] & 0xc0) == 0x80);
    return at;
}

static size_t n_characters(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

json_t *tl_jinja_member(tl_jinja *j, json_t *value, const json_t *key)
{
    if (!j->run || j->status != TL_OK)
        return NULL;
    if (value == NULL)
        return tl_jinja_fail(j, TL_ERR_DATA, "a member of something undefined");
    if (json_is_object(value) && json_is_string(key))
        return json_object_get(value, json_string_value(key));
    if (json_is_array(value) && json_is_integer(key)) {
        const json_int_t i = place(key, json_array_size(value));
        return i < 0 ? NULL : json_array_get(value, (size_t)i);
    }
    if (json_is_string(value) && json_is_integer(key)) {
        const char *text = json_string_value(value);
        const size_t n = n_characters(text);
        const json_int_t i = place(key, n);
        if (i < 0 || (size_t)i >= n)
            return NULL;
        const size_t begin = character(text, (size_t)i);
        return tl_jinja_string(j, text + begin, character(text + begin, 1));
    }
    return NULL;
}

/* A slice's end within 0 .. n. */
static size_t bound(const json_t *index, size_t n, size_t usual)
{
    if (index == NULL)
        return usual;
    const json_int_t i = place(index, n);
    return i < 0 ? 0 : (size_t)i > n ? n : (size_t)i;
}

json_t *tl_jinja_slice(tl_jinja *j, json_t *value, const json_t *from, const json_t *to,
                       const json_t *step)
{
    if (!j->run || j->status != TL_OK)
        return NULL;
    const bool turned = step != NULL && json_integer_value(step) == -1;
    if ((step != NULL && !turned && json_integer_value(step) != 1) ||
        (turned && (from != NULL || to != NULL)))
        return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "a slice with a step");
    if (json_is_string(value) && !turned) {
        const char *text = json_string_value(value);
        const size_t n = n_characters(text), begin = bound(from, n, 0),
                     end = bound(to, n, n), first = character(text, begin);
        return tl_jinja_string(j, text + first,
                               end > begin ? character(text + first, end - begin) : 0);
    }
    if (!json_is_array(value))
        return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "a slice of what is no list");
    const size_t n = json_array_size(value), begin = bound(from, n, 0),
                 end = bound(to, n, n);
    json_t *list = tl_jinja_keep(j, json_array(), n * sizeof(json_t *));
    for (size_t i = begin; i < end && list != NULL; i++)
        json_array_append(list, json_array_get(value, turned ? n - 1 - i : i));
    return list;
}

/* ---- signs ----------------------------------------------------------------------- */

static json_t *put_together(tl_jinja *j, const char *left, const char *right)
{
    const size_t n = strlen(left), all = n + strlen(right);
    if (all > TL_JINJA_LONGEST)
        return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "so long a value");
    char *text = tl_arena_alloc(j->arena, all + 1, 1);
    if (text == NULL)
        return tl_jinja_fail(j, TL_ERR_NO_MEMORY, "no memory for a chat template");
    memcpy(text, left, n);
    memcpy(text + n, right, all - n + 1);
    return tl_jinja_string(j, text, all);
}

static json_t *compute(tl_jinja *j, const char *sign, json_int_t a, json_int_t b)
{
    json_int_t value = 0;
    bool wraps = false;
    switch (*sign) {
    case '+': wraps = __builtin_add_overflow(a, b, &value); break;
    case '-': wraps = __builtin_sub_overflow(a, b, &value); break;
    case '*': wraps = __builtin_mul_overflow(a, b, &value); break;
    default: /* // and %, towards minus infinity as in Python */
        if (b == 0 || b == -1)
            wraps = b == 0 || __builtin_sub_overflow(0, a, &value);
        else
            value = a / b - (a % b != 0 && (a % b < 0) != (b < 0));
        if (*sign == '%' && !wraps)
            value = b == -1 ? 0 : a - value * b;
    }
    return wraps ? tl_jinja_fail(j, TL_ERR_DATA, "'%s' of numbers that have none", sign)
                 : tl_jinja_keep(j, json_integer(value), 0);
}

bool tl_jinja_weigh(tl_jinja *j, const json_t *value)
{
    const char *key = NULL;
    json_t *member = NULL;
    j->work += 1 + (json_is_string(value) ? json_string_length(value) : 0);
    for (size_t i = 0; j->work <= TL_JINJA_WORK && i < json_array_size(value); i++)
        tl_jinja_weigh(j, json_array_get(value, i));
    if (json_is_object(value) && j->work <= TL_JINJA_WORK)
        json_object_foreach((json_t *)(uintptr_t)value, key, member)
            tl_jinja_weigh(j, member);
    if (j->work > TL_JINJA_WORK)
        tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "so much to compare and to write");
    return j->work <= TL_JINJA_WORK;
}

static bool equal(tl_jinja *j, const json_t *left, const json_t *right)
{
    if (left == NULL || right == NULL)
        return left == right;
    return tl_jinja_weigh(j, left) && tl_jinja_weigh(j, right) &&
           json_equal(left, right) != 0;
}

static json_t *contains(tl_jinja *j, const json_t *inner, const json_t *outer)
{
    bool found = false;
    if (json_is_string(outer) && json_is_string(inner))
        found = tl_jinja_weigh(j, outer) &&
                strstr(json_string_value(outer), json_string_value(inner)) != NULL;
    else if (json_is_object(outer))
        found = json_is_string(inner) &&
                json_object_get(outer, json_string_value(inner)) != NULL;
    else if (json_is_array(outer))
        for (size_t i = 0; i < json_array_size(outer) && !found; i++)
            found = equal(j, inner, json_array_get(outer, i));
    else if (outer != NULL)
        return tl_jinja_fail(j, TL_ERR_DATA, "'in' what is neither text nor list");
    return found ? json_true() : json_false();
}

static json_t *compare(tl_jinja *j, const char *sign, const json_t *left,
                       const json_t *right)
{
    double order = 0.0;
    if (json_is_number(left) && json_is_number(right))
        order = json_number_value(left) - json_number_value(right);
    else if (json_is_string(left) && json_is_string(right))
        order = strcmp(json_string_value(left), json_string_value(right));
    else
        return tl_jinja_fail(j, TL_ERR_DATA, "'%s' between values of other kinds",
                             sign);
    const bool holds = sign[1] == '=' && order == 0.0;
    return holds || (*sign == '<' ? order < 0.0 : order > 0.0) ? json_true()
                                                               : json_false();
}

json_t *tl_jinja_binary(tl_jinja *j, const char *sign, json_t *left, json_t *right)
{
    if (!j->run || j->status != TL_OK)
        return NULL;
    if (strcmp(sign, "==") == 0 || strcmp(sign, "!=") == 0)
        return equal(j, left, right) == (*sign == '=') ? json_true() : json_false();
    if (strcmp(sign, "in") == 0)
        return contains(j, left, right);
    if (*sign == '<' || *sign == '>')
        return compare(j, sign, left, right);
    if (*sign == '~') {
        const char *a = tl_jinja_text(j, left), *b = tl_jinja_text(j, right);
        return put_together(j, a, b);
    }
    if (json_is_integer(left) && json_is_integer(right) && strcmp(sign, "/") != 0)
        return compute(j, sign, json_integer_value(left), json_integer_value(right));
    if (*sign == '+' && json_is_string(left) && json_is_string(right))
        return put_together(j, json_string_value(left), json_string_value(right));
    if (*sign == '+' && json_is_array(left) && json_is_array(right)) {
        const size_t n = json_array_size(left) + json_array_size(right);
        json_t *list = tl_jinja_keep(j, json_array(), n * sizeof(json_t *));
        if (list != NULL) {
            json_array_extend(list, left);
            json_array_extend(list, right);
        }
        return list;
    }
    return tl_jinja_fail(
        j, left == NULL || right == NULL ? TL_ERR_DATA : TL_ERR_UNSUPPORTED,
        "'%s' between %s", sign,
        left == NULL || right == NULL ? "something undefined and another value"
                                      : "values of these kinds");
}
