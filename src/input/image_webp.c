/* SPDX-License-Identifier: MIT
 * image_webp.c - WebP by libwebp. The container is RIFF: "RIFF", size, "WEBP" and
 * chunks of name, size and data, padded to even size. Pixels are in a chunk "VP8 "
 * or "VP8L", the former with transparency in a chunk ALPH before it. A chunk VP8X in
 * front tells of animation, EXIF and XMP; of an animation, where each frame is a
 * chunk ANMF that holds chunks, the first frame is read. */
#include <stdbool.h>
#include <string.h>

#include <webp/decode.h>

#include "input/exif.h"
#include "input/image_decode.h"

enum { RIFF_BYTES = 12, CHUNK_BYTES = 8, VP8X_BYTES = 10, ANMF_BYTES = 16 };
enum { FLAG_ANIMATION = 0x02, FLAG_XMP = 0x04, FLAG_EXIF = 0x08, FLAGS = 0x3e };

typedef struct chunk {
    const uint8_t *name, *data;
    size_t bytes, whole_bytes; /* the latter with name, size and padding */
} chunk;

typedef struct frame {
    const uint8_t *data; /* from ALPH, or else VP8 or VP8L, as WebPDecode takes it */
    size_t bytes;
    size_t x, y, width, height; /* where it lies on the canvas */
} frame;

typedef struct container {
    size_t width, height; /* of the canvas; 0 until known */
    uint8_t flags;
    frame first;
    tl_metadata metadata;
} container;

