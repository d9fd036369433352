/* SPDX-License-Identifier: MIT
 *
 * paint_private.h - what paint.c and sheet.c share of Cairo and Pango. No other file
 * knows these libraries.
 */
#ifndef TWINLENS_SCENE_PAINT_PRIVATE_H
#define TWINLENS_SCENE_PAINT_PRIVATE_H

#include <pango/pangocairo.h>

#include "scene/paint.h"

/* The picture of a scene, to be destroyed by the caller. */
tl_status tl_painter_paint(tl_painter *painter, const tl_scene_options *options,
                           const tl_scene *scene, cairo_surface_t **out, tl_error *err);

/* Writes a surface as PNG. Errors: TL_ERR_IO naming the path. */
tl_status tl_paint_png(cairo_surface_t *surface, const char *path, tl_error *err);

/* A text in one of the fonts that tl_painter_create() has made sure of, `size` pixels
 * high, with options that do not depend on the machine's settings. */
PangoLayout *tl_paint_layout(tl_painter *painter, cairo_t *cr, const char *font,
                             double size, const char *text);

#endif
