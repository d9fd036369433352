/* SPDX-License-Identifier: MIT
 * log.c - see include/twinlens/log.h. */
#include "twinlens/log.h"

#include <stdarg.h>
#include <stdio.h>

static tl_log_sink current_sink;
static void *current_user;

void tl_log_set(tl_log_sink sink, void *user)
{
    current_sink = sink;
    current_user = user;
}

void tl_log(tl_log_level level, const char *format, ...)
{
    if (current_sink == NULL)
        return;
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    current_sink(current_user, level, text);
}
