/* SPDX-License-Identifier: MIT
 * cmd_report.c - `twinlens report RUN... [--out FILE]`: studies as one HTML page. */
#include <stdbool.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "twinlens/report.h"

static const char help[] =
    "usage: twinlens report RUN... [--out FILE]\n\n"
    "  RUN         folder of a study; several go into one page\n"
    "  --out FILE  the page (RUN/report.html; needed for several)\n";

static tl_status run(int argc, char **argv, FILE *out, tl_error *err)
{
    const char *path = NULL;
    int n = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, out);
            return TL_OK;
        }
        if (strcmp(argv[i], "--out") == 0 && i + 1 < argc)
            path = argv[++i];
        else if (argv[i][0] == '-')
            return tl_cli_misuse(
                err, "unknown option '%s', or it has no value; see --help", argv[i]);
        else
            argv[n++] = argv[i]; /* the folders, in front */
    }
    if (n == 0)
        return tl_cli_misuse(err, "wanted the folder of a study; see --help");
    if (path == NULL && n > 1)
        return tl_cli_misuse(
            err, "%d studies make one page: wanted its name, --out FILE", n);
    tl_arena *arena = tl_arena_create();
    if (arena != NULL && path == NULL)
        path = tl_path_join(arena, argv[0], "report.html");
    tl_status status =
        path != NULL ? tl_report_write((const char *const *)argv, (size_t)n, path, err)
                     : tl_fail(err, TL_ERR_NO_MEMORY, "no memory for a path");
    if (status == TL_OK)
        fprintf(out, "%s\n", path);
    tl_arena_destroy(arena);
    return status;
}

const tl_command tl_command_report = {
    .name = "report",
    .summary = "studies as one HTML page",
    .run = run,
};
