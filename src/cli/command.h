/* SPDX-License-Identifier: MIT
 * command.h - what a command of the program is, and the list of all. */
#ifndef TWINLENS_CLI_COMMAND_H
#define TWINLENS_CLI_COMMAND_H

#include <stddef.h>
#include <stdio.h>

#include "twinlens/status.h"

typedef struct tl_option tl_option; /* options.h */
typedef struct tl_taken tl_taken;
typedef struct tl_idle tl_idle;

/*
 * A command reads its own arguments (its name is not among them), calls the library,
 * and writes its result to `out` and nothing else there: progress and warnings go to
 * stderr. It never exits, so that a test can run it in process; tl_cli_main() turns
 * the status into an exit code, and answers --help.
 */
typedef struct tl_command {
    const char *name;
    const char *summary;  /* one line, for `twinlens help` */
    const char *operands; /* "RUN..."; NULL: the command has none */
    const char *operand_help;
    size_t operands_at;       /* where the tl_strings of them are in the values */
    const tl_taken *settings; /* those that it takes; {0} ends; NULL: none */
    const tl_option *options; /* its own; TL_OPTIONS_END ends */
    const tl_idle *idle; /* what changes nothing beside what; {0} ends; NULL: none */
    tl_status (*run)(int argc, char **argv, FILE *out, tl_error *err);
} tl_command;

extern const tl_command tl_command_inspect;
extern const tl_command tl_command_predict;
extern const tl_command tl_command_pair;
extern const tl_command tl_command_trace;
extern const tl_command tl_command_attribute;
extern const tl_command tl_command_evaluate;
extern const tl_command tl_command_circuit;
extern const tl_command tl_command_study;
extern const tl_command tl_command_summary;
extern const tl_command tl_command_top;
extern const tl_command tl_command_task;
extern const tl_command tl_command_import;
extern const tl_command tl_command_vqa;
extern const tl_command tl_command_overlap;
extern const tl_command tl_command_interchange;
extern const tl_command tl_command_align;
extern const tl_command tl_command_backpatch;
extern const tl_command tl_command_validate;
extern const tl_command tl_command_export;
extern const tl_command tl_command_report;

/* All of them, in the order of `twinlens help`; NULL ends. */
extern const tl_command *const tl_commands[];

/* TL_ERR_ARGUMENT with that text: a misuse of the command line. It ends the program with
 * status 2, as what the library calls a bad argument does; any other failure is 1. */
tl_status tl_cli_misuse(tl_error *err, const char *format, ...) TL_PRINTF(2, 3);

#endif
