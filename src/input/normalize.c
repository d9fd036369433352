/* SPDX-License-Identifier: MIT
 *
 * normalize.c - see normalize.h.
 *
 * The forms of Unicode are made here and not by utf8proc_map(), because of the
 * origins. utf8proc has the tables: decompositions, combining classes, and which two
 * characters compose.
 */
#include "input/normalize.h"

#include <assert.h>
#include <string.h>

#include <utf8proc.h>

#include "input/stand_in.h"

/* A form of Unicode (UAX 15). */
struct form {
    const char *name;
    bool compatible; /* also undoes what is only another look: ligatures, circles */
    bool composed;
    unsigned char first_lead; /* texts of smaller bytes are in this form as they are */
};

/* Nothing below U+0300 composes; U+00C0 is the first that decomposes, U+00A0 the first
 * that looks like another. */
static const struct form forms[] = {{"NFC", false, true, 0xcc},
                                    {"NFD", false, false, 0xc3},
                                    {"NFKC", true, true, 0xc2},
                                    {"NFKD", true, false, 0xc2}};
enum { FORM_COUNT = sizeof forms / sizeof forms[0] };

struct step {
    enum { STEP_FORM, STEP_REPLACE, STEP_PREPEND } kind;
    const struct form *form;   /* of STEP_FORM */
    const tl_pattern *pattern; /* of STEP_REPLACE */
    const char *content;       /* what is put in, or in front */
    struct step *next;
};

struct tl_normalizer {
    struct step *first, **last;
};

/* --- reading ---------------------------------------------------------------- */

static tl_status read_text(const json_t *json, const char *key, tl_arena *arena,
                           const char **out, tl_error *err)
{
    const char *text = json_string_value(json_object_get(json, key));
    if (text == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "'%s' must be a string", key);
    *out = tl_arena_strdup(arena, text);
    if (*out == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for '%s'", key);
    return TL_OK;
}

static tl_status read_replace(tl_pattern_set *set, const json_t *json,
                              struct step *step, tl_error *err)
{
    step->kind = STEP_REPLACE;
    tl_status status =
        tl_pattern_read(set, json_object_get(json, "pattern"), &step->pattern, err);
    if (status == TL_OK)
        status = read_text(json, "content", set->arena, &step->content, err);
    /* Nothing has no origin to pass on. */
    if (status == TL_OK && tl_pattern_may_be_empty(step->pattern))
        status = tl_fail(err, TL_ERR_UNSUPPORTED,
                         "'pattern' is a regular expression that may match nothing");
    return status;
}

static tl_status read_steps(tl_normalizer *normalizer, tl_pattern_set *set,
                            const json_t *json, int depth, tl_error *err)
{
    enum { MAX_DEPTH = 8 };
    if (json == NULL || json_is_null(json))
        return TL_OK;
    const char *type = json_string_value(json_object_get(json, "type"));
    if (type == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "no 'type'");

    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(json, "normalizers");
        if (!json_is_array(list) || depth == MAX_DEPTH)
            return tl_fail(err, TL_ERR_FORMAT,
                           "a Sequence without a list, or too deep");
        tl_status status = TL_OK;
        for (size_t i = 0; status == TL_OK && i < json_array_size(list); i++)
            status =
                read_steps(normalizer, set, json_array_get(list, i), depth + 1, err);
        return status;
    }

    struct step *step = tl_arena_alloc_zero(set->arena, 1, sizeof *step);
    if (step == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    *normalizer->last = step;
    normalizer->last = &step->next;
    for (size_t i = 0; i < FORM_COUNT; i++) {
        if (strcmp(type, forms[i].name) == 0) {
            step->kind = STEP_FORM;
            step->form = &forms[i];
            return TL_OK;
        }
    }
    if (strcmp(type, "Replace") == 0)
        return tl_fail_while(err, read_replace(set, json, step, err), "Replace");
    if (strcmp(type, "Prepend") == 0) {
        step->kind = STEP_PREPEND;
        return tl_fail_while(
            err, read_text(json, "prepend", set->arena, &step->content, err),
            "Prepend");
    }
    return tl_fail(err, TL_ERR_UNSUPPORTED, "'%s' is not supported", type);
}

tl_status tl_normalizer_read(tl_pattern_set *set, const json_t *json,
                             const tl_normalizer **out, tl_error *err)
{
    tl_normalizer *made = tl_arena_alloc_zero(set->arena, 1, sizeof *made);
    if (made == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    made->last = &made->first;
    const tl_status status = read_steps(made, set, json, 0, err);
    if (status == TL_OK)
        *out = made;
    return status;
}

/* --- the forms of Unicode ------------------------------------------------------- */

/*
 * A character on its way into a form. `taken` is how many characters of the
 * input it uses up: 1 for one that stands for itself and for the first of a
 * decomposition, 0 for the others, and the sum of both where two compose. So
 * the characters of the output, in order, use up those of the input, in order;
 * which need not be those they came from if marks have changed places, but is
 * what the tokenizers library takes for their origin.
 */
struct glyph {
    utf8proc_int32_t code;
    int combining_class;
    int taken;
};

/* U+FDFA decomposes into as many. */
enum { MAX_DECOMPOSED = 18 };

/*
 * The tokenizers library normalizes with the tables of Unicode 9. Marks that came later, and
 * letters that compose or look like others, are to it characters like all. From a comparison
 * of all code points, utf8proc 2.8 (Unicode 15) with tokenizers 0.21 and 0.23; those of
 * Unicode 15 to 16 are known to stand_in.h.
 */
static const struct {
    utf8proc_int32_t first, last;
} newer[] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
    {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},
    {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0x32ff, 0x32ff},   {0xa7f2, 0xa7f4},
    {0xa82c, 0xa82c},   {0xab69, 0xab69},   {0x10781, 0x107ba}, {0x10d24, 0x10d27},
    {0x10eab, 0x10eac}, {0x10efd, 0x10eff}, {0x10f46, 0x10f50}, {0x10f82, 0x10f85},
    {0x11070, 0x11070}, {0x1133b, 0x1133b}, {0x1145e, 0x1145e}, {0x11839, 0x1183a},
    {0x11938, 0x11938}, {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0},
    {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42},
    {0x11d44, 0x11d45}, {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1},
    {0x1e030, 0x1e06d}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae},
    {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}, {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9},
};

