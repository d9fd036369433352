/* SPDX-License-Identifier: MIT
 *
 * circuit_file.c - see include/twinlens/circuit_file.h. Files are read as a whole and
 * written line by line: a line is what is in the set at one position of one layer.
 */
#include "twinlens/circuit_file.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/word_list.h"

/* Nothing larger is read or written, so that no file asks for memory without end. */
enum { MOST_BYTES = 256 << 20, MOST_SIZE = 1 << 24 };
static const uint64_t most_components = (uint64_t)1 << 33;

static const char *const kind_names[TL_KIND_COUNT] = {"head", "neuron"};
static const char *const list_names[TL_KIND_COUNT] = {"heads", "neurons"};
static const char *const segment_names[TL_SEGMENT_COUNT] = {"data", "query",
                                                            "generation"};

bool tl_circuit_is_file(const char *text)
{
    const size_t n = strlen(text);
    return n >= 5 && strcmp(text + n - 5, ".json") == 0;
}

/* ---- components ------------------------------------------------------------------- */

/* Positions [begin, end) of a layer, which a line of a file or a word of a list names. */
typedef struct place {
    size_t layer, begin, end;
} place;

static size_t count_of(const tl_component_set *set, tl_component_kind kind)
{
    return kind == TL_KIND_HEADS ? set->n_heads : set->d_mlp;
}

static tl_status add_component(tl_component_set *set, const place *at,
                               tl_component_kind kind, size_t index, tl_error *err)
{
    const size_t n = count_of(set, kind);
    uint8_t *in = kind == TL_KIND_HEADS ? set->heads : set->neurons;
    if (index >= n)
        return tl_fail(err, TL_ERR_DATA, "%s %zu, wanted 0 to %zu", kind_names[kind],
                       index, n - 1);
    for (size_t t = at->begin; t < at->end; t++) {
        uint8_t *one = &in[(at->layer * set->n_pos + t) * n + index];
        if (*one)
            return tl_fail(err, TL_ERR_DATA,
                           "%s %zu of layer %zu at position %zu is named twice",
                           kind_names[kind], index, at->layer, t);
        *one = 1;
    }
    return TL_OK;
}

static tl_status set_layer(const tl_component_set *set, size_t layer, place *out,
                           tl_error *err)
{
    if (layer >= set->n_layers)
        return tl_fail(err, TL_ERR_DATA, "layer %zu, wanted 0 to %zu", layer,
                       set->n_layers - 1);
    out->layer = layer;
    return TL_OK;
}

static tl_status set_position(const tl_component_set *set, size_t position, place *out,
                              tl_error *err)
{
    if (position >= set->n_pos)
        return tl_fail(err, TL_ERR_DATA, "position %zu, wanted 0 to %zu", position,
                       set->n_pos - 1);
    out->begin = position;
    out->end = position + 1;
    return TL_OK;
}

static tl_status set_segment(const tl_span *span, const char *name, place *out,
                             tl_error *err)
{
    size_t s = 0;
    while (s < TL_SEGMENT_COUNT && strcmp(segment_names[s], name) != 0)
        s++;
    if (s == TL_SEGMENT_COUNT)
        return tl_fail(err, TL_ERR_FORMAT,
                       "segment '%.40s', wanted data, query or generation", name);
    if (span->data_end == 0 && s != TL_SEGMENT_GENERATION)
        return tl_fail(err, TL_ERR_DATA,
                       "segment '%s': nothing says where the data are, wanted "
                       "\"data\": [BEGIN, END] in the \"shape\" of a file",
                       name);
    tl_span_segment(span, (tl_segment)s, &out->begin, &out->end);
    return TL_OK;
}

/* ---- lists ------------------------------------------------------------------------ */

static bool read_number(const char **at, size_t *out)
{
    size_t n = 0;
    const char *c = *at;
    for (; *c >= '0' && *c <= '9'; c++) {
        if (n > MOST_SIZE)
            return false;
        n = 10 * n + (size_t)(*c - '0');
    }
    if (c == *at)
        return false;
    *at = c;
    *out = n;
    return true;
}

