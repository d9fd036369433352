/* SPDX-License-Identifier: MIT
 *
 * cmd_summary.c - `twinlens summary RUN...`: what studies found, from their folders:
 * one in full, several as tables.
 */
#include "cli/options.h"
#include "twinlens/report.h"

typedef struct options {
    tl_strings runs;
    bool json, table;
} options;

static const tl_option own[] = {{.setting = {.name = "json",
                                             .offset = offsetof(options, json),
                                             .help = "all of one; of several the paper's "
                                                     "figures and tables"},
                                 .is_flag = true},
                                {.setting = {.name = "table",
                                             .offset = offsetof(options, table),
                                             .help = "the tables, also for one study"},
                                 .is_flag = true},
                                TL_OPTIONS_END};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    const tl_status status =
        tl_options_read(&tl_command_summary, argc, argv, &o, sizeof o, err);
    if (status != TL_OK)
        return status;
    if (o.runs.n == 0)
        return tl_cli_misuse(err, "wanted the folder of a study; see --help");
    if (o.json && o.table)
        return tl_cli_misuse(err, "--table is text: wanted --json without it");
    if (o.json)
        return o.runs.n == 1 ? tl_summary_json(o.runs.texts[0], out, err)
                             : tl_summary_models_json(o.runs.texts, o.runs.n, out, err);
    return o.table || o.runs.n > 1 ? tl_summary_table(o.runs.texts, o.runs.n, out, err)
                                   : tl_summary_print(o.runs.texts[0], out, err);
}

const tl_command tl_command_summary = {
    .name = "summary",
    .summary = "print again what studies found",
    .operands = "RUN...",
    .operand_help = "folder of a study; of several, tables with a line for each",
    .operands_at = offsetof(options, runs),
    .options = own,
    .run = run,
};
