/* SPDX-License-Identifier: MIT
 * csv_write.c - see csv_write.h. */
#include "base/csv_write.h"

#include <math.h>
#include <string.h>

void tl_csv_write_text(FILE *out, const char *text)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

void tl_csv_write_number(FILE *out, int digits, double value)
{
    if (!isnan(value))
        fprintf(out, "%.*g", digits, value);
}
