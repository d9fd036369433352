/* SPDX-License-Identifier: MIT
 *
 * jinja_expression.c - reads an expression and computes it on the way, by jinja2's
 * precedence: if, or, and, not, comparisons, + and -, ~, * and /, signs, then what is
 * behind a value (members, calls, filters, tests). See jinja_private.h.
 */
#include "input/jinja_private.h"

#include <string.h>

static json_t *read_unary(tl_jinja *j, bool with_filters);

/* ---- signs and names ------------------------------------------------------------- */

static void skip_blanks(tl_jinja *j)
{
    while (j->at < j->end && strchr(" \t\r\n", *j->at) != NULL && *j->at != '\0')
        j->at++;
}

static bool is_name(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

bool tl_jinja_at_end(tl_jinja *j)
{
    skip_blanks(j);
    return j->at == j->end;
}

static bool begins(tl_jinja *j, const char *sign)
{
    skip_blanks(j);
    const size_t n = strlen(sign);
    return (size_t)(j->end - j->at) >= n && memcmp(j->at, sign, n) == 0;
}

bool tl_jinja_take(tl_jinja *j, const char *sign)
{
    const bool found = begins(j, sign);
    j->at += found ? strlen(sign) : 0;
    return found;
}

static bool begins_word(tl_jinja *j, const char *word)
{
    const size_t n = strlen(word);
    return begins(j, word) &&
           ((size_t)(j->end - j->at) == n || !is_name(j->at[n], false));
}

bool tl_jinja_take_word(tl_jinja *j, const char *word)
{
    const bool found = begins_word(j, word);
    j->at += found ? strlen(word) : 0;
    return found;
}

/* What cannot be read, with what stands there. */
static json_t *fail_at(tl_jinja *j, const char *wanted)
{
    const size_t n = (size_t)(j->end - j->at);
    return tl_jinja_fail(j, TL_ERR_FORMAT, "'%.*s' where %s is wanted",
                         n < 40 ? (int)n : 40, j->at, wanted);
}

const char *tl_jinja_name(tl_jinja *j)
{
    skip_blanks(j);
    const char *begin = j->at;
    while (j->at < j->end && is_name(*j->at, j->at == begin))
        j->at++;
    const size_t n = (size_t)(j->at - begin);
    char *name = n > 0 ? tl_arena_alloc(j->arena, n + 1, 1) : NULL;
    if (name == NULL) {
        if (n == 0)
            fail_at(j, "a name");
        else
            tl_jinja_fail(j, TL_ERR_NO_MEMORY, "no memory for a chat template");
        return NULL;
    }
    memcpy(name, begin, n);
    name[n] = '\0';
    return name;
}

static void want(tl_jinja *j, const char *sign)
{
    if (j->status == TL_OK && !tl_jinja_take(j, sign))
        fail_at(j, sign);
}

/* ---- values that stand there ----------------------------------------------------- */

/* Behind its quotation mark. */
static json_t *read_text(tl_jinja *j, char quote)
{
    static const char *const escapes = "n\nt\tr\r\\\\'\'\"\"";
    char *text = tl_arena_alloc(j->arena, (size_t)(j->end - j->at) + 1, 1), *to = text;
    if (text == NULL)
        return tl_jinja_fail(j, TL_ERR_NO_MEMORY, "no memory for a chat template");
    while (j->at < j->end && *j->at != quote) {
        char c = *j->at++;
        if (c == '\\' && j->at < j->end) {
            c = *j->at++;
            if (c == '\n') /* goes on in the next line */
                continue;
            const char *escape = escapes;
            while (*escape != '\0' && *escape != c)
                escape += 2;
            if (*escape == '\0')
                return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "'\\%c' in a text", c);
            c = escape[1];
        }
        *to++ = c;
    }
    want(j, quote == '"' ? "\"" : "'");
    return tl_jinja_string(j, text, (size_t)(to - text));
}

