/* SPDX-License-Identifier: MIT
 * resize.c - see tl_image_resize in include/twinlens/image.h.
 *
 * Each output pixel is a weighted mean of the input pixels near its centre; the
 * window is the filter's own width when enlarging, and wider by the scale when
 * reducing, so that every input pixel counts. It is applied along rows and along
 * columns, one after the other:
 *
 *     centre  c = (i + 1/2) n_in / n_out,  s = max(n_in / n_out, 1)
 *     window  [c - support s + 1/2, c + support s + 1/2), cut to the image
 *     weight  w[j] = f((j - c + 1/2) / s) / sum over the window
 *
 * Pillow's numbers come out bit by bit because its roundings are followed: each
 * weight to 22 bits behind the point, and the result of each pass to 8 bits.
 */
#include "twinlens/image.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "input/image_decode.h"
#include "twinlens/alloc.h"

/* 32 bits hold a sign, 8 bits of pixel, and 1 bit for sums past 255. */
enum { WEIGHT_BITS = 32 - 8 - 2 };

typedef struct filter {
    double support;
    double (*weight)(double x);
} filter;

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

/* Keys' cubic convolution with a = -1/2. */
static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

static double sinc(double x)
{
    const double pi = 3.14159265358979323846;
    return x == 0 ? 1 : sin(x * pi) / (x * pi);
}

