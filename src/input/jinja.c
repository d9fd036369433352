/* SPDX-License-Identifier: MIT
 *
 * jinja.c - the statements of a template; see jinja.h and jinja_private.h.
 *
 * A body is gone over with `run` false where it is not wanted, so that its end is found and
 * its grammar checked in the same way.
 */
#include "input/jinja_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

json_t *tl_jinja_fail(tl_jinja *j, tl_status status, const char *format, ...)
{
    char text[256];
    va_list arguments;
    if (j->status != TL_OK)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    j->status = status == TL_ERR_UNSUPPORTED
                    ? tl_fail(j->err, status, "%s, which is not read here", text)
                    : tl_fail(j->err, status, "%s", text);
    return NULL;
}

static void put(tl_jinja *j, const char *text, size_t bytes)
{
    if (!j->run || j->status != TL_OK)
        return;
    if (bytes >= j->capacity - j->bytes) {
        const size_t capacity = 2 * (j->bytes + bytes) + 256;
        if (capacity > 4 * (size_t)TL_JINJA_LONGEST) {
            tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "so long a prompt");
            return;
        }
        char *larger = tl_arena_alloc(j->arena, capacity, 1);
        if (larger == NULL) {
            tl_jinja_fail(j, TL_ERR_NO_MEMORY,
                          "no memory for what a chat template makes");
            return;
        }
        memcpy(larger, j->text, j->bytes);
        j->text = larger;
        j->capacity = capacity;
    }
    memcpy(j->text + j->bytes, text, bytes);
    j->bytes += bytes;
}

static void set(tl_jinja *j, const char *name, json_t *value)
{
    json_t *scope = json_array_get(j->scopes, json_array_size(j->scopes) - 1);
    if (j->run && j->status == TL_OK && json_object_set(scope, name, value) != 0)
        json_object_del(scope, name); /* undefined */
}

/* ---- tags ------------------------------------------------------------------------- */

/* Makes the piece the one that is read. */
static void enter(tl_jinja *j)
{
    j->at = j->pieces[j->piece].begin;
    j->end = j->pieces[j->piece].end;
}

static void leave(tl_jinja *j)
{
    if (j->status == TL_OK && !tl_jinja_at_end(j))
        tl_jinja_fail(j, TL_ERR_FORMAT, "'%.*s' at the end of a tag",
                      (int)(j->end - j->at < 40 ? j->end - j->at : 40), j->at);
}

static bool go_over(tl_jinja *j, const char *const *ends);

/* Goes over pieces up to a tag of `ends`, which is entered, and read behind its word.
 * Returns the word; NULL with a failure if there is none. */
static const char *body(tl_jinja *j, const char *const *ends)
{
    if (j->depth >= TL_JINJA_DEPTH) {
        tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "so deep a template");
        return NULL;
    }
    j->depth++;
    const bool found = go_over(j, ends);
    j->depth--;
    for (size_t i = 0; found && ends[i] != NULL; i++)
        if (tl_jinja_take_word(j, ends[i]))
            return ends[i];
    tl_jinja_fail(j, TL_ERR_FORMAT, "no '%s'", ends[0]);
    return NULL;
}

static void read_if(tl_jinja *j)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    const bool ran = j->run;
    bool done = false;
    for (const char *end = "if"; j->status == TL_OK;) {
        bool holds = true;
        if (strcmp(end, "else") != 0) {
            j->run = ran && !done;
            holds = tl_jinja_truth(tl_jinja_expression(j, true));
        }
        leave(j);
        j->run = ran && !done && holds;
        done = done || holds;
        end = body(j, ends);
        j->run = ran;
        if (end == NULL || strcmp(end, "endif") == 0)
            break;
    }
    leave(j);
}

/* What a loop's body can ask of it. */
static json_t *describe_loop(tl_jinja *j, size_t i, size_t n)
{
    json_t *loop = json_pack("{s:I, s:I, s:b, s:b, s:I}", "index0", (json_int_t)i,
                             "index", (json_int_t)i + 1, "first", i == 0, "last",
                             i + 1 == n, "length", (json_int_t)n);
    return tl_jinja_keep(j, loop, 0);
}

