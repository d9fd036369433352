/* SPDX-License-Identifier: MIT
 *
 * jinja_pieces.c - cuts a template into text, {{ prints }} and {% tags %}, as jinja2's lexer
 * does with trim_blocks and lstrip_blocks: a line's end behind a tag or a comment goes, and
 * so do the blanks in front of one that begins a line; a minus takes all white space. See
 * jinja_private.h.
 */
#include "input/jinja_private.h"

#include <string.h>

#include "input/white_space.h"

/* {{, {% or {#, from `at` on; NULL: none. */
static const char *find_open(const char *at)
{
    for (; (at = strchr(at, '{')) != NULL; at++)
        if (at[1] == '{' || at[1] == '%' || at[1] == '#')
            return at;
    return NULL;
}

/* The first sign of what ends a piece: of }}, not inside of a text or of braces. */
static const char *find_close(const char *at, char open)
{
    const char close[] = {open == '{' ? '}' : open, '}', '\0'};
    char quote = '\0';
    size_t braces = 0;
    if (open == '#')
        return strstr(at, close);
    for (; *at != '\0'; at++) {
        if (quote != '\0') {
            if (*at == '\\' && at[1] != '\0')
                at++;
            else if (*at == quote)
                quote = '\0';
        } else if (*at == '\'' || *at == '"') {
            quote = *at;
        } else if (braces == 0 && strncmp(at, close, 2) == 0) {
            return at;
        } else if (*at == '{') {
            braces++;
        } else if (*at == '}' && braces > 0) {
            braces--;
        }
    }
    return NULL;
}

/* Where the blanks begin that stand alone between a line's begin and `end`; `end`: there
 * is something else. */
static const char *strip_line(const char *begin, const char *end, bool begins_line)
{
    const char *at = end;
    while (at > begin && (at[-1] == ' ' || at[-1] == '\t'))
        at--;
    return at > begin ? (at[-1] == '\n' ? at : end) : begins_line ? begin : end;
}

void tl_jinja_cut(tl_jinja *j, const char *source)
{
    size_t most = 1;
    for (const char *at = source; (at = find_open(at)) != NULL; at += 2)
        most += 2;
    tl_jinja_piece *pieces = tl_arena_alloc(j->arena, most, sizeof *pieces);
    if (pieces == NULL) {
        tl_jinja_fail(j, TL_ERR_NO_MEMORY, "no memory for a chat template");
        return;
    }
    size_t n = 0;
    bool begins_line = true;
    const char *at = source, *const source_end = source + strlen(source);
    for (const char *open; (open = find_open(at)) != NULL;) {
        const char kind = open[1];
        const char *inside = open + 2, *text_end = open,
                   *close = find_close(inside, kind);
        if (close == NULL) {
            tl_jinja_fail(j, TL_ERR_FORMAT, "'{%c' without its end: '%.40s'", kind,
                          open);
            return;
        }
        if (*inside == '-')
            tl_trim_end(at, &text_end);
        else if (kind != '{' && *inside != '+')
            text_end = strip_line(at, open, begins_line);
        if (text_end > at)
            pieces[n++] = (tl_jinja_piece){TL_JINJA_TEXT, at, text_end};
        inside += *inside == '-' || *inside == '+';
        const bool trims = close > inside && close[-1] == '-',
                   keeps = close > inside && close[-1] == '+';
        if (kind != '#')
            pieces[n++] = (tl_jinja_piece){kind == '{' ? TL_JINJA_PRINT : TL_JINJA_TAG,
                                           inside, close - (trims || keeps)};
        at = close + 2;
        if (trims)
            tl_trim_begin(&at, source_end);
        else if (kind != '{' && !keeps && *at == '\n')
            at++;
        begins_line = at[-1] == '\n';
    }
    if (*at != '\0')
        pieces[n++] = (tl_jinja_piece){TL_JINJA_TEXT, at, source_end};
    j->pieces = pieces;
    j->n_pieces = n;
}
