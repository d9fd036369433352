/* SPDX-License-Identifier: MIT
 *
 * pattern.c - see pattern.h. Expressions are translated by expression.h, and see texts with
 * the stand-ins of stand_in.h: of Unicode 16, whichever Unicode the tables of PCRE2 have.
 */
#include "input/pattern.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "input/expression.h"
#include "input/stand_in.h"
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

tl_status tl_pattern_compile(tl_pattern_set *set, const char *expression,
                             const tl_pattern **out, tl_error *err)
{
    const char *translated = NULL;
    const tl_status status =
        tl_expression_translate(expression, set->arena, &translated, err);
    if (status != TL_OK)
        return status;
    tl_pattern *pattern = add_pattern(set);
    if (pattern == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the pattern '%s'",
                       expression);

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
    pattern->code = pcre2_compile((PCRE2_SPTR)translated, PCRE2_ZERO_TERMINATED,
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

tl_status tl_pattern_of_string(tl_pattern_set *set, const char *string,
                               const tl_pattern **out, tl_error *err)
{
    tl_pattern *pattern = add_pattern(set);
    if (pattern != NULL)
        pattern->string = tl_arena_strdup(set->arena, string);
    if (pattern == NULL || pattern->string == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the pattern '%s'", string);
    pattern->string_bytes = strlen(string);
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
    return tl_pattern_of_string(set, string, out, err);
}

const char *tl_pattern_string(const tl_pattern *pattern)
{
    return pattern->string;
}

bool tl_pattern_may_be_empty(const tl_pattern *pattern)
{
    uint32_t may = 0;
    if (pattern->string == NULL)
        pcre2_pattern_info(pattern->code, PCRE2_INFO_MATCHEMPTY, &may);
    return may != 0;
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
        const size_t capacity = m->capacity < 2 ? 2 : 2 * m->capacity;
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
    text = tl_stand_in_text(text, bytes, m->arena);
    if (found == NULL || text == NULL) {
        pcre2_match_data_free(found);
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a pattern match");
    }
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
