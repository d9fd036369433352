/* SPDX-License-Identifier: MIT
 * pretokenize.c - see pretokenize.h. */
#include "input/pretokenize.h"

#include <string.h>

#include <utf8proc.h>

#include "base/json.h"

/* What becomes of the matches of a Split. */
enum behavior {
    REMOVED,
    ISOLATED,
    MERGED_WITH_PREVIOUS,
    MERGED_WITH_NEXT,
    CONTIGUOUS,
    BEHAVIOR_COUNT
};
static const char *const behavior_names[BEHAVIOR_COUNT] = {
    [REMOVED] = "Removed",
    [ISOLATED] = "Isolated",
    [MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
    [MERGED_WITH_NEXT] = "MergedWithNext",
    [CONTIGUOUS] = "Contiguous",
};

/* Which pieces get the character of a Metaspace in front. */
enum scheme { NEVER, FIRST, ALWAYS, SCHEME_COUNT };
static const char *const scheme_names[SCHEME_COUNT] = {
    [NEVER] = "never",
    [FIRST] = "first",
    [ALWAYS] = "always",
};

struct step {
    enum { STEP_SPLIT, STEP_PREFIX_SPACE, STEP_BYTE_LEVEL, STEP_METASPACE } kind;
    const tl_pattern *pattern; /* of STEP_SPLIT and STEP_METASPACE */
    enum behavior behavior;    /* of STEP_SPLIT, as is the next */
    bool invert;               /* what lies between the matches is the match */
    enum scheme scheme;        /* of STEP_METASPACE */
    struct step *next;
};

struct tl_pretokenizer {
    struct step *first, **last;
};

/* --- reading ---------------------------------------------------------------- */

static struct step *add_step(tl_pretokenizer *pretokenizer, tl_pattern_set *set)
{
    struct step *step = tl_arena_alloc_zero(set->arena, 1, sizeof *step);
    if (step != NULL) {
        *pretokenizer->last = step;
        pretokenizer->last = &step->next;
    }
    return step;
}

/* A Split by an expression of ours. */
static tl_status add_split(tl_pretokenizer *pretokenizer, tl_pattern_set *set,
                           const char *expression, enum behavior behavior,
                           tl_error *err)
{
    struct step *step = add_step(pretokenizer, set);
    if (step == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    step->kind = STEP_SPLIT;
    step->behavior = behavior;
    return tl_pattern_compile(set, expression, &step->pattern, err);
}

static tl_status read_split(tl_pretokenizer *pretokenizer, tl_pattern_set *set,
                            const json_t *json, tl_error *err)
{
    struct step *step = add_step(pretokenizer, set);
    if (step == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    step->kind = STEP_SPLIT;
    const char *behavior = json_string_value(json_object_get(json, "behavior"));
    if (behavior == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "'behavior' must be a string");
    while (step->behavior < BEHAVIOR_COUNT &&
           strcmp(behavior, behavior_names[step->behavior]) != 0)
        step->behavior++;
    if (step->behavior == BEHAVIOR_COUNT)
        return tl_fail(err, TL_ERR_UNSUPPORTED, "behavior '%s'", behavior);
    tl_status status = tl_json_get_bool(json, "invert", "Split", &step->invert, err);
    if (status == TL_OK)
        status =
            tl_pattern_read(set, json_object_get(json, "pattern"), &step->pattern, err);
    return status;
}

/* As three steps, of which the first two are optional: a blank in front, a split
 * by GPT-2's own expression, bytes written in the byte-level alphabet. */
static tl_status read_byte_level(tl_pretokenizer *pretokenizer, tl_pattern_set *set,
                                 const json_t *json, tl_error *err)
{
    static const char gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|"
                               " ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
    bool add_prefix_space = true, use_regex = true;
    tl_status status =
        tl_json_get_bool(json, "add_prefix_space", "ByteLevel", &add_prefix_space, err);
    if (status == TL_OK)
        status = tl_json_get_bool(json, "use_regex", "ByteLevel", &use_regex, err);
    if (status != TL_OK)
        return status;

    if (add_prefix_space) {
        struct step *prefix = add_step(pretokenizer, set);
        if (prefix == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
        prefix->kind = STEP_PREFIX_SPACE;
    }
    if (use_regex)
        status = add_split(pretokenizer, set, gpt2, ISOLATED, err);
    if (status != TL_OK)
        return status;
    struct step *bytes = add_step(pretokenizer, set);
    if (bytes == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    bytes->kind = STEP_BYTE_LEVEL;
    return TL_OK;
}

static tl_status read_digits(tl_pretokenizer *pretokenizer, tl_pattern_set *set,
                             const json_t *json, tl_error *err)
{
    bool individual = false;
    const tl_status status =
        tl_json_get_bool(json, "individual_digits", "Digits", &individual, err);
    if (status != TL_OK)
        return status;
    return add_split(pretokenizer, set, "\\p{N}", individual ? ISOLATED : CONTIGUOUS,
                     err);
}

tl_status tl_metaspace_pattern_read(tl_pattern_set *set, const json_t *json,
                                    const tl_pattern **out, tl_error *err)
{
    const char *replacement = json_string_value(json_object_get(json, "replacement"));
    if (replacement == NULL || *replacement == '\0' ||
        replacement[tl_utf8_length(replacement)] != '\0')
        return tl_fail(err, TL_ERR_FORMAT, "'replacement' must be one character");
    return tl_pattern_of_string(set, replacement, out, err);
}

static tl_status read_scheme(const json_t *json, enum scheme *scheme, tl_error *err)
{
    const char *name = "always";
    bool add_prefix_space = true; /* of older files; says less than the scheme */
    tl_status status =
        tl_json_get_string(json, "prepend_scheme", "Metaspace", &name, err);
    if (status == TL_OK)
        status = tl_json_get_bool(json, "add_prefix_space", "Metaspace",
                                  &add_prefix_space, err);
    if (status != TL_OK)
        return status;
    *scheme = NEVER;
    while (*scheme < SCHEME_COUNT && strcmp(name, scheme_names[*scheme]) != 0)
        (*scheme)++;
    if (*scheme == SCHEME_COUNT)
        return tl_fail(err, TL_ERR_UNSUPPORTED, "prepend_scheme '%s'", name);
    if (!add_prefix_space && *scheme != NEVER)
        return tl_fail(err, TL_ERR_FORMAT,
                       "'add_prefix_space' is false, but prepend_scheme is '%s'", name);
    return TL_OK;
}

/* As two steps, of which the second is optional: the character for each blank and in front,
 * a split in front of each. */
static tl_status read_metaspace(tl_pretokenizer *pretokenizer, tl_pattern_set *set,
                                const json_t *json, tl_error *err)
{
    bool split = true;
    struct step *step = add_step(pretokenizer, set);
    if (step == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    step->kind = STEP_METASPACE;
    tl_status status = tl_metaspace_pattern_read(set, json, &step->pattern, err);
    if (status == TL_OK)
        status = read_scheme(json, &step->scheme, err);
    if (status == TL_OK)
        status = tl_json_get_bool(json, "split", "Metaspace", &split, err);
    if (status != TL_OK || !split)
        return status;
    struct step *cut = add_step(pretokenizer, set);
    if (cut == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    cut->kind = STEP_SPLIT;
    cut->pattern = step->pattern;
    cut->behavior = MERGED_WITH_NEXT;
    return TL_OK;
}

static tl_status read_steps(tl_pretokenizer *pretokenizer, tl_pattern_set *set,
                            const json_t *json, int depth, tl_error *err)
{
    enum { MAX_DEPTH = 8 };
    if (json == NULL || json_is_null(json))
        return TL_OK;
    const char *type = json_string_value(json_object_get(json, "type"));
    if (type == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "no 'type'");
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(json, "pretokenizers");
        if (!json_is_array(list) || depth == MAX_DEPTH)
            return tl_fail(err, TL_ERR_FORMAT,
                           "a Sequence without a list, or too deep");
        tl_status status = TL_OK;
        for (size_t i = 0; status == TL_OK && i < json_array_size(list); i++)
            status =
                read_steps(pretokenizer, set, json_array_get(list, i), depth + 1, err);
        return status;
    }
    if (strcmp(type, "Split") == 0)
        return tl_fail_while(err, read_split(pretokenizer, set, json, err), "Split");
    if (strcmp(type, "ByteLevel") == 0)
        return read_byte_level(pretokenizer, set, json, err);
    if (strcmp(type, "Digits") == 0)
        return read_digits(pretokenizer, set, json, err);
    if (strcmp(type, "Metaspace") == 0)
        return tl_fail_while(err, read_metaspace(pretokenizer, set, json, err),
                             "Metaspace");
    return tl_fail(err, TL_ERR_UNSUPPORTED, "'%s' is not supported", type);
}

tl_status tl_pretokenizer_read(tl_pattern_set *set, const json_t *json,
                               const tl_pretokenizer **out, tl_error *err)
{
    tl_pretokenizer *made = tl_arena_alloc_zero(set->arena, 1, sizeof *made);
    if (made == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    made->last = &made->first;
    const tl_status status = read_steps(made, set, json, 0, err);
    if (status == TL_OK)
        *out = made;
    return status;
}

/* --- Split -------------------------------------------------------------------- */

/* Joins neighbours in [*count] as the behavior wants; in place. */
static void join_with_previous(tl_match *matches, size_t *count)
{
    size_t kept = 0;
    bool after_match = false;
    for (size_t i = 0; i < *count; i++) {
        const tl_match m = matches[i];
        if (m.matches && !after_match && kept > 0)
            matches[kept - 1].at.end = m.at.end;
        else
            matches[kept++] = m;
        after_match = m.matches;
    }
    *count = kept;
}

static void join_with_next(tl_match *matches, size_t *count)
{
    size_t first = *count; /* of those kept, which gather at the end */
    bool before_match = false;
    for (size_t i = *count; i-- > 0;) {
        const tl_match m = matches[i];
        if (m.matches && !before_match && first < *count)
            matches[first].at.begin = m.at.begin;
        else
            matches[--first] = m;
        before_match = m.matches;
    }
    memmove(matches, matches + first, (*count - first) * sizeof *matches);
    *count -= first;
}

static void join_alike(tl_match *matches, size_t *count)
{
    size_t kept = 0;
    bool last = false;
    for (size_t i = 0; i < *count; i++) {
        const tl_match m = matches[i];
        if (m.matches == last && kept > 0)
            matches[kept - 1].at.end = m.at.end;
        else
            matches[kept++] = m;
        last = m.matches;
    }
    *count = kept;
}

static tl_status split_piece(const struct step *step, const tl_pieces *in, tl_span span,
                             tl_pieces *out, tl_error *err)
{
    tl_match *matches = NULL;
    size_t count = 0;
    const tl_status status =
        tl_pattern_find(step->pattern, in->text + span.begin, span.end - span.begin,
                        out->arena, &matches, &count, err);
    if (status != TL_OK)
        return status;
    for (size_t i = 0; step->invert && i < count; i++)
        matches[i].matches = !matches[i].matches;
    switch (step->behavior) {
    case MERGED_WITH_PREVIOUS: join_with_previous(matches, &count); break;
    case MERGED_WITH_NEXT: join_with_next(matches, &count); break;
    case CONTIGUOUS: join_alike(matches, &count); break;
    case REMOVED:
    case ISOLATED:
    case BEHAVIOR_COUNT: break;
    }
    for (size_t i = 0; i < count; i++) {
        if (step->behavior == REMOVED && matches[i].matches)
            continue;
        const tl_span at = {span.begin + matches[i].at.begin,
                            span.begin + matches[i].at.end};
        tl_pieces_cut(out, at, TL_PIECE_OPEN);
    }
    return TL_OK;
}

static tl_status apply_split(const struct step *step, const tl_pieces *in,
                             tl_pieces *out, tl_error *err)
{
    *out = tl_pieces_recut(in);
    tl_status status = TL_OK;
    for (size_t i = 0; status == TL_OK && i < in->count; i++) {
        const tl_piece piece = in->list[i];
        if (piece.id == TL_PIECE_OPEN)
            status = split_piece(step, in, piece.at, out, err);
        else
            tl_pieces_cut(out, piece.at, piece.id);
    }
    return status;
}

/* --- ByteLevel ------------------------------------------------------------------ */

static bool stands_for_itself(int byte)
{
    return (byte >= '!' && byte <= '~') ||
           (byte >= 0xa1 && byte <= 0xff && byte != 0xad);
}

/* The bytes that do not: 0 to 32, 127 to 160, 173. */
int32_t tl_byte_level_encode(unsigned char byte)
{
    if (stands_for_itself(byte))
        return byte;
    return 0x100 + (byte <= 32 ? byte : byte <= 160 ? byte - 127 + 33 : 67);
}

int tl_byte_level_decode(int32_t code)
{
    if (code < 0x100)
        return code >= 0 && stands_for_itself(code) ? (int)code : -1;
    const int place = (int)code - 0x100;
    return place <= 32 ? place : place < 67 ? place - 33 + 127 : place == 67 ? 173 : -1;
}

static void write_bytes(const tl_pieces *in, tl_span span, tl_pieces *out)
{
    for (size_t i = span.begin; i < span.end; i++) {
        char text[4];
        const utf8proc_ssize_t n = utf8proc_encode_char(
            tl_byte_level_encode((unsigned char)in->text[i]), (utf8proc_uint8_t *)text);
        tl_pieces_append(out, text, (size_t)n, in->origin[i]);
    }
}

/* --- Metaspace -------------------------------------------------------------------- */

static void write_metaspace(const struct step *step, const tl_pieces *in, tl_span span,
                            tl_pieces *out)
{
    const char *mark = tl_pattern_string(step->pattern);
    const size_t bytes = strlen(mark);
    const char *text = in->text + span.begin;
    const tl_span origin = in->origin[span.begin];
    /* "first" means at the start of the original text. */
    if ((step->scheme == ALWAYS || (step->scheme == FIRST && origin.begin == 0)) &&
        *text != ' ' && strncmp(text, mark, bytes) != 0)
        tl_pieces_append(out, mark, bytes, origin);
    for (size_t at = span.begin, n; at < span.end; at += n) {
        const char *blank = memchr(in->text + at, ' ', span.end - at);
        const size_t end = blank != NULL ? (size_t)(blank - in->text) : span.end;
        tl_pieces_copy(out, in, (tl_span){at, end});
        if (blank != NULL)
            tl_pieces_append(out, mark, bytes, in->origin[end]);
        n = end - at + (blank != NULL);
    }
}

/* --- all steps ---------------------------------------------------------------------- */

static void write_prefixed(const tl_pieces *in, tl_span span, tl_pieces *out)
{
    if (in->text[span.begin] != ' ')
        tl_pieces_append(out, " ", 1, in->origin[span.begin]);
    tl_pieces_copy(out, in, span);
}

/* The steps that write a new text. */
static void rewrite(const struct step *step, const tl_pieces *in, tl_pieces *out)
{
    *out = tl_pieces_empty(in->arena);
    for (size_t i = 0; i < in->count; i++) {
        const tl_piece piece = in->list[i];
        const size_t begin = out->bytes;
        if (piece.id != TL_PIECE_OPEN)
            tl_pieces_copy(out, in, piece.at);
        else if (step->kind == STEP_BYTE_LEVEL)
            write_bytes(in, piece.at, out);
        else if (step->kind == STEP_METASPACE)
            write_metaspace(step, in, piece.at, out);
        else
            write_prefixed(in, piece.at, out);
        tl_pieces_cut(out, (tl_span){begin, out->bytes}, piece.id);
    }
}

tl_status tl_pretokenizer_apply(const tl_pretokenizer *pretokenizer,
                                const tl_pieces *in, tl_pieces *out, tl_error *err)
{
    tl_pieces current = *in;
    for (const struct step *s = pretokenizer->first; s != NULL; s = s->next) {
        tl_pieces next;
        tl_status status = TL_OK;
        if (s->kind == STEP_SPLIT)
            status = apply_split(s, &current, &next, err);
        else
            rewrite(s, &current, &next);
        if (status != TL_OK)
            return status;
        if (next.no_memory)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the words");
        current = next;
    }
    *out = current;
    return TL_OK;
}