static size_t read_le(const uint8_t *at, size_t bytes)
{
    size_t value = 0;
    for (size_t i = bytes; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static bool is_named(const chunk *c, const char *name)
{
    return memcmp(c->name, name, 4) == 0;
}

/* The chunk at the start of `left` bytes. */
static tl_status read_chunk(const uint8_t *at, size_t left, chunk *c, tl_error *err)
{
    if (left < CHUNK_BYTES)
        return tl_fail(err, TL_ERR_FORMAT, "WebP chunk of %zu bytes, its header has %d",
                       left, CHUNK_BYTES);
    c->name = at;
    c->data = at + CHUNK_BYTES;
    c->bytes = read_le(at + 4, 4);
    c->whole_bytes = CHUNK_BYTES + c->bytes + c->bytes % 2;
    if (c->whole_bytes > left)
        return tl_fail(err, TL_ERR_FORMAT,
                       "WebP chunk has %zu bytes, %zu are left for it", c->whole_bytes,
                       left);
    return TL_OK;
}

/* Finds the pixels among chunks; at most one chunk behind them is looked at. */
static tl_status find_pixels(const uint8_t *at, size_t left, frame *f, tl_error *err)
{
    const uint8_t *alpha = NULL;
    while (left > 0) {
        chunk c = {0};
        const tl_status status = read_chunk(at, left, &c, err);
        if (status != TL_OK)
            return status;
        if (f->data != NULL)
            return TL_OK;
        at += c.whole_bytes;
        left -= c.whole_bytes;
        if (is_named(&c, "ALPH") && alpha == NULL)
            alpha = c.name;
        const bool is_lossy = is_named(&c, "VP8 ");
        if (is_lossy || is_named(&c, "VP8L")) {
            f->data = is_lossy && alpha != NULL ? alpha : c.name;
            f->bytes = (size_t)(at - f->data);
        }
    }
    if (f->data == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "WebP without pixels (chunk VP8 or VP8L)");
    return TL_OK;
}

static tl_status read_animation_frame(const chunk *c, container *box, tl_error *err)
{
    if (c->bytes < ANMF_BYTES)
        return tl_fail(err, TL_ERR_FORMAT, "WebP frame of %zu bytes, its header has %d",
                       c->bytes, ANMF_BYTES);
    frame f = {
        .x = 2 * read_le(c->data, 3),
        .y = 2 * read_le(c->data + 3, 3),
        .width = 1 + read_le(c->data + 6, 3),
        .height = 1 + read_le(c->data + 9, 3),
    };
    if (f.x + f.width > box->width || f.y + f.height > box->height)
        return tl_fail(
            err, TL_ERR_FORMAT,
            "WebP frame of %zux%zu at %zu,%zu lies outside its canvas of %zux%zu",
            f.width, f.height, f.x, f.y, box->width, box->height);
    const tl_status status =
        find_pixels(c->data + ANMF_BYTES, c->bytes - ANMF_BYTES, &f, err);
    if (status == TL_OK)
        box->first = f;
    return status;
}

/* The chunks behind VP8X: all must be whole. */
static tl_status read_extended(const uint8_t *file, size_t end, container *box,
                               tl_error *err)
{
    size_t at = RIFF_BYTES + CHUNK_BYTES + VP8X_BYTES;
    const bool animated = (box->flags & FLAG_ANIMATION) != 0;
    box->first.width = box->width;
    box->first.height = box->height;
    if (!animated) {
        const tl_status status = find_pixels(file + at, end - at, &box->first, err);
        if (status != TL_OK)
            return status;
    }
    while (at < end) {
        chunk c = {0};
        tl_status status = read_chunk(file + at, end - at, &c, err);
        tl_metadata *m = &box->metadata;
        if (status == TL_OK && animated && box->first.data == NULL &&
            is_named(&c, "ANMF"))
            status = read_animation_frame(&c, box, err);
        if (status != TL_OK)
            return status;
        if ((box->flags & FLAG_EXIF) != 0 && m->exif == NULL && is_named(&c, "EXIF")) {
            m->exif = c.data;
            m->exif_bytes = c.bytes;
        } else if ((box->flags & FLAG_XMP) != 0 && m->xmp == NULL &&
                   is_named(&c, "XMP ")) {
            m->xmp = c.data;
            m->xmp_bytes = c.bytes;
        }
        at += c.whole_bytes;
    }
    if (box->first.data == NULL)
        return tl_fail(err, TL_ERR_FORMAT, "animated WebP without a frame");
    return TL_OK;
}

static tl_status read_container(const uint8_t *file, size_t bytes, container *box,
                                tl_error *err)
{
    const size_t claimed = read_le(file + 4, 4) + 8;
    const size_t end = claimed < bytes ? claimed : bytes;
    if (end < RIFF_BYTES + CHUNK_BYTES + VP8X_BYTES || claimed > bytes)
        return tl_fail(err, TL_ERR_FORMAT,
                       "WebP file has %zu bytes, its header says %zu: it is truncated",
                       bytes, claimed);
    if (memcmp(file + RIFF_BYTES, "VP8X", 4) != 0)
        return find_pixels(file + RIFF_BYTES, end - RIFF_BYTES, &box->first, err);
    const uint8_t *vp8x = file + RIFF_BYTES + CHUNK_BYTES;
    if (read_le(vp8x - 4, 4) != VP8X_BYTES || (vp8x[0] & ~FLAGS) != 0)
        return tl_fail(err, TL_ERR_FORMAT,
                       "WebP header VP8X has %zu bytes and flags %02x, wanted %d and "
                       "none over %02x",
                       read_le(vp8x - 4, 4), vp8x[0], VP8X_BYTES, FLAGS);
    box->flags = vp8x[0];
    box->width = 1 + read_le(vp8x + 4, 3);
    box->height = 1 + read_le(vp8x + 7, 3);
    return read_extended(file, end, box, err);
}

static const char *name_failure(VP8StatusCode code)
{
    switch (code) {
    case VP8_STATUS_OK: return "none";
    case VP8_STATUS_OUT_OF_MEMORY: return "out of memory";
    case VP8_STATUS_INVALID_PARAM: return "invalid parameter";
    case VP8_STATUS_BITSTREAM_ERROR: return "the bitstream contradicts itself";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "an unsupported feature";
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA: return "the data ends too early";
    case VP8_STATUS_USER_ABORT: return "aborted";
    }
    return "unknown";
}

static tl_status fail_webp(VP8StatusCode code, tl_error *err)
{
    return tl_fail(err,
                   code == VP8_STATUS_OUT_OF_MEMORY ? TL_ERR_NO_MEMORY : TL_ERR_FORMAT,
                   "damaged WebP: %s", name_failure(code));
}

/* Whether a pixel's alpha was not full. */
static bool drop_alpha(const uint8_t *rgba, size_t width, size_t height, uint8_t *rgb,
                       size_t stride)
{
    bool is_transparent = false;
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++, rgba += 4) {
            memcpy(rgb + stride * y + 3 * x, rgba, 3);
            is_transparent = is_transparent || rgba[3] != 255;
        }
    return is_transparent;
}

tl_status tl_webp_decode(const uint8_t *file, size_t bytes, tl_arena *arena,
                         tl_decoded *out, tl_error *err)
{
    container box = {0};
    frame *const f = &box.first;
    tl_status status = read_container(file, bytes, &box, err);
    if (status != TL_OK)
        return status;

    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "libwebp is not the version it was built for");
    VP8StatusCode code = WebPGetFeatures(f->data, f->bytes, &config.input);
    if (code != VP8_STATUS_OK)
        return fail_webp(code, err);
    const size_t width = (size_t)config.input.width,
                 height = (size_t)config.input.height;
    if (box.width == 0) {
        f->width = box.width = width;
        f->height = box.height = height;
    }
    if (width != f->width || height != f->height)
        return tl_fail(err, TL_ERR_FORMAT,
                       "WebP pixels are %zux%zu, the header says %zux%zu", width,
                       height, f->width, f->height);

    tl_decoded image = {.orientation = 1};
    status = tl_exif_orientation(&box.metadata, &image.orientation, err);
    if (status == TL_OK)
        status = tl_decoded_alloc(arena, box.width, box.height, &image, err);
    if (status != TL_OK)
        return status;

    /* Around a small first frame all is black. */
    uint8_t *const first = image.rgb + 3 * (f->y * image.width + f->x);
    const size_t stride = 3 * image.width;
    uint8_t *rgba = NULL;
    if (config.input.has_alpha) {
        rgba = tl_arena_alloc(arena, width * height, 4);
        if (rgba == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zux%zu pixels", width,
                           height);
    }
    config.output.colorspace = rgba != NULL ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA = (WebPRGBABuffer){
        .rgba = rgba != NULL ? rgba : first,
        .stride = (int)(rgba != NULL ? 4 * width : stride),
        .size = rgba != NULL ? 4 * width * height : stride * (height - 1) + 3 * width};
    code = WebPDecode(f->data, f->bytes, &config);
    if (code != VP8_STATUS_OK)
        return fail_webp(code, err);
    if (rgba != NULL)
        image.is_transparent = drop_alpha(rgba, width, height, first, stride);
    *out = image;
    return TL_OK;
}
