/* SPDX-License-Identifier: MIT
 * image_png.c - PNG pixels by libpng.
 *
 * libpng reads a file that is made up for it: a header, the texts it is to inflate,
 * and the image data. A palette image is shown to it as grey of the
 * same depth, which gives the indices. Rows are read into their place in the RGB
 * image, where they take one to three bytes per pixel, and widened there. */
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

#include "input/exif.h"
#include "input/image_decode.h"
#include "input/png_chunks.h"
#include "twinlens/alloc.h"

enum { MAX_TEXT_BYTES = 1 << 20, HEAD_BYTES = 33, FRAME_BYTES = 12 };

/* A chunk of image data and what stands in front of it: the length and the name,
 * and the checksum of the chunk before it unless that came with one. */
typedef struct data_chunk {
    tl_png_span frame, data;
    uint8_t frame_bytes[FRAME_BYTES];
} data_chunk;

typedef struct reader {
    png_structp png;
    png_infop info;
    tl_png_layout layout;
    tl_png_span *at; /* the rest of the made-up file */
    tl_png_span head, profile, xmp, tail;
    uint8_t head_bytes[HEAD_BYTES];
    const tl_png_span *last_data;
    bool reads_rows;
    int passes;
    tl_arena *arena;
    tl_decoded image;
    bool no_memory;
    char text[128];
    tl_error *err;
} reader;

static void report_error(png_structp png, png_const_charp text)
{
    reader *r = png_get_error_ptr(png);
    snprintf(r->text, sizeof r->text, "%s", text);
    png_longjmp(png, 1);
}

static void ignore_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void *allocate(png_structp png, png_alloc_size_t bytes)
{
    void *memory = tl_alloc(bytes, 1);
    if (memory == NULL) {
        reader *r = png_get_mem_ptr(png);
        r->no_memory = true;
    }
    return memory;
}

static void release(png_structp png, void *memory)
{
    (void)png;
    tl_free(memory);
}

static void read_bytes(png_structp png, png_bytep to, size_t bytes)
{
    reader *r = png_get_io_ptr(png);
    while (bytes > 0) {
        if (r->at == NULL)
            png_error(png, "the image data ends too early");
        const size_t n = bytes < r->at->bytes ? bytes : r->at->bytes;
        memcpy(to, r->at->data, n);
        to += n;
        bytes -= n;
        r->at->data += n;
        r->at->bytes -= n;
        if (r->at->bytes == 0)
            r->at = r->at->next;
    }
}

/* Takes alpha out of a row of one or three bytes of colour and one of alpha. */
static void drop_alpha(png_structp png, png_row_infop row, png_bytep bytes)
{
    reader *r = png_get_user_transform_ptr(png);
    const size_t channels = row->channels, colours = channels - 1u;
    for (size_t i = 0; i < row->width; i++) {
        if (bytes[channels * i + colours] != 255)
            r->image.is_transparent = true;
        memmove(bytes + colours * i, bytes + channels * i, colours);
    }
    row->channels = (png_byte)colours;
    row->pixel_depth = (png_byte)(8 * colours);
    row->rowbytes = row->width * colours;
    row->color_type &= (png_byte)~PNG_COLOR_MASK_ALPHA;
}

static void write_be(uint8_t *to, size_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> (24 - 8 * i));
}

static tl_png_span **append(tl_png_span **end, tl_png_span *span)
{
    if (span->bytes == 0)
        return end;
    *end = span;
    return &span->next;
}

/* Checksums are left 0: libpng is told not to look at them. */
static tl_status make_up_file(reader *r)
{
    const tl_png_layout *l = &r->layout;
    memcpy(r->head_bytes, "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", 16);
    write_be(r->head_bytes + 16, l->frame_width);
    write_be(r->head_bytes + 20, l->frame_height);
    r->head_bytes[24] = l->depth;
    r->head_bytes[25] = l->colour == TL_PNG_PALETTE ? TL_PNG_GREY : l->colour;
    r->head_bytes[28] = l->interlaced;
    r->head = (tl_png_span){r->head_bytes, HEAD_BYTES, NULL};
    r->profile = l->profile_chunk;
    r->xmp = l->xmp_chunk;
    tl_png_span **end = append(&r->at, &r->head);
    end = append(end, &r->profile);
    end = append(end, &r->xmp);

    for (const tl_png_span *span = l->data; span != NULL; span = span->next) {
        data_chunk *chunk = tl_arena_alloc_zero(r->arena, 1, sizeof *chunk);
        if (chunk == NULL)
            return tl_fail(r->err, TL_ERR_NO_MEMORY, "no memory for the PNG decoder");
        if (span->bytes > PNG_UINT_31_MAX)
            return tl_fail(r->err, TL_ERR_UNSUPPORTED,
                           "PNG chunk of %zu bytes of data, at most %u", span->bytes,
                           PNG_UINT_31_MAX);
        write_be(chunk->frame_bytes + 4, span->bytes);
        memcpy(chunk->frame_bytes + 8, "IDAT", 4);
        const size_t skip = span == l->data ? 4 : 0;
        chunk->frame =
            (tl_png_span){chunk->frame_bytes + skip, FRAME_BYTES - skip, NULL};
        chunk->data = (tl_png_span){span->data, span->bytes, NULL};
        end = append(end, &chunk->frame);
        end = append(end, &chunk->data);
        r->last_data = &chunk->data;
    }
    static const uint8_t tail[FRAME_BYTES + 4] = {[8] = 'I', 'E', 'N', 'D'};
    r->tail = (tl_png_span){tail, sizeof tail, NULL};
    append(end, &r->tail);
    return TL_OK;
}