/* "L3H5", "L3N120@17", "L3H5@data" */
static tl_status add_word(tl_component_set *set, const tl_span *span, const char *word,
                          tl_error *err)
{
    const char *at = word;
    size_t layer, index, position;
    place where = {.end = set->n_pos};
    tl_status status = TL_OK;
    bool good = *at++ == 'L' && read_number(&at, &layer) && (*at == 'H' || *at == 'N');
    const tl_component_kind kind = good && *at == 'H' ? TL_KIND_HEADS : TL_KIND_NEURONS;
    good = good && (at++, read_number(&at, &index)) && (*at == '\0' || *at == '@');
    if (!good)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "'%.60s' is no component such as L3H5, L3N120@17 or L3H5@data, "
                       "and no file, whose name ends in .json",
                       word);
    if (*at == '@' && read_number((at++, &at), &position) && *at == '\0')
        status = set_position(set, position, &where, err);
    else if (at[-1] == '@' || *at != '\0')
        status = set_segment(span, strchr(word, '@') + 1, &where, err);
    if (status == TL_OK)
        status = set_layer(set, layer, &where, err);
    if (status == TL_OK)
        status = add_component(set, &where, kind, index, err);
    return tl_fail_while(err, status, "'%s'", word);
}

static tl_status read_list(const char *text, const tl_span *span, tl_arena *arena,
                           tl_component_set *set, tl_error *err)
{
    const char *const *words = NULL;
    size_t n = 0;
    tl_status status = tl_word_list_split(text, arena, &words, &n, err);
    for (size_t i = 0; i < n && status == TL_OK; i++)
        status = add_word(set, span, words[i], err);
    return status;
}

/* ---- files ------------------------------------------------------------------------ */

/* TL_ERR_FORMAT when an object has a key that is not among `known`, which NULL ends. */
static tl_status check_keys(const json_t *object, const char *const *known,
                            tl_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        size_t i = 0;
        while (known[i] != NULL && strcmp(known[i], key) != 0)
            i++;
        if (known[i] == NULL)
            return tl_fail(err, TL_ERR_FORMAT, "there is no key '%.40s'", key);
    }
    return TL_OK;
}

/* A whole number that is not negative. */
static tl_status get_number(const json_t *value, const char *what, size_t *out,
                            tl_error *err)
{
    if (value == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "there is no '%s'", what);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > MOST_SIZE)
        return tl_fail(err, TL_ERR_FORMAT,
                       "'%s' is no whole number from 0 to %d, or is not one alone",
                       what, (int)MOST_SIZE);
    *out = (size_t)json_integer_value(value);
    return TL_OK;
}

static tl_status read_shape(const json_t *json, tl_circuit_shape *out, tl_error *err)
{
    static const char *const known[] = {"layers",  "positions", "heads",
                                        "neurons", "data",      NULL};
    tl_circuit_shape s = {0};
    size_t *const sizes[] = {&s.n_layers, &s.span.n_pos, &s.n_heads, &s.d_mlp};
    if (!json_is_object(json))
        return tl_fail(err, TL_ERR_FORMAT, "is no object");
    tl_status status = check_keys(json, known, err);
    for (size_t i = 0; i < 4 && status == TL_OK; i++) {
        status = get_number(json_object_get(json, known[i]), known[i], sizes[i], err);
        if (status == TL_OK && *sizes[i] == 0)
            status = tl_fail(err, TL_ERR_FORMAT, "'%s' is 0", known[i]);
    }
    if (status != TL_OK)
        return status;
    const uint64_t per_place = (uint64_t)s.n_heads + s.d_mlp;
    if ((uint64_t)s.n_layers * s.span.n_pos > most_components / per_place)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%zu layers of %zu positions of %" PRIu64
                       " heads and neurons are more than %" PRIu64,
                       s.n_layers, s.span.n_pos, per_place, most_components);
    const json_t *data = json_object_get(json, "data");
    if (data != NULL && (!json_is_array(data) || json_array_size(data) != 2))
        return tl_fail(err, TL_ERR_FORMAT, "'data' is not [BEGIN, END]");
    if (data != NULL)
        status =
            get_number(json_array_get(data, 0), "data[0]", &s.span.data_begin, err);
    if (data != NULL && status == TL_OK)
        status = get_number(json_array_get(data, 1), "data[1]", &s.span.data_end, err);
    if (data != NULL && status == TL_OK &&
        (s.span.data_begin >= s.span.data_end || s.span.data_end >= s.span.n_pos))
        status = tl_fail(err, TL_ERR_FORMAT,
                         "'data' is [%zu, %zu], wanted some of %zu positions, and not "
                         "the last",
                         s.span.data_begin, s.span.data_end, s.span.n_pos);
    if (status == TL_OK)
        *out = s;
    return status;
}

