/* SPDX-License-Identifier: MIT
 * draw_pictures.c - over the image they came from: the score of each image position, and the
 * heads and neurons of the circuit there. */
#include <math.h>
#include <string.h>

#include "base/csv_write.h"
#include "report/draw.h"
#include "report/figure.h"

enum { BANDS = TL_FINDING_BANDS, WIDTH = 220, GAP = 12, TOP = 66, MOST_CELLS = 4096 };

/* Of a picture that is cut into tiles the second view is itself, made small. */
static const char *const view_names[] = {"", "  (the picture as a whole)"};
static const char *const band_names[BANDS] = {"early", "middle", "late"};
static const char *const choices[BANDS + 1] = {"all layers", "early layers",
                                               "middle layers", "late layers"};

/* One picture on the page. */
typedef struct picture {
    const tl_finding_picture *f;
    FILE *out;
    const char *name;
    double cell, height;
    double most_score, most[TL_KIND_COUNT]; /* of a position, in all layers together */
} picture;

static size_t count_cells(const tl_finding_picture *f)
{
    return f->n_rows * f->n_columns;
}

/* Choice 0 is all bands, the others one each. */
static double score_at(const tl_finding_picture *f, size_t choice, size_t i)
{
    double sum = 0.0;
    for (size_t b = 0; b < BANDS; b++)
        sum += choice == 0 || choice == b + 1 ? f->bands[b][i] : 0.0;
    return sum;
}

static size_t count_at(const tl_finding_picture *f, size_t choice, size_t kind,
                       size_t i)
{
    size_t sum = 0;
    for (size_t b = 0; b < BANDS; b++)
        sum += choice == 0 || choice == b + 1 ? f->circuit[b][kind][i] : 0;
    return sum;
}

static double x_of(const picture *p, double left, size_t i)
{
    return left + ((double)(i % p->f->n_columns) + 0.5) * p->cell;
}

static double y_of(const picture *p, size_t i)
{
    return TOP + ((double)(i / p->f->n_columns) + 0.5) * p->cell;
}

/* Squares whose area is the value; too small ones are left out. */
static void draw_squares(const picture *p, const char *what, size_t choice, double left,
                         const double *values, double most, const char *color)
{
    double x[MOST_CELLS], y[MOST_CELLS], side[MOST_CELLS];
    size_t n = 0;
    char id[120];
    for (size_t i = 0; i < count_cells(p->f); i++) {
        const double s = most > 0.0 ? 0.94 * p->cell * sqrt(values[i] / most) : 0.0;
        if (s < 1.5)
            continue;
        x[n] = x_of(p, left, i);
        y[n] = y_of(p, i);
        side[n++] = s;
    }
    snprintf(id, sizeof id, "%s-%s-%zu", p->name, what, choice);
    tl_svg_outlines(p->out, id, x, y, side, n, color);
}

static void draw_scores(const picture *p, size_t choice)
{
    double values[MOST_CELLS];
    for (size_t i = 0; i < count_cells(p->f); i++)
        values[i] = score_at(p->f, choice, i);
    draw_squares(p, "score", choice, 0, values, p->most_score, "#b84a00");
}

/* Neurons as squares, heads as dots in them. */
static void draw_circuit(const picture *p, size_t choice)
{
    const double left = WIDTH + GAP;
    double values[MOST_CELLS];
    for (size_t i = 0; i < count_cells(p->f); i++)
        values[i] = (double)count_at(p->f, choice, TL_KIND_NEURONS, i);
    draw_squares(p, "circuit", choice, left, values, p->most[TL_KIND_NEURONS],
                 "#005a9e");
    for (size_t i = 0; i < count_cells(p->f); i++) {
        const double n = (double)count_at(p->f, choice, TL_KIND_HEADS, i),
                     most = p->most[TL_KIND_HEADS];
        if (n > 0.0)
            tl_svg_mark(p->out, TL_MARK_CIRCLE, x_of(p, left, i), y_of(p, i),
                        fmax(1.5, 0.22 * p->cell * sqrt(n / most)),
                        &(tl_ink){.stroke = "#fffffe", .fill = "#005a9e"});
    }
}

