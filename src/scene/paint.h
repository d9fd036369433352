/* SPDX-License-Identifier: MIT
 *
 * paint.h - scenes as pictures, by Cairo and Pango. The only place that knows them,
 * but for the page of sheet.c.
 */
#ifndef TWINLENS_SCENE_PAINT_H
#define TWINLENS_SCENE_PAINT_H

#include <pango/pangocairo.h>

#include "scene/sample.h"

/* Fonts, and emoji that have been drawn before. */
typedef struct tl_painter tl_painter;

/* TL_ERR_NOT_FOUND naming the package of a font that is not installed. */
tl_status tl_painter_create(tl_painter **out, tl_error *err);
void tl_painter_destroy(tl_painter *painter);

/* Pictures have random numbers of their own, so that rows do not depend on them. */
tl_random tl_paint_seed(uint64_t seed);

/* The picture of a scene, to be destroyed by the caller. Colours of ground and ink are
 * drawn from `random`. */
tl_status tl_painter_paint(tl_painter *painter, const tl_scene_options *options,
                           const tl_scene *scene, tl_random *random,
                           cairo_surface_t **out, tl_error *err);

/* Writes a surface as PNG. Errors: TL_ERR_IO naming the path. */
tl_status tl_paint_png(cairo_surface_t *surface, const char *path, tl_error *err);

/* A text in one of the fonts that tl_painter_create() has made sure of, `size` pixels
 * high, with options that do not depend on the machine's settings. */
PangoLayout *tl_paint_layout(tl_painter *painter, cairo_t *cr, const char *font,
                             double size, const char *text);

#endif
