/* SPDX-License-Identifier: MIT
 * png_chunks.c - see png_chunks.h. A chunk is a length, a name of four characters,
 * so many bytes, and a checksum over name and bytes. */
#include "input/png_chunks.h"

#include <ctype.h>
#include <string.h>

enum { SIGNATURE_BYTES = 8, HEADER_BYTES = 8, CHECKSUM_BYTES = 4, FCTL_BYTES = 26 };

typedef struct chunk {
    const uint8_t *name, *data; /* name points into the file */
    size_t bytes;
} chunk;

typedef struct walker {
    const uint8_t *file;
    size_t bytes, at;
    tl_arena *arena;
    tl_png_layout *layout;
    tl_error *err;
    /* Animation: the last sequence number, the count of frames (0 = not animated). */
    bool has_sequence, has_frame_box, default_image;
    uint32_t sequence, n_frames;
    uint32_t checksum_table[256];
} walker;

static uint32_t read_be(const uint8_t *at, size_t bytes)
{
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

static bool is_named(const chunk *c, const char *name)
{
    return memcmp(c->name, name, 4) == 0;
}

/* CRC-32 with the polynomial of zlib. */
static void fill_checksum_table(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = (c & 1) != 0 ? 0xedb88320u ^ c >> 1 : c >> 1;
        table[i] = c;
    }
}

static uint32_t checksum(const walker *w, const chunk *c)
{
    uint32_t sum = 0xffffffffu;
    for (size_t i = 0; i < c->bytes + 4; i++)
        sum = w->checksum_table[(sum ^ c->name[i]) & 0xff] ^ sum >> 8;
    return ~sum;
}

/* The next header; false when there is none or it cannot be one. */
static bool next_chunk(walker *w, chunk *c)
{
    if (w->bytes - w->at < HEADER_BYTES)
        return false;
    c->bytes = read_be(w->file + w->at, 4);
    c->name = w->file + w->at + 4;
    c->data = c->name + 4;
    for (size_t i = 0; i < 4; i++)
        if (!isalnum(c->name[i]) && c->name[i] != '_')
            return false;
    w->at += HEADER_BYTES;
    return true;
}

static tl_status fail_short(const walker *w, const chunk *c, size_t wanted)
{
    const size_t left = w->bytes - w->at;
    return tl_fail(w->err, TL_ERR_FORMAT, "PNG chunk %.4s has %zu bytes, wanted %zu",
                   (const char *)c->name, c->bytes < left ? c->bytes : left, wanted);
}

/* The least bytes that a known chunk may have. */
static size_t least_bytes(const walker *w, const chunk *c)
{
    static const struct {
        char name[5];
        uint8_t bytes;
    } least[] = {{"IHDR", 13}, {"gAMA", 4}, {"cHRM", 32},         {"sRGB", 1},
                 {"pHYs", 9},  {"acTL", 8}, {"fcTL", FCTL_BYTES}, {"fdAT", 4}};
    for (size_t i = 0; i < sizeof least / sizeof least[0]; i++)
        if (is_named(c, least[i].name))
            return least[i].bytes;
    if (is_named(c, "tRNS") && w->layout->has_header) {
        if (w->layout->colour == TL_PNG_GREY)
            return 2;
        /* 16-bit colour is "RGB" to Pillow as well. */
        if (w->layout->colour == TL_PNG_RGB)
            return 6;
    }
    return 0;
}

static tl_status read_header(walker *w, const chunk *c)
{
    tl_png_layout *l = w->layout;
    l->width = read_be(c->data, 4);
    l->height = read_be(c->data + 4, 4);
    const uint8_t depth = c->data[8], colour = c->data[9];
    l->interlaced = l->interlaced || c->data[12] != 0;
    if (c->data[11] != 0)
        return tl_fail(w->err, TL_ERR_FORMAT, "PNG filter method %d, wanted 0",
                       c->data[11]);
    bool known = depth == 8 || depth == 16;
    if (colour == TL_PNG_PALETTE)
        known = depth == 1 || depth == 2 || depth == 4 || depth == 8;
    else if (colour == TL_PNG_GREY)
        known = known || depth == 1 || depth == 2 || depth == 4;
    else if (colour > TL_PNG_RGB_ALPHA || colour == 1 || colour == 5)
        known = false;
    if (known) {
        l->depth = depth;
        l->colour = colour;
        l->has_header = true;
    }
    return TL_OK;
}