/* What the pointer finds at each position. */
static void draw_values(const picture *p)
{
    char title[200];
    tl_svg_group_titles(p->out);
    for (size_t i = 0; i < count_cells(p->f); i++) {
        const double y = y_of(p, i) - p->cell / 2, half = p->cell / 2;
        const tl_ink ink = {.title = title};
        int used =
            snprintf(title, sizeof title, "row %zu, column %zu: score %.3g",
                     i / p->f->n_columns, i % p->f->n_columns, score_at(p->f, 0, i));
        for (size_t b = 0; b < BANDS; b++)
            used += snprintf(title + used, sizeof title - (size_t)used, ", %s %.3g",
                             band_names[b], p->f->bands[b][i]);
        tl_svg_rect(p->out, x_of(p, 0, i) - half, y, p->cell, p->cell, &ink);
        if (p->f->circuit[0][TL_KIND_HEADS] == NULL)
            continue;
        used =
            snprintf(title, sizeof title, "row %zu, column %zu:", i / p->f->n_columns,
                     i % p->f->n_columns);
        for (size_t b = 0; b < BANDS; b++)
            used += snprintf(title + used, sizeof title - (size_t)used,
                             "%s %s %zu heads, %zu neurons", b > 0 ? ";" : "",
                             band_names[b], p->f->circuit[b][TL_KIND_HEADS][i],
                             p->f->circuit[b][TL_KIND_NEURONS][i]);
        tl_svg_rect(p->out, x_of(p, WIDTH + GAP, i) - half, y, p->cell, p->cell, &ink);
    }
    tl_svg_group_end(p->out);
}

static void draw_panel(const picture *p, double left, const char *title)
{
    tl_svg_text(p->out, left + 2, TOP - 6, title, &(tl_font){0});
    tl_svg_rect(p->out, left, TOP, WIDTH, p->height,
                &(tl_ink){.stroke = TL_COLOR_LINE});
}

/* The two panels, with the layers of each choice. */
static void draw_panels(const picture *p)
{
    const bool has_circuit = p->f->circuit[0][TL_KIND_HEADS] != NULL;
    const tl_study_picture *row = p->f->row;
    tl_svg_image(p->out, p->name, 0, TOP, WIDTH, p->height, row->type, row->bytes,
                 row->n_bytes);
    draw_panel(p, 0, "scores of this prompt");
    if (has_circuit) {
        tl_svg_image_again(p->out, p->name, WIDTH + GAP, TOP);
        draw_panel(p, WIDTH + GAP, "circuit of all image prompts");
    }
    for (size_t choice = 0; choice <= BANDS; choice++) {
        const size_t first = choice == 0 ? 0 : p->f->first_layer[choice - 1],
                     end = p->f->first_layer[choice == 0 ? BANDS : choice];
        char text[64];
        tl_svg_group(p->out, tl_figure_choices[choice], choice > 0);
        snprintf(text, sizeof text, "%s: %zu to %zu", choices[choice], first, end - 1);
        tl_svg_text(p->out, 2, 46, text, &(tl_font){0});
        draw_scores(p, choice);
        if (has_circuit)
            draw_circuit(p, choice);
        tl_svg_group_end(p->out);
    }
    draw_values(p);
}

static void write_csv(const tl_finding_picture *f, FILE *csv)
{
    for (size_t b = 0; b < BANDS; b++)
        for (size_t i = 0; i < count_cells(f); i++) {
            tl_csv_write_text(csv, f->row->id);
            fprintf(csv, ",%zu,%s,%zu,%zu,%.9g", f->view, band_names[b],
                    i / f->n_columns, i % f->n_columns, f->bands[b][i]);
            for (size_t k = 0; k < TL_KIND_COUNT; k++)
                if (f->circuit[b][k] != NULL)
                    fprintf(csv, ",%zu", f->circuit[b][k][i]);
                else
                    fputc(',', csv);
            fputs("\r\n", csv);
        }
}