static tl_status open_file(const char *path, json_t **out, tl_error *err)
{
    FILE *file = NULL;
    size_t bytes = 0;
    json_t *json = NULL;
    tl_status status = tl_file_open(path, &file, &bytes, err);
    if (status != TL_OK)
        return status;
    fclose(file);
    if (bytes > MOST_BYTES)
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: %zu bytes, a circuit has %d at the most", path, bytes,
                       (int)MOST_BYTES);
    status = tl_json_read(path, &json, err);
    if (status == TL_OK && !json_is_object(json)) {
        json_decref(json);
        return tl_fail(err, TL_ERR_FORMAT,
                       "%s: is no object, wanted {\"components\": "
                       "[...]}",
                       path);
    }
    if (status == TL_OK)
        *out = json;
    return status;
}

/* Of an entry the components of one kind: a list of numbers, or "all". */
static tl_status add_kind(const json_t *list, tl_component_kind kind, const place *at,
                          tl_component_set *set, tl_error *err)
{
    const char *word = json_string_value(list);
    const bool all = word != NULL && strcmp(word, "all") == 0;
    const size_t n = all ? count_of(set, kind) : json_array_size(list);
    tl_status status = TL_OK;
    if (!all && (!json_is_array(list) || n == 0))
        return tl_fail(err, TL_ERR_FORMAT,
                       "'%s' is no list of numbers, and not \"all\"", list_names[kind]);
    for (size_t i = 0; i < n && status == TL_OK; i++) {
        size_t index = i;
        if (!all)
            status = get_number(json_array_get(list, i), list_names[kind], &index, err);
        if (status == TL_OK)
            status = add_component(set, at, kind, index, err);
    }
    return status;
}

static tl_status add_entry(const json_t *entry, const tl_span *span,
                           tl_component_set *set, tl_error *err)
{
    static const char *const known[] = {"layer", "position", "segment",
                                        "heads", "neurons",  NULL};
    size_t layer = 0, number = 0, n_kinds = 0;
    place at = {.end = set->n_pos};
    if (!json_is_object(entry))
        return tl_fail(err, TL_ERR_FORMAT, "is no object");
    const json_t *position = json_object_get(entry, "position"),
                 *segment = json_object_get(entry, "segment");
    tl_status status = check_keys(entry, known, err);
    if (status == TL_OK)
        status = get_number(json_object_get(entry, "layer"), "layer", &layer, err);
    if (status == TL_OK)
        status = set_layer(set, layer, &at, err);
    if (status == TL_OK && position != NULL && segment != NULL)
        status = tl_fail(err, TL_ERR_FORMAT, "has a position and a segment");
    if (status == TL_OK && position != NULL)
        status = get_number(position, "position", &number, err);
    if (status == TL_OK && position != NULL)
        status = set_position(set, number, &at, err);
    if (status == TL_OK && segment != NULL)
        status = json_is_string(segment)
                     ? set_segment(span, json_string_value(segment), &at, err)
                     : tl_fail(err, TL_ERR_FORMAT, "'segment' is no text");
    for (size_t k = 0; k < TL_KIND_COUNT && status == TL_OK; k++) {
        const json_t *list = json_object_get(entry, list_names[k]);
        if (list == NULL)
            continue;
        n_kinds++;
        status = add_kind(list, (tl_component_kind)k, &at, set, err);
    }
    if (status == TL_OK && n_kinds == 0)
        status = tl_fail(err, TL_ERR_FORMAT, "has neither heads nor neurons");
    return status;
}

