/* SPDX-License-Identifier: MIT
 *
 * paint.c - emoji from their font's bitmaps, glyphs of numbers, and shaded solids.
 */
#include "scene/paint_private.h"

#include <math.h>
#include <string.h>

#include "scene/words.h"
#include "twinlens/alloc.h"

#define EMOJI_FONT "Noto Color Emoji"
static const double PI = 3.14159265358979323846;

enum {
    EMOJI_PIXELS = 109, /* at this size the font's bitmaps are drawn as they are */
    EMOJI_CANVAS = 192,
    MAX_EMOJI = 256,
    LAYOUTS_PER_MAP = 512,
    LEVELS = 4 /* of an emoji: each half as large as the one before */
};

typedef struct emoji {
    const char *symbol;
    cairo_surface_t *level[LEVELS];
} emoji;

struct tl_painter {
    /* Pango keeps what it knows of every size of every font that it was asked for: the
     * map is made anew after so many layouts. */
    PangoFontMap *fonts;
    size_t n_layouts;
    emoji icons[MAX_EMOJI];
    size_t n_icons;
    tl_random random; /* of pictures alone, so that rows do not depend on them */
};

/* ---- fonts ----------------------------------------------------------------------- */

static const char *const number_fonts[] = {"DejaVu Sans Mono", "DejaVu Sans",
                                           "DejaVu Serif"};
enum { NUMBER_FONTS = sizeof number_fonts / sizeof number_fonts[0] };

static tl_status check_font(PangoFontMap *map, const char *family, const char *package,
                            tl_error *err)
{
    PangoContext *context = pango_font_map_create_context(map);
    PangoFontDescription *wanted = pango_font_description_from_string(family);
    pango_font_description_set_absolute_size(wanted, 16 * PANGO_SCALE);
    PangoFont *font = pango_font_map_load_font(map, context, wanted);
    PangoFontDescription *found = font != NULL ? pango_font_describe(font) : NULL;
    const bool there =
        found != NULL && strcmp(pango_font_description_get_family(found), family) == 0;
    pango_font_description_free(found);
    pango_font_description_free(wanted);
    if (font != NULL)
        g_object_unref(font);
    g_object_unref(context);
    return there ? TL_OK
                 : tl_fail(err, TL_ERR_NOT_FOUND,
                           "the font '%s' is not installed (Debian's package is %s)",
                           family, package);
}

tl_status tl_painter_create(uint64_t seed, tl_painter **out, tl_error *err)
{
    tl_painter *painter = tl_alloc_zero(1, sizeof *painter);
    if (painter == NULL)
        return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a painter");
    painter->random = (tl_random){~seed};
    tl_random_next(&painter->random);
    painter->fonts = pango_cairo_font_map_new();
    tl_status status =
        check_font(painter->fonts, EMOJI_FONT, "fonts-noto-color-emoji", err);
    for (size_t i = 0; i < NUMBER_FONTS && status == TL_OK; i++)
        status = check_font(painter->fonts, number_fonts[i], "fonts-dejavu-core", err);
    if (status == TL_OK)
        *out = painter;
    else
        tl_painter_destroy(painter);
    return status;
}

void tl_painter_destroy(tl_painter *painter)
{
    if (painter == NULL)
        return;
    for (size_t i = 0; i < painter->n_icons; i++)
        for (size_t k = 0; k < LEVELS; k++)
            cairo_surface_destroy(painter->icons[i].level[k]);
    g_object_unref(painter->fonts);
    tl_free(painter);
}

PangoLayout *tl_paint_layout(tl_painter *painter, cairo_t *cr, const char *font,
                             double size, const char *text)
{
    if (painter->n_layouts++ % LAYOUTS_PER_MAP == LAYOUTS_PER_MAP - 1) {
        g_object_unref(painter->fonts);
        painter->fonts = pango_cairo_font_map_new();
    }
    PangoContext *context = pango_font_map_create_context(painter->fonts);
    pango_cairo_update_context(cr, context);
    PangoLayout *layout = pango_layout_new(context);
    g_object_unref(context);
    cairo_font_options_t *options = cairo_font_options_create();
    cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
    pango_cairo_context_set_font_options(pango_layout_get_context(layout), options);
    cairo_font_options_destroy(options);
    PangoFontDescription *description = pango_font_description_from_string(font);
    pango_font_description_set_absolute_size(description, size * PANGO_SCALE);
    pango_layout_set_font_description(layout, description);
    pango_font_description_free(description);
    pango_layout_set_text(layout, text, -1);
    return layout;
}

