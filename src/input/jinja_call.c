/* SPDX-License-Identifier: MIT
 *
 * jinja_call.c - the filters, tests, methods and functions that chat templates use. See
 * jinja_private.h.
 */
#include "input/jinja_private.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "input/white_space.h"

static const json_t *argument(const json_t *arguments, size_t i)
{
    return json_array_get(arguments, i);
}

static const char *word(const json_t *arguments, size_t i)
{
    return json_string_value(argument(arguments, i));
}

/* ---- texts ----------------------------------------------------------------------- */

typedef enum change { UPPER, LOWER, CAPITALIZE } change;

/* Of ASCII letters. */
static json_t *change_case(tl_jinja *j, const json_t *value, change how)
{
    const char *text = tl_jinja_text(j, value);
    const size_t n = strlen(text);
    char *changed = tl_arena_alloc(j->arena, n + 1, 1);
    if (changed == NULL)
        return tl_jinja_fail(j, TL_ERR_NO_MEMORY, "no memory for a chat template");
    for (size_t i = 0; i < n; i++) {
        const bool up = how == UPPER || (how == CAPITALIZE && i == 0);
        const char c = text[i];
        changed[i] = c >= 'a' && c <= 'z' && up    ? (char)(c - 'a' + 'A')
                     : c >= 'A' && c <= 'Z' && !up ? (char)(c - 'A' + 'a')
                                                   : c;
    }
    return tl_jinja_string(j, changed, n);
}

static json_t *strip(tl_jinja *j, const json_t *value, bool left, bool right)
{
    const char *begin = tl_jinja_text(j, value), *end = begin + strlen(begin);
    if (left)
        tl_trim_begin(&begin, end);
    if (right)
        tl_trim_end(begin, &end);
    return tl_jinja_string(j, begin, (size_t)(end - begin));
}

static json_t *split(tl_jinja *j, const char *text, const char *at)
{
    json_t *list = tl_jinja_keep(j, json_array(), strlen(text));
    if (at == NULL || *at == '\0')
        return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "split() by white space");
    for (const char *next; list != NULL; text = next + strlen(at)) {
        next = strstr(text, at);
        const size_t n = next != NULL ? (size_t)(next - text) : strlen(text);
        json_t *part = tl_jinja_string(j, text, n);
        if (part == NULL)
            return NULL;
        json_array_append(list, part);
        if (next == NULL)
            break;
    }
    return list;
}

static json_t *replace(tl_jinja *j, const char *text, const char *old, const char *new)
{
    json_t *parts = old != NULL && new != NULL ? split(j, text, old) : NULL;
    if (parts == NULL)
        return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "replace() without two texts");
    json_t *whole = json_array_get(parts, 0),
           *joint = tl_jinja_string(j, new, strlen(new));
    for (size_t i = 1; i < json_array_size(parts) && whole != NULL; i++)
        whole = tl_jinja_binary(j, "+", tl_jinja_binary(j, "+", whole, joint),
                                json_array_get(parts, i));
    return whole;
}

static json_t *join(tl_jinja *j, const json_t *list, const char *between)
{
    json_t *whole = tl_jinja_string(j, "", 0),
           *joint = tl_jinja_string(j, between, strlen(between));
    for (size_t i = 0; i < json_array_size(list) && whole != NULL; i++) {
        if (i > 0)
            whole = tl_jinja_binary(j, "~", whole, joint);
        whole = tl_jinja_binary(j, "~", whole, json_array_get(list, i));
    }
    return whole;
}

/* As transformers' own: json.dumps(value, ensure_ascii=False). */
static json_t *to_json(tl_jinja *j, const json_t *value)
{
    if (!tl_jinja_weigh(j, value))
        return NULL;
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    json_t *made = text != NULL ? tl_jinja_string(j, text, strlen(text))
                                : tl_jinja_fail(j, TL_ERR_UNSUPPORTED,
                                                "tojson of something undefined");
    free(text);
    return made;
}

/* ---- lists ------------------------------------------------------------------------ */

static json_t *count(tl_jinja *j, const json_t *value)
{
    size_t n = json_array_size(value) + json_object_size(value);
    if (json_is_string(value))
        for (const char *c = json_string_value(value); *c != '\0'; c++)
            n += ((unsigned char)*c & 0xc0) != 0x80;
    else if (!json_is_array(value) && !json_is_object(value))
        return tl_jinja_fail(j, TL_ERR_DATA, "the length of what has none");
    return tl_jinja_keep(j, json_integer((json_int_t)n), 0);
}

