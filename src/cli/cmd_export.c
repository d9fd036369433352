/* SPDX-License-Identifier: MIT
 * cmd_export.c - `twinlens export RUN --out DIR`: a study as JSON and CSV files. */
#include "cli/options.h"
#include "twinlens/report.h"

typedef struct options {
    tl_strings runs;
    const char *folder;
} options;

static const tl_option own[] = {
    TL_OPTION_TEXT(options, folder, true, "out", "DIR",
                   "folder for summary.json and a CSV file for each table"),
    TL_OPTIONS_END};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    (void)out;
    options o;
    const tl_status status =
        tl_options_read(&tl_command_export, argc, argv, &o, sizeof o, err);
    if (status != TL_OK)
        return status;
    if (o.runs.n != 1)
        return tl_cli_misuse(err, "wanted the folder of a study first; see --help");
    return tl_export_write(o.runs.texts[0], o.folder, err);
}

const tl_command tl_command_export = {
    .name = "export",
    .summary = "a study as JSON and CSV files",
    .operands = "RUN",
    .operand_help = "folder of a study",
    .operands_at = offsetof(options, runs),
    .options = own,
    .run = run,
};