/* ---- emoji ----------------------------------------------------------------------- */

/* The smallest rectangle outside which nothing was drawn; false when it is empty. */
static bool find_ink(cairo_surface_t *surface, int *x0, int *y0, int *x1, int *y1)
{
    cairo_surface_flush(surface);
    const unsigned char *data = cairo_image_surface_get_data(surface);
    const int stride = cairo_image_surface_get_stride(surface);
    *x0 = *y0 = EMOJI_CANVAS;
    *x1 = *y1 = 0;
    for (int y = 0; y < EMOJI_CANVAS; y++)
        for (int x = 0; x < EMOJI_CANVAS; x++) {
            uint32_t pixel;
            memcpy(&pixel, data + (ptrdiff_t)y * stride + 4 * (ptrdiff_t)x,
                   sizeof pixel);
            if (pixel >> 24 == 0)
                continue;
            *x0 = x < *x0 ? x : *x0;
            *y0 = y < *y0 ? y : *y0;
            *x1 = x >= *x1 ? x + 1 : *x1;
            *y1 = y >= *y1 ? y + 1 : *y1;
        }
    return *x0 < *x1;
}

/* A copy of part of a surface, `scale` times as large. */
static cairo_surface_t *copy_scaled(cairo_surface_t *from, double x, double y,
                                    double width, double height, double scale)
{
    cairo_surface_t *to = cairo_image_surface_create(
        CAIRO_FORMAT_ARGB32, (int)ceil(width * scale), (int)ceil(height * scale));
    cairo_t *cr = cairo_create(to);
    cairo_scale(cr, scale, scale);
    cairo_set_source_surface(cr, from, -x, -y);
    cairo_pattern_set_filter(cairo_get_source(cr), CAIRO_FILTER_GOOD);
    cairo_paint(cr);
    cairo_destroy(cr);
    return to;
}

static bool draw_icon(tl_painter *painter, emoji *icon)
{
    cairo_surface_t *canvas =
        cairo_image_surface_create(CAIRO_FORMAT_ARGB32, EMOJI_CANVAS, EMOJI_CANVAS);
    cairo_t *cr = cairo_create(canvas);
    PangoLayout *layout =
        tl_paint_layout(painter, cr, EMOJI_FONT, EMOJI_PIXELS, icon->symbol);
    const bool known = pango_layout_get_unknown_glyphs_count(layout) == 0;
    cairo_move_to(cr, 16, 16);
    pango_cairo_show_layout(cr, layout);
    g_object_unref(layout);
    int x0, y0, x1, y1;
    const bool drawn = known && cairo_status(cr) == CAIRO_STATUS_SUCCESS &&
                       find_ink(canvas, &x0, &y0, &x1, &y1);
    cairo_destroy(cr);
    if (drawn) {
        double width = x1 - x0, height = y1 - y0;
        icon->level[0] = copy_scaled(canvas, x0, y0, width, height, 1);
        for (size_t k = 1; k < LEVELS; k++) {
            icon->level[k] = copy_scaled(icon->level[k - 1], 0, 0, width, height, 0.5);
            width /= 2;
            height /= 2;
        }
    }
    cairo_surface_destroy(canvas);
    return drawn;
}

static const emoji *find_icon(tl_painter *painter, const char *symbol, tl_error *err)
{
    for (size_t i = 0; i < painter->n_icons; i++)
        if (strcmp(painter->icons[i].symbol, symbol) == 0)
            return &painter->icons[i];
    emoji *icon = &painter->icons[painter->n_icons];
    *icon = (emoji){.symbol = symbol};
    if (painter->n_icons == MAX_EMOJI || !draw_icon(painter, icon)) {
        tl_fail(err, TL_ERR_UNSUPPORTED, "the font '%s' cannot show '%s'", EMOJI_FONT,
                symbol);
        return NULL;
    }
    painter->n_icons++;
    return icon;
}

static tl_status paint_emoji(tl_painter *painter, cairo_t *cr, const tl_item *item,
                             tl_error *err)
{
    const emoji *icon = find_icon(painter, item->symbol, err);
    if (icon == NULL)
        return TL_ERR_UNSUPPORTED;
    const int full_width = cairo_image_surface_get_width(icon->level[0]),
              full_height = cairo_image_surface_get_height(icon->level[0]);
    const double full = full_width > full_height ? full_width : full_height;
    size_t k = 0;
    while (k + 1 < LEVELS && full / (double)(2u << k) >= 1.5 * item->size)
        k++;
    cairo_surface_t *source = icon->level[k];
    const double scale = item->size / full * (double)(1u << k);
    cairo_save(cr);
    cairo_translate(cr, item->x, item->y);
    cairo_rotate(cr, item->angle);
    cairo_scale(cr, scale, scale);
    cairo_set_source_surface(cr, source, -0.5 * full_width / (double)(1u << k),
                             -0.5 * full_height / (double)(1u << k));
    cairo_pattern_set_filter(cairo_get_source(cr), CAIRO_FILTER_GOOD);
    cairo_paint(cr);
    cairo_restore(cr);
    return TL_OK;
}

