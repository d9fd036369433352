/* SPDX-License-Identifier: MIT
 * table.c - see table.h. */
#include "report/table.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/csv_write.h"
#include "report/svg.h"

tl_status tl_table_add(tl_table *table, tl_arena *arena, const char *const *cells,
                       tl_error *err)
{
    const size_t n = table->n_columns;
    assert(n <= TL_TABLE_COLUMNS);
    if (table->n_rows == table->capacity) {
        const size_t capacity = table->capacity > 0 ? 2 * table->capacity : 16;
        const char **grown = tl_arena_alloc(arena, capacity * n, sizeof *grown);
        if (grown == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a table");
        if (table->n_rows > 0)
            memcpy(grown, table->cells, table->n_rows * n * sizeof *grown);
        table->cells = grown;
        table->capacity = capacity;
    }
    for (size_t i = 0; i < n; i++) {
        const char *copy = tl_arena_strdup(arena, cells[i] != NULL ? cells[i] : "-");
        if (copy == NULL)
            return tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a table");
        table->cells[table->n_rows * n + i] = copy;
    }
    table->n_rows++;
    return TL_OK;
}

double tl_table_value(double value)
{
    return fabs(value) < 0.0005 ? 0.0 : value;
}

const char *tl_table_number(tl_arena *arena, const char *format, double value)
{
    char text[64];
    if (!isfinite(value))
        return "-";
    if (strcmp(format, "%") == 0)
        snprintf(text, sizeof text, "%.4g %%", 100 * value);
    else
        snprintf(text, sizeof text, "%.3f", tl_table_value(value));
    return tl_arena_strdup(arena, text);
}

const char *tl_interval_words(const tl_interval *i, const char *over,
                              char text[TL_INTERVAL_WORDS])
{
    const bool has_ends = isfinite(i->low) && isfinite(i->high);
    if (!isfinite(i->value) || !has_ends) {
        snprintf(text, TL_INTERVAL_WORDS, isfinite(i->value) ? "%.3f" : "-",
                 tl_table_value(i->value));
        return text;
    }
    const int used = snprintf(text, TL_INTERVAL_WORDS, "%.3f (%.3f to %.3f%s%.60s)",
                              tl_table_value(i->value), tl_table_value(i->low),
                              tl_table_value(i->high), over != NULL ? ", " : "",
                              over != NULL ? over : "");
    if (i->n_undefined > 0)
        snprintf(text + used, TL_INTERVAL_WORDS - (size_t)used, " -%zu",
                 i->n_undefined);
    return text;
}

const char *tl_table_interval(tl_arena *arena, const tl_interval *i)
{
    char text[TL_INTERVAL_WORDS];
    if (!isfinite(i->value))
        return "-";
    return tl_arena_strdup(arena, tl_interval_words(i, NULL, text));
}

void tl_table_print(const tl_table *table, FILE *out)
{
    size_t widths[TL_TABLE_COLUMNS] = {0};
    const size_t n = table->n_columns;
    for (size_t c = 0; c < n; c++) {
        widths[c] = strlen(table->heads[c]);
        for (size_t r = 0; r < table->n_rows; r++) {
            const size_t width = strlen(table->cells[r * n + c]);
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    fprintf(out, "%s\n", table->title);
    for (size_t r = 0; r <= table->n_rows; r++) {
        const char *const *row =
            r == 0 ? table->heads : (const char *const *)table->cells + (r - 1) * n;
        for (size_t c = 0; c < n; c++)
            fprintf(out, c == 0 ? "%-*s" : "  %*s", (int)widths[c], row[c]);
        fputc('\n', out);
    }
    if (table->note != NULL)
        fprintf(out, "%s\n", table->note);
}

/* A line may be broken in front of brackets, nowhere else. */
static void write_cell(const char *text, FILE *page)
{
    char one[2] = {0};
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == ' ' && c[1] != '(') {
            fputs("&nbsp;", page);
            continue;
        }
        if ((*c & 0x80) != 0) { /* letters of several bytes stay together */
            tl_xml_text(page, c);
            return;
        }
        one[0] = *c;
        tl_xml_text(page, one);
    }
}

void tl_table_html(const tl_table *table, FILE *page)
{
    const size_t n = table->n_columns;
    fputs("<h3>", page);
    tl_xml_text(page, table->title);
    /* What can be scrolled can be reached by the keyboard. */
    fprintf(page,
            "</h3>\n<div class=\"table\" tabindex=\"0\"><table%s%s%s>\n<thead><tr>",
            table->style != NULL ? " class=\"" : "",
            table->style != NULL ? table->style : "", table->style != NULL ? "\"" : "");
    for (size_t c = 0; c < n; c++) {
        fputs("<th scope=\"col\">", page);
        tl_xml_text(page, table->heads[c]);
        if (table->over != NULL && table->over[c] != NULL)
            fprintf(page, "<br><small>%s</small>", table->over[c]);
        fputs("</th>", page);
    }
    fputs("</tr></thead>\n<tbody>\n", page);
    for (size_t r = 0; r < table->n_rows; r++) {
        fputs("<tr>", page);
        for (size_t c = 0; c < n; c++) {
            fputs("<td>", page);
            if (c == 0 || table->style != NULL)
                tl_xml_text(page, table->cells[r * n + c]);
            else
                write_cell(table->cells[r * n + c], page);
            fputs("</td>", page);
        }
        fputs("</tr>\n", page);
    }
    fputs("</tbody></table></div>\n", page);
    if (table->note != NULL) {
        fputs("<p class=\"note\">", page);
        tl_xml_text(page, table->note);
        fputs("</p>\n", page);
    }
}

void tl_table_csv(const tl_table *table, FILE *out)
{
    const size_t n = table->n_columns;
    for (size_t r = 0; r <= table->n_rows; r++)
        for (size_t c = 0; c < n; c++) {
            tl_csv_write_text(out,
                              r == 0 ? table->heads[c] : table->cells[(r - 1) * n + c]);
            fputs(c + 1 < n ? "," : "\r\n", out);
        }
}
