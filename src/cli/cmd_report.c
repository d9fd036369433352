/* SPDX-License-Identifier: MIT
 * cmd_report.c - `twinlens report RUN... [--out FILE]`: studies as one HTML page. */
#include "base/file.h"
#include "cli/options.h"
#include "twinlens/report.h"

typedef struct options {
    tl_strings runs;
    const char *page;
} options;

static const tl_option own[] = {
    {.setting = {.name = "out",
                 .kind = TL_SETTING_TEXT,
                 .offset = offsetof(options, page),
                 .unset = "RUN/report.html; needed for several",
                 .argument = "FILE",
                 .help = "the page"}},
    TL_OPTIONS_END};

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    options o;
    tl_status status =
        tl_options_read(&tl_command_report, argc, argv, &o, sizeof o, err);
    if (status != TL_OK)
        return status;
    if (o.runs.n == 0)
        return tl_cli_misuse(err, "wanted the folder of a study; see --help");
    if (o.page == NULL && o.runs.n > 1)
        return tl_cli_misuse(
            err, "%zu studies make one page: wanted its name, --out FILE", o.runs.n);
    tl_arena *arena = tl_arena_create();
    if (arena != NULL && o.page == NULL)
        o.page = tl_path_join(arena, o.runs.texts[0], "report.html");
    status = o.page != NULL ? tl_report_write(o.runs.texts, o.runs.n, o.page, err)
                            : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    if (status == TL_OK)
        fprintf(out, "%s\n", o.page);
    tl_arena_destroy(arena);
    return status;
}

const tl_command tl_command_report = {
    .name = "report",
    .summary = "studies as one HTML page",
    .operands = "RUN...",
    .operand_help = "folder of a study; several go into one page",
    .operands_at = offsetof(options, runs),
    .options = own,
    .run = run,
};
