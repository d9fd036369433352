/* SPDX-License-Identifier: MIT
 *
 * paint_none.c - stands for paint.c and sheet.c in a build without Cairo and Pango: the
 * rows of a dataset can be made, its pictures cannot.
 */
#include "scene/paint.h"

static tl_status refuse(tl_error *err)
{
    return tl_fail(err, TL_ERR_UNSUPPORTED,
                   "pictures are drawn with Cairo and Pango, which this build was made "
                   "without; rows of text alone need none");
}

tl_status tl_painter_create(uint64_t seed, tl_painter **out, tl_error *err)
{
    (void)seed, (void)out;
    return refuse(err);
}

void tl_painter_destroy(tl_painter *painter)
{
    (void)painter;
}

tl_status tl_painter_write(tl_painter *painter, const tl_scene_options *options,
                           const tl_scene *scene, const char *path, tl_error *err)
{
    (void)painter, (void)options, (void)scene, (void)path;
    return refuse(err);
}

tl_status tl_scene_sheet(const tl_scene_options *options, size_t n, uint64_t seed,
                         const char *path, tl_error *err)
{
    (void)options, (void)n, (void)seed, (void)path;
    return refuse(err);
}