/* Windowed by the middle of another sinc, three times as wide. */
static double lanczos(double x)
{
    return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

/* For output pixel i: the input pixels first[i] .. first[i] + count[i] - 1 with the
 * weights from weights[i * stride] on. */
typedef struct kernel {
    size_t *first, *count;
    int32_t *weights;
    size_t stride;
} kernel;

static void kernel_release(kernel *k)
{
    tl_free(k->first);
    tl_free(k->count);
    tl_free(k->weights);
    *k = (kernel){0};
}

static int32_t round_weight(double weight)
{
    const double scaled = weight * (1 << WEIGHT_BITS);
    return (int32_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

static tl_status kernel_init(kernel *k, const filter *f, size_t n_in, size_t n_out,
                             tl_error *err)
{
    const double scale = (double)n_in / (double)n_out;
    const double widening = scale < 1 ? 1 : scale;
    const double support = f->support * widening;
    const double widest = ceil(support) * 2 + 1;
    k->stride = widest < (double)n_in ? (size_t)widest : n_in;
    k->first = tl_alloc(n_out, sizeof *k->first);
    k->count = tl_alloc(n_out, sizeof *k->count);
    size_t n_weights = 0;
    if (tl_size_muladd(n_out, k->stride, &n_weights))
        k->weights = tl_alloc(n_weights, sizeof *k->weights);
    double *exact = tl_alloc(k->stride, sizeof *exact);
    if (k->first == NULL || k->count == NULL || k->weights == NULL || exact == NULL) {
        kernel_release(k);
        tl_free(exact);
        return tl_fail(err, TL_ERR_NO_MEMORY,
                       "no memory for the weights from %zu to %zu pixels", n_in, n_out);
    }
    for (size_t i = 0; i < n_out; i++) {
        const double centre = ((double)i + 0.5) * scale;
        const double inverse = 1.0 / widening;
        const double from = centre - support + 0.5, to = centre + support + 0.5;
        const size_t first = from > 0 ? (size_t)from : 0;
        const size_t end = to < (double)n_in ? (size_t)to : n_in;
        const size_t count = end - first;
        double sum = 0;
        for (size_t j = 0; j < count; j++) {
            exact[j] = f->weight(((double)(j + first) - centre + 0.5) * inverse);
            sum += exact[j];
        }
        k->first[i] = first;
        k->count[i] = count;
        for (size_t j = 0; j < count; j++)
            k->weights[i * k->stride + j] =
                round_weight(sum != 0 ? exact[j] / sum : exact[j]);
    }
    tl_free(exact);
    return TL_OK;
}

static const int32_t half = 1 << (WEIGHT_BITS - 1);

static uint8_t round_sum(int32_t sum)
{
    if (sum < 0)
        return 0;
    const int32_t value = sum >> WEIGHT_BITS;
    return (uint8_t)(value > 255 ? 255 : value);
}

static void resize_row(const kernel *k, const uint8_t *in, size_t n_out, uint8_t *out)
{
    for (size_t i = 0; i < n_out; i++) {
        const int32_t *weights = k->weights + i * k->stride;
        const uint8_t *pixel = in + 3 * k->first[i];
        int32_t r = half, g = half, b = half;
        for (size_t j = 0; j < k->count[i]; j++) {
            r += weights[j] * pixel[3 * j];
            g += weights[j] * pixel[3 * j + 1];
            b += weights[j] * pixel[3 * j + 2];
        }
        out[3 * i] = round_sum(r);
        out[3 * i + 1] = round_sum(g);
        out[3 * i + 2] = round_sum(b);
    }
}

/* Output row i from whole input rows, which the compiler can do many at a time. */
static void resize_column_row(const kernel *k, size_t i, const uint8_t *in,
                              size_t row_bytes, int32_t *restrict sums,
                              uint8_t *restrict out)
{
    for (size_t x = 0; x < row_bytes; x++)
        sums[x] = half;
    for (size_t j = 0; j < k->count[i]; j++) {
        const int32_t weight = k->weights[i * k->stride + j];
        const uint8_t *row = in + (k->first[i] + j) * row_bytes;
        for (size_t x = 0; x < row_bytes; x++)
            sums[x] += weight * row[x];
    }
    for (size_t x = 0; x < row_bytes; x++)
        out[x] = round_sum(sums[x]);
}

static tl_status resize_rows(const filter *f, const tl_image *in, size_t width,
                             uint8_t *out, tl_error *err)
{
    kernel k = {0};
    const tl_status status = kernel_init(&k, f, in->width, width, err);
    if (status != TL_OK)
        return status;
    for (size_t y = 0; y < in->height; y++)
        resize_row(&k, in->rgb + 3 * in->width * y, width, out + 3 * width * y);
    kernel_release(&k);
    return TL_OK;
}

static tl_status resize_columns(const filter *f, const tl_image *in, size_t height,
                                uint8_t *out, tl_error *err)
{
    const size_t row_bytes = 3 * in->width;
    kernel k = {0};
    tl_status status = kernel_init(&k, f, in->height, height, err);
    if (status != TL_OK)
        return status;
    int32_t *sums = tl_alloc(row_bytes, sizeof *sums);
    if (sums == NULL) {
        status = tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a row of %zu pixels",
                         in->width);
        goto done;
    }
    for (size_t y = 0; y < height; y++)
        resize_column_row(&k, y, in->rgb, row_bytes, sums, out + row_bytes * y);
done:
    tl_free(sums);
    kernel_release(&k);
    return status;
}

/* Pillow 13 starts with the columns where that saves work. The rounding in between
 * makes the order visible, so the rule is part of the definition; it was found by
 * resizing noise in both orders. */
static bool reduce_columns_first(const tl_image *image, size_t width, size_t height)
{
    if (height >= image->height)
        return false;
    if (width >= image->width)
        return true;
    return image->height - height > 2 * (image->width - width);
}

tl_status tl_image_resize(const tl_image *image, size_t width, size_t height,
                          tl_resample resample, tl_arena *arena, tl_image *out,
                          tl_error *err)
{
    if (image == NULL || image->rgb == NULL || image->width == 0 ||
        image->height == 0 || arena == NULL || out == NULL)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "resize: an image, an arena and a result are wanted");
    if (width == 0 || height == 0 || width > TL_IMAGE_MAX_PIXELS / height)
        return tl_fail(err, TL_ERR_ARGUMENT,
                       "resize: to %zux%zu pixels, 1 to %d in all are wanted", width,
                       height, TL_IMAGE_MAX_PIXELS);
    filter f;
    switch (resample) {
    case TL_LANCZOS: f = (filter){3, lanczos}; break;
    case TL_BILINEAR: f = (filter){1, bilinear}; break;
    case TL_BICUBIC: f = (filter){2, bicubic}; break;
    default:
        return tl_fail(err, TL_ERR_ARGUMENT, "resize: filter %d, %d to %d is wanted",
                       (int)resample, TL_LANCZOS, TL_BICUBIC);
    }

    const bool change_width = width != image->width;
    const bool change_height = height != image->height;
    const bool columns_first =
        change_height && reduce_columns_first(image, width, height);
    tl_status status = TL_OK;
    uint8_t *between = NULL;
    uint8_t *rgb = tl_arena_alloc(arena, width * height, 3);
    if (rgb == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "resize: no memory for %zux%zu pixels",
                       width, height);
    tl_image half_way = {.width = columns_first ? image->width : width,
                         .height = columns_first ? height : image->height};
    if (change_width && change_height) {
        size_t bytes = 0;
        if (tl_size_muladd(3 * half_way.width, half_way.height, &bytes))
            between = tl_alloc(bytes, 1);
        if (between == NULL) {
            status =
                tl_fail(err, TL_ERR_NO_MEMORY, "resize: no memory for %zux%zu pixels",
                        half_way.width, half_way.height);
            goto done;
        }
        half_way.rgb = between;
    }

    if (!change_width && !change_height) {
        memcpy(rgb, image->rgb, width * height * 3);
    } else if (!change_width) {
        status = resize_columns(&f, image, height, rgb, err);
    } else if (!change_height) {
        status = resize_rows(&f, image, width, rgb, err);
    } else if (columns_first) {
        status = resize_columns(&f, image, height, between, err);
        if (status == TL_OK)
            status = resize_rows(&f, &half_way, width, rgb, err);
    } else {
        status = resize_rows(&f, image, width, between, err);
        if (status == TL_OK)
            status = resize_columns(&f, &half_way, height, rgb, err);
    }
    if (status == TL_OK)
        *out = (tl_image){.width = width, .height = height, .rgb = rgb};
done:
    tl_free(between);
    return status;
}
