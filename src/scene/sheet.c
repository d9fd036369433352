/* SPDX-License-Identifier: MIT
 *
 * sheet.c - a page of scenes with their prompts, for a person to look at.
 */
#include "scene/paint_private.h"

enum {
    COLUMNS = 4,
    CELL = 264,      /* width of a column */
    PICTURE = 168,   /* height that pictures may take */
    MOST_TEXT = 190, /* and room for what is written below */
    MARGIN = 12,
    LETTER = 12, /* height of the writing */
};

/* Writes at (x, y); returns where the next line begins. */
static double write_text(tl_painter *painter, cairo_t *cr, double x, double y,
                         const char *font, const char *text)
{
    PangoLayout *layout = tl_paint_layout(painter, cr, font, LETTER, text);
    pango_layout_set_width(layout, (CELL - 2 * MARGIN) * PANGO_SCALE);
    pango_layout_set_wrap(layout, PANGO_WRAP_WORD_CHAR);
    PangoRectangle extent;
    pango_layout_get_extents(layout, NULL, &extent);
    cairo_move_to(cr, x, y);
    pango_cairo_show_layout(cr, layout);
    g_object_unref(layout);
    return y + (double)extent.height / PANGO_SCALE;
}

/* The picture in the middle of its place, enlarged by a whole factor when small. */
static void put_picture(cairo_t *cr, double x, double y, cairo_surface_t *picture)
{
    const double width = cairo_image_surface_get_width(picture),
                 height = cairo_image_surface_get_height(picture);
    const double across = (CELL - 2 * MARGIN) / width, down = PICTURE / height;
    double scale = across < down ? across : down;
    if (scale > 1)
        scale = (double)(size_t)scale;
    cairo_save(cr);
    cairo_translate(cr, x + (CELL - 2 * MARGIN - width * scale) / 2,
                    y + (PICTURE - height * scale) / 2);
    cairo_scale(cr, scale, scale);
    cairo_set_source_surface(cr, picture, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(cr),
                             scale > 1 ? CAIRO_FILTER_NEAREST : CAIRO_FILTER_GOOD);
    cairo_paint(cr);
    cairo_set_source_rgb(cr, 0.6, 0.6, 0.6); /* a frame: white paper on a white page */
    cairo_set_line_width(cr, 1 / scale);
    cairo_rectangle(cr, 0, 0, width, height);
    cairo_stroke(cr);
    cairo_restore(cr);
}

/* Returns where the next line would begin. */
static double put_prompts(tl_painter *painter, cairo_t *cr, double x, double y,
                          const tl_scene *scene)
{
    char text[sizeof scene->before + sizeof scene->data + sizeof scene->query];
    snprintf(text, sizeof text, "%s%s%s", scene->before, scene->data, scene->query);
    cairo_set_source_rgb(cr, 0.35, 0.35, 0.35);
    y = write_text(painter, cr, x, y, "DejaVu Sans", text) + 4;
    const char *query = scene->image_query + (scene->image_query[0] == '\n');
    cairo_set_source_rgb(cr, 0, 0, 0);
    y = write_text(painter, cr, x, y, "DejaVu Sans", query) + 4;
    return write_text(painter, cr, x, y, "DejaVu Sans Bold", scene->answer);
}

/* Row after row; *height receives where the last one ends. */
static tl_status fill_page(const tl_scene_options *o, size_t n, tl_painter *painter,
                           tl_scene_stream *stream, cairo_t *cr, double *height,
                           tl_error *err)
{
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_paint(cr);
    double top = MARGIN, bottom = MARGIN;
    for (size_t i = 0; i < n; i++) {
        tl_scene scene;
        cairo_surface_t *picture = NULL;
        tl_status status = tl_scene_stream_next(stream, &scene, err);
        if (status == TL_OK)
            status = tl_painter_paint(painter, o, &scene, &picture, err);
        if (status != TL_OK)
            return status;
        if (i % COLUMNS == 0)
            top = bottom;
        const double x = (double)(i % COLUMNS) * CELL + MARGIN;
        put_picture(cr, x, top, picture);
        const double end =
            put_prompts(painter, cr, x, top + PICTURE + 6, &scene) + MARGIN;
        bottom = end > bottom ? end : bottom;
        cairo_surface_destroy(picture);
    }
    *height = bottom;
    return TL_OK;
}

tl_status tl_scene_sheet(const tl_scene_options *options, size_t n, uint64_t seed,
                         const char *path, tl_error *err)
{
    tl_scene_options taken;
    tl_status status = tl_scene_options_take(options, &taken, err);
    options = &taken;
    tl_painter *painter = NULL;
    if (status == TL_OK)
        status = tl_painter_create(seed, &painter, err);
    if (status != TL_OK)
        return status;
    const size_t rows = (n + COLUMNS - 1) / COLUMNS;
    cairo_surface_t *tall =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, COLUMNS * CELL,
                                   (int)rows * (PICTURE + MOST_TEXT + MARGIN) + MARGIN);
    cairo_t *cr = cairo_create(tall);
    double height = 0;
    tl_scene_stream stream;
    status = tl_scene_stream_init(&stream, options, seed, err);
    if (status == TL_OK) {
        status = fill_page(options, n, painter, &stream, cr, &height, err);
        tl_scene_stream_release(&stream);
    }
    cairo_destroy(cr);
    if (status == TL_OK) { /* the part of it that was written on */
        cairo_surface_t *page =
            cairo_image_surface_create(CAIRO_FORMAT_RGB24, COLUMNS * CELL, (int)height);
        cr = cairo_create(page);
        cairo_set_source_surface(cr, tall, 0, 0);
        cairo_paint(cr);
        cairo_destroy(cr);
        status = tl_paint_png(page, path, err);
        cairo_surface_destroy(page);
    }
    cairo_surface_destroy(tall);
    tl_painter_destroy(painter);
    return status;
}
