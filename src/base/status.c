/* SPDX-License-Identifier: MIT
 * status.c - see include/twinlens/status.h. */
#include "twinlens/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* No default label: the compiler then names a status that this forgets. */
const char *tl_status_name(tl_status status)
{
    switch (status) {
    case TL_OK: return "ok";
    case TL_ERR_ARGUMENT: return "bad argument";
    case TL_ERR_NO_MEMORY: return "no memory";
    case TL_ERR_IO: return "input/output error";
    case TL_ERR_FORMAT: return "malformed file";
    case TL_ERR_UNSUPPORTED: return "unsupported";
    case TL_ERR_NOT_FOUND: return "not found";
    case TL_ERR_BACKEND: return "backend failure";
    case TL_ERR_DATA: return "unusable data";
    case TL_ERR_TOO_FEW: return "too few";
    }
    return "unknown status";
}

/* A text that was cut says so, lest it be read as the whole story. */
static void mark_if_cut(tl_error *err, int length)
{
    if (length >= (int)sizeof err->text)
        memcpy(err->text + sizeof err->text - sizeof "...", "...", sizeof "...");
}

tl_status tl_fail(tl_error *err, tl_status status, const char *format, ...)
{
    if (err == NULL)
        return status;
    /* Through a copy: an argument may point into err->text itself. */
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    memcpy(err->text, text, sizeof text);
    mark_if_cut(err, length);
    err->status = status;
    return status;
}

tl_status tl_fail_while(tl_error *err, tl_status status, const char *format, ...)
{
    if (err == NULL || status == TL_OK)
        return status;
    char doing[sizeof err->text];
    va_list args;
    va_start(args, format);
    vsnprintf(doing, sizeof doing, format, args);
    va_end(args);
    const tl_error cause = *err;
    mark_if_cut(err,
                snprintf(err->text, sizeof err->text, "%s: %s", doing, cause.text));
    err->status = status;
    return status;
}