/* ---- solids ---------------------------------------------------------------------- */

/* The colour, lighter (above 1) or darker. */
static void add_stop(cairo_pattern_t *pattern, double at, const tl_color *c, double k)
{
    const double to_white = k > 1 ? k - 1 : 0, light = k > 1 ? 1 : k;
    cairo_pattern_add_color_stop_rgb(pattern, at,
                                     c->red * light + (1 - c->red) * to_white,
                                     c->green * light + (1 - c->green) * to_white,
                                     c->blue * light + (1 - c->blue) * to_white);
}

static void fill(cairo_t *cr, cairo_pattern_t *pattern)
{
    cairo_set_source(cr, pattern);
    cairo_fill(cr);
    cairo_pattern_destroy(pattern);
}

static void ellipse(cairo_t *cr, double x, double y, double rx, double ry)
{
    cairo_save(cr);
    cairo_translate(cr, x, y);
    cairo_scale(cr, rx, ry);
    cairo_new_sub_path(cr);
    cairo_arc(cr, 0, 0, 1, 0, 2 * PI);
    cairo_restore(cr);
}

static void paint_sphere(cairo_t *cr, const tl_color *c)
{
    cairo_pattern_t *p = cairo_pattern_create_radial(-0.16, -0.18, 0.04, 0, 0, 0.5);
    add_stop(p, 0, c, 1.55);
    add_stop(p, 0.3, c, 1.05);
    add_stop(p, 0.8, c, 0.8);
    add_stop(p, 1, c, 0.6);
    ellipse(cr, 0, 0, 0.5, 0.5);
    fill(cr, p);
}

static void face(cairo_t *cr, const tl_color *c, double light, const double (*at)[2])
{
    cairo_pattern_t *p =
        cairo_pattern_create_linear(at[0][0], at[0][1], at[2][0], at[2][1]);
    add_stop(p, 0, c, light * 1.06);
    add_stop(p, 1, c, light * 0.92);
    for (size_t i = 0; i < 4; i++)
        cairo_line_to(cr, at[i][0], at[i][1]);
    cairo_close_path(cr);
    fill(cr, p);
}

static void paint_cube(cairo_t *cr, const tl_color *c)
{
    static const double front[4][2] = {{-.5, -.28}, {.26, -.28}, {.26, .5}, {-.5, .5}},
                        top[4][2] = {{-.5, -.28}, {-.26, -.5}, {.5, -.5}, {.26, -.28}},
                        side[4][2] = {{.26, -.28}, {.5, -.5}, {.5, .26}, {.26, .5}};
    face(cr, c, 0.95, front);
    face(cr, c, 1.3, top);
    face(cr, c, 0.68, side);
}

static void paint_cylinder(cairo_t *cr, const tl_color *c)
{
    cairo_pattern_t *p = cairo_pattern_create_linear(-0.4, 0, 0.4, 0);
    add_stop(p, 0, c, 0.8);
    add_stop(p, 0.3, c, 1.25);
    add_stop(p, 1, c, 0.6);
    cairo_rectangle(cr, -0.4, -0.38, 0.8, 0.76);
    ellipse(cr, 0, 0.38, 0.4, 0.12);
    fill(cr, p);
    p = cairo_pattern_create_linear(-0.4, 0, 0.4, 0);
    add_stop(p, 0, c, 1.35);
    add_stop(p, 1, c, 1.1);
    ellipse(cr, 0, -0.38, 0.4, 0.12);
    fill(cr, p);
}

static void paint_solid(cairo_t *cr, const tl_item *item)
{
    const tl_color *color = &tl_colors[item->color];
    cairo_save(cr);
    cairo_translate(cr, item->x, item->y);
    cairo_scale(cr, item->size, item->size);
    cairo_set_source_rgba(cr, 0, 0, 0, 0.25); /* its shadow on the ground */
    ellipse(cr, 0.05, 0.46, 0.48, 0.1);
    cairo_fill(cr);
    if (item->shape == TL_SHAPE_SPHERE)
        paint_sphere(cr, color);
    else if (item->shape == TL_SHAPE_CUBE)
        paint_cube(cr, color);
    else
        paint_cylinder(cr, color);
    cairo_restore(cr);
}

