/* SPDX-License-Identifier: MIT
 *
 * pattern.c - see pattern.h.
 *
 * Where Oniguruma (as the tokenizers library calls it: UTF-8, Ruby syntax) and
 * PCRE2 (UTF, UCP) are known to part, and what is done about it:
 *   \s          PCRE2 adds U+180E; both have \p{White_Space}, which is put instead
 *   \w \b \h \R \X and other letters after a backslash, ^ $, {,n}, {n}+,
 *   a [ or && inside a class, (?m) (?x) (?<name>)     refused
 *   (?i:)       Oniguruma also matches U+00DF by "ss"; no pattern in use can tell
 * The tables of PCRE2 10.42 are those of Unicode 14, tokenizers 0.21 has those of
 * Unicode 16: a letter of Unicode 15 or 16 is no letter here. All characters of
 * Unicode 14 were compared, in the expressions of GPT-2, Qwen2 and Tekken.
 */
#include "input/pattern.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "twinlens/alloc.h"

struct tl_pattern {
    tl_pattern *next;
    const char *string; /* [string_bytes]; NULL for an expression */
    size_t string_bytes;
    pcre2_general_context *context;
    pcre2_code *code;
};

static void *pcre2_allocate(size_t bytes, void *unused)
{
    (void)unused;
    return tl_alloc(bytes, 1);
}

static void pcre2_release(void *memory, void *unused)
{
    (void)unused;
    tl_free(memory);
}

void tl_pattern_set_release(tl_pattern_set *set)
{
    for (tl_pattern *p = set->first; p != NULL; p = p->next) {
        pcre2_code_free(p->code);
        pcre2_general_context_free(p->context);
    }
    set->first = NULL;
}

static tl_pattern *add_pattern(tl_pattern_set *set)
{
    tl_pattern *pattern = tl_arena_alloc_zero(set->arena, 1, sizeof *pattern);
    if (pattern != NULL) {
        pattern->next = set->first;
        set->first = pattern;
    }
    return pattern;
}

/* --- expressions ------------------------------------------------------------ */

/* Text that grows by pieces into room known to be enough. */
struct writer {
    char *text;
    size_t bytes;
};

static void put(struct writer *out, const char *text, size_t bytes)
{
    memcpy(out->text + out->bytes, text, bytes);
    out->bytes += bytes;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Writes the escape at `at` (behind its backslash) as PCRE2 wants it; its length
 * without the backslash, or 0 if the two engines may differ. */
static size_t translate_escape(const char *at, struct writer *out)
{
    if (*at == 's' || *at == 'S') {
        put(out, *at == 's' ? "\\p{White_Space}" : "\\P{White_Space}", 15);
        return 1;
    }
    const bool braced = (*at == 'p' || *at == 'P' || *at == 'x') && at[1] == '{';
    size_t used = 1;
    if (braced)
        used = strcspn(at, "}") + 1;
    else if (*at == '\0' || (is_letter_or_digit(*at) && strchr("rntfdD", *at) == NULL))
        return 0;
    if (memchr(at, '\0', used) != NULL)
        return 0;
    put(out, "\\", 1);
    put(out, at, used);
    return used;
}

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
    if (!starts_with(at, "(?") && !starts_with(at, "(*"))
        return NULL;
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        if (starts_with(at, groups[i]))
            return NULL;
    }
    return "(?";
}

/* An expression for PCRE2 that means what `expression` means to Oniguruma. `out`
 * has room for 15 bytes for each of its own. */
static tl_status translate(const char *expression, struct writer *out, tl_error *err)
{
    bool in_class = false;
    for (const char *at = expression; *at != '\0'; at++) {
        if (*at == '\\') {
            const size_t used = translate_escape(at + 1, out);
            if (used == 0)
                return tl_fail(err, TL_ERR_UNSUPPORTED,
                               "the escape '\\%.1s' in the pattern '%s'", at + 1,
                               expression);
            at += used;
            continue;
        }
        if (in_class && (*at == '[' || starts_with(at, "&&")))
            return tl_fail(err, TL_ERR_UNSUPPORTED,
                           "a class inside a class in the pattern '%s'", expression);
        if (!in_class && refused_here(at) != NULL)
            return tl_fail(err, TL_ERR_UNSUPPORTED, "'%s' in the pattern '%s'",
                           refused_here(at), expression);
        put(out, at, 1);
        if (*at == '[') {
            in_class = true;
            if (at[1] == '^')
                put(out, ++at, 1);
            if (at[1] == ']')
                return tl_fail(err, TL_ERR_UNSUPPORTED,
                               "a class that begins with ']' in "
                               "the pattern '%s'",
                               expression);
        } else if (*at == ']') {
            in_class = false;
        }
    }
    out->text[out->bytes] = '\0';
    return TL_OK;
}

tl_status tl_pattern_compile(tl_pattern_set *set, const char *expression,
                             const tl_pattern **out, tl_error *err)
{
    tl_pattern *pattern = add_pattern(set);
    struct writer translated = {
        .text = tl_arena_alloc(set->arena, strlen(expression) + 1, 15)};
    if (pattern == NULL || translated.text == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the pattern '%s'",
                       expression);
    const tl_status status = translate(expression, &translated, err);
    if (status != TL_OK)
        return status;

    pcre2_compile_context *options = NULL;
    pattern->context =
        pcre2_general_context_create(pcre2_allocate, pcre2_release, NULL);
    if (pattern->context != NULL)
        options = pcre2_compile_context_create(pattern->context);
    if (options == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the pattern '%s'",
                       expression);
    pcre2_set_newline(options, PCRE2_NEWLINE_LF);
    int code = 0;
    PCRE2_SIZE at = 0;
    pattern->code = pcre2_compile((PCRE2_SPTR)translated.text, translated.bytes,
                                  PCRE2_UTF | PCRE2_UCP, &code, &at, options);
    pcre2_compile_context_free(options);
    if (pattern->code == NULL && code == PCRE2_ERROR_HEAP_FAILED)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the pattern '%s'",
                       expression);
    if (pattern->code == NULL) {
        char problem[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)problem, sizeof problem);
        return tl_fail(err, TL_ERR_FORMAT, "the pattern '%s': %s", expression, problem);
    }
    /* Where there is no just-in-time compiler, or no memory for it, the
     * interpreter gives the same answer. */
    pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);
    *out = pattern;
    return TL_OK;
}

