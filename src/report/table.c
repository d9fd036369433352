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

const char *tl_table_interval(tl_arena *arena, const tl_interval *i)
{
    char text[96];
    if (!isfinite(i->value))
        return "-";
    if (!isfinite(i->low) || !isfinite(i->high))
        return tl_table_number(arena, "", i->value);
    const int used =
        snprintf(text, sizeof text, "%.3f (%.3f to %.3f)", tl_table_value(i->value),
                 tl_table_value(i->low), tl_table_value(i->high));
    if (i->n_undefined > 0)
        snprintf(text + used, sizeof text - (size_t)used, " -%zu", i->n_undefined);
    return tl_arena_strdup(arena, text);
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
    fputs("</h3>\n<div class=\"table\"><table>\n<thead><tr>", page);
    for (size_t c = 0; c < n; c++) {
        fputs("<th scope=\"col\">", page);
        tl_xml_text(page, table->heads[c]);
        fputs("</th>", page);
    }
    fputs("</tr></thead>\n<tbody>\n", page);
    for (size_t r = 0; r < table->n_rows; r++) {
        fputs("<tr>", page);
        for (size_t c = 0; c < n; c++) {
            fputs("<td>", page);
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
