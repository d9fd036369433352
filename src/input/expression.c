/* SPDX-License-Identifier: MIT
 *
 * expression.c - see expression.h.
 *
 * Where Oniguruma and PCRE2 are known to part, and what is done about it:
 *   \s          PCRE2 adds U+180E; both have \p{White_Space}, which is put instead
 *   \p{Han}     PCRE2 adds the characters that Han has in common with other scripts;
 *               \p{sc:Han} has not, and is put instead
 *   a class inside a class, &&    PCRE2 has none; written with alternatives and
 *               lookaheads, each of which is one character long:
 *                   [a[^b]]     (?:[a]|[^b])
 *                   [a&&[^b]]   (?:(?=(?:[a]))(?:[^b]))
 *                   [^a[b]]     (?:(?!(?:[a]|[b]))(?s:.))
 *   \w \b \h \R \X and other letters after a backslash, ^ $, {,n}, {n}+, {n}?,
 *   [: :], (?m) (?x) (?<name>)     refused
 *   characters of Unicode 15 and 16     refused; in the text others stand in for them
 *               (stand_in.h), which an expression that names one of these few takes for
 *               them, and so do some of \p{Cyrillic}, \p{Devanagari} and \p{Arabic}
 *   (?i:)       Oniguruma also matches U+00DF by "ss"; no pattern in use can tell.
 *               A class inside a class is refused there.
 */
#include "input/expression.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "input/stand_in.h"

/* Of classes inside each other; bytes written for one that is read, of which the dearest is
 * a "[": "|(?:(?!(?:[]" ")(?s:.))" ")". */
enum { MAX_DEPTH = 8, MAX_GROWTH = 32 };

/* What is read, and written into room known to be enough. */
struct translation {
    const char *expression;
    char *text;
    size_t bytes;
    tl_error *err;
};

static void put(struct translation *t, const char *text, size_t bytes)
{
    memcpy(t->text + t->bytes, text, bytes);
    t->bytes += bytes;
}

static void put_string(struct translation *t, const char *text)
{
    put(t, text, strlen(text));
}

