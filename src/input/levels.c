/* SPDX-License-Identifier: MIT
 * levels.c - see levels.h. */
#include "input/levels.h"

#include <string.h>
#include <strings.h>

#include "base/json.h"

tl_status tl_image_processor_check(const json_t *config, const char *where,
                                   const char *wanted, tl_error *err)
{
    if (!json_is_object(config))
        return tl_fail(err, TL_ERR_FORMAT, "%s: not an object", where);
    const char *type = wanted;
    const size_t bytes = strlen(wanted);
    const tl_status status =
        tl_json_get_string(config, "image_processor_type", where, &type, err);
    /* Endings say what resizes: here it is always Pillow. */
    if (status == TL_OK && (strncmp(type, wanted, bytes) != 0 ||
                            (type[bytes] != '\0' && strcmp(type + bytes, "Fast") != 0 &&
                             strcmp(type + bytes, "Pil") != 0)))
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: 'image_processor_type' is '%s', supported is '%s'", where,
                       type, wanted);
    return status;
}

static tl_status read_triple(const json_t *config, const char *key, const char *where,
                             double out[TL_CHANNEL_COUNT], tl_error *err)
{
    const json_t *value = json_object_get(config, key);
    if (value == NULL || json_is_null(value))
        return TL_OK;
    if (json_is_number(value)) { /* one for all */
        for (size_t c = 0; c < TL_CHANNEL_COUNT; c++)
            out[c] = json_number_value(value);
        return TL_OK;
    }
    if (!json_is_array(value) || json_array_size(value) != TL_CHANNEL_COUNT)
        return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is not a number or %d numbers",
                       where, key, TL_CHANNEL_COUNT);
    for (size_t c = 0; c < TL_CHANNEL_COUNT; c++) {
        const json_t *item = json_array_get(value, c);
        if (!json_is_number(item))
            return tl_fail(err, TL_ERR_FORMAT, "%s: '%s' is not a number or %d numbers",
                           where, key, TL_CHANNEL_COUNT);
        out[c] = json_number_value(item);
    }
    return TL_OK;
}

tl_status tl_image_side_read(const json_t *object, const char *name, const char *key,
                             const char *where, size_t *side, tl_error *err)
{
    const tl_status status = tl_json_get_size(object, key, where, side, err);
    if (status == TL_OK && (*side == 0 || *side > TL_LARGEST_SIDE))
        return tl_fail(err, TL_ERR_FORMAT, "%s: '%s%s%s' is %zu, wanted 1..%d", where,
                       name != NULL ? name : "", name != NULL ? "." : "", key, *side,
                       TL_LARGEST_SIDE);
    return status;
}

tl_status tl_levels_read(const json_t *config, const char *where, tl_levels *levels,
                         tl_error *err)
{
    tl_levels l = *levels;
    tl_status status =
        tl_json_get_bool(config, "do_rescale", where, &l.do_rescale, err);
    if (status == TL_OK)
        status = tl_json_get_bool(config, "do_normalize", where, &l.do_normalize, err);
    if (status == TL_OK)
        status =
            tl_json_get_double(config, "rescale_factor", where, &l.rescale_factor, err);
    if (status == TL_OK)
        status = read_triple(config, "image_mean", where, l.mean, err);
    if (status == TL_OK)
        status = read_triple(config, "image_std", where, l.std, err);
    for (size_t c = 0; status == TL_OK && c < TL_CHANNEL_COUNT; c++)
        if (l.do_normalize && (float)l.std[c] == 0.0f)
            status = tl_fail(err, TL_ERR_FORMAT, "%s: 'image_std' has a 0", where);
    if (status == TL_OK)
        *levels = l;
    return status;
}

tl_status tl_resample_read(const json_t *config, const char *where,
                           tl_resample *resample, tl_error *err)
{
    static const char *const names[] = {"nearest", "lanczos", "bilinear",
                                        "bicubic", "box",     "hamming"};
    enum { KNOWN = sizeof names / sizeof *names };
    size_t number = (size_t)*resample;
    const json_t *value = json_object_get(config, "resample");
    const char *name = json_string_value(value);
    for (size_t i = 0; name != NULL && i < KNOWN; i++)
        if (strcasecmp(name, names[i]) == 0) {
            number = i;
            value = NULL;
        }
    const tl_status status =
        value != NULL ? tl_json_get_size(config, "resample", where, &number, err)
                      : TL_OK;
    if (status != TL_OK)
        return status;
    if (number < TL_LANCZOS || number > TL_BICUBIC)
        return tl_fail(err, TL_ERR_UNSUPPORTED,
                       "%s: 'resample' is %zu (%s), supported are 1 (lanczos), 2 "
                       "(bilinear) and 3 (bicubic)",
                       where, number, number < KNOWN ? names[number] : "unknown");
    *resample = (tl_resample)number;
    return TL_OK;
}

void tl_levels_table(const tl_levels *levels,
                     float table[TL_CHANNEL_COUNT][TL_LEVEL_COUNT])
{
    for (size_t c = 0; c < TL_CHANNEL_COUNT; c++)
        for (size_t v = 0; v < TL_LEVEL_COUNT; v++) {
            float x = levels->do_rescale ? (float)((double)v * levels->rescale_factor)
                                         : (float)v;
            if (levels->do_normalize)
                x = (x - (float)levels->mean[c]) / (float)levels->std[c];
            table[c][v] = x;
        }
}

float *tl_levels_planes(const tl_levels *levels, const tl_image *image, tl_arena *arena)
{
    const size_t n = image->width * image->height;
    float table[TL_CHANNEL_COUNT][TL_LEVEL_COUNT];
    float *const values = tl_arena_alloc(arena, n, TL_CHANNEL_COUNT * sizeof *values);
    tl_levels_table(levels, table);
    for (size_t c = 0; values != NULL && c < TL_CHANNEL_COUNT; c++)
        for (size_t i = 0; i < n; i++)
            values[c * n + i] = table[c][image->rgb[i * TL_CHANNEL_COUNT + c]];
    return values;
}