/* selectattr("type", "equalto", "text"): the elements whose attribute passes a test. */
static json_t *select_by(tl_jinja *j, const json_t *list, const json_t *arguments,
                         bool wanted)
{
    const char *name = word(arguments, 0), *test = word(arguments, 1);
    json_t *chosen = tl_jinja_keep(j, json_array(), 0),
           *rest = tl_jinja_keep(j, json_array(), 0);
    if (name == NULL || !json_is_array(list))
        return tl_jinja_fail(j, TL_ERR_DATA, "selectattr of what is no list");
    if (argument(arguments, 2) != NULL && rest != NULL)
        json_array_append(rest, json_array_get(arguments, 2));
    for (size_t i = 0; i < json_array_size(list) && j->status == TL_OK; i++) {
        json_t *one = json_array_get(list, i), *attribute = json_object_get(one, name);
        const bool passes = test != NULL ? tl_jinja_test(j, test, attribute, rest)
                                         : tl_jinja_truth(attribute);
        if (passes == wanted)
            json_array_append(chosen, one);
    }
    return chosen;
}

static json_t *attribute_of_each(tl_jinja *j, const json_t *list, const char *name)
{
    json_t *made = tl_jinja_keep(j, json_array(), 0);
    if (name == NULL)
        return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "map without attribute=");
    for (size_t i = 0; i < json_array_size(list) && made != NULL; i++) {
        json_t *one = json_object_get(json_array_get(list, i), name);
        json_array_append(made, one != NULL ? one : json_null());
    }
    return made;
}

/* [[key, value], ...] */
static json_t *items(tl_jinja *j, json_t *object)
{
    json_t *list = tl_jinja_keep(j, json_array(), 0), *value;
    const char *key;
    json_object_foreach(object, key, value)
    {
        json_t *pair = tl_jinja_keep(j, json_array(), 0),
               *name = tl_jinja_string(j, key, strlen(key));
        if (pair == NULL || name == NULL)
            return NULL;
        json_array_append(pair, name);
        json_array_append(pair, value);
        json_array_append(list, pair);
    }
    return list;
}

/* ---- what is called --------------------------------------------------------------- */

json_t *tl_jinja_filter(tl_jinja *j, const char *name, json_t *value,
                        const json_t *arguments, const json_t *named)
{
    const size_t n = json_array_size(value);
#define IS(text) (strcmp(name, text) == 0)
    if (IS("trim"))
        return strip(j, value, true, true);
    if (IS("upper") || IS("lower") || IS("capitalize"))
        return change_case(j, value,
                           IS("upper")   ? UPPER
                           : IS("lower") ? LOWER
                                         : CAPITALIZE);
    if (IS("string") || IS("safe")) {
        const char *text = tl_jinja_text(j, value);
        return tl_jinja_string(j, text, strlen(text));
    }
    if (IS("length") || IS("count"))
        return count(j, value);
    if (IS("list") && json_is_array(value))
        return value;
    if ((IS("first") || IS("last")) && json_is_array(value))
        return n > 0 ? json_array_get(value, IS("first") ? 0 : n - 1) : NULL;
    if (IS("tojson") && json_object_size(named) == 0 && json_array_size(arguments) == 0)
        return to_json(j, value);
    if (IS("selectattr") || IS("rejectattr"))
        return select_by(j, value, arguments, IS("selectattr"));
    if (IS("map") && json_is_array(value))
        return attribute_of_each(
            j, value, json_string_value(json_object_get(named, "attribute")));
    if (IS("join") && json_is_array(value))
        return join(j, value, word(arguments, 0) != NULL ? word(arguments, 0) : "");
    if (IS("items") && json_is_object(value))
        return items(j, value);
    if (IS("default") || IS("d")) {
        const bool falsy = json_is_true(argument(arguments, 1)) ||
                           json_is_true(json_object_get(named, "boolean"));
        return value == NULL || (falsy && !tl_jinja_truth(value))
                   ? json_array_get(arguments, 0)
                   : value;
    }
    if (IS("replace") && json_is_string(value))
        return replace(j, json_string_value(value), word(arguments, 0),
                       word(arguments, 1));
    return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "the filter '%s'", name);
}

