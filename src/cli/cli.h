/* SPDX-License-Identifier: MIT
 * cli.h - what a command is. Internal to src/cli, and to main. */
#ifndef TWINLENS_CLI_H
#define TWINLENS_CLI_H

#include <stdio.h>

#include "twinlens/status.h"

/*
 * A command reads its own arguments (its name is not among them), calls the library,
 * and writes its result to `out` and nothing else there: progress and warnings go to
 * stderr. It never exits, so that a test can run it in process; tl_cli_main() turns
 * the status into an exit code.
 */
typedef struct tl_command {
    const char *name;
    const char *summary; /* one line, for `twinlens help` */
    tl_status (*run)(int argc, char **argv, FILE *out, tl_error *err);
} tl_command;

extern const tl_command tl_command_inspect;
extern const tl_command tl_command_predict;
extern const tl_command tl_command_trace;
extern const tl_command tl_command_attribute;
extern const tl_command tl_command_evaluate;
extern const tl_command tl_command_study;
extern const tl_command tl_command_summary;
extern const tl_command tl_command_task;
extern const tl_command tl_command_overlap;
extern const tl_command tl_command_interchange;
extern const tl_command tl_command_align;
extern const tl_command tl_command_backpatch;
extern const tl_command tl_command_validate;
extern const tl_command tl_command_export;
extern const tl_command tl_command_report;

/* Exit status: 0 done, 1 failed, 2 misused. */
int tl_cli_main(int argc, char **argv);

/*
 * For main() alone, before anything else: starts the program once more with
 * GOMP_SPINCOUNT set, unless the caller's environment says how OpenMP's threads wait.
 * By default those that wait for the others spin for milliseconds, which on a machine
 * with other things to do takes the time of the very threads that they wait for.
 */
void tl_cli_wait_politely(char **argv);

/* TL_ERR_ARGUMENT with that text: a misuse of the command line. It ends the program with
 * status 2, as what the library calls a bad argument does; any other failure is 1. */
tl_status tl_cli_misuse(tl_error *err, const char *format, ...) TL_PRINTF(2, 3);

#endif
