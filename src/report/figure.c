/* SPDX-License-Identifier: MIT
 * figure.c - see figure.h. */
#include "report/figure.h"

#include <stdlib.h>

#include "base/csv_write.h"

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
    snprintf(figure->panel, sizeof figure->panel, "%s%s-%s", figure->page, figure->name,
             name);
    return figure->panel;
}

void tl_figure_interval(tl_figure *figure, const tl_interval *i)
{
    const double numbers[] = {i->value, i->low, i->high};
    for (size_t k = 0; k < 3; k++) {
        tl_csv_write_number(figure->csv, 9, numbers[k]);
        fputc(',', figure->csv);
    }
    fprintf(figure->csv, "%zu,%zu\r\n", i->n, i->n_undefined);
    figure->n_incomplete += i->n_undefined > 0;
}

static void write_figure(const tl_figure *f, FILE *page)
{
    fprintf(page, "<figure id=\"%s%s\">\n<h3>", f->page, f->name);
    tl_xml_text(page, f->title);
    fprintf(page, "</h3>\n<div class=\"%s\">\n", f->is_wide ? "wide" : "panels");
    fwrite(f->texts[PANELS], 1, f->bytes[PANELS], page);
    fputs("</div>\n<figcaption>", page);
    fwrite(f->texts[CAPTION], 1, f->bytes[CAPTION], page);
    if (f->n_incomplete > 0)
        fprintf(page,
                " %zu of these intervals leave out bootstrap resamples that have no "
                "value; how "
                "many is in the CSV.",
                f->n_incomplete);
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
