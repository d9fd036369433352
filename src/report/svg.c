/* SPDX-License-Identifier: MIT
 * svg.c - see svg.h. */
#include "report/svg.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- text ------------------------------------------------------------------------ */

/* Bytes of the UTF-8 character at `s`; 0 if it is none that XML can hold. */
static size_t character_bytes(const unsigned char *s)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t n = s[0] < 0x80             ? 1
                     : (s[0] & 0xe0) == 0xc0 ? 2
                     : (s[0] & 0xf0) == 0xe0 ? 3
                     : (s[0] & 0xf8) == 0xf0 ? 4
                                             : 0;
    if (n <= 1)
        return n == 1 && s[0] >= 0x20 && s[0] != 0x7f ? 1 : 0;
    uint32_t code = s[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    const bool is_surrogate = code >= 0xd800 && code < 0xe000;
    const bool is_control = code >= 0x80 && code < 0xa0;
    const bool is_nothing =
        (code & 0xfffe) == 0xfffe || (code >= 0xfdd0 && code < 0xfdf0);
    return code < least[n] || code > 0x10ffff || is_surrogate || is_control ||
                   is_nothing
               ? 0
               : n;
}

void tl_xml_text(FILE *out, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    while (*s != '\0') {
        const size_t n = character_bytes(s);
        if (*s == '\n')
            fputs("\\n", out);
        else if (*s == '\t')
            fputs("\\t", out);
        else if (*s == '<')
            fputs("&lt;", out);
        else if (*s == '>')
            fputs("&gt;", out);
        else if (*s == '&')
            fputs("&amp;", out);
        else if (*s == '"')
            fputs("&quot;", out);
        else if (n == 0)
            fputs("\xef\xbf\xbd", out);
        else
            fwrite(s, 1, n, out);
        s += n > 0 ? n : 1;
    }
}

void tl_base64(FILE *out, const void *bytes, size_t n_bytes)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n_bytes; i += 3) {
        const size_t n = n_bytes - i < 3 ? n_bytes - i : 3;
        const uint32_t group = (uint32_t)b[i] << 16 |
                               (n > 1 ? (uint32_t)b[i + 1] << 8 : 0) |
                               (n > 2 ? (uint32_t)b[i + 2] : 0);
        for (size_t k = 0; k < 4; k++)
            fputc(k <= n ? digits[group >> (18 - 6 * k) & 63] : '=', out);
    }
}

/* ---- numbers --------------------------------------------------------------------- */

/* A coordinate: at most one digit behind the point. */
static void put(FILE *out, double value)
{
    const double tenths = round(value * 10.0);
    if (fmod(tenths, 10.0) == 0.0)
        fprintf(out, "%.0f", tenths / 10.0 + 0.0);
    else
        fprintf(out, "%.1f", tenths / 10.0);
}

static void attribute(FILE *out, const char *name, double value)
{
    fprintf(out, " %s=\"", name);
    put(out, value);
    fputc('"', out);
}

static void put_ink(FILE *out, const tl_ink *ink)
{
    fprintf(out, " fill=\"%s\"", ink->fill != NULL ? ink->fill : "none");
    if (ink->fill != NULL && ink->opacity > 0.0)
        fprintf(out, " fill-opacity=\"%.2g\"", ink->opacity);
    if (ink->stroke == NULL)
        return;
    fprintf(out, " stroke=\"%s\"", ink->stroke);
    if (ink->width > 0.0 && ink->width != 1.0)
        attribute(out, "stroke-width", ink->width);
    if (ink->dash != NULL)
        fprintf(out, " stroke-dasharray=\"%s\"", ink->dash);
}

/* The end of an element, with its title in it. */
static void close_element(FILE *out, const char *element, const tl_ink *ink)
{
    if (ink->title == NULL) {
        fputs("/>\n", out);
        return;
    }
    fputs("><title>", out);
    tl_xml_text(out, ink->title);
    fprintf(out, "</title></%s>\n", element);
}

/* ---- the drawing ----------------------------------------------------------------- */