tl_status tl_pattern_read(tl_pattern_set *set, const json_t *json,
                          const tl_pattern **out, tl_error *err)
{
    const char *string = json_string_value(json_object_get(json, "String"));
    const char *expression = json_string_value(json_object_get(json, "Regex"));
    if ((string == NULL) == (expression == NULL))
        return tl_fail(err, TL_ERR_FORMAT,
                       "'pattern' must hold one string, 'String' or 'Regex'");
    if (expression != NULL)
        return tl_pattern_compile(set, expression, out, err);

    if (*string == '\0')
        return tl_fail(err, TL_ERR_UNSUPPORTED, "'pattern' is an empty string");
    tl_pattern *pattern = add_pattern(set);
    if (pattern != NULL)
        pattern->string = tl_arena_strdup(set->arena, string);
    if (pattern == NULL || pattern->string == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the pattern '%s'", string);
    pattern->string_bytes = strlen(string);
    *out = pattern;
    return TL_OK;
}

bool tl_pattern_is_string(const tl_pattern *pattern)
{
    return pattern->string != NULL;
}

/* --- finding ------------------------------------------------------------------ */

/* Matches in a growing array. */
struct matches {
    tl_arena *arena;
    tl_match *list;
    size_t count, capacity;
    size_t covered; /* where the last one ends */
    bool no_memory;
};

static void push(struct matches *m, tl_span at, bool matches)
{
    if (m->count == m->capacity) {
        const size_t capacity = m->capacity < 32 ? 32 : 2 * m->capacity;
        tl_match *grown = tl_arena_alloc(m->arena, capacity, sizeof *grown);
        if (grown == NULL) {
            m->no_memory = true;
            return;
        }
        if (m->count > 0)
            memcpy(grown, m->list, m->count * sizeof *grown);
        m->list = grown;
        m->capacity = capacity;
    }
    m->list[m->count++] = (tl_match){at, matches};
    m->covered = at.end;
}

static void add_match(struct matches *m, size_t begin, size_t end)
{
    if (m->covered != begin)
        push(m, (tl_span){m->covered, begin}, false);
    push(m, (tl_span){begin, end}, true);
}

static void find_string(const tl_pattern *pattern, const char *text, size_t bytes,
                        struct matches *m)
{
    const size_t n = pattern->string_bytes;
    for (size_t at = 0; at + n <= bytes;) {
        const char *next = memchr(text + at, pattern->string[0], bytes - n - at + 1);
        if (next == NULL)
            return;
        at = (size_t)(next - text);
        if (memcmp(next, pattern->string, n) == 0) {
            add_match(m, at, at + n);
            at += n;
        } else {
            at++;
        }
    }
}

/* pcre2_match(), once more without the compiled form when that runs out of its
 * small stack. */
static int match_from(const tl_pattern *pattern, const char *text, size_t bytes,
                      size_t from, pcre2_match_data *found)
{
    const int rc = pcre2_match(pattern->code, (PCRE2_SPTR)text, bytes, from,
                               PCRE2_NO_UTF_CHECK, found, NULL);
    if (rc != PCRE2_ERROR_JIT_STACKLIMIT)
        return rc;
    return pcre2_match(pattern->code, (PCRE2_SPTR)text, bytes, from,
                       PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, found, NULL);
}

static tl_status find_expression(const tl_pattern *pattern, const char *text,
                                 size_t bytes, struct matches *m, tl_error *err)
{
    pcre2_match_data *found =
        pcre2_match_data_create_from_pattern(pattern->code, pattern->context);
    if (found == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a pattern match");
    int rc = 0;
    size_t last_end = SIZE_MAX;
    for (size_t from = 0; from <= bytes;) {
        rc = match_from(pattern, text, bytes, from, found);
        if (rc < 0)
            break;
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(found);
        if (at[0] == at[1] && at[0] == last_end) {
            /* An empty match right behind a match does not count. */
            from += from < bytes ? tl_utf8_length(text + from) : 1;
            continue;
        }
        add_match(m, at[0], at[1]);
        from = last_end = at[1];
    }
    pcre2_match_data_free(found);
    if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH)
        return TL_OK;
    if (rc == PCRE2_ERROR_NOMEMORY)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a pattern match");
    char problem[128] = "";
    pcre2_get_error_message(rc, (PCRE2_UCHAR *)problem, sizeof problem);
    return tl_fail(err, TL_ERR_DATA, "a pattern gives up on the text: %s", problem);
}

tl_status tl_pattern_find(const tl_pattern *pattern, const char *text, size_t bytes,
                          tl_arena *arena, tl_match **matches, size_t *count,
                          tl_error *err)
{
    struct matches found = {.arena = arena};
    tl_status status = TL_OK;
    if (pattern->string != NULL)
        find_string(pattern, text, bytes, &found);
    else
        status = find_expression(pattern, text, bytes, &found, err);
    if (status != TL_OK)
        return status;
    if (found.covered != bytes)
        push(&found, (tl_span){found.covered, bytes}, false);
    if (found.no_memory)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the matches of a pattern");
    *matches = found.list;
    *count = found.count;
    return TL_OK;
}
