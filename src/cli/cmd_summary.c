/* SPDX-License-Identifier: MIT
 *
 * cmd_summary.c - `twinlens summary RUN...`: what studies found, from their folders:
 * one in full, several as a table.
 */
#include <stdbool.h>
#include <string.h>

#include "cli/cli.h"
#include "twinlens/report.h"

static const char help[] =
    "usage: twinlens summary RUN... [--json] [--table]\n\n"
    "  RUN      folder of a study; of several, one table with a line per modality\n"
    "  --json   everything about one study\n"
    "  --table  the table, also for one study\n";

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    bool json = false, table = false;
    int n = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, out);
            return TL_OK;
        }
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (strcmp(argv[i], "--table") == 0)
            table = true;
        else if (argv[i][0] == '-')
            return tl_cli_misuse(err, "unknown option '%s'; see --help", argv[i]);
        else
            argv[n++] = argv[i]; /* the folders, in front */
    }
    if (n == 0)
        return tl_cli_misuse(err, "wanted the folder of a study; see --help");
    if (json && (table || n > 1))
        return tl_cli_misuse(err, "--json is for one study at a time, without --table");
    if (json)
        return tl_summary_json(argv[0], out, err);
    return table || n > 1
               ? tl_summary_table((const char *const *)argv, (size_t)n, out, err)
               : tl_summary_print(argv[0], out, err);
}

const tl_command tl_command_summary = {
    .name = "summary",
    .summary = "print again what studies found",
    .run = run,
};
