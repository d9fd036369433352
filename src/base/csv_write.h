/* SPDX-License-Identifier: MIT
 * csv_write.h - fields of a CSV file, RFC 4180; the commas are the caller's. */
#ifndef TWINLENS_BASE_CSV_WRITE_H
#define TWINLENS_BASE_CSV_WRITE_H

#include <stdio.h>

/* Quoted when it holds a comma, a quote or a line's end. */
void tl_csv_write_text(FILE *out, const char *text);

/* With `digits` digits; nothing for NaN. */
void tl_csv_write_number(FILE *out, int digits, double value);

#endif