/* One name, or two with a comma between them. */
static size_t read_targets(tl_jinja *j, const char *names[2])
{
    size_t n = 0;
    do
        names[n++] = tl_jinja_name(j);
    while (n < 2 && j->status == TL_OK && tl_jinja_take(j, ","));
    if (j->status == TL_OK && !tl_jinja_take_word(j, "in"))
        tl_jinja_fail(j, TL_ERR_FORMAT, "a 'for' without 'in'");
    return n;
}

static void set_targets(tl_jinja *j, const char *const names[2], size_t n,
                        json_t *value)
{
    for (size_t i = 0; i < n; i++)
        set(j, names[i], n == 1 ? value : json_array_get(value, i));
}

/* The elements that the loop's `if` lets through; its condition stands at j->at. */
static json_t *filter_elements(tl_jinja *j, const char *const names[2], size_t n,
                               json_t *list)
{
    if (!tl_jinja_take_word(j, "if"))
        return list;
    json_t *chosen = tl_jinja_keep(j, json_array(), 0), *scope = json_object();
    const char *const condition = j->at;
    const size_t n_elements = j->run ? json_array_size(list) : 0;
    json_array_append_new(j->scopes, scope);
    for (size_t i = 0; i < n_elements && j->status == TL_OK; i++) {
        j->at = condition;
        set_targets(j, names, n, json_array_get(list, i));
        if (tl_jinja_truth(tl_jinja_expression(j, true)))
            json_array_append(chosen, json_array_get(list, i));
    }
    if (n_elements == 0) {
        const bool ran = j->run;
        j->run = false;
        tl_jinja_expression(j, true);
        j->run = ran;
    }
    json_array_remove(j->scopes, json_array_size(j->scopes) - 1);
    return chosen;
}

static void read_for(tl_jinja *j)
{
    static const char *const ends[] = {"endfor", "else", NULL}, *const end_of_else[] = {
                                                                    "endfor", NULL};
    const char *names[2] = {NULL, NULL}, *end = NULL;
    const bool ran = j->run;
    const size_t n_names = read_targets(j, names);
    json_t *list = j->status == TL_OK ? tl_jinja_expression(j, false) : NULL;
    if (ran && j->status == TL_OK && list != NULL && !json_is_array(list))
        tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "a loop over what is no list");
    if (j->status == TL_OK)
        list = filter_elements(j, names, n_names, list);
    leave(j);
    const size_t first = j->piece, n = ran ? json_array_size(list) : 0;
    for (size_t i = 0; (i < n || i == 0) && j->status == TL_OK; i++) {
        json_array_append_new(j->scopes, json_object());
        j->run = ran && n > 0;
        j->piece = first;
        if (n > 0) {
            set_targets(j, names, n_names, json_array_get(list, i));
            set(j, "loop", describe_loop(j, i, n));
        }
        end = body(j, ends);
        json_array_remove(j->scopes, json_array_size(j->scopes) - 1);
    }
    if (end != NULL && strcmp(end, "else") == 0) {
        leave(j);
        j->run = ran && n == 0;
        body(j, end_of_else);
    }
    j->run = ran;
    leave(j);
}

static void read_set(tl_jinja *j)
{
    const char *name = tl_jinja_name(j), *member = NULL;
    if (name != NULL && tl_jinja_take(j, "."))
        member = tl_jinja_name(j);
    if (j->status == TL_OK && !tl_jinja_take(j, "=")) {
        tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "a 'set' without '='");
        return;
    }
    json_t *value = j->status == TL_OK ? tl_jinja_expression(j, true) : NULL;
    leave(j);
    if (!j->run || j->status != TL_OK)
        return;
    json_t *space = member != NULL ? tl_jinja_get(j, name) : NULL;
    if (member == NULL)
        set(j, name, value);
    else if (!json_is_object(space))
        tl_jinja_fail(j, TL_ERR_DATA, "'%s' is no namespace", name);
    else if (json_is_object(value) || json_is_array(value))
        tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "a list in a namespace");
    else
        json_object_set(space, member, value != NULL ? value : json_null());
}

/* Gone over, and not kept: whoever calls it is told that it is not read. */
static void read_macro(tl_jinja *j)
{
    static const char *const ends[] = {"endmacro", NULL};
    const bool ran = j->run;
    j->at = j->end;
    j->run = false;
    body(j, ends);
    j->run = ran;
    leave(j);
}

