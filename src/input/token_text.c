/* SPDX-License-Identifier: MIT
 * token_text.c - see token_text.h. */
#include "input/token_text.h"

#include <string.h>

#include <utf8proc.h>

#include "input/pretokenize.h"

struct step {
    enum { STEP_BYTE_LEVEL, STEP_BYTE_FALLBACK, STEP_REPLACE } kind;
    const tl_pattern *pattern; /* of STEP_REPLACE */
    const char *content;
    struct step *next;
};

struct tl_token_decoder {
    struct step *first, **last;
};

static tl_status read_replace(tl_pattern_set *set, const json_t *json,
                              struct step *step, tl_error *err)
{
    const char *content = json_string_value(json_object_get(json, "content"));
    if (content == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "'content' must be a string");
    step->content = tl_arena_strdup(set->arena, content);
    if (step->content == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    const tl_status status =
        tl_pattern_read(set, json_object_get(json, "pattern"), &step->pattern, err);
    if (status == TL_OK && tl_pattern_string(step->pattern) == NULL)
        return tl_fail(err, TL_ERR_UNSUPPORTED, "'pattern' is a regular expression");
    return status;
}

/* Metaspace drops the character in front of a whole text, which a token is not. */
static tl_status read_metaspace(tl_pattern_set *set, const json_t *json,
                                struct step *step, tl_error *err)
{
    step->kind = STEP_REPLACE;
    step->content = " ";
    return tl_metaspace_pattern_read(set, json, &step->pattern, err);
}

static tl_status read_steps(tl_token_decoder *decoder, tl_pattern_set *set,
                            const json_t *json, int depth, tl_error *err)
{
    enum { MAX_DEPTH = 8 };
    if (json == NULL || json_is_null(json))
        return TL_OK;
    const char *type = json_string_value(json_object_get(json, "type"));
    if (type == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "no 'type'");
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(json, "decoders");
        if (!json_is_array(list) || depth == MAX_DEPTH)
            return tl_fail(err, TL_ERR_FORMAT,
                           "a Sequence without a list, or too deep");
        tl_status status = TL_OK;
        for (size_t i = 0; status == TL_OK && i < json_array_size(list); i++)
            status = read_steps(decoder, set, json_array_get(list, i), depth + 1, err);
        return status;
    }
    if (strcmp(type, "Fuse") == 0 || strcmp(type, "Strip") == 0)
        return TL_OK;