static void draw_picture(const tl_finding_picture *f, size_t index, tl_figure *figure)
{
    const tl_study_picture *row = f->row;
    char number[32], text[160];
    const double cell = (double)WIDTH / (double)f->n_columns;
    snprintf(number, sizeof number, "%zu", index);
    picture p = {.f = f,
                 .out = figure->panels,
                 .name = tl_figure_panel(figure, number),
                 .cell = cell,
                 .height = cell * (double)f->n_rows};
    for (size_t i = 0; i < count_cells(f); i++) {
        p.most_score = fmax(p.most_score, score_at(f, 0, i));
        for (size_t k = 0; k < TL_KIND_COUNT && f->circuit[0][k] != NULL; k++)
            p.most[k] = fmax(p.most[k], (double)count_at(f, 0, k, i));
    }
    tl_svg_begin(
        p.out, p.name, 2 * WIDTH + GAP + 2, TOP + p.height + 4, row->id,
        "An image twice: with squares as large as the scores of its positions, "
        "and with the heads and neurons of the circuit there");
    snprintf(text, sizeof text, "%.68s", row->query);
    tl_svg_text(p.out, 2, 13, text, &(tl_font){.size = 11.5, .bold = 1});
    snprintf(text, sizeof text, "answer: %.16s; counterfactual: %.16s%s", row->answer,
             row->counterfactual, view_names[f->view > 0]);
    tl_svg_text(p.out, 2, 29, text, &(tl_font){0});
    draw_panels(&p);
    tl_svg_end(p.out);
    write_csv(f, figure->csv);
}

static void write_caption(const tl_findings *f, size_t n_prompts, size_t n_circuits,
                          FILE *out)
{
    fprintf(
        out,
        "Left: %zu discovery prompts, each with its own attribution scores. The "
        "area of a square is the score of all heads and neurons at that image "
        "position, in the layers that are chosen above; one scale for each prompt. ",
        n_prompts);
    if (n_circuits > 0)
        fprintf(out,
                "Right: the smallest faithful circuit, which is one for all image "
                "prompts. The area of a square is how many of its neurons are at that "
                "position, that of a dot how many of its heads. ");
    if (n_circuits < f->n_pictures)
        fprintf(out,
                "%s without the circuit: it is not known, or the picture is cut into "
                "tiles. ",
                n_circuits > 0 ? "Some are" : "All are");
    if (n_prompts < f->n_pictures)
        fputs(
            "A picture that the model sees in tiles and small as a whole is drawn for "
            "both. ",
            out);
    fputs("Layers are counted from 0.", out);
}

tl_status tl_draw_pictures(const tl_findings *f, const char *prefix, FILE *page,
                           tl_error *err)
{
    tl_figure figure = {.page = prefix,
                        .name = "pictures",
                        .title = "Circuits on the picture",
                        .asks = "Layers shown",
                        .choices = choices,
                        .n_choices = BANDS + 1};
    size_t n_prompts = 0, n_circuits = 0;
    if (f->n_pictures == 0)
        return TL_OK;
    const tl_status status = tl_figure_begin(&figure, err);
    if (status != TL_OK)
        return status;
    fputs("prompt,view,band,row,column,score,circuit_heads,circuit_neurons\r\n",
          figure.csv);
    for (size_t i = 0; i < f->n_pictures; i++) {
        const tl_finding_picture *p = &f->pictures[i];
        n_prompts += p->view == 0;
        n_circuits += p->circuit[0][TL_KIND_HEADS] != NULL;
        if (p->first_layer[BANDS] >= BANDS && count_cells(p) <= MOST_CELLS)
            draw_picture(p, i, &figure);
    }
    write_caption(f, n_prompts, n_circuits, figure.caption);
    return tl_figure_end(&figure, page, TL_OK, err);
}