/* The last one counts. */
static void read_palette(walker *w, const chunk *c)
{
    tl_png_layout *l = w->layout;
    if (!l->has_header || l->colour != TL_PNG_PALETTE)
        return;
    l->n_palette = c->bytes / 3;
    memset(l->palette, 0, sizeof l->palette);
    memcpy(l->palette, c->data, 3 * (l->n_palette < 256 ? l->n_palette : 256));
}

/* Looked at for a warning alone. */
static void read_transparency(walker *w, const chunk *c)
{
    tl_png_layout *l = w->layout;
    if (!l->has_header || l->data != NULL)
        return;
    if (l->colour != TL_PNG_PALETTE) {
        l->has_transparent_colour = true;
        return;
    }
    memset(l->see_through, 0, sizeof l->see_through);
    for (size_t i = 0; i < c->bytes && i < sizeof l->see_through; i++)
        l->see_through[i] = (uint8_t)(255 - c->data[i]);
}

/* `c` is a text chunk whose key, a 0 and `skip` more bytes stand before the text. */
static tl_png_span text_after(const chunk *c, size_t key_bytes, size_t skip)
{
    const size_t start = key_bytes + 1 + skip;
    return start <= c->bytes ? (tl_png_span){c->data + start, c->bytes - start, NULL}
                             : (tl_png_span){c->data, 0, NULL};
}

static tl_png_span whole_chunk(const chunk *c)
{
    return (tl_png_span){c->name - 4, HEADER_BYTES + c->bytes + CHECKSUM_BYTES, NULL};
}

/* In front of a key's text, iTXt has two bytes and two texts that end in 0. */
static bool skip_itxt_header(const chunk *c, size_t key_bytes, size_t *skip)
{
    size_t at = key_bytes + 3, zeros = 0;
    while (at < c->bytes && zeros < 2)
        zeros += c->data[at++] == 0;
    *skip = at - key_bytes - 1;
    return zeros == 2;
}

/* Of all texts, those that may tell the orientation. */
static tl_status read_text(walker *w, const chunk *c)
{
    tl_png_layout *l = w->layout;
    const uint8_t *zero = c->bytes > 0 ? memchr(c->data, 0, c->bytes) : NULL;
    const size_t key_bytes = zero != NULL ? (size_t)(zero - c->data) : c->bytes;
    const bool is_xmp =
        key_bytes == 17 && memcmp(c->data, "XML:com.adobe.xmp", 17) == 0;
    const bool is_profile =
        key_bytes == 21 && memcmp(c->data, "Raw profile type exif", 21) == 0;
    bool compressed = is_named(c, "zTXt");
    size_t skip = 0;
    if (compressed) {
        skip = 1;
        if (key_bytes + 1 < c->bytes && c->data[key_bytes + 1] != 0)
            return tl_fail(w->err, TL_ERR_FORMAT,
                           "PNG chunk zTXt is compressed by method %d, wanted 0",
                           c->data[key_bytes + 1]);
    } else if (is_named(c, "iTXt")) {
        if (zero == NULL || c->bytes - key_bytes < 3 ||
            !skip_itxt_header(c, key_bytes, &skip))
            return TL_OK;
        compressed = c->data[key_bytes + 1] != 0;
        if (compressed && c->data[key_bytes + 2] != 0)
            return TL_OK;
    }
    const tl_png_span text = text_after(c, key_bytes, skip);
    if (is_xmp && compressed) {
        l->xmp_chunk = whole_chunk(c);
    } else if (is_xmp) {
        l->xmp_chunk = (tl_png_span){0};
        l->metadata.xmp = text.data;
        l->metadata.xmp_bytes = text.bytes;
    } else if (is_profile && compressed) {
        l->profile_chunk = whole_chunk(c);
        l->profile = (tl_png_span){0};
    } else if (is_profile) {
        l->profile_chunk = (tl_png_span){0};
        l->profile = text;
    } else if (is_named(c, "tEXt") && key_bytes == 4 &&
               memcmp(c->data, "exif", 4) == 0) {
        l->metadata.exif = text.data;
        l->metadata.exif_bytes = text.bytes;
    }
    return TL_OK;
}