static void read_generation(tl_jinja *j)
{
    static const char *const ends[] = {"endgeneration", NULL};
    leave(j);
    body(j, ends);
    leave(j);
}

static void read_tag(tl_jinja *j)
{
    static const struct {
        const char *word;
        void (*read)(tl_jinja *j);
    } tags[] = {{"if", read_if},
                {"for", read_for},
                {"set", read_set},
                {"macro", read_macro},
                {"generation", read_generation}};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (tl_jinja_take_word(j, tags[i].word)) {
            tags[i].read(j);
            return;
        }
    const char *name = tl_jinja_name(j);
    if (name != NULL)
        tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "the tag '%s'", name);
}

/* Whether the tag that is read begins with one of `ends`. */
static bool is_end(tl_jinja *j, const char *const *ends)
{
    const char *const before = j->at;
    bool found = false;
    for (size_t i = 0; ends[i] != NULL && !found; i++)
        found = tl_jinja_take_word(j, ends[i]);
    j->at = before;
    return found;
}

/* Whether a tag of `ends` came; it is entered, and j->piece is the one behind it. */
static bool go_over(tl_jinja *j, const char *const *ends)
{
    while (j->piece < j->n_pieces && j->status == TL_OK) {
        const tl_jinja_piece *p = &j->pieces[j->piece];
        if (++j->steps > TL_JINJA_STEPS) {
            tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "so long a template");
            return false;
        }
        if (p->kind == TL_JINJA_TEXT) {
            put(j, p->begin, (size_t)(p->end - p->begin));
            j->piece++;
            continue;
        }
        enter(j);
        j->piece++;
        if (p->kind == TL_JINJA_TAG && is_end(j, ends))
            return true;
        if (p->kind == TL_JINJA_PRINT) {
            const json_t *value = tl_jinja_expression(j, true);
            leave(j);
            const char *text =
                j->run && j->status == TL_OK ? tl_jinja_text(j, value) : "";
            put(j, text, strlen(text));
        } else {
            read_tag(j);
        }
    }
    return false;
}

/* jinja2 makes every line's end one \n and drops the last of them. */
static char *normalise(const char *source, tl_arena *arena)
{
    char *copy = tl_arena_alloc(arena, strlen(source) + 1, 1), *to = copy;
    if (copy == NULL)
        return NULL;
    for (const char *at = source; *at != '\0'; at++)
        if (*at != '\r')
            *to++ = *at;
        else if (at[1] != '\n')
            *to++ = '\n';
    if (to > copy && to[-1] == '\n')
        to--;
    *to = '\0';
    return copy;
}

static void check_source(tl_jinja *j, const char *text)
{
    const size_t bytes = strlen(text);
    json_t *whole = bytes <= TL_JINJA_LONGEST ? json_stringn(text, bytes) : NULL;
    if (bytes > TL_JINJA_LONGEST)
        tl_jinja_fail(j, TL_ERR_UNSUPPORTED, "so long a template");
    else if (whole == NULL) /* or there is no memory for it, where nothing helps */
        tl_jinja_fail(j, TL_ERR_FORMAT, "text that is not UTF-8");
    json_decref(whole);
}

tl_status tl_jinja_render(const char *source, const json_t *variables, tl_arena *arena,
                          const char **out, tl_error *err)
{
    static const char *const ends[] = {NULL};
    tl_jinja j = {.arena = arena,
                  .run = true,
                  .scopes = json_array(),
                  .made = json_array(),
                  .text = tl_arena_alloc(arena, 1, 1),
                  .capacity = 1,
                  .err = err};
    char *text = normalise(source, arena);
    if (j.scopes == NULL || j.made == NULL || j.text == NULL || text == NULL ||
        json_array_append_new(j.scopes, json_copy((json_t *)variables)) != 0)
        tl_jinja_fail(&j, TL_ERR_NO_MEMORY, "no memory for a chat template");
    if (j.status == TL_OK)
        check_source(&j, text);
    if (j.status == TL_OK)
        tl_jinja_cut(&j, text);
    if (j.status == TL_OK)
        go_over(&j, ends);
    put(&j, "", 1);
    if (j.status == TL_OK)
        *out = j.text;
    json_decref(j.scopes);
    json_decref(j.made);
    return j.status;
}