void tl_svg_begin(FILE *out, const char *name, double width, double height,
                  const char *title, const char *description)
{
    fputs("<svg xmlns=\"http://www.w3.org/2000/svg\"", out);
    attribute(out, "width", width);
    attribute(out, "height", height);
    fputs(" viewBox=\"0 0 ", out);
    put(out, width);
    fputc(' ', out);
    put(out, height);
    fprintf(out,
            "\" role=\"img\" aria-labelledby=\"%s-t %s-d\" "
            "font-family=\"system-ui, Helvetica, Arial, sans-serif\">\n<title "
            "id=\"%s-t\">",
            name, name, name);
    tl_xml_text(out, title);
    fprintf(out, "</title>\n<desc id=\"%s-d\">", name);
    tl_xml_text(out, description);
    fputs("</desc>\n", out);
}

void tl_svg_end(FILE *out)
{
    fputs("</svg>\n", out);
}

void tl_svg_group(FILE *out, const char *class_name, bool is_hidden)
{
    fprintf(out, "<g class=\"%s\"%s>\n", class_name,
            is_hidden ? " display=\"none\"" : "");
}

void tl_svg_group_scaled(FILE *out, double x, double y, double width, double height)
{
    fputs("<g transform=\"translate(", out);
    put(out, x);
    fputc(' ', out);
    put(out, y);
    fprintf(out, ") scale(%.6g %.6g)\">\n", width, height);
}

void tl_svg_group_titles(FILE *out)
{
    fputs("<g pointer-events=\"all\">\n", out);
}

void tl_svg_group_end(FILE *out)
{
    fputs("</g>\n", out);
}

/* ---- shapes ---------------------------------------------------------------------- */

void tl_svg_line(FILE *out, double x1, double y1, double x2, double y2,
                 const tl_ink *ink)
{
    fputs("<line", out);
    attribute(out, "x1", x1);
    attribute(out, "y1", y1);
    attribute(out, "x2", x2);
    attribute(out, "y2", y2);
    put_ink(out, ink);
    close_element(out, "line", ink);
}

void tl_svg_rect(FILE *out, double x, double y, double width, double height,
                 const tl_ink *ink)
{
    fputs("<rect", out);
    attribute(out, "x", x);
    attribute(out, "y", y);
    attribute(out, "width", width);
    attribute(out, "height", height);
    put_ink(out, ink);
    close_element(out, "rect", ink);
}

static void put_point(FILE *out, char command, double x, double y)
{
    fputc(command, out);
    put(out, x);
    fputc(' ', out);
    put(out, y);
}

void tl_svg_rects_begin(FILE *out, const tl_ink *ink)
{
    fputs("<path", out);
    put_ink(out, ink);
    fputs(" d=\"", out);
}

void tl_svg_rects_add(FILE *out, double x, double y, double width, double height)
{
    const char commands[] = {'h', 'v', 'h'};
    const double steps[] = {width, height, -width};
    put_point(out, 'M', x, y);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        fputc(commands[i], out);
        put(out, steps[i]);
    }
    fputc('z', out);
}

void tl_svg_rects_end(FILE *out)
{
    fputs("\"/>\n", out);
}

void tl_svg_outlines(FILE *out, const char *id, const double *x, const double *y,
                     const double *side, size_t n, const char *color)
{
    const tl_ink lines[] = {{.stroke = "#fffffe", .width = 4.0},
                            {.stroke = color, .width = 1.8}};
    if (n == 0)
        return;
    fprintf(out, "<defs><path id=\"%s\" d=\"", id);
    for (size_t i = 0; i < n; i++)
        tl_svg_rects_add(out, x[i] - side[i] / 2, y[i] - side[i] / 2, side[i], side[i]);
    fputs("\"/></defs>\n", out);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        fprintf(out, "<use href=\"#%s\"", id);
        put_ink(out, &lines[i]);
        fputs("/>\n", out);
    }
}

void tl_svg_path(FILE *out, const double *x, const double *y, size_t n,
                 const tl_ink *ink)
{
    bool down = false, any = false;
    for (size_t i = 0; i < n; i++)
        any = any || !(isnan(x[i]) || isnan(y[i]));
    if (!any)
        return;
    fputs("<path d=\"", out);
    for (size_t i = 0; i < n; i++) {
        const bool hole = isnan(x[i]) || isnan(y[i]);
        if (!hole)
            put_point(out, down ? 'L' : 'M', x[i], y[i]);
        down = !hole;
    }
    fputs("\" stroke-linejoin=\"round\"", out);
    put_ink(out, ink);
    close_element(out, "path", ink);
}

