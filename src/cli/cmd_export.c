/* SPDX-License-Identifier: MIT
 * cmd_export.c - `twinlens export RUN... --out DIR`: studies as files. */
#include "cli/options.h"
#include "twinlens/report.h"

typedef struct options {
    tl_strings runs;
    const char *folder;
} options;

static const tl_option own[] = {
    TL_OPTION_TEXT(options, folder, true, "out", "DIR",
                   "folder for JSON and CSV files; of several studies also SVG"),
    TL_OPTIONS_END};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    (void)out;
    options o;
    const tl_status status =
        tl_options_read(&tl_command_export, argc, argv, &o, sizeof o, err);
    if (status != TL_OK)
        return status;
    if (o.runs.n == 0)
        return tl_cli_misuse(err, "wanted the folder of a study first; see --help");
    return o.runs.n == 1 ? tl_export_write(o.runs.texts[0], o.folder, err)
                         : tl_export_models(o.runs.texts, o.runs.n, o.folder, err);
}

const tl_command tl_command_export = {
    .name = "export",
    .summary = "studies as JSON, CSV and SVG files",
    .operands = "RUN...",
    .operand_help = "folder of a study; several make the paper's figures and tables",
    .operands_at = offsetof(options, runs),
    .options = own,
    .run = run,
};