    struct step *step = tl_arena_alloc_zero(set->arena, 1, sizeof *step);
    if (step == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    *decoder->last = step;
    decoder->last = &step->next;
    if (strcmp(type, "ByteLevel") == 0) {
        step->kind = STEP_BYTE_LEVEL;
        return TL_OK;
    }
    if (strcmp(type, "ByteFallback") == 0) {
        step->kind = STEP_BYTE_FALLBACK;
        return TL_OK;
    }
    if (strcmp(type, "Replace") == 0) {
        step->kind = STEP_REPLACE;
        return tl_fail_while(err, read_replace(set, json, step, err), "Replace");
    }
    if (strcmp(type, "Metaspace") == 0)
        return tl_fail_while(err, read_metaspace(set, json, step, err), "Metaspace");
    return tl_fail(err, TL_ERR_UNSUPPORTED, "'%s' is not supported", type);
}

tl_status tl_token_decoder_read(tl_pattern_set *set, const json_t *json,
                                const tl_token_decoder **out, tl_error *err)
{
    tl_token_decoder *made = tl_arena_alloc_zero(set->arena, 1, sizeof *made);
    if (made == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory");
    made->last = &made->first;
    const tl_status status = read_steps(made, set, json, 0, err);
    if (status == TL_OK)
        *out = made;
    return status;
}

/* --- one token ---------------------------------------------------------------- */

/* Bytes on their way; always with a 0 behind. NULL text: no memory. */
struct bytes {
    char *text;
    size_t count;
};

static struct bytes room_for(size_t count, tl_arena *arena)
{
    return (struct bytes){tl_arena_alloc_zero(arena, count + 1, 1), 0};
}

/* A token with a character that is not of the alphabet is not byte-level: an
 * added token, which stays as it is. */
static struct bytes undo_byte_level(struct bytes in, tl_arena *arena)
{
    struct bytes out = room_for(in.count, arena);
    for (size_t at = 0; out.text != NULL && at < in.count;) {
        utf8proc_int32_t code;
        at += (size_t)utf8proc_iterate((const utf8proc_uint8_t *)in.text + at,
                                       (utf8proc_ssize_t)(in.count - at), &code);
        const int byte = tl_byte_level_decode(code);
        if (byte < 0)
            return in;
        out.text[out.count++] = (char)byte;
    }
    return out;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* "<0x41>" is the byte 0x41. */
static struct bytes undo_byte_fallback(struct bytes in, tl_arena *arena)
{
    if (in.count != strlen("<0x00>") || memcmp(in.text, "<0x", 3) != 0 ||
        in.text[5] != '>')
        return in;
    const int high = hex_digit(in.text[3]), low = hex_digit(in.text[4]);
    if (high < 0 || low < 0)
        return in;
    struct bytes out = room_for(1, arena);
    if (out.text != NULL)
        out.text[out.count++] = (char)(high * 16 + low);
    return out;
}

static struct bytes replace(const struct step *step, struct bytes in, tl_arena *arena)
{
    tl_match *matches = NULL;
    size_t count = 0;
    const size_t content_bytes = strlen(step->content);
    if (tl_pattern_find(step->pattern, in.text, in.count, arena, &matches, &count,
                        NULL) != TL_OK)
        return (struct bytes){0};
    struct bytes out = room_for(in.count + count * content_bytes, arena);
    for (size_t i = 0; out.text != NULL && i < count; i++) {
        const tl_span at = matches[i].at;
        const size_t n = matches[i].matches ? content_bytes : at.end - at.begin;
        memcpy(out.text + out.count,
               matches[i].matches ? step->content : in.text + at.begin, n);
        out.count += n;
    }
    return out;
}

/* How many of the bytes, of which the first is no whole character, one U+FFFD
 * stands for: as long as they might have begun one (Unicode, section 3.9, "U+FFFD
 * substitution of maximal subparts"; Rust and Python do the same). */
static size_t broken_length(const unsigned char *text, size_t bytes)
{
    const unsigned char lead = text[0];
    if (lead < 0xc2 || lead > 0xf4)
        return 1;
    const size_t wanted = tl_utf8_length((const char *)text);
    const unsigned char lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned char highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (bytes < 2 || text[1] < lowest || text[1] > highest)
        return 1;
    size_t n = 2;
    while (n < wanted && n < bytes && (text[n] & 0xc0) == 0x80)
        n++;
    return n;
}

static struct bytes replace_broken(struct bytes in, tl_arena *arena)
{
    static const char broken[] = "\xef\xbf\xbd";
    struct bytes out = room_for(3 * in.count, arena);
    for (size_t at = 0; out.text != NULL && at < in.count;) {
        const unsigned char *text = (const unsigned char *)in.text + at;
        utf8proc_int32_t code;
        const utf8proc_ssize_t n =
            utf8proc_iterate(text, (utf8proc_ssize_t)(in.count - at), &code);
        const size_t used = n > 0 ? (size_t)n : broken_length(text, in.count - at);
        const size_t written = n > 0 ? used : sizeof broken - 1;
        memcpy(out.text + out.count, n > 0 ? in.text + at : broken, written);
        out.count += written;
        at += used;
    }
    return out;
}

const char *tl_token_decode(const tl_token_decoder *decoder, const char *token,
                            size_t bytes, tl_arena *arena)
{
    struct bytes current = room_for(bytes, arena);
    if (current.text == NULL)
        return NULL;
    memcpy(current.text, token, bytes);
    current.count = bytes;
    for (const struct step *s = decoder->first; s != NULL && current.text != NULL;
         s = s->next) {
        switch (s->kind) {
        case STEP_BYTE_LEVEL: current = undo_byte_level(current, arena); break;
        case STEP_BYTE_FALLBACK: current = undo_byte_fallback(current, arena); break;
        case STEP_REPLACE: current = replace(s, current, arena); break;
        }
    }
    if (current.text == NULL)
        return NULL;
    return replace_broken(current, arena).text;
}