void tl_svg_band(FILE *out, const double *x, const double *low, const double *high,
                 size_t n, const tl_ink *ink)
{
    size_t first = 0;
    while (first < n) { /* from hole to hole */
        size_t end = first;
        while (end < n && !isnan(low[end]) && !isnan(high[end]))
            end++;
        if (end - first > 1) {
            fputs("<path d=\"", out);
            for (size_t i = first; i < end; i++)
                put_point(out, i > first ? 'L' : 'M', x[i], high[i]);
            for (size_t i = end; i-- > first;)
                put_point(out, 'L', x[i], low[i]);
            fputs("Z\"", out);
            put_ink(out, ink);
            close_element(out, "path", ink);
        }
        first = end + 1;
    }
}

void tl_svg_mark(FILE *out, tl_mark mark, double x, double y, double r,
                 const tl_ink *ink)
{
    const char *element = "path";
    if (isnan(x) || isnan(y))
        return;
    switch (mark) {
    case TL_MARK_CIRCLE:
        element = "circle";
        fputs("<circle", out);
        attribute(out, "cx", x);
        attribute(out, "cy", y);
        attribute(out, "r", r);
        break;
    case TL_MARK_SQUARE:
        element = "rect";
        fputs("<rect", out);
        attribute(out, "x", x - r);
        attribute(out, "y", y - r);
        attribute(out, "width", 2 * r);
        attribute(out, "height", 2 * r);
        break;
    case TL_MARK_DIAMOND:
    case TL_MARK_CROSS:
        fputs("<path d=\"", out);
        if (mark == TL_MARK_DIAMOND) {
            put_point(out, 'M', x, y - 1.3 * r);
            put_point(out, 'L', x + 1.3 * r, y);
            put_point(out, 'L', x, y + 1.3 * r);
            put_point(out, 'L', x - 1.3 * r, y);
            fputs("Z", out);
        } else {
            put_point(out, 'M', x - r, y - r);
            put_point(out, 'L', x + r, y + r);
            put_point(out, 'M', x - r, y + r);
            put_point(out, 'L', x + r, y - r);
        }
        fputc('"', out);
        break;
    }
    put_ink(out, ink);
    close_element(out, element, ink);
}

void tl_svg_text(FILE *out, double x, double y, const char *text, const tl_font *font)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    fputs("<text", out);
    attribute(out, "x", x);
    attribute(out, "y", y);
    attribute(out, "font-size", font->size > 0.0 ? font->size : 11.0);
    fprintf(out, " fill=\"%s\"", font->color != NULL ? font->color : "#222222");
    if (font->anchor != TL_ANCHOR_START)
        fprintf(out, " text-anchor=\"%s\"", anchors[font->anchor]);
    if (font->bold)
        fputs(" font-weight=\"bold\"", out);
    if (font->turn != 0.0) {
        fputs(" transform=\"rotate(", out);
        put(out, font->turn);
        fputc(' ', out);
        put(out, x);
        fputc(' ', out);
        put(out, y);
        fputs(")\"", out);
    }
    fputc('>', out);
    tl_xml_text(out, text);
    fputs("</text>\n", out);
}

void tl_svg_image(FILE *out, const char *name, double x, double y, double width,
                  double height, const char *type, const void *bytes, size_t n_bytes)
{
    fprintf(out, "<defs><image id=\"%s-i\"", name);
    attribute(out, "width", width);
    attribute(out, "height", height);
    fprintf(out, " preserveAspectRatio=\"none\" href=\"data:%s;base64,", type);
    tl_base64(out, bytes, n_bytes);
    fputs("\"/></defs>\n", out);
    tl_svg_image_again(out, name, x, y);
}

void tl_svg_image_again(FILE *out, const char *name, double x, double y)
{
    fprintf(out, "<use href=\"#%s-i\"", name);
    attribute(out, "x", x);
    attribute(out, "y", y);
    fputs("/>\n", out);
}
