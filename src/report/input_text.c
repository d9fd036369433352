/* SPDX-License-Identifier: MIT
 * input_text.c - see input_text.h. */
#include "report/input_text.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST = 150 }; /* name in bytes */

const char *tl_input_text(const tl_findings *f, const char *of,
                          char text[TL_INPUT_TEXT])
{
    char key[32];
    snprintf(key, sizeof key, "%.16s-name", of);
    const char *name = tl_findings_key(f, key), *hash = tl_findings_key(f, of);
    int length = (int)strnlen(name, LONGEST);
    while (length > 0 && ((unsigned char)name[length] & 0xC0) == 0x80)
        length--; /* a letter of UTF-8 is not cut in two */
    if (name[0] != '\0')
        snprintf(text, TL_INPUT_TEXT, "%.*s (%.12s)", length, name, hash);
    else
        snprintf(text, TL_INPUT_TEXT, "%.12s", hash);
    return text;
}

const char *tl_study_task(const tl_findings *f)
{
    const char *task = tl_findings_key(f, "task");
    return task[0] != '\0' ? task : f->folder;
}
