/* SPDX-License-Identifier: MIT
 *
 * svg.h - drawing: shapes and words as SVG, complete in itself (no style sheet, no
 * font file), so that a plot can be taken out of a page and put into a paper.
 *
 *     tl_svg_begin(out, "curve-text", 340, 240, "Faithfulness", "text prompts");
 *     tl_svg_line(out, 0, 0, 10, 10, &(tl_ink){.stroke = "#000"});
 *     tl_svg_end(out);
 *
 * Coordinates are pixels, y grows downwards. Everything is written to a stream of the
 * caller, who asks it for errors when closing it.
 */
#ifndef TWINLENS_REPORT_SVG_H
#define TWINLENS_REPORT_SVG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The two modalities and what they are compared with; told apart without colour by
 * their dashes and marks. @source Okabe and Ito, colour universal design */
#define TL_COLOR_TEXT "#0072b2"
#define TL_COLOR_IMAGE "#d55e00"
#define TL_COLOR_OTHER "#00795a"
#define TL_COLOR_RANDOM "#767676"
#define TL_COLOR_LINE "#333333"
#define TL_COLOR_GRID "#dddddd"

typedef struct tl_ink {
    const char *stroke, *fill; /* NULL: none */
    double width;              /* of the stroke; 0: 1 */
    const char *dash;          /* "4 2"; NULL: whole */
    double opacity;            /* of the fill; 0: 1 */
    const char *title;         /* shown where the pointer rests; NULL: nothing */
} tl_ink;

typedef enum tl_anchor { TL_ANCHOR_START, TL_ANCHOR_MIDDLE, TL_ANCHOR_END } tl_anchor;

typedef struct tl_font {
    double size; /* 0: 11 */
    tl_anchor anchor;
    const char *color; /* NULL: nearly black */
    double turn;       /* degrees, clockwise */
    int bold;
} tl_font;

/* `name` makes ids unique in a page. Title and description are for screen readers. */
void tl_svg_begin(FILE *out, const char *name, double width, double height,
                  const char *title, const char *description);
void tl_svg_end(FILE *out);

/* What follows, up to the end of the group, as one thing that a page can show and hide by its
 * class. A drawing by itself shows those that are not hidden. */
void tl_svg_group(FILE *out, const char *class_name, bool is_hidden);
/* In units of width and height, from x, y on: short numbers where there are many. */
void tl_svg_group_scaled(FILE *out, double x, double y, double width, double height);
/* Shapes that are not seen, but whose titles are shown where the pointer rests. */
void tl_svg_group_titles(FILE *out);
void tl_svg_group_end(FILE *out);

void tl_svg_line(FILE *out, double x1, double y1, double x2, double y2,
                 const tl_ink *ink);
void tl_svg_rect(FILE *out, double x, double y, double width, double height,
                 const tl_ink *ink);
/* Many rectangles in one ink, as one path: begin, any number, end. */
void tl_svg_rects_begin(FILE *out, const tl_ink *ink);
void tl_svg_rects_add(FILE *out, double x, double y, double width, double height);
void tl_svg_rects_end(FILE *out);
/* Outlines of n squares about their middles, on a lighter line, so that they are seen on any
 * picture and hide nothing of it. `id` is unique in a page. */
void tl_svg_outlines(FILE *out, const char *id, const double *x, const double *y,
                     const double *side, size_t n, const char *color);
/* Through n points; those that are NaN break it. */
void tl_svg_path(FILE *out, const double *x, const double *y, size_t n,
                 const tl_ink *ink);
/* Between `low` and `high`. */
void tl_svg_band(FILE *out, const double *x, const double *low, const double *high,
                 size_t n, const tl_ink *ink);

typedef enum tl_mark {
    TL_MARK_CIRCLE,
    TL_MARK_SQUARE,
    TL_MARK_DIAMOND,
    TL_MARK_CROSS
} tl_mark;
void tl_svg_mark(FILE *out, tl_mark mark, double x, double y, double radius,
                 const tl_ink *ink);

void tl_svg_text(FILE *out, double x, double y, const char *text, const tl_font *font);

/* A file's bytes as a picture; `type` such as "image/png". `name` is unique in a page: by it
 * the same picture is drawn again elsewhere in the drawing. */
void tl_svg_image(FILE *out, const char *name, double x, double y, double width,
                  double height, const char *type, const void *bytes, size_t n_bytes);
void tl_svg_image_again(FILE *out, const char *name, double x, double y);

/* Text for XML: <, >, &, quotes escaped; what is no UTF-8 or cannot stand in XML becomes
 * U+FFFD, a line's end "\n" in two characters. */
void tl_xml_text(FILE *out, const char *text);

void tl_base64(FILE *out, const void *bytes, size_t n_bytes);

#endif