static tl_status read_colour_profile(walker *w, const chunk *c)
{
    const uint8_t *zero = c->bytes > 0 ? memchr(c->data, 0, c->bytes) : NULL;
    const size_t method = zero != NULL ? (size_t)(zero - c->data) + 1 : 0;
    if (method >= c->bytes)
        return fail_short(w, c, method + 1);
    if (c->data[method] != 0)
        return tl_fail(w->err, TL_ERR_FORMAT,
                       "PNG chunk iCCP is compressed by method %d, wanted 0",
                       c->data[method]);
    return TL_OK;
}

static tl_status read_sequence(walker *w, const chunk *c, bool may_start)
{
    const size_t left = w->bytes - w->at; /* a chunk of data may be cut off */
    if (c->bytes < 4 || left < 4)
        return fail_short(w, c, 4);
    const uint32_t sequence = read_be(c->data, 4);
    const bool follows = w->has_sequence ? sequence == w->sequence + 1 && sequence != 0
                                         : may_start && sequence == 0;
    if (!follows)
        return tl_fail(w->err, TL_ERR_FORMAT,
                       "APNG chunk %.4s has number %u, out of sequence",
                       (const char *)c->name, sequence);
    w->has_sequence = true;
    w->sequence = sequence;
    return TL_OK;
}

static void read_animation(walker *w, const chunk *c)
{
    const uint32_t n_frames = read_be(c->data, 4);
    /* A second one, or a senseless count, makes it an ordinary image. */
    if (w->n_frames != 0)
        w->n_frames = 0;
    else if (n_frames <= 0x80000000u)
        w->n_frames = n_frames;
}

static tl_status read_frame_control(walker *w, const chunk *c)
{
    const tl_status status = read_sequence(w, c, true);
    if (status != TL_OK)
        return status;
    tl_png_layout *l = w->layout;
    const uint64_t width = read_be(c->data + 4, 4), height = read_be(c->data + 8, 4);
    const uint64_t x = read_be(c->data + 12, 4), y = read_be(c->data + 16, 4);
    if (x + width > l->width || y + height > l->height)
        return tl_fail(w->err, TL_ERR_FORMAT,
                       "APNG frame lies outside its %zux%zu image", l->width,
                       l->height);
    if (l->data == NULL) {
        l->x = (size_t)x;
        l->y = (size_t)y;
        l->frame_width = (size_t)width;
        l->frame_height = (size_t)height;
        w->has_frame_box = true;
    }
    return TL_OK;
}

/* What every chunk but the image data is checked for, and read for. */
static tl_status read_chunk(walker *w, const chunk *c)
{
    if (c->bytes > w->bytes - w->at)
        return tl_fail(w->err, TL_ERR_FORMAT,
                       "PNG chunk %.4s has %zu bytes, %zu are left in the file",
                       (const char *)c->name, c->bytes, w->bytes - w->at);
    const size_t least = least_bytes(w, c);
    if (c->bytes < least)
        return fail_short(w, c, least);
    if (is_named(c, "IHDR"))
        return read_header(w, c);
    if (is_named(c, "tEXt") || is_named(c, "zTXt") || is_named(c, "iTXt"))
        return read_text(w, c);
    if (is_named(c, "iCCP"))
        return read_colour_profile(w, c);
    if (is_named(c, "fcTL"))
        return read_frame_control(w, c);
    if (is_named(c, "fdAT"))
        return read_sequence(w, c, false);
    if (is_named(c, "acTL"))
        read_animation(w, c);
    if (is_named(c, "PLTE"))
        read_palette(w, c);
    if (is_named(c, "tRNS"))
        read_transparency(w, c);
    if (is_named(c, "eXIf")) {
        w->layout->metadata.exif = c->data;
        w->layout->metadata.exif_bytes = c->bytes;
    }
    return TL_OK;
}

static bool is_image_data(const chunk *c)
{
    return is_named(c, "IDAT") || is_named(c, "fdAT");
}