static bool same_shape(const tl_circuit_shape *file, const tl_circuit_shape *wanted)
{
    const tl_span *a = &file->span, *b = &wanted->span;
    return file->n_layers == wanted->n_layers && file->n_heads == wanted->n_heads &&
           file->d_mlp == wanted->d_mlp && a->n_pos == b->n_pos &&
           (a->data_end == 0 || b->data_end == 0 ||
            (a->data_begin == b->data_begin && a->data_end == b->data_end));
}

static tl_status check_shape(const tl_circuit_shape *s, const tl_circuit_shape *wanted,
                             tl_error *err)
{
    return same_shape(s, wanted)
               ? TL_OK
               : tl_fail(err, TL_ERR_DATA,
                         "of %zu layers, %zu positions, %zu heads, %zu neurons, data "
                         "[%zu, %zu], wanted %zu, %zu, %zu, %zu, [%zu, %zu]",
                         s->n_layers, s->span.n_pos, s->n_heads, s->d_mlp,
                         s->span.data_begin, s->span.data_end, wanted->n_layers,
                         wanted->span.n_pos, wanted->n_heads, wanted->d_mlp,
                         wanted->span.data_begin, wanted->span.data_end);
}

static tl_status read_parts(const json_t *json, const tl_circuit_shape *wanted,
                            tl_component_set *set, tl_error *err)
{
    static const char *const known[] = {"note", "shape", "components", NULL};
    const json_t *note = json_object_get(json, "note"),
                 *shape = json_object_get(json, "shape"),
                 *list = json_object_get(json, "components");
    tl_circuit_shape own = *wanted;
    tl_status status = check_keys(json, known, err);
    if (status == TL_OK && note != NULL && !json_is_string(note))
        status = tl_fail(err, TL_ERR_FORMAT, "'note' is no text");
    if (status == TL_OK && shape != NULL)
        status = tl_fail_while(err, read_shape(shape, &own, err), "shape");
    if (status == TL_OK)
        status = check_shape(&own, wanted, err);
    if (status == TL_OK && !json_is_array(list))
        status = tl_fail(err, TL_ERR_FORMAT, "there is no list 'components'");
    const tl_span *span = wanted->span.data_end > 0 ? &wanted->span : &own.span;
    for (size_t i = 0; i < json_array_size(list) && status == TL_OK; i++)
        status = tl_fail_while(err, add_entry(json_array_get(list, i), span, set, err),
                               "components[%zu]", i);
    return status;
}

tl_status tl_circuit_shape_read(const char *text, tl_circuit_shape *out, bool *found,
                                tl_error *err)
{
    json_t *json = NULL;
    tl_status status = tl_circuit_is_file(text) ? open_file(text, &json, err) : TL_OK;
    const json_t *shape = json_object_get(json, "shape");
    if (status == TL_OK && shape != NULL)
        status = tl_fail_while(err, read_shape(shape, out, err), "%s: shape", text);
    if (status == TL_OK)
        *found = shape != NULL;
    json_decref(json);
    return status;
}

tl_status tl_circuit_read(const char *text, const tl_circuit_shape *shape,
                          tl_arena *arena, tl_component_set *out, tl_error *err)
{
    json_t *json = NULL;
    tl_component_set set;
    tl_status status = tl_set_create(shape->n_layers, shape->span.n_pos, shape->n_heads,
                                     shape->d_mlp, arena, &set, err);
    if (status == TL_OK && !tl_circuit_is_file(text))
        status = read_list(text, &shape->span, arena, &set, err);
    else if (status == TL_OK)
        status = open_file(text, &json, err);
    if (status == TL_OK && json != NULL)
        status = tl_fail_while(err, read_parts(json, shape, &set, err), "%s", text);
    json_decref(json);
    if (status == TL_OK)
        *out = set;
    return status;
}

