/* SPDX-License-Identifier: MIT
 * draw_pictures.c - the score of each image position over the image it came from. */
#include <math.h>

#include "base/csv_write.h"
#include "report/draw.h"
#include "report/figure.h"

enum { BANDS = TL_FINDING_BANDS, WIDTH = 210, GAP = 12, TOP = 40 };

/* Of a picture that is cut into tiles the second view is itself, made small. */
static const char *const view_names[] = {"", "  (the picture as a whole)"};
static const char *const band_names[BANDS] = {"early", "middle", "late"};

/* The area of a square is the score. */
static void draw_squares(const tl_finding_picture *f, size_t band, double x,
                         double cell, FILE *out)
{
    const tl_ink ink = {
        .stroke = "#000000", .fill = TL_COLOR_IMAGE, .width = 0.8, .opacity = 0.7};
    for (size_t i = 0; i < f->n_rows * f->n_columns; i++) {
        const double side =
            f->most > 0.0 ? cell * sqrt(f->bands[band][i] / f->most) : 0.0;
        if (side < 0.8)
            continue;
        tl_svg_rect(out, x + ((double)(i % f->n_columns) + 0.5) * cell - side / 2,
                    TOP + ((double)(i / f->n_columns) + 0.5) * cell - side / 2, side,
                    side, &ink);
    }
}

static void draw_picture(const tl_finding_picture *f, size_t index, tl_figure *figure)
{
    const tl_study_picture *p = f->row;
    FILE *out = figure->panels;
    const double cell = (double)WIDTH / (double)f->n_columns,
                 height = cell * (double)f->n_rows;
    char name[32], text[160];
    snprintf(name, sizeof name, "%zu", index);
    snprintf(text, sizeof text, "%.60s  Answer: %.20s; counterfactual: %.20s%s",
             p->query, p->answer, p->counterfactual, view_names[f->view > 0]);
    tl_svg_begin(out, tl_figure_panel(figure, name), BANDS * WIDTH + (BANDS - 1) * GAP,
                 TOP + height + 4, p->id,
                 "An image three times, with squares as large as the scores of its "
                 "positions in early, middle and late layers");
    tl_svg_text(out, 2, 13, text, &(tl_font){.size = 12, .bold = 1});
    for (size_t b = 0; b < BANDS; b++) {
        const double x = (double)b * (WIDTH + GAP);
        snprintf(text, sizeof text, "%s: layers %zu to %zu", band_names[b],
                 f->first_layer[b], f->first_layer[b + 1] - 1);
        tl_svg_text(out, x + 2, TOP - 6, text, &(tl_font){0});
        tl_svg_image(out, x, TOP, WIDTH, height, p->type, p->bytes, p->n_bytes);
        tl_svg_rect(out, x, TOP, WIDTH, height,
                    &(tl_ink){.fill = "#ffffff", .opacity = 0.4});
        draw_squares(f, b, x, cell, out);
        tl_svg_rect(out, x, TOP, WIDTH, height, &(tl_ink){.stroke = TL_COLOR_LINE});
    }
    tl_svg_end(out);
    for (size_t b = 0; b < BANDS; b++)
        for (size_t i = 0; i < f->n_rows * f->n_columns; i++) {
            tl_csv_write_text(figure->csv, p->id);
            fprintf(figure->csv, ",%zu,%s,%zu,%zu,%.9g\r\n", f->view, band_names[b],
                    i / f->n_columns, i % f->n_columns, f->bands[b][i]);
        }
}

tl_status tl_draw_pictures(const tl_findings *f, const char *prefix, FILE *page,
                           tl_error *err)
{
    tl_figure figure = {.page = prefix,
                        .name = "pictures",
                        .title = "Circuits on the picture",
                        .is_wide = true};
    if (f->n_pictures == 0)
        return TL_OK;
    const tl_status status = tl_figure_begin(&figure, err);
    if (status != TL_OK)
        return status;
    size_t n_prompts = 0;
    for (size_t i = 0; i < f->n_pictures; i++)
        n_prompts += f->pictures[i].view == 0;
    fputs("prompt,view,band,row,column,score\r\n", figure.csv);
    for (size_t i = 0; i < f->n_pictures; i++)
        if (f->pictures[i].first_layer[BANDS] >= BANDS)
            draw_picture(&f->pictures[i], i, &figure);
    fprintf(
        figure.caption,
        "The first %zu discovery prompts, each with its own attribution scores: a "
        "square for each image position, its area the score of all heads and neurons "
        "there, in the layers named; one scale per prompt.",
        n_prompts);
    if (n_prompts < f->n_pictures)
        fputs(" A picture that the model sees in tiles and small as a whole is drawn "
              "for both.",
              figure.caption);
    return tl_figure_end(&figure, page, TL_OK, err);
}