static tl_status refuse(const struct translation *t, const char *what)
{
    return tl_fail(t->err, TL_ERR_UNSUPPORTED, "%s in the pattern '%s'", what,
                   t->expression);
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* --- escapes ---------------------------------------------------------------------- */

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* How many bytes belong to the escape at `at`, with its backslash; 0 if the two engines
 * may differ. */
static size_t escape_length(const char *at, bool in_class)
{
    const char kind = at[1];
    if ((kind == 'p' || kind == 'P' || kind == 'x') && at[2] == '{') {
        const size_t inside = strcspn(at, "}");
        return at[inside] == '\0' ? 0 : inside + 1;
    }
    if (kind == '\0' || (is_letter_or_digit(kind) &&
                         strchr(in_class ? "rntfdDsS" : "rntfdDsSAz", kind) == NULL))
        return 0;
    return 2;
}

/* Whether the property is a script: of the others those of general categories have at most
 * two letters. PCRE2 tells if it is none at all. */
static bool is_script(const char *name, size_t bytes)
{
    static const char *const others[] = {"Any", "White_Space"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (bytes == strlen(others[i]) && memcmp(name, others[i], bytes) == 0)
            return false;
    }
    return bytes > 2;
}

/* Copies \p{name} or \p{^name}. */
static void copy_property(struct translation *t, const char *at, size_t length)
{
    const size_t name = strlen(at[3] == '^' ? "\\p{^" : "\\p{");
    put(t, at, name);
    if (is_script(at + name, length - name - 1))
        put_string(t, "sc:");
    put(t, at + name, length - name);
}

/* Copies the escape at `at`; NULL if it is refused, else what is behind. */
static const char *copy_escape(struct translation *t, const char *at, bool in_class)
{
    const size_t length = escape_length(at, in_class);
    if (length == 0) {
        tl_fail(t->err, TL_ERR_UNSUPPORTED, "the escape '\\%.1s' in the pattern '%s'",
                at + 1, t->expression);
        return NULL;
    }
    const int32_t code = at[1] == 'x' ? (int32_t)strtol(at + 3, NULL, 16) : 0;
    if (tl_stand_in(code) != code) {
        refuse(t, "a character of Unicode 15 or later");
        return NULL;
    }
    if (at[1] == 's' || at[1] == 'S')
        put_string(t, at[1] == 's' ? "\\p{White_Space}" : "\\P{White_Space}");
    else if (at[1] == 'p' || at[1] == 'P')
        copy_property(t, at, length);
    else
        put(t, at, length);
    return at + length;
}

/* --- classes ---------------------------------------------------------------------- */

/* The members of a class, between its brackets and behind a '^'. */
struct members {
    const char *begin, *end;
};

static const char *skip_class(const char *at, int depth);

/* One member on: an escape, a class, "&&" or a byte. NULL if the class does not end. */
static const char *skip_member(const char *at, int depth)
{
    if (*at == '\0')
        return NULL;
    if (*at == '\\') {
        const size_t length = escape_length(at, true);
        return length > 0 ? at + length : at[1] == '\0' ? NULL : at + 2;
    }
    if (*at == '[')
        return skip_class(at, depth + 1);
    return at + (starts_with(at, "&&") ? 2 : 1);
}

/* What is behind the class that begins at `at`; NULL if it does not end, or is too deep. */
static const char *skip_class(const char *at, int depth)
{
    if (depth > MAX_DEPTH)
        return NULL;
    at += at[1] == '^' ? 2 : 1;
    while (at != NULL && *at != ']')
        at = skip_member(at, depth);
    return at != NULL ? at + 1 : NULL;
}

static bool has_classes(struct members m)
{
    for (const char *at = m.begin; at < m.end; at = skip_member(at, 0)) {
        if (*at == '[' || starts_with(at, "&&"))
            return true;
    }
    return false;
}

/* Copies what is neither a class nor "&&". A '-' beside one of these is refused: it might
 * be meant as a range. */
static tl_status put_plain_members(struct translation *t, struct members m)
{
    bool after_class = false;
    for (const char *at = m.begin; at < m.end;) {
        const bool is_class = *at == '[';
        const char *next = skip_member(at, 0);
        if (*at == '-' && (after_class || (next < m.end && *next == '[')))
            return refuse(t, "a '-' beside a class inside a class");
        if (*at == '\\') {
            if (copy_escape(t, at, true) == NULL)
                return TL_ERR_UNSUPPORTED;
        } else if (!is_class) {
            put_string(t, *at == '^' ? "\\" : ""); /* which may now be the first */
            put(t, at, 1);
        }
        after_class = is_class;
        at = next;
    }
    return TL_OK;
}

static tl_status put_class(struct translation *t, const char *at);

/* The members that no "&&" parts: any of them. */
static tl_status put_union(struct translation *t, struct members m)
{
    tl_status status = TL_OK;
    const char *separator = "";
    if (m.begin == m.end)
        return refuse(t, "'&&' with nothing beside it");
    put_string(t, "(?:");
    for (const char *at = m.begin; at < m.end; at = skip_member(at, 0)) {
        if (*at == '[')
            continue;
        put_string(t, "[");
        status = put_plain_members(t, m);
        put_string(t, "]");
        separator = "|";
        break;
    }
    for (const char *at = m.begin; status == TL_OK && at < m.end;
         at = skip_member(at, 0)) {
        if (*at != '[')
            continue;
        if (at[1] == ':')
            return refuse(t, "'[:'");
        put_string(t, separator);
        status = put_class(t, at);
        separator = "|";
    }
    put_string(t, ")");
    return status;
}

/* All that "&&" parts, together: each but the last looks ahead. */
static tl_status put_intersection(struct translation *t, struct members m)
{
    tl_status status = TL_OK;
    struct members one = {m.begin, m.begin};
    while (status == TL_OK && one.end < m.end) {
        if (starts_with(one.end, "&&")) {
            put_string(t, "(?=");
            status = put_union(t, one);
            put_string(t, ")");
            one.begin = one.end += 2;
        } else {
            one.end = skip_member(one.end, 0);
        }
    }
    return status == TL_OK ? put_union(t, one) : status;
}

/* The class that begins at `at`, and is known to end. */
static tl_status put_class(struct translation *t, const char *at)
{
    const bool negated = at[1] == '^';
    const struct members m = {at + (negated ? 2 : 1), skip_class(at, 0) - 1};
    if (m.begin == m.end) /* PCRE2 reads on to the next ']' */
        return refuse(t, "a class that begins with ']'");
    tl_status status;
    if (has_classes(m)) {
        put_string(t, negated ? "(?:(?!" : "(?:");
        status = put_intersection(t, m);
        put_string(t, negated ? ")(?s:.))" : ")");
    } else {
        put_string(t, negated ? "[^" : "[");
        status = put_plain_members(t, m);
        put_string(t, "]");
    }
    return status;
}

/* --- the whole ----------------------------------------------------------------------- */

/* What begins at `at`, outside a class, and is refused; NULL if it is fine. */
static const char *refused_here(const char *at)
{
    static const char *const refused[] = {"^", "$", "{,", "}+"};
    static const char *const groups[] = {"(?:",  "(?i:", "(?=", "(?!",
                                         "(?<=", "(?<!", "(?>"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (starts_with(at, refused[i]))
            return refused[i];
    }
    if (*at == '{' && starts_with(at + 1 + strspn(at + 1, "0123456789"), "}?"))
        return "{n}?"; /* Ruby: n times or not at all */
    if (!starts_with(at, "(?") && !starts_with(at, "(*"))
        return NULL;
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        if (starts_with(at, groups[i]))
            return NULL;
    }
    return "(?";
}

