/* SPDX-License-Identifier: MIT
 *
 * table.h - rows of words under heads, to be printed on a terminal or in a page.
 *
 *     tl_table table = {.title = "Accuracy", .heads = heads, .n_columns = 3};
 *     status = tl_table_add(&table, arena, cells, err);
 *     tl_table_print(&table, stdout);
 */
#ifndef TWINLENS_REPORT_TABLE_H
#define TWINLENS_REPORT_TABLE_H

#include <stdio.h>

#include "twinlens/arena.h"
#include "twinlens/statistics.h"
#include "twinlens/status.h"

enum { TL_TABLE_COLUMNS = 16 }; /* at most */

typedef struct tl_table {
    const char *name, *title, *note; /* name: of files and keys; note may be NULL */
    const char *style;               /* class in a page; NULL: none */
    const char *const *heads;        /* [n_columns]; the first column is words */
    /* [n_columns], or NULL: what the intervals of a column are over, NULL for none. */
    const char *const *over;
    size_t n_columns;
    const char **cells; /* [n_rows, n_columns] */
    size_t n_rows, capacity;
} tl_table;

/* Copies the cells; NULL is "-". */
tl_status tl_table_add(tl_table *table, tl_arena *arena, const char *const *cells,
                       tl_error *err);

/* A value that three decimals would print as -0.000 is 0. */
double tl_table_value(double value);

/* "0.873 (0.811 to 0.912, over prompts)", `over` may be NULL; "0.873" without an interval, "-"
 * without a number; "-12" behind it: resamples without a value. Returns `text`. */
enum { TL_INTERVAL_WORDS = 128 };
const char *tl_interval_words(const tl_interval *interval, const char *over,
                              char text[TL_INTERVAL_WORDS]);
/* The same, without what it is over. */
const char *tl_table_interval(tl_arena *arena, const tl_interval *interval);
const char *tl_table_number(tl_arena *arena, const char *format, double value);

void tl_table_print(const tl_table *table, FILE *out);
void tl_table_html(const tl_table *table, FILE *page);
void tl_table_csv(const tl_table *table, FILE *out);

#endif
