/* SPDX-License-Identifier: MIT
 * command.c - see command.h. */
#include "cli/command.h"

#include <stdarg.h>

/* clang-format off */
const tl_command *const tl_commands[] = {
    &tl_command_study,    &tl_command_summary,   &tl_command_top,
    &tl_command_inspect,
    &tl_command_predict,  &tl_command_pair,      &tl_command_attribute,
    &tl_command_evaluate, &tl_command_circuit,   &tl_command_trace,
    &tl_command_task,
    &tl_command_import,   &tl_command_vqa,       &tl_command_overlap,
    &tl_command_interchange, &tl_command_align,  &tl_command_backpatch,
    &tl_command_validate, &tl_command_export,    &tl_command_report, NULL,
};
/* clang-format on */

tl_status tl_cli_misuse(tl_error *err, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return tl_fail(err, TL_ERR_ARGUMENT, "%s", text);
}
