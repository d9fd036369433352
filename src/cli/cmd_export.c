/* SPDX-License-Identifier: MIT
 * cmd_export.c - `twinlens export RUN --out DIR`: a study as JSON and CSV files. */
#include "cli/cli.h"
#include "cli/options.h"
#include "twinlens/report.h"

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    const char *study = NULL, *folder = NULL;
    if (argc > 0 && argv[0][0] != '-') {
        study = argv[0];
        argc--;
        argv++;
    }
    const tl_option table[] = {
        {.name = "out",
         .kind = TL_OPTION_STRING,
         .value = &folder,
         .argument = "DIR",
         .help = "folder for summary.json and a CSV file for each table",
         .required = true},
    };
    bool help = false;
    tl_status status =
        tl_options_parse(table, 1, "export RUN", argc, argv, out, &help, err);
    if (status != TL_OK || help)
        return status;
    if (study == NULL)
        return tl_cli_misuse(err, "wanted the folder of a study first; see --help");
    return tl_export_write(study, folder, err);
}

const tl_command tl_command_export = {
    .name = "export",
    .summary = "a study as JSON and CSV files",
    .run = run,
};