bool tl_jinja_test(tl_jinja *j, const char *name, json_t *value,
                   const json_t *arguments)
{
    if (IS("defined") || IS("undefined"))
        return (value != NULL) == IS("defined");
    if (IS("none"))
        return value != NULL && json_is_null(value);
    if (IS("string"))
        return json_is_string(value);
    if (IS("mapping"))
        return json_is_object(value);
    if (IS("iterable") || IS("sequence"))
        return json_is_string(value) || json_is_array(value) || json_is_object(value);
    if (IS("number") || IS("integer"))
        return json_is_integer(value);
    if (IS("boolean"))
        return json_is_boolean(value);
    if (IS("true") || IS("false"))
        return IS("true") ? json_is_true(value) : json_is_false(value);
    if (IS("equalto") || IS("eq") || IS("==") || IS("ne") || IS("in")) {
        json_t *other = json_array_get(arguments, 0);
        return json_is_true(tl_jinja_binary(j,
                                            IS("ne")   ? "!="
                                            : IS("in") ? "in"
                                                       : "==",
                                            value, other));
    }
    tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "the test '%s'", name);
    return false;
}

static bool has_affix(const char *text, const char *affix, bool at_end)
{
    const size_t n = strlen(text), m = strlen(affix);
    return m <= n && strncmp(at_end ? text + n - m : text, affix, m) == 0;
}

json_t *tl_jinja_method(tl_jinja *j, const char *name, json_t *value,
                        const json_t *arguments)
{
    const size_t n = json_array_size(arguments);
    const char *text = json_string_value(value), *first = word(arguments, 0);
    if (value == NULL)
        return tl_jinja_fail(j, TL_ERR_DATA, "%s() of something undefined", name);
    if (json_is_object(value) && IS("items"))
        return items(j, value);
    if (json_is_object(value) && IS("get") && first != NULL) {
        json_t *found = json_object_get(value, first);
        return found != NULL ? found
               : n > 1       ? json_array_get(arguments, 1)
                             : json_null();
    }
    if (text == NULL)
        return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "the method %s()", name);
    if (n == 0 && (IS("upper") || IS("lower") || IS("capitalize")))
        return change_case(j, value,
                           IS("upper")   ? UPPER
                           : IS("lower") ? LOWER
                                         : CAPITALIZE);
    if (n == 0 && (IS("strip") || IS("lstrip") || IS("rstrip")))
        return strip(j, value, !IS("rstrip"), !IS("lstrip"));
    if (first != NULL && (IS("startswith") || IS("endswith")))
        return has_affix(text, first, IS("endswith")) ? json_true() : json_false();
    if (n == 1 && IS("split"))
        return split(j, text, first);
    if (n == 2 && IS("replace"))
        return replace(j, text, first, word(arguments, 1));
    return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "the method %s()", name);
}

json_t *tl_jinja_function(tl_jinja *j, const char *name, const json_t *arguments,
                          const json_t *named)
{
    const json_int_t first = json_integer_value(argument(arguments, 0));
    if (IS("raise_exception"))
        return tl_jinja_fail(j, TL_ERR_DATA, "it refuses the prompt: %s",
                             word(arguments, 0) != NULL ? word(arguments, 0) : "");
    if (IS("namespace") || IS("dict")) {
        json_t *copy = tl_jinja_keep(j, json_copy((json_t *)named), 0);
        return copy;
    }
    if (IS("range") && json_array_size(arguments) == 1 && first <= TL_JINJA_LISTS) {
        json_t *list = tl_jinja_keep(j, json_array(), 0);
        for (json_int_t i = 0; i < first && list != NULL; i++)
            json_array_append_new(list, json_integer(i));
        return list;
    }
    if (IS("strftime_now") && word(arguments, 0) != NULL) {
        char text[128] = "";
        const time_t now = time(NULL);
        struct tm parts;
        if (localtime_r(&now, &parts) != NULL) {
            const size_t n = strftime(text, sizeof text, word(arguments, 0), &parts);
            return tl_jinja_string(j, text, n);
        }
    }
    return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "the function %s()", name);
}
#undef IS
