/* SPDX-License-Identifier: MIT
 * figure.c - see figure.h. */
#include "report/figure.h"

#include <stdlib.h>

#include "base/csv_write.h"

const char *const tl_figure_choices[TL_FIGURE_CHOICES] = {"for-0", "for-1", "for-2",
                                                          "for-3"};

enum { PANELS, CAPTION, CSV, TEXTS };

static FILE **stream_of(tl_figure *figure, size_t i)
{
    FILE **const streams[TEXTS] = {&figure->panels, &figure->caption, &figure->csv};
    return streams[i];
}

tl_status tl_figure_begin(tl_figure *figure, tl_error *err)
{
    bool all = true;
    for (size_t i = 0; i < TEXTS; i++) {
        *stream_of(figure, i) = open_memstream(&figure->texts[i], &figure->bytes[i]);
        all = all && *stream_of(figure, i) != NULL;
    }
    if (all)
        return TL_OK;
    (void)tl_figure_end(figure, NULL, TL_ERR_NO_MEMORY, err);
    return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a figure");
}

const char *tl_figure_panel(tl_figure *figure, const char *name)
{
    figure->n_panels++;
    snprintf(figure->panel, sizeof figure->panel, "%s%s-%s", figure->page, figure->name,
             name);
    return figure->panel;
}

void tl_figure_interval(tl_figure *figure, const tl_interval *i)
{
    const double numbers[] = {i->value, i->low, i->high};
    for (size_t k = 0; k < 3; k++) {
        tl_csv_write_number(figure->csv, 7, numbers[k]);
        fputc(',', figure->csv);
    }
    fprintf(figure->csv, "%zu,%zu\r\n", i->n, i->n_undefined);
    figure->n_incomplete += i->n_undefined > 0;
}

/* Buttons of which one is pressed. They stand beside the drawings, not around or within, so that
 * a style sheet can tell from them what to show (page_style.c). */
static void write_switch(const tl_figure *f, FILE *page)
{
    fprintf(page, "<span class=\"asks\" id=\"%s%s-asks\">%s:</span>\n", f->page,
            f->name, f->asks);
    for (size_t i = 0; i < f->n_choices; i++)
        fprintf(page,
                "<input type=\"radio\" name=\"%s%s-shown\" id=\"%s%s-pick-%zu\" "
                "class=\"pick-%zu\" aria-describedby=\"%s%s-asks\"%s>"
                "<label for=\"%s%s-pick-%zu\">%s</label>\n",
                f->page, f->name, f->page, f->name, i, i, f->page, f->name,
                i == 0 ? " checked" : "", f->page, f->name, i, f->choices[i]);
}

static void write_figure(const tl_figure *f, FILE *page)
{
    fprintf(page, "<figure id=\"%s%s\" class=\"%s\">\n<h3>", f->page, f->name,
            f->is_wide                                  ? "wide"
            : f->n_panels % 2 == 1 && f->n_choices == 0 ? "odd"
                                                        : "even");
    tl_xml_text(page, f->title);
    fputs("</h3>\n", page);
    if (f->n_choices > 0)
        write_switch(f, page);
    /* What can be scrolled can be reached by the keyboard. */
    fprintf(page, "<div class=\"panels\"%s>\n",
            f->is_wide ? " tabindex=\"0\" role=\"group\" aria-label=\"drawings\"" : "");
    fwrite(f->texts[PANELS], 1, f->bytes[PANELS], page);
    fputs("</div>\n<figcaption>", page);
    fwrite(f->texts[CAPTION], 1, f->bytes[CAPTION], page);
    if (f->n_incomplete > 0)
        fprintf(page,
                " %zu of these intervals leave out bootstrap resamples that have no "
                "value; how "
                "many is in the CSV.",
                f->n_incomplete);
    if (f->n_open > 0)
        fprintf(
            page,
            " An arrow at the edge of a plot, %zu of them: a value, or the end of an "
            "interval, lies beyond the axis; the number beside it, or else the "
            "pointer, says where.",
            f->n_open);
    fprintf(page, " <a download=\"%s%s.csv\" href=\"data:text/csv;base64,", f->page,
            f->name);
    tl_base64(page, f->texts[CSV], f->bytes[CSV]);
    fputs("\">Numbers (CSV)</a></figcaption>\n</figure>\n", page);
}

tl_status tl_figure_end(tl_figure *figure, FILE *page, tl_status status, tl_error *err)
{
    bool failed = false;
    for (size_t i = 0; i < TEXTS; i++) {
        FILE **const stream = stream_of(figure, i);
        failed = (*stream != NULL && fclose(*stream) != 0) || failed;
        *stream = NULL;
    }
    if (status == TL_OK && failed)
        status =
            tl_fail(err, TL_ERR_NO_MEMORY, "no memory for figure %s", figure->name);
    if (status == TL_OK)
        write_figure(figure, page);
    for (size_t i = 0; i < TEXTS; i++) {
        free(figure->texts[i]);
        figure->texts[i] = NULL;
    }
    return status;
}