/* ---- glyphs ---------------------------------------------------------------------- */

/* Its digit would be `size` high and stands in the middle of its cell. */
static void paint_glyph(tl_painter *painter, cairo_t *cr, const tl_item *item,
                        const char *font)
{
    PangoLayout *layout = tl_paint_layout(painter, cr, font, item->size, item->symbol);
    PangoRectangle logical;
    pango_layout_get_extents(layout, NULL, &logical);
    cairo_move_to(cr, item->x - 0.5 * logical.width / PANGO_SCALE,
                  item->y - 0.5 * logical.height / PANGO_SCALE);
    pango_cairo_show_layout(cr, layout);
    g_object_unref(layout);
}

/* ---- pictures -------------------------------------------------------------------- */

static double uniform(tl_random *random, double from, double to)
{
    return from + (to - from) * (double)(tl_random_next(random) >> 11) * 0x1p-53;
}

/* Grey under solids, white paper under numbers, a pale colour elsewhere. */
static void paint_ground(cairo_t *cr, const tl_scene_options *o, tl_random *random)
{
    double rgb[3];
    for (size_t i = 0; i < 3; i++)
        rgb[i] = uniform(random, 0.87, 1);
    if (o->task == TL_TASK_COLOR_ORDERING) {
        const double grey = uniform(random, 0.68, 0.8);
        cairo_pattern_t *p = cairo_pattern_create_linear(0, 0, 0, (double)o->height);
        cairo_pattern_add_color_stop_rgb(p, 0, grey - 0.08, grey - 0.08, grey - 0.08);
        cairo_pattern_add_color_stop_rgb(p, 1, grey + 0.06, grey + 0.06, grey + 0.06);
        cairo_set_source(cr, p);
        cairo_pattern_destroy(p);
    } else if (o->task == TL_TASK_ARITHMETIC) {
        cairo_set_source_rgb(cr, 1, 1, 1);
    } else {
        cairo_set_source_rgb(cr, rgb[0], rgb[1], rgb[2]);
    }
    cairo_paint(cr);
}

tl_status tl_painter_paint(tl_painter *painter, const tl_scene_options *options,
                           const tl_scene *scene, cairo_surface_t **out, tl_error *err)
{
    cairo_surface_t *surface = cairo_image_surface_create(
        CAIRO_FORMAT_RGB24, (int)options->width, (int)options->height);
    cairo_t *cr = cairo_create(surface);
    paint_ground(cr, options, &painter->random);
    const char *font = number_fonts[tl_random_below(&painter->random, NUMBER_FONTS)];
    tl_status status = TL_OK;
    for (size_t i = 0; i < scene->n_items && status == TL_OK; i++) {
        const tl_item *item = &scene->items[i];
        if (item->shape == TL_SHAPE_EMOJI) {
            status = paint_emoji(painter, cr, item, err);
        } else if (item->shape == TL_SHAPE_GLYPH) {
            cairo_set_source_rgb(cr, 0, 0, 0);
            paint_glyph(painter, cr, item, font);
        } else {
            paint_solid(cr, item);
        }
    }
    if (status == TL_OK && cairo_status(cr) != CAIRO_STATUS_SUCCESS)
        status = tl_fail(err, TL_ERR_NO_MEMORY, "cannot paint a picture: %s",
                         cairo_status_to_string(cairo_status(cr)));
    cairo_destroy(cr);
    if (status == TL_OK)
        *out = surface;
    else
        cairo_surface_destroy(surface);
    return status;
}

tl_status tl_paint_png(cairo_surface_t *surface, const char *path, tl_error *err)
{
    const cairo_status_t status = cairo_surface_write_to_png(surface, path);
    return status == CAIRO_STATUS_SUCCESS
               ? TL_OK
               : tl_fail(err, TL_ERR_IO, "%s: cannot be written: %s", path,
                         cairo_status_to_string(status));
}

tl_status tl_painter_write(tl_painter *painter, const tl_scene_options *options,
                           const tl_scene *scene, const char *path, tl_error *err)
{
    cairo_surface_t *surface = NULL;
    tl_status status = tl_painter_paint(painter, options, scene, &surface, err);
    if (status == TL_OK)
        status = tl_paint_png(surface, path, err);
    cairo_surface_destroy(surface);
    return status;
}