/* Whether a group that ignores case is open. */
struct groups {
    size_t open;
    size_t ignoring; /* how many are open with the outermost of these; 0: none is */
};

static void count_groups(struct groups *groups, const char *at)
{
    if (*at == '(') {
        groups->open++;
        if (groups->ignoring == 0 && starts_with(at, "(?i:"))
            groups->ignoring = groups->open;
    } else if (*at == ')' && groups->open > 0) {
        if (groups->ignoring == groups->open)
            groups->ignoring = 0;
        groups->open--;
    }
}

static tl_status translate_class(struct translation *t, const char *at,
                                 bool ignores_case)
{
    const char *end = skip_class(at, 0);
    if (end == NULL)
        return tl_fail(t->err, TL_ERR_FORMAT,
                       "the pattern '%s' has a class without end, or too deep",
                       t->expression);
    const struct members m = {at + 1, end - 1};
    if (ignores_case && has_classes(m))
        return refuse(t, "a class inside a class where case is ignored");
    return put_class(t, at);
}

static tl_status translate(struct translation *t)
{
    struct groups groups = {0, 0};
    for (const char *at = t->expression; *at != '\0';) {
        if (*at == '\\') {
            at = copy_escape(t, at, false);
            if (at == NULL)
                return TL_ERR_UNSUPPORTED;
        } else if (*at == '[') {
            const tl_status status = translate_class(t, at, groups.ignoring > 0);
            if (status != TL_OK)
                return status;
            at = skip_class(at, 0);
        } else if (refused_here(at) != NULL) {
            return tl_fail(t->err, TL_ERR_UNSUPPORTED, "'%s' in the pattern '%s'",
                           refused_here(at), t->expression);
        } else {
            count_groups(&groups, at);
            put(t, at++, 1);
        }
    }
    t->text[t->bytes] = '\0';
    return TL_OK;
}

tl_status tl_expression_translate(const char *expression, tl_arena *arena,
                                  const char **out, tl_error *err)
{
    struct translation t = {
        .expression = expression,
        .text = tl_arena_alloc(arena, strlen(expression) + 1, MAX_GROWTH),
        .err = err,
    };
    const char *older = tl_stand_in_text(expression, strlen(expression), arena);
    if (t.text == NULL || older == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the pattern '%s'",
                       expression);
    if (older != expression)
        return refuse(&t, "a character of Unicode 15 or later");
    const tl_status status = translate(&t);
    if (status == TL_OK)
        *out = t.text;
    return status;
}