static json_t *read_number(tl_jinja *j)
{
    json_int_t value = 0;
    while (j->at < j->end && *j->at >= '0' && *j->at <= '9') {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *j->at - '0', &value))
            return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "so large a number");
        j->at++;
    }
    if (j->at + 1 < j->end && *j->at == '.' && j->at[1] >= '0' && j->at[1] <= '9')
        return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "a number with a fraction");
    return tl_jinja_keep(j, json_integer(value), 0);
}

/* Elements up to `close`; those with a name go to `named`, if there is one. */
static json_t *read_list(tl_jinja *j, const char *close, json_t *named)
{
    json_t *list = tl_jinja_keep(j, json_array(), 0);
    while (j->status == TL_OK && !tl_jinja_take(j, close)) {
        const char *begin = j->at, *name = NULL;
        if (named != NULL && begins(j, "") && j->at < j->end && is_name(*j->at, true)) {
            name = tl_jinja_name(j);
            if (begins(j, "==") || !tl_jinja_take(j, "=")) {
                j->at = begin;
                name = NULL;
            }
        }
        json_t *value = tl_jinja_expression(j, true);
        if (j->status == TL_OK && j->run) {
            if (name != NULL)
                json_object_set(named, name, value != NULL ? value : json_null());
            else
                json_array_append(list, value != NULL ? value : json_null());
        }
        if (j->status == TL_OK && !tl_jinja_take(j, ",") && !begins(j, close))
            fail_at(j, close);
    }
    return list;
}

static json_t *read_object(tl_jinja *j)
{
    json_t *object = tl_jinja_keep(j, json_object(), 0);
    while (j->status == TL_OK && !tl_jinja_take(j, "}")) {
        json_t *key = tl_jinja_expression(j, true);
        want(j, ":");
        json_t *value = j->status == TL_OK ? tl_jinja_expression(j, true) : NULL;
        if (j->status == TL_OK && j->run) {
            if (!json_is_string(key))
                return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "a key that is no text");
            json_object_set(object, json_string_value(key),
                            value != NULL ? value : json_null());
        }
        if (j->status == TL_OK && !tl_jinja_take(j, ",") && !begins(j, "}"))
            fail_at(j, "}");
    }
    return object;
}

static json_t *read_call(tl_jinja *j, const char *name)
{
    json_t *named = tl_jinja_keep(j, json_object(), 0);
    json_t *arguments = named != NULL ? read_list(j, ")", named) : NULL;
    return j->run && j->status == TL_OK ? tl_jinja_function(j, name, arguments, named)
                                        : NULL;
}

static json_t *read_primary(tl_jinja *j)
{
    static const char *const constants[] = {"true", "True", "false", "False",
                                            "none", "None", NULL};
    skip_blanks(j);
    const char c = j->at < j->end ? *j->at : '\0';
    if (c == '\'' || c == '"') {
        j->at++;
        return read_text(j, c);
    }
    if (c >= '0' && c <= '9')
        return read_number(j);
    if (tl_jinja_take(j, "["))
        return read_list(j, "]", NULL);
    if (tl_jinja_take(j, "{"))
        return read_object(j);
    if (tl_jinja_take(j, "(")) {
        json_t *value = tl_jinja_expression(j, true);
        if (begins(j, ","))
            return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "a tuple");
        want(j, ")");
        return value;
    }
    for (size_t i = 0; constants[i] != NULL; i++)
        if (tl_jinja_take_word(j, constants[i]))
            return i < 2 ? json_true() : i < 4 ? json_false() : json_null();
    const char *name = tl_jinja_name(j);
    if (name == NULL)
        return NULL;
    return tl_jinja_take(j, "(") ? read_call(j, name) : tl_jinja_get(j, name);
}

/* ---- what stands behind a value --------------------------------------------------- */

static json_t *read_member(tl_jinja *j, json_t *value)
{
    const char *name = tl_jinja_name(j);
    if (name == NULL)
        return NULL;
    if (tl_jinja_take(j, "(")) {
        json_t *arguments = read_list(j, ")", NULL);
        return j->run && j->status == TL_OK ? tl_jinja_method(j, name, value, arguments)
                                            : NULL;
    }
    json_t *key = tl_jinja_string(j, name, strlen(name));
    return key != NULL ? tl_jinja_member(j, value, key) : NULL;
}