static bool is_newer(utf8proc_int32_t code)
{
    size_t low = 0, high = sizeof newer / sizeof newer[0];
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (code > newer[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return (low < sizeof newer / sizeof newer[0] && code >= newer[low].first) ||
           tl_stand_in(code) != code;
}

static int combining_class(utf8proc_int32_t code)
{
    const int known = utf8proc_get_property(code)->combining_class;
    return known != 0 && is_newer(code) ? 0 : known;
}

/* Decomposes valid UTF-8 into `glyphs`, which has room, or is NULL; their number. */
static size_t decompose(const char *text, size_t bytes, bool compatible,
                        struct glyph *glyphs)
{
    const utf8proc_option_t known =
        UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0);
    size_t count = 0;
    for (size_t at = 0; at < bytes;) {
        utf8proc_int32_t code, parts[MAX_DECOMPOSED];
        at += (size_t)utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                       (utf8proc_ssize_t)(bytes - at), &code);
        int boundary = 0;
        const utf8proc_option_t how = UTF8PROC_STABLE | (is_newer(code) ? 0 : known);
        const utf8proc_ssize_t n =
            utf8proc_decompose_char(code, parts, MAX_DECOMPOSED, how, &boundary);
        assert(n >= 1 && n <= MAX_DECOMPOSED);
        for (utf8proc_ssize_t i = 0; glyphs != NULL && i < n; i++)
            glyphs[count + (size_t)i] =
                (struct glyph){parts[i], combining_class(parts[i]), i == 0};
        count += (size_t)n;
    }
    return count;
}

/* Sorts a run of marks by combining class, stably and in linear time: hostile
 * texts have runs as long as they please. `room` is as long as the run. */
static void order_marks(struct glyph *run, size_t count, struct glyph *room)
{
    enum { CLASSES = 256 };
    size_t i = 1;
    while (i < count && run[i - 1].combining_class <= run[i].combining_class)
        i++;
    if (i >= count)
        return;
    size_t start[CLASSES + 1] = {0};
    for (i = 0; i < count; i++)
        start[run[i].combining_class + 1]++;
    for (i = 0; i < CLASSES; i++)
        start[i + 1] += start[i];
    for (i = 0; i < count; i++)
        room[start[run[i].combining_class]++] = run[i];
    memcpy(run, room, count * sizeof *run);
}

static void order_all_marks(struct glyph *glyphs, size_t count, struct glyph *room)
{
    for (size_t i = 0; i < count; i++) {
        size_t end = i;
        while (end < count && glyphs[end].combining_class != 0)
            end++;
        order_marks(glyphs + i, end - i, room);
        i = end;
    }
}

/* The character that the two compose to; -1 if they do not. */
static utf8proc_int32_t compose_pair(utf8proc_int32_t first, utf8proc_int32_t second)
{
    utf8proc_int32_t pair[2] = {first, second};
    const utf8proc_ssize_t n =
        utf8proc_normalize_utf32(pair, 2, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    return n == 1 && !is_newer(pair[0]) ? pair[0] : -1;
}

/*
 * Composes in place: a character goes into the last starter unless one of its
 * own class, or of a higher one, or a starter that stays, is between them.
 * Returns the new number.
 */
static size_t compose(struct glyph *glyphs, size_t count)
{
    size_t kept = 0;
    struct glyph *starter = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct glyph g = glyphs[i];
        const struct glyph *before = kept > 0 ? &glyphs[kept - 1] : NULL;
        const bool blocked =
            starter == NULL ||
            (before != starter && before->combining_class >= g.combining_class);
        const utf8proc_int32_t composed =
            blocked ? -1 : compose_pair(starter->code, g.code);
        if (composed >= 0) {
            starter->code = composed;
            starter->taken += g.taken;
            continue;
        }
        glyphs[kept] = g;
        if (g.combining_class == 0)
            starter = &glyphs[kept];
        kept++;
    }
    return kept;
}

