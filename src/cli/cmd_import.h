/* SPDX-License-Identifier: MIT
 * cmd_import.h - `twinlens task import-published`, which cmd_task.c hands over. */
#ifndef TWINLENS_CLI_CMD_IMPORT_H
#define TWINLENS_CLI_CMD_IMPORT_H

#include <stdio.h>

#include "twinlens/status.h"

/* As tl_command.run, with the arguments behind "import-published". */
tl_status tl_cli_import_published(int argc, char **argv, FILE *out, tl_error *err);

#endif
