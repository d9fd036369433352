/* SPDX-License-Identifier: MIT
 *
 * paint.h - scenes as pictures. paint.c draws them with Cairo and Pango; a build without
 * these has paint_none.c in its place, which refuses.
 */
#ifndef TWINLENS_SCENE_PAINT_H
#define TWINLENS_SCENE_PAINT_H

#include "scene/sample.h"

/* Fonts, emoji that have been drawn before, and random numbers. */
typedef struct tl_painter tl_painter;

/*
 * Colours of ground and ink are drawn from random numbers of the painter's own, which
 * `seed` alone decides.
 * Errors   TL_ERR_NOT_FOUND naming the package of a font that is not installed,
 *          TL_ERR_UNSUPPORTED in a build that cannot draw
 */
tl_status tl_painter_create(uint64_t seed, tl_painter **out, tl_error *err);
void tl_painter_destroy(tl_painter *painter);

/* Writes the picture of a scene as PNG. Errors: TL_ERR_IO naming the path. */
tl_status tl_painter_write(tl_painter *painter, const tl_scene_options *options,
                           const tl_scene *scene, const char *path, tl_error *err);

#endif