/* The texts that libpng has inflated. */
static void collect_texts(reader *r)
{
    png_textp texts = NULL;
    const int n = png_get_text(r->png, r->info, &texts, NULL);
    for (int i = 0; i < n; i++) {
        const size_t bytes =
            texts[i].itxt_length != 0 ? texts[i].itxt_length : texts[i].text_length;
        const uint8_t *text = (const uint8_t *)texts[i].text;
        if (strcmp(texts[i].key, "XML:com.adobe.xmp") == 0) {
            r->layout.metadata.xmp = text;
            r->layout.metadata.xmp_bytes = bytes;
        } else {
            r->layout.profile = (tl_png_span){text, bytes, NULL};
        }
    }
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* "\nexif\n   1234\n" and then the EXIF block in hexadecimal, in lines. */
static tl_status read_profile(reader *r)
{
    const tl_png_span *profile = &r->layout.profile;
    uint8_t *exif = tl_arena_alloc(r->arena, profile->bytes / 2 + 1, 1);
    if (exif == NULL)
        return tl_fail(r->err, TL_ERR_NO_MEMORY, "no memory for %zu bytes of EXIF",
                       profile->bytes / 2);
    size_t n_digits = 0;
    int lines = 0;
    for (size_t i = 0; i < profile->bytes; i++) {
        const uint8_t c = profile->data[i];
        if (c == '\n')
            lines++;
        if (lines < 3 || c == '\n' || c == '\r' || c == ' ' || c == '\t')
            continue;
        const int digit = hex_digit(c);
        if (digit < 0)
            return tl_fail(
                r->err, TL_ERR_FORMAT,
                "PNG text 'Raw profile type exif' has byte %02x, wanted hexadecimal",
                c);
        exif[n_digits / 2] =
            (uint8_t)(n_digits % 2 == 0 ? digit : exif[n_digits / 2] << 4 | digit);
        n_digits++;
    }
    r->layout.metadata.exif = exif;
    r->layout.metadata.exif_bytes = n_digits / 2;
    return TL_OK;
}

/* One to three bytes per pixel become three. */
static void widen_row(const tl_png_layout *l, uint8_t *row, bool *is_transparent)
{
    const size_t width = l->frame_width;
    if (l->colour == TL_PNG_PALETTE) {
        for (size_t i = width; i-- > 0;) {
            *is_transparent = *is_transparent || l->see_through[row[i]] != 0;
            memcpy(row + 3 * i, l->palette[row[i]], 3);
        }
    } else if (l->colour == TL_PNG_GREY && l->depth == 16) {
        /* Pillow cuts 16-bit grey off at 255; it does not scale it. */
        for (size_t i = width; i-- > 0;) {
            const uint8_t grey = row[2 * i] == 0 ? row[2 * i + 1] : 255;
            row[3 * i] = row[3 * i + 1] = row[3 * i + 2] = grey;
        }
    } else if (l->colour == TL_PNG_GREY || l->colour == TL_PNG_GREY_ALPHA) {
        tl_decoded_grey_to_rgb(row, width);
    }
}

/* May not return: libpng jumps to read_with_libpng on any error. */
static tl_status decode(reader *r)
{
    const tl_png_layout *l = &r->layout;
    png_structp png = r->png;
    png_set_read_fn(png, r, read_bytes);
    png_set_crc_action(png, PNG_CRC_QUIET_USE, PNG_CRC_QUIET_USE);
    png_set_benign_errors(png, 1);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_chunk_malloc_max(png, MAX_TEXT_BYTES);
    png_set_option(png, PNG_MAXIMUM_INFLATE_WINDOW, PNG_OPTION_ON);
    png_read_info(png, r->info);

    collect_texts(r);
    tl_status status = TL_OK;
    if (r->layout.metadata.exif == NULL && r->layout.profile.data != NULL)
        status = read_profile(r);
    if (status == TL_OK)
        status =
            tl_exif_orientation(&r->layout.metadata, &r->image.orientation, r->err);
    if (status == TL_OK)
        status = tl_decoded_alloc(r->arena, l->width, l->height, &r->image, r->err);
    if (status != TL_OK)
        return status;

    const size_t pixels = l->width * l->height;
    if (l->colour == TL_PNG_PALETTE && l->frame_width * l->frame_height < pixels)
        for (size_t i = 0; i < pixels; i++) /* what the frame leaves free is index 0 */
            memcpy(r->image.rgb + 3 * i, l->palette[0], 3);
    if (l->colour == TL_PNG_PALETTE)
        png_set_packing(png);
    else if (l->depth < 8)
        png_set_expand_gray_1_2_4_to_8(png);
    else if (l->depth == 16 && l->colour != TL_PNG_GREY)
        png_set_strip_16(png); /* keeps the high byte, as Pillow */
    if (l->colour == TL_PNG_GREY_ALPHA || l->colour == TL_PNG_RGB_ALPHA) {
        png_set_read_user_transform_fn(png, drop_alpha);
        png_set_user_transform_info(png, r, 8, l->colour == TL_PNG_RGB_ALPHA ? 3 : 1);
    }
    r->passes = png_set_interlace_handling(png);
    png_read_update_info(png, r->info);
    uint8_t *const first = r->image.rgb + 3 * (l->y * l->width + l->x);
    r->reads_rows = true;
    for (int pass = 0; pass < r->passes; pass++)
        for (size_t y = 0; y < l->frame_height; y++)
            png_read_row(png, first + 3 * l->width * y, NULL);
    return TL_OK;
}

/* What libpng finds wrong after the last row is of no interest to Pillow. */
static bool has_all_rows(const reader *r)
{
    return r->reads_rows && (r->passes > 1 ? png_get_current_pass_number(r->png) == 7
                                           : png_get_current_row_number(r->png) ==
                                                 r->layout.frame_height);
}

/* Apart from its caller, so that no local variable lives across the jump. */
static tl_status read_with_libpng(reader *r)
{
    if (setjmp(png_jmpbuf(r->png)) == 0) {
        const tl_status status = decode(r);
        if (status != TL_OK)
            return status;
    } else if (!has_all_rows(r) && !r->no_memory) {
        return tl_fail(r->err, TL_ERR_FORMAT, "damaged PNG: %s", r->text);
    }
    /* For want of memory libpng may also go on without a text. */
    if (r->no_memory)
        return tl_fail(r->err, TL_ERR_NO_MEMORY, "no memory for libpng");
    return TL_OK;
}

/* An image that is whole although the file ends within its data is fine with
 * Pillow, unless it was whole before that chunk began. */
static bool ends_in_unused_data(const reader *r)
{
    const tl_png_span *cut = r->last_data;
    const tl_png_span *was = r->layout.data;
    while (was->next != NULL)
        was = was->next;
    return r->layout.data_is_cut && cut->bytes == was->bytes;
}

tl_status tl_png_decode(const uint8_t *file, size_t bytes, tl_arena *arena,
                        tl_decoded *out, tl_error *err)
{
    reader *const r = tl_arena_alloc_zero(arena, 1, sizeof *r);
    if (r == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the PNG decoder");
    r->arena = arena;
    r->err = err;
    r->image.orientation = 1;
    tl_status status = tl_png_walk(file, bytes, arena, &r->layout, err);
    if (status != TL_OK)
        return status;
    if (r->layout.frame_width == 0 || r->layout.frame_height == 0)
        return tl_fail(err, TL_ERR_FORMAT, "PNG of %zux%zu pixels",
                       r->layout.frame_width, r->layout.frame_height);
    status = make_up_file(r);
    if (status != TL_OK)
        return status;
    r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, report_error,
                                      ignore_warning, r, allocate, release);
    r->info = r->png != NULL ? png_create_info_struct(r->png) : NULL;
    status = r->info != NULL ? read_with_libpng(r)
                             : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for libpng");
    png_destroy_read_struct(&r->png, &r->info, NULL);
    if (status == TL_OK && ends_in_unused_data(r))
        status = tl_fail(err, TL_ERR_FORMAT,
                         "PNG ends within a chunk of image data that is not needed");
    if (status != TL_OK)
        return status;
    const tl_png_layout *l = &r->layout;
    r->image.is_transparent |= l->has_transparent_colour;
    for (size_t y = 0; y < l->frame_height; y++)
        widen_row(l, r->image.rgb + 3 * ((l->y + y) * l->width + l->x),
                  &r->image.is_transparent);
    *out = r->image;
    return TL_OK;
}
