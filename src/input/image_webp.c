/* SPDX-License-Identifier: MIT
 * image_webp.c - WebP by libwebp. The container is RIFF: "RIFF", size, "WEBP" and
 * chunks of name, size and data, padded to even size. A chunk VP8X in front tells
 * of animation, EXIF and XMP; of an animation the first frame is read. */
#include <stdbool.h>
#include <string.h>

#include <webp/decode.h>

#include "input/exif.h"
#include "input/image_decode.h"

enum { RIFF_BYTES = 12, CHUNK_BYTES = 8, VP8X_BYTES = 10, ANMF_BYTES = 16 };
enum { FLAG_ANIMATION = 0x02, FLAG_XMP = 0x04, FLAG_EXIF = 0x08 };

typedef struct frame {
    const uint8_t *data; /* as WebPDecode takes it */
    size_t bytes;
    size_t x, y, width, height; /* where it lies on the canvas */
} frame;

typedef struct container {
    size_t width, height; /* of the canvas */
    uint8_t flags;
    bool has_frame;
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

static tl_status read_animation_frame(const uint8_t *data, size_t bytes, container *c,
                                      tl_error *err)
{
    if (bytes < ANMF_BYTES)
        return tl_fail(err, TL_ERR_FORMAT, "WebP frame of %zu bytes, its header has %d",
                       bytes, ANMF_BYTES);
    const frame f = {
        .data = data + ANMF_BYTES,
        .bytes = bytes - ANMF_BYTES,
        .x = 2 * read_le(data, 3),
        .y = 2 * read_le(data + 3, 3),
        .width = 1 + read_le(data + 6, 3),
        .height = 1 + read_le(data + 9, 3),
    };
    if (f.x + f.width > c->width || f.y + f.height > c->height)
        return tl_fail(
            err, TL_ERR_FORMAT,
            "WebP frame of %zux%zu at %zu,%zu lies outside its canvas of %zux%zu",
            f.width, f.height, f.x, f.y, c->width, c->height);
    c->first = f;
    c->has_frame = true;
    return TL_OK;
}

/* The chunks behind VP8X. */
static tl_status read_chunks(const uint8_t *file, size_t end, container *c,
                             tl_error *err)
{
    size_t at = RIFF_BYTES + CHUNK_BYTES + VP8X_BYTES;
    while (at < end) {
        const size_t left = end - at;
        const size_t bytes = left >= CHUNK_BYTES ? read_le(file + at + 4, 4) : 0;
        const size_t padded = bytes + bytes % 2;
        if (left < CHUNK_BYTES || padded > left - CHUNK_BYTES)
            return tl_fail(
                err, TL_ERR_FORMAT,
                "WebP chunk at byte %zu has %zu bytes, %zu are left in the file", at,
                CHUNK_BYTES + padded, left);
        const uint8_t *name = file + at, *data = name + CHUNK_BYTES;
        if (memcmp(name, "EXIF", 4) == 0 && c->metadata.exif == NULL &&
            (c->flags & FLAG_EXIF)) {
            c->metadata.exif = data;
            c->metadata.exif_bytes = bytes;
        } else if (memcmp(name, "XMP ", 4) == 0 && c->metadata.xmp == NULL &&
                   (c->flags & FLAG_XMP)) {
            c->metadata.xmp = data;
            c->metadata.xmp_bytes = bytes;
        } else if (memcmp(name, "ANMF", 4) == 0 && !c->has_frame &&
                   (c->flags & FLAG_ANIMATION)) {
            const tl_status status = read_animation_frame(data, bytes, c, err);
            if (status != TL_OK)
                return status;
        }
        at += CHUNK_BYTES + padded;
    }
    return TL_OK;
}

static tl_status read_container(const uint8_t *file, size_t bytes, container *c,
                                tl_error *err)
{
    const size_t claimed = read_le(file + 4, 4) + 8;
    const size_t end = claimed < bytes ? claimed : bytes;
    c->first = (frame){.data = file, .bytes = end};
    if (memcmp(file + RIFF_BYTES, "VP8X", 4) != 0)
        return TL_OK;
    if (claimed > bytes)
        return tl_fail(err, TL_ERR_FORMAT,
                       "WebP file has %zu bytes, its header says %zu: it is truncated",
                       bytes, claimed);
    const uint8_t *vp8x = file + RIFF_BYTES + CHUNK_BYTES;
    if (end < RIFF_BYTES + CHUNK_BYTES + VP8X_BYTES ||
        read_le(vp8x - 4, 4) != VP8X_BYTES)
        return tl_fail(err, TL_ERR_FORMAT, "WebP header VP8X has not its %d bytes",
                       VP8X_BYTES);
    c->flags = vp8x[0];
    c->width = 1 + read_le(vp8x + 4, 3);
    c->height = 1 + read_le(vp8x + 7, 3);
    const tl_status status = read_chunks(file, end, c, err);
    if (status == TL_OK && (c->flags & FLAG_ANIMATION) && !c->has_frame)
        return tl_fail(err, TL_ERR_FORMAT, "animated WebP without a frame");
    return status;
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

tl_status tl_webp_decode(const uint8_t *file, size_t bytes, tl_arena *arena,
                         tl_decoded *out, tl_error *err)
{
    container c = {0};
    tl_status status = read_container(file, bytes, &c, err);
    if (status != TL_OK)
        return status;

    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "libwebp has another version than its header");
    VP8StatusCode code = WebPGetFeatures(c.first.data, c.first.bytes, &config.input);
    if (code != VP8_STATUS_OK)
        return fail_webp(code, err);
    const size_t width = (size_t)config.input.width,
                 height = (size_t)config.input.height;
    if (!c.has_frame) {
        c.first.width = c.width = width;
        c.first.height = c.height = height;
    }
    if (width != c.first.width || height != c.first.height)
        return tl_fail(err, TL_ERR_FORMAT,
                       "WebP frame is %zux%zu, its header says %zux%zu", width, height,
                       c.first.width, c.first.height);

    tl_decoded image = {.orientation = 1};
    status = tl_exif_orientation(&c.metadata, &image.orientation, err);
    if (status == TL_OK)
        status = tl_decoded_alloc(arena, c.width, c.height, &image, err);
    if (status != TL_OK)
        return status;

    /* Alpha is dropped, not applied; around a small first frame all is black. */
    const size_t offset = 3 * (c.first.y * image.width + c.first.x);
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = image.rgb + offset;
    config.output.u.RGBA.stride = (int)(3 * image.width);
    config.output.u.RGBA.size = 3 * image.width * image.height - offset;
    code = WebPDecode(c.first.data, c.first.bytes, &config);
    if (code != VP8_STATUS_OK)
        return fail_webp(code, err);
    *out = image;
    return TL_OK;
}