/* Behind '['. */
static json_t *read_index(tl_jinja *j, json_t *value)
{
    json_t *parts[3] = {NULL, NULL, NULL};
    size_t n = 0;
    bool sliced = false;
    while (j->status == TL_OK && !tl_jinja_take(j, "]")) {
        if (tl_jinja_take(j, ":")) {
            sliced = true;
            if (++n > 2)
                return fail_at(j, "]");
        } else {
            parts[n] = tl_jinja_expression(j, true);
            if (j->status == TL_OK && !begins(j, ":") && !begins(j, "]"))
                return fail_at(j, "]");
        }
    }
    return sliced ? tl_jinja_slice(j, value, parts[0], parts[1], parts[2])
                  : tl_jinja_member(j, value, parts[0]);
}

static json_t *read_filter(tl_jinja *j, json_t *value)
{
    const char *name = tl_jinja_name(j);
    json_t *named = name != NULL ? tl_jinja_keep(j, json_object(), 0) : NULL,
           *arguments = NULL;
    if (named == NULL)
        return NULL;
    if (tl_jinja_take(j, "("))
        arguments = read_list(j, ")", named);
    return j->run && j->status == TL_OK
               ? tl_jinja_filter(j, name, value, arguments, named)
               : NULL;
}

static json_t *read_test(tl_jinja *j, json_t *value)
{
    const bool negative = tl_jinja_take_word(j, "not");
    const char *name = tl_jinja_name(j);
    json_t *arguments = NULL;
    if (name != NULL && tl_jinja_take(j, "("))
        arguments = read_list(j, ")", NULL);
    if (!j->run || j->status != TL_OK)
        return NULL;
    return tl_jinja_test(j, name, value, arguments) != negative ? json_true()
                                                                : json_false();
}

static json_t *read_behind(tl_jinja *j, json_t *value, bool with_filters)
{
    while (j->status == TL_OK) {
        if (tl_jinja_take(j, "."))
            value = read_member(j, value);
        else if (tl_jinja_take(j, "["))
            value = read_index(j, value);
        else if (with_filters && tl_jinja_take(j, "|"))
            value = read_filter(j, value);
        else if (with_filters && tl_jinja_take_word(j, "is"))
            value = read_test(j, value);
        else
            break;
    }
    return value;
}

/* ---- precedence ------------------------------------------------------------------- */

static json_t *read_unary(tl_jinja *j, bool with_filters)
{
    json_t *value = NULL;
    if (j->depth >= TL_JINJA_DEPTH)
        return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "so deep an expression");
    j->depth++;
    if (tl_jinja_take(j, "-")) {
        json_t *zero = tl_jinja_keep(j, json_integer(0), 0);
        value = tl_jinja_binary(j, "-", zero, read_unary(j, false));
    } else {
        value = read_behind(j, read_primary(j), false);
    }
    if (with_filters)
        value = read_behind(j, value, true);
    j->depth--;
    return value;
}

static json_t *read_products(tl_jinja *j)
{
    static const char *const signs[] = {"*", "//", "/", "%", NULL};
    json_t *value = read_unary(j, true);
    for (size_t i = 0; j->status == TL_OK && signs[i] != NULL;) {
        if (tl_jinja_take(j, signs[i])) {
            value = tl_jinja_binary(j, signs[i], value, read_unary(j, true));
            i = 0;
        } else {
            i++;
        }
    }
    return value;
}

static json_t *read_joined(tl_jinja *j)
{
    json_t *value = read_products(j);
    while (j->status == TL_OK && tl_jinja_take(j, "~"))
        value = tl_jinja_binary(j, "~", value, read_products(j));
    return value;
}

static json_t *read_sums(tl_jinja *j)
{
    json_t *value = read_joined(j);
    while (j->status == TL_OK && (begins(j, "+") || begins(j, "-"))) {
        const char *sign = *j->at++ == '+' ? "+" : "-";
        value = tl_jinja_binary(j, sign, value, read_joined(j));
    }
    return value;
}

static json_t *negate(tl_jinja *j, const json_t *value)
{
    return !j->run ? NULL : tl_jinja_truth(value) ? json_false() : json_true();
}