/* Appends the glyphs, which use up `span` of `in`. */
static void append_glyphs(const struct glyph *glyphs, size_t count, const tl_pieces *in,
                          tl_span span, tl_pieces *out)
{
    size_t at = span.begin;
    for (size_t i = 0; i < count; i++) {
        char text[4];
        const utf8proc_ssize_t n =
            utf8proc_encode_char(glyphs[i].code, (utf8proc_uint8_t *)text);
        const bool has_own = glyphs[i].taken > 0 && at < span.end;
        tl_pieces_append(out, text, (size_t)n,
                         in->origin[has_own || at == span.begin ? at : at - 1]);
        for (int taken = 0; taken < glyphs[i].taken && at < span.end; taken++)
            at += tl_utf8_length(in->text + at);
    }
}

static bool is_in_form_at_a_glance(const struct form *form, const char *text,
                                   size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if ((unsigned char)text[i] >= form->first_lead)
            return false;
    }
    return true;
}

static void apply_form(const struct form *form, const tl_pieces *in, tl_span span,
                       tl_pieces *out)
{
    const char *text = in->text + span.begin;
    const size_t bytes = span.end - span.begin;
    if (is_in_form_at_a_glance(form, text, bytes)) {
        tl_pieces_copy(out, in, span);
        return;
    }
    size_t count = decompose(text, bytes, form->compatible, NULL);
    struct glyph *glyphs = tl_arena_alloc(out->arena, count, sizeof *glyphs);
    struct glyph *room = tl_arena_alloc(out->arena, count, sizeof *room);
    if (glyphs == NULL || room == NULL) {
        out->no_memory = true;
        return;
    }
    decompose(text, bytes, form->compatible, glyphs);
    order_all_marks(glyphs, count, room);
    if (form->composed)
        count = compose(glyphs, count);
    append_glyphs(glyphs, count, in, span, out);
}

/* --- the other steps ------------------------------------------------------------ */

static tl_status apply_replace(const struct step *step, const tl_pieces *in,
                               tl_span span, tl_pieces *out, tl_error *err)
{
    tl_match *matches = NULL;
    size_t count = 0;
    const tl_status status =
        tl_pattern_find(step->pattern, in->text + span.begin, span.end - span.begin,
                        out->arena, &matches, &count, err);
    for (size_t i = 0; status == TL_OK && i < count; i++) {
        const tl_span at = {span.begin + matches[i].at.begin,
                            span.begin + matches[i].at.end};
        if (matches[i].matches)
            tl_pieces_append(out, step->content, strlen(step->content),
                             in->origin[at.end - 1]);
        else
            tl_pieces_copy(out, in, at);
    }
    return status;
}

static tl_status apply_step(const struct step *step, const tl_pieces *in,
                            tl_pieces *out, tl_error *err)
{
    tl_pieces made = tl_pieces_empty(in->arena);
    for (size_t i = 0; i < in->count; i++) {
        const tl_piece piece = in->list[i];
        const size_t begin = made.bytes;
        tl_status status = TL_OK;
        if (piece.id != TL_PIECE_OPEN) {
            tl_pieces_copy(&made, in, piece.at);
        } else if (step->kind == STEP_FORM) {
            apply_form(step->form, in, piece.at, &made);
        } else if (step->kind == STEP_REPLACE) {
            status = apply_replace(step, in, piece.at, &made, err);
        } else {
            tl_pieces_append(&made, step->content, strlen(step->content),
                             in->origin[piece.at.begin]);
            tl_pieces_copy(&made, in, piece.at);
        }
        if (status != TL_OK)
            return status;
        tl_pieces_cut(&made, (tl_span){begin, made.bytes}, piece.id);
    }
    if (made.no_memory)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the normalized text");
    *out = made;
    return TL_OK;
}

tl_status tl_normalizer_apply(const tl_normalizer *normalizer, const tl_pieces *in,
                              tl_pieces *out, tl_error *err)
{
    tl_pieces current = *in;
    tl_status status = TL_OK;
    for (const struct step *s = normalizer->first; status == TL_OK && s != NULL;
         s = s->next)
        status = apply_step(s, &current, &current, err);
    if (status == TL_OK)
        *out = current;
    return status;
}