/* ---- writing ---------------------------------------------------------------------- */

typedef struct output {
    tl_file_writer file;
    char text[4096];
    size_t n, n_bytes;
    tl_status status;
    tl_error *err;
} output;

static void flush_text(output *o)
{
    o->n_bytes += o->n;
    if (o->status == TL_OK && o->n_bytes > MOST_BYTES)
        o->status = tl_fail(o->err, TL_ERR_DATA,
                            "%s: would be larger than the %d bytes that a circuit may "
                            "have: wanted a smaller circuit",
                            o->file.path, (int)MOST_BYTES);
    if (o->status == TL_OK)
        o->status = tl_file_writer_put(&o->file, o->text, o->n, o->err);
    o->n = 0;
}

static TL_PRINTF(2, 3) void put(output *o, const char *format, ...)
{
    enum { MOST = 320 };
    va_list args;
    if (o->n + MOST > sizeof o->text)
        flush_text(o);
    va_start(args, format);
    o->n += (size_t)vsnprintf(o->text + o->n, MOST, format, args);
    va_end(args);
}

static void put_kind(output *o, const char *name, const uint8_t *in, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += in[i];
    if (count == n)
        put(o, ", \"%s\": \"all\"", name);
    if (count == 0 || count == n)
        return;
    put(o, ", \"%s\": [", name);
    for (size_t i = 0, k = 0; i < n; i++)
        if (in[i])
            put(o, "%s%zu", k++ > 0 ? ", " : "", i);
    put(o, "]");
}

/* As JSON, in as many pieces as it takes. */
static tl_status put_note(output *o, const char *note)
{
    json_t *value = json_string(note);
    char *text = value != NULL ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    if (text == NULL)
        return tl_fail(o->err, TL_ERR_NO_MEMORY,
                       "no memory for a note, or it is not UTF-8");
    put(o, "\"note\": ");
    for (const char *c = text; *c != '\0'; c += strnlen(c, 256))
        put(o, "%.256s", c);
    put(o, ",\n ");
    free(text);
    return TL_OK;
}

static void put_set(output *o, const tl_component_set *set, const tl_span *span)
{
    size_t n = 0;
    put(o,
        "\"shape\": {\"layers\": %zu, \"positions\": %zu, \"heads\": %zu, "
        "\"neurons\": %zu",
        set->n_layers, set->n_pos, set->n_heads, set->d_mlp);
    if (span->data_end > 0)
        put(o, ", \"data\": [%zu, %zu]", span->data_begin, span->data_end);
    put(o, "},\n \"components\": [");
    for (size_t i = 0; i < set->n_layers * set->n_pos && o->status == TL_OK; i++) {
        const uint8_t *heads = set->heads + i * set->n_heads,
                      *neurons = set->neurons + i * set->d_mlp;
        if (memchr(heads, 1, set->n_heads) == NULL &&
            memchr(neurons, 1, set->d_mlp) == NULL)
            continue;
        put(o, "%s\n  {\"layer\": %zu, \"position\": %zu", n++ > 0 ? "," : "",
            i / set->n_pos, i % set->n_pos);
        put_kind(o, "heads", heads, set->n_heads);
        put_kind(o, "neurons", neurons, set->d_mlp);
        put(o, "}");
    }
    put(o, "]}\n");
}

tl_status tl_circuit_write(const char *path, const tl_component_set *set,
                           const tl_span *span, const char *note, tl_error *err)
{
    output o = {.err = err};
    if (!tl_circuit_is_file(path))
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "%s: wanted a name that ends in .json for a circuit", path);
    o.status = tl_file_writer_open(&o.file, path, err);
    if (o.status != TL_OK)
        return o.status;
    put(&o, "{");
    if (note != NULL)
        o.status = put_note(&o, note);
    put_set(&o, set, span);
    flush_text(&o);
    if (o.status == TL_OK)
        o.status = tl_file_writer_commit(&o.file, err);
    tl_file_writer_abandon(&o.file);
    return o.status;
}