/* a < b < c is a < b and b < c. */
static json_t *read_comparison(tl_jinja *j)
{
    static const char *const signs[] = {"==", "!=", "<=", ">=", "<", ">", NULL};
    json_t *left = read_sums(j), *value = left;
    bool first = true;
    while (j->status == TL_OK) {
        const char *sign = NULL;
        const char *before = j->at;
        for (size_t i = 0; signs[i] != NULL && sign == NULL; i++)
            sign = tl_jinja_take(j, signs[i]) ? signs[i] : NULL;
        const bool negative = sign == NULL && tl_jinja_take_word(j, "not");
        if (sign == NULL && tl_jinja_take_word(j, "in"))
            sign = "in";
        if (sign == NULL) {
            j->at = before;
            break;
        }
        json_t *right = read_sums(j), *holds = tl_jinja_binary(j, sign, left, right);
        if (negative)
            holds = negate(j, holds);
        if (first || tl_jinja_truth(value))
            value = holds;
        first = false;
        left = right;
    }
    return value;
}

static json_t *read_not(tl_jinja *j)
{
    if (!tl_jinja_take_word(j, "not"))
        return read_comparison(j);
    if (j->depth >= TL_JINJA_DEPTH)
        return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "so deep an expression");
    j->depth++;
    json_t *value = negate(j, read_not(j));
    j->depth--;
    return value;
}

/* What is not needed is read and not computed. */
static json_t *read_logic(tl_jinja *j, bool is_or)
{
    const bool ran = j->run;
    json_t *value = is_or ? read_logic(j, false) : read_not(j);
    while (j->status == TL_OK && tl_jinja_take_word(j, is_or ? "or" : "and")) {
        const bool decided = tl_jinja_truth(value) == is_or;
        j->run = ran && !decided;
        json_t *next = is_or ? read_logic(j, false) : read_not(j);
        j->run = ran;
        if (!decided)
            value = next;
    }
    return value;
}

/* Whether an `if` follows that belongs to the expression that begins here: `a if b else c`
 * computes a only when b holds. */
static bool is_choice(const tl_jinja *j)
{
    size_t open = 0;
    char quote = '\0';
    for (const char *at = j->at; at < j->end; at++) {
        if (quote != '\0') {
            if (*at == '\\')
                at++;
            else if (*at == quote)
                quote = '\0';
        } else if (*at == '\'' || *at == '"') {
            quote = *at;
        } else if (*at == '(' || *at == '[' || *at == '{') {
            open++;
        } else if (strchr(")]},:", *at) != NULL && *at != '\0') {
            if (open == 0)
                return false;
            open -= *at != ',' && *at != ':';
        } else if (open == 0 && at + 2 < j->end && strncmp(at, "if", 2) == 0 &&
                   !is_name(at[2], false) && at > j->at && !is_name(at[-1], false)) {
            return true;
        }
    }
    return false;
}

static json_t *read_choice(tl_jinja *j)
{
    const bool ran = j->run;
    const char *const begin = j->at;
    json_t *value = NULL;
    j->run = false;
    read_logic(j, true);
    j->run = ran;
    if (j->status == TL_OK && !tl_jinja_take_word(j, "if"))
        return fail_at(j, "if");
    const bool holds = tl_jinja_truth(read_logic(j, true));
    if (ran && holds && j->status == TL_OK) {
        const char *const behind = j->at;
        j->at = begin;
        value = read_logic(j, true);
        j->at = behind;
    }
    if (j->status == TL_OK && tl_jinja_take_word(j, "else")) {
        j->run = ran && !holds;
        json_t *other = tl_jinja_expression(j, true);
        j->run = ran;
        value = holds ? value : other;
    }
    return value;
}

json_t *tl_jinja_expression(tl_jinja *j, bool with_if)
{
    if (j->depth >= TL_JINJA_DEPTH || ++j->steps > TL_JINJA_STEPS)
        return tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "so deep or long an expression");
    j->depth++;
    json_t *value = with_if && is_choice(j) ? read_choice(j) : read_logic(j, true);
    j->depth--;
    return value;
}
