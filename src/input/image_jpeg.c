/* SPDX-License-Identifier: MIT
 * image_jpeg.c - JPEG by libjpeg, with the settings that Pillow leaves alone: the
 * slow integer DCT and smooth upsampling. A warning of libjpeg is not an error; a
 * file that ends before the last row is. */
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include "input/exif.h"
#include "input/image_decode.h"

/* Hundreds of scans over a large image cost hours and draw nothing that tens of
 * them would not: real progressive files have ten. */
enum { MAX_SCANS = 500 };

typedef struct reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf escape; /* taken by report_error */
    char text[JMSG_LENGTH_MAX];
    tl_arena *arena;
    tl_decoded image;
    tl_error *err;
} reader;

static void report_error(j_common_ptr jpeg)
{
    reader *r = jpeg->client_data;
    jpeg->err->format_message(jpeg, r->text);
    longjmp(r->escape, 1);
}

static void ignore_message(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void limit_scans(j_common_ptr jpeg)
{
    reader *r = jpeg->client_data;
    if (jpeg->is_decompressor && r->jpeg.input_scan_number > MAX_SCANS) {
        snprintf(r->text, sizeof r->text, "more than %d scans", MAX_SCANS);
        longjmp(r->escape, 1);
    }
}

/* The source is the whole file at once: there is never more to read, so running
 * out of it suspends libjpeg, which we take for "truncated". */
static boolean have_no_more(j_decompress_ptr jpeg)
{
    (void)jpeg;
    return FALSE;
}

static void skip_bytes(j_decompress_ptr jpeg, long count)
{
    if (count <= 0)
        return;
    const size_t have = jpeg->src->bytes_in_buffer;
    const size_t skip = (size_t)count < have ? (size_t)count : have;
    jpeg->src->next_input_byte += skip;
    jpeg->src->bytes_in_buffer -= skip;
}

static void do_nothing(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

static tl_status fail_truncated(reader *r)
{
    return tl_fail(r->err, TL_ERR_FORMAT,
                   "JPEG data ends after row %u of %u, the file is truncated",
                   r->jpeg.output_scanline, r->jpeg.image_height);
}

/* An EXIF block over 64 KiB is spread over several markers. */
static tl_status find_metadata(reader *r, tl_metadata *metadata)
{
    static const char exif_name[6] = "Exif\0"; /* and its 0 */
    static const char xmp_name[29] = "http://ns.adobe.com/xap/1.0/";
    size_t exif_bytes = 0, n_exif = 0;
    for (jpeg_saved_marker_ptr m = r->jpeg.marker_list; m != NULL; m = m->next) {
        if (m->data_length >= sizeof exif_name &&
            memcmp(m->data, exif_name, sizeof exif_name) == 0) {
            if (n_exif++ == 0) {
                metadata->exif = m->data;
                metadata->exif_bytes = exif_bytes = m->data_length;
            } else {
                exif_bytes += m->data_length - sizeof exif_name;
            }
        } else if (m->data_length >= sizeof xmp_name &&
                   memcmp(m->data, xmp_name, sizeof xmp_name) == 0) {
            metadata->xmp = m->data + sizeof xmp_name;
            metadata->xmp_bytes = m->data_length - sizeof xmp_name;
        }
    }
    if (n_exif < 2)
        return TL_OK;
    uint8_t *joined = tl_arena_alloc(r->arena, exif_bytes, 1);
    if (joined == NULL)
        return tl_fail(r->err, TL_ERR_NO_MEMORY, "no memory for %zu bytes of EXIF",
                       exif_bytes);
    metadata->exif = joined;
    metadata->exif_bytes = exif_bytes;
    size_t skip = 0; /* only the first keeps its name */
    for (jpeg_saved_marker_ptr m = r->jpeg.marker_list; m != NULL; m = m->next)
        if (m->data_length >= sizeof exif_name &&
            memcmp(m->data, exif_name, sizeof exif_name) == 0) {
            memcpy(joined, m->data + skip, m->data_length - skip);
            joined += m->data_length - skip;
            skip = sizeof exif_name;
        }
    return TL_OK;
}

static tl_status find_orientation(reader *r)
{
    tl_metadata metadata = {0};
    tl_status status = find_metadata(r, &metadata);
    if (status != TL_OK)
        return status;
    status = tl_exif_orientation(&metadata, &r->image.orientation, r->err);
    /* Pillow looks into EXIF early for a resolution, unless JFIF gave one, and
     * forgives then what it does not forgive later. */
    const bool has_resolution = r->jpeg.saw_JFIF_marker && (r->jpeg.density_unit == 1 ||
                                                            r->jpeg.density_unit == 2);
    return has_resolution ? status : TL_OK;
}

/* Adobe stores CMYK inverted, and nobody else writes it: c, m, y and k are how
 * much light is let through. Pillow's formula, with its rounding of x / 255. */
static void convert_cmyk_row(const uint8_t *cmyk, size_t width, uint8_t *rgb)
{
    for (size_t i = 0; i < width; i++) {
        const int key = cmyk[4 * i + 3];
        for (size_t c = 0; c < 3; c++) {
            const int product = (255 - cmyk[4 * i + c]) * key + 128;
            const int value = key - (((product >> 8) + product) >> 8);
            rgb[3 * i + c] = (uint8_t)(value < 0 ? 0 : value);
        }
    }
}

static tl_status read_rows(reader *r)
{
    const size_t width = r->image.width;
    uint8_t *cmyk = NULL;
    if (r->jpeg.num_components == 4) {
        cmyk = tl_arena_alloc(r->arena, width, 4);
        if (cmyk == NULL)
            return tl_fail(r->err, TL_ERR_NO_MEMORY,
                           "no memory for a row of %zu pixels", width);
    }
    for (size_t y = 0; y < r->image.height; y++) {
        uint8_t *rgb = r->image.rgb + 3 * width * y;
        JSAMPROW row = cmyk != NULL ? cmyk : rgb;
        if (jpeg_read_scanlines(&r->jpeg, &row, 1) != 1)
            return fail_truncated(r);
        if (r->jpeg.num_components == 1)
            tl_decoded_grey_to_rgb(rgb, width);
        else if (cmyk != NULL)
            convert_cmyk_row(cmyk, width, rgb);
    }
    return TL_OK;
}

/* Runs below the setjmp of tl_jpeg_decode: any jpeg_* may not return. */
static tl_status decode(reader *r)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    int found;
    do
        found = jpeg_read_header(jpeg, FALSE);
    while (found == JPEG_HEADER_TABLES_ONLY);
    if (found != JPEG_HEADER_OK)
        return tl_fail(r->err, TL_ERR_FORMAT,
                       "JPEG header ends before the image, the file is truncated");
    switch (jpeg->num_components) {
    case 1: jpeg->out_color_space = JCS_GRAYSCALE; break;
    case 3: jpeg->out_color_space = JCS_RGB; break;
    case 4: jpeg->out_color_space = JCS_CMYK; break;
    default:
        return tl_fail(r->err, TL_ERR_UNSUPPORTED,
                       "JPEG of %d components, 1, 3 or 4 were wanted",
                       jpeg->num_components);
    }
    tl_status status = find_orientation(r);
    if (status == TL_OK)
        status = tl_decoded_alloc(r->arena, jpeg->image_width, jpeg->image_height,
                                  &r->image, r->err);
    if (status != TL_OK)
        return status;
    if (!jpeg_start_decompress(jpeg))
        return fail_truncated(r);
    status = read_rows(r);
    if (status == TL_OK)
        (void)jpeg_finish_decompress(jpeg); /* a missing end marker is forgiven */
    return status;
}

tl_status tl_jpeg_decode(const uint8_t *file, size_t bytes, tl_arena *arena,
                         tl_decoded *out, tl_error *err)
{
    /* In the arena, not on the stack: what changes between setjmp and longjmp keeps
     * its value there. */
    reader *const r = tl_arena_alloc_zero(arena, 1, sizeof *r);
    if (r == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for the JPEG decoder");
    r->arena = arena;
    r->err = err;
    r->image.orientation = 1;
    r->source = (struct jpeg_source_mgr){
        .next_input_byte = file,
        .bytes_in_buffer = bytes,
        .init_source = do_nothing,
        .fill_input_buffer = have_no_more,
        .skip_input_data = skip_bytes,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = do_nothing,
    };
    r->progress.progress_monitor = limit_scans;
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->errors.error_exit = report_error;
    r->errors.output_message = ignore_message;
    r->jpeg.client_data = r; /* jpeg_create_decompress keeps it and err */
    if (setjmp(r->escape) != 0) {
        jpeg_destroy_decompress(&r->jpeg);
        /* jerror.h, which has the codes, needs a function banned here. */
        if (strncmp(r->text, "Insufficient memory", 19) == 0)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for libjpeg");
        return tl_fail(err, TL_ERR_FORMAT, "damaged JPEG: %s", r->text);
    }
    jpeg_create_decompress(&r->jpeg);
    r->jpeg.src = &r->source;
    r->jpeg.progress = &r->progress;
    const tl_status status = decode(r);
    jpeg_destroy_decompress(&r->jpeg);
    if (status == TL_OK)
        *out = r->image;
    return status;
}