/* Up to the image data: everything must be whole. Leaves `c` at that chunk. */
static tl_status walk_to_data(walker *w, chunk *c)
{
    for (;;) {
        if (!next_chunk(w, c) || is_named(c, "IEND"))
            return tl_fail(w->err, TL_ERR_FORMAT,
                           "PNG has no image data (chunk IDAT) up to byte %zu of %zu",
                           w->at, w->bytes);
        if (is_named(c, "IDAT") && w->layout->has_header) /* or else skip it */
            return TL_OK;
        if (is_named(c, "fdAT"))
            return read_sequence(w, c, false);
        const tl_status status = read_chunk(w, c);
        if (status != TL_OK)
            return status;
        w->at += c->bytes;
        if (w->bytes - w->at < CHECKSUM_BYTES)
            return tl_fail(w->err, TL_ERR_FORMAT, "PNG ends within the chunk %.4s",
                           (const char *)c->name);
        const uint32_t stored = read_be(w->file + w->at, 4), computed = checksum(w, c);
        if (stored != computed)
            return tl_fail(w->err, TL_ERR_FORMAT,
                           "PNG chunk %.4s has the checksum %08x, its bytes give %08x",
                           (const char *)c->name, stored, computed);
        w->at += CHECKSUM_BYTES;
    }
}

/* From the first chunk of image data over all that follow it at once. The last one
 * may be cut off: there may be enough without it. */
static tl_status collect_data(walker *w, chunk *c)
{
    tl_png_layout *l = w->layout;
    tl_png_span **next = &l->data;
    for (;;) {
        const size_t left = w->bytes - w->at;
        size_t bytes = c->bytes < left ? c->bytes : left;
        w->at += bytes;
        if (is_named(c, "fdAT")) { /* its first four bytes are the sequence number */
            const size_t skip = bytes < 4 ? bytes : 4;
            c->data += skip;
            bytes -= skip;
        }
        tl_png_span *span = tl_arena_alloc(w->arena, 1, sizeof *span);
        if (span == NULL)
            return tl_fail(w->err, TL_ERR_NO_MEMORY, "no memory for the PNG decoder");
        *span = (tl_png_span){c->data, bytes, NULL};
        *next = span;
        next = &span->next;
        l->data_is_cut = c->bytes > left;
        const size_t after = w->at;
        const size_t gap = w->bytes - w->at;
        w->at += gap < CHECKSUM_BYTES ? gap : (size_t)CHECKSUM_BYTES;
        if (!next_chunk(w, c) || !is_image_data(c)) {
            w->at = after;
            return TL_OK;
        }
        if (is_named(c, "fdAT")) {
            const tl_status status = read_sequence(w, c, false);
            if (status != TL_OK)
                return status;
        }
    }
}

/* What follows the image data may hold EXIF; its checksums are not looked at. */
static tl_status walk_to_end(walker *w)
{
    const bool animated = w->n_frames + (w->default_image ? 1u : 0u) > 1;
    chunk c;
    for (;;) {
        const size_t gap = w->bytes - w->at;
        w->at += gap < CHECKSUM_BYTES ? gap : (size_t)CHECKSUM_BYTES;
        if (!next_chunk(w, &c) || is_named(&c, "IEND"))
            return TL_OK;
        if (animated && is_named(&c, "fcTL"))
            return TL_OK;
        const tl_status status = read_chunk(w, &c);
        if (status != TL_OK)
            return status;
        w->at += c.bytes;
    }
}

tl_status tl_png_walk(const uint8_t *file, size_t bytes, tl_arena *arena,
                      tl_png_layout *out, tl_error *err)
{
    tl_png_layout *l = out;
    *l = (tl_png_layout){0};
    walker w = {.file = file,
                .bytes = bytes,
                .at = SIGNATURE_BYTES,
                .arena = arena,
                .layout = l,
                .err = err};
    fill_checksum_table(w.checksum_table);
    chunk c;
    tl_status status = walk_to_data(&w, &c);
    if (status != TL_OK)
        return status;
    if (!l->has_header)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "PNG without a header (IHDR) of a known colour type and depth");
    if (l->colour == TL_PNG_PALETTE && l->n_palette > 256)
        return tl_fail(err, TL_ERR_FORMAT, "PNG palette of %zu colours, at most 256",
                       l->n_palette);
    w.default_image = w.n_frames != 0 && !w.has_frame_box;
    if (!w.has_frame_box) {
        l->frame_width = l->width;
        l->frame_height = l->height;
    }
    const tl_png_layout at_data = *l;
    status = collect_data(&w, &c);
    if (status == TL_OK)
        status = walk_to_end(&w);
    if (status != TL_OK)
        return status;
    /* A header or palette after the data is checked, but comes too late. */
    l->width = at_data.width;
    l->height = at_data.height;
    l->depth = at_data.depth;
    l->colour = at_data.colour;
    l->interlaced = at_data.interlaced;
    memcpy(l->palette, at_data.palette, sizeof l->palette);
    return TL_OK;
}
