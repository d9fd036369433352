/* SPDX-License-Identifier: MIT
 * image.c - see include/twinlens/image.h: picks the decoder by the first bytes and
 * turns its pixels upright. */
#include "twinlens/image.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "input/image_decode.h"

typedef tl_status decoder(const uint8_t *file, size_t bytes, tl_arena *arena,
                          tl_decoded *out, tl_error *err);

static decoder *find_decoder(const uint8_t *file, size_t bytes)
{
    if (bytes >= 8 && memcmp(file, "\x89PNG\r\n\x1a\n", 8) == 0)
        return tl_png_decode;
    if (bytes >= 3 && memcmp(file, "\xff\xd8\xff", 3) == 0)
        return tl_jpeg_decode;
    if (bytes >= 16 && memcmp(file, "RIFF", 4) == 0 &&
        memcmp(file + 8, "WEBPVP8", 7) == 0 &&
        (file[15] == ' ' || file[15] == 'L' || file[15] == 'X'))
        return tl_webp_decode;
    return NULL;
}

/* Formats that pictures come in and that are not read, by the n bytes at `at`. */
static const struct {
    const char *name, *bytes;
    size_t n, at;
} others[] = {{"GIF", "GIF8", 4, 0},         {"BMP", "BM", 2, 0},
              {"TIFF", "II*\0", 4, 0},       {"TIFF", "MM\0*", 4, 0},
              {"AVIF", "ftypavif", 8, 4},    {"HEIC", "ftypheic", 8, 4},
              {"JPEG XL", "\xff\x0a", 2, 0}, {"SVG", "<svg", 4, 0}};

static tl_status fail_unknown(const uint8_t *file, size_t bytes, tl_error *err)
{
    if (bytes == 0)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "empty file, a PNG, JPEG or WebP image was wanted");
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (bytes >= others[i].at + others[i].n &&
            memcmp(file + others[i].at, others[i].bytes, others[i].n) == 0)
            return tl_fail(err, TL_ERR_UNSUPPORTED,
                           "is a %s image, a PNG, JPEG or WebP image was wanted: "
                           "`magick FILE FILE.png` makes one",
                           others[i].name);
    char start[3 * 8 + 1] = "";
    for (size_t i = 0; i < bytes && i < 8; i++)
        snprintf(start + 3 * i, 4, " %02x", file[i]);
    return tl_fail(err, TL_ERR_UNSUPPORTED,
                   "starts with the bytes%s, a PNG, JPEG or WebP image was wanted",
                   start);
}

tl_status tl_decoded_alloc(tl_arena *arena, size_t width, size_t height,
                           tl_decoded *out, tl_error *err)
{
    if (width == 0 || height == 0)
        return tl_fail(err, TL_ERR_FORMAT, "image of %zux%zu pixels", width, height);
    if (width > TL_IMAGE_MAX_PIXELS / height)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "image of %zux%zu pixels, at most %d can be read", width, height,
                       TL_IMAGE_MAX_PIXELS);
    uint8_t *rgb = tl_arena_alloc_zero(arena, width * height, 3);
    if (rgb == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for %zux%zu pixels", width,
                       height);
    out->width = width;
    out->height = height;
    out->rgb = rgb;
    return TL_OK;
}

void tl_decoded_grey_to_rgb(uint8_t *row, size_t width)
{
    /* Backwards: pixel i moves from i to 3 i, onto ones already moved. */
    for (size_t i = width; i-- > 0;) {
        const uint8_t grey = row[i];
        row[3 * i] = row[3 * i + 1] = row[3 * i + 2] = grey;
    }
}

/* How the upright image is read from the stored one: across and down are the
 * steps, in pixels of `stored`, for one pixel right and one pixel down. */
static void turn_upright(const tl_decoded *stored, uint8_t *upright)
{
    const ptrdiff_t w = (ptrdiff_t)stored->width, h = (ptrdiff_t)stored->height;
    const ptrdiff_t right = w - 1, bottom = (h - 1) * w;
    const struct {
        ptrdiff_t start, across, down;
    } walks[9] = {
        [1] = {0, 1, w},
        [2] = {right, -1, w},
        [3] = {bottom + right, -1, -w},
        [4] = {bottom, 1, -w},
        [5] = {0, w, 1},
        [6] = {bottom, -w, 1},
        [7] = {bottom + right, -w, -1},
        [8] = {right, w, -1},
    };
    const int o = stored->orientation;
    const ptrdiff_t columns = o < 5 ? w : h, rows = o < 5 ? h : w;
    for (ptrdiff_t y = 0; y < rows; y++) {
        const uint8_t *from = stored->rgb + 3 * (walks[o].start + y * walks[o].down);
        for (ptrdiff_t x = 0; x < columns; x++) {
            memcpy(upright, from + 3 * x * walks[o].across, 3);
            upright += 3;
        }
    }
}

static tl_status read_image(const char *path, tl_arena *scratch, tl_arena *arena,
                            tl_image *out, tl_error *err)
{
    char *text = NULL;
    size_t bytes = 0;
    tl_status status = tl_file_read(path, scratch, &text, &bytes, err);
    if (status != TL_OK)
        return status; /* names the path already */

    const uint8_t *file = (const uint8_t *)text;
    decoder *const decode = find_decoder(file, bytes);
    tl_decoded stored = {.orientation = 1};
    status = decode != NULL ? decode(file, bytes, scratch, &stored, err)
                            : fail_unknown(file, bytes, err);
    if (status != TL_OK)
        return tl_fail_while(err, status, "%s", path);

    const size_t pixels = stored.width * stored.height;
    uint8_t *rgb = tl_arena_alloc(arena, pixels, 3);
    if (rgb == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory for %zu pixels", path,
                       pixels);
    if (stored.orientation == 1)
        memcpy(rgb, stored.rgb, pixels * 3);
    else
        turn_upright(&stored, rgb);
    const bool lying = stored.orientation >= 5;
    *out = (tl_image){.width = lying ? stored.height : stored.width,
                      .height = lying ? stored.width : stored.height,
                      .rgb = rgb,
                      .is_transparent = stored.is_transparent};
    return TL_OK;
}

tl_status tl_image_read(const char *path, tl_arena *arena, tl_image *out, tl_error *err)
{
    if (path == NULL || arena == NULL || out == NULL)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "image: path, arena and result are wanted");
    tl_arena *scratch = tl_arena_create();
    if (scratch == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "%s: no memory", path);
    const tl_status status = read_image(path, scratch, arena, out, err);
    tl_arena_destroy(scratch);
    return status;
}
